// Package configs knows what may be set: every key of the configuration, its
// meaning, its bounds and its default, and how a value reaches it from a flag,
// an environment variable or the file, in that order of precedence.
//
// Guarantees:
//
//   - Nothing is ignored. An unknown key, a variable with our prefix that names
//     no key, a value of the wrong type and a key whose feature is not built yet
//     are findings.
//   - All findings are reported at once, in the order of the file, each at the
//     line and column of the value it is about; then those of the environment,
//     then those of the flags.
//   - Every value knows where it came from ([Loaded.Origin]).
//   - Loading opens the configuration file and no other. Whether certificates
//     exist and fit is for the caller to check.
//
// The structs of [Config] are the schema: the parser, [JSONSchema], [Explain],
// the environment names and the validation are all read from them and their
// tags. proxy.yaml, embedded as [Reference], is the same thing for people, and
// a test holds the two equal.
//
// Maps are keyed by names of lower-case letters, digits and underscores, so
// that every key has one environment variable. No enumeration has a value that
// YAML 1.1 reads as a boolean (off, on, yes, no).
//
// A [Config] is a value: nothing here changes it after Load returned it, and it
// may be read concurrently.
package configs

//go:generate go test -run TestKeyDocsAreTheComments -update .
