package configs

import _ "embed" // for proxy.yaml

// Reference is the annotated configuration file, every key at its default.
//
//go:embed proxy.yaml
var Reference string
