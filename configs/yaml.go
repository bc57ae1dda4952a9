package configs

import (
	"bytes"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// parseYAML returns the root of the only document, or nil if there is none.
func parseYAML(content []byte) (root *yaml.Node, err error) {
	dec := yaml.NewDecoder(bytes.NewReader(content))
	var first, next yaml.Node
	if err := dec.Decode(&first); err == io.EOF {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	if err := dec.Decode(&next); err == nil {
		return nil, &secondDocument{&next}
	} else if err != io.EOF {
		return nil, err
	}
	return first.Content[0], nil
}

type secondDocument struct{ node *yaml.Node }

func (*secondDocument) Error() string { return "a second document" }

var (
	yamlLine = regexp.MustCompile(`^(?:yaml: )?line (\d+): `)
	// yamlFromZero matches the messages whose line the YAML package counts
	// from 0: those of its parser, unlike those of its scanner.
	yamlFromZero = regexp.MustCompile(`^did not find expected (<|node content|'-' indicator|key$|',' or )|^found undefined tag handle`)
)

// syntaxError turns a message of the YAML package into a finding. It leaves
// out the line of what is on the first one.
func (l *loader) syntaxError(err error, content []byte) Finding {
	f := Finding{Severity: SevError, File: l.src.File, Line: 1, Message: strings.TrimPrefix(err.Error(), "yaml: ")}
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
		f.Line, _ = strconv.Atoi(m[1])
		f.Message = err.Error()[len(m[0]):]
		if yamlFromZero.MatchString(f.Message) {
			f.Line++
		}
	}
	f.Message = "not YAML: " + f.Message
	// The parser may count from the line before the one with the tab.
	lines := bytes.Split(bytes.TrimRight(content, "\n"), []byte("\n"))
	f.Line = min(f.Line, len(lines)) // the end of the file counts as a line more
	for i := max(f.Line-1, 0); i < min(f.Line+1, len(lines)); i++ {
		indent := lines[i][:len(lines[i])-len(bytes.TrimLeft(lines[i], " \t"))]
		if tab := bytes.IndexByte(indent, '\t'); tab >= 0 {
			f.Line, f.Column = i+1, tab+1
			f.Message += " – indent with spaces, not tabs"
			break
		}
	}
	return f
}
