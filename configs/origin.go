package configs

import "fmt"

// Source says where a value may come from besides the defaults.
type Source struct {
	// File is the configuration file; empty reads none.
	File string
	// Content is read instead of the file if it is not nil; File then only
	// names it in findings.
	Content []byte
	// Environ is the environment, as [os.Environ] gives it. Variables that are
	// set to nothing count as not set.
	Environ []string
	// Flags win over everything; of two for one key the later wins.
	Flags []Flag
}

// Flag is one setting from the command line.
type Flag struct {
	Name  string // as the user knows it: --listen, --set
	Key   string // path of the key
	Value string // as text; items of a list are separated by commas
}

// OriginKind is one of the places a value can come from.
type OriginKind string

// The places, in rising precedence.
const (
	FromDefault OriginKind = "default"
	FromFile    OriginKind = "file"
	FromEnv     OriginKind = "env"
	FromFlag    OriginKind = "flag"
)

// Origin is where a value came from.
type Origin struct {
	Kind   OriginKind `json:"kind"`
	File   string     `json:"file,omitempty"`   // FromFile
	Line   int        `json:"line,omitempty"`   // FromFile, from 1
	Column int        `json:"column,omitempty"` // FromFile, from 1
	Name   string     `json:"name,omitempty"`   // of the variable or flag

	order int // of a flag on the command line
}

// String is the origin in words: "default", "file proxy.yaml:31",
// "env MTLSPROXY_LOGGING_LEVEL", "flag --set".
func (o Origin) String() string {
	switch o.Kind {
	case FromFile:
		return fmt.Sprintf("file %s:%d", o.File, o.Line)
	case FromEnv, FromFlag:
		return string(o.Kind) + " " + o.Name
	}
	return string(FromDefault)
}

// locate puts the origin into a finding.
func (o Origin) locate(f Finding) Finding {
	switch o.Kind {
	case FromFile:
		f.File, f.Line, f.Column = o.File, o.Line, o.Column
	case FromEnv:
		f.Env = o.Name
	case FromFlag:
		f.Flag, f.order = o.Name, o.order
	}
	return f
}
