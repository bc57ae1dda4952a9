package configs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// readFile walks the YAML nodes of the file along the schema. It descends only
// where the schema does, so that its depth is bounded by that of the schema.
func (l *loader) readFile(content []byte) {
	top := Origin{Kind: FromFile, File: l.src.File}
	if len(content) > maxFileSize {
		l.fail(top, "", "is larger than %s, which no configuration needs to be", Size(maxFileSize))
		return
	}
	doc, err := parseYAML(content)
	var second *secondDocument
	switch {
	case errors.As(err, &second):
		l.fail(l.at(second.node), "", "a second document begins here; one file holds one configuration")
		return
	case err != nil:
		l.findings = append(l.findings, l.syntaxError(err, content))
		return
	case doc == nil: // nothing but comments
		return
	}
	l.readSection(doc, "", schema())
}

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

// at is the place of a node.
func (l *loader) at(n *yaml.Node) Origin {
	return Origin{Kind: FromFile, File: l.src.File, Line: n.Line, Column: n.Column}
}

// plain refuses what YAML can do and a configuration does not need: it would
// make the place of a value and the value two things.
func (l *loader) plain(n *yaml.Node, key string) bool {
	switch {
	case n.Kind == yaml.AliasNode:
		l.fail(l.at(n), key, "anchors and aliases (*%s) are not read: write the value out", n.Value)
		return false
	case n.Style&yaml.TaggedStyle != 0:
		l.fail(l.at(n), key, "YAML tags (%s) are not read: write the value without it", n.Tag)
		return false
	}
	return true
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// pairs yields the keys and values of a mapping that are fit to be read. A
// mapping without content counts as an empty one.
func (l *loader) pairs(n *yaml.Node, key, what string, read func(k, v *yaml.Node)) {
	if !l.plain(n, key) || isNull(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		l.fail(l.at(n), key, "%s, not %s", what, shapeOf(n))
		return
	}
	seen := make(map[string]int)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind != yaml.ScalarNode || k.Style&yaml.TaggedStyle != 0 {
			l.fail(l.at(k), key, "a key has to be a plain word")
			continue
		}
		if k.Tag == "!!merge" {
			l.fail(l.at(k), key, "merge keys (<<) are not read: write the values out")
			continue
		}
		if line, twice := seen[k.Value]; twice {
			l.fail(l.at(k), join(key, k.Value), "is set twice, first on line %d: take one out", line)
			continue
		}
		seen[k.Value] = k.Line
		read(k, v)
	}
}

func (l *loader) readSection(n *yaml.Node, key string, f *field) {
	what := "is a section with keys of its own"
	if key == "" {
		what = "the file holds keys such as listeners and upstreams"
	}
	l.pairs(n, key, what, func(k, v *yaml.Node) {
		c := f.child(k.Value)
		if c == nil {
			l.fail(l.at(k), key, "unknown key %q%s", k.Value, f.suggest(k.Value))
			return
		}
		path := join(key, c.name)
		l.where[path] = l.at(k)
		switch c.kind {
		case section:
			l.readSection(v, path, c)
		case named:
			l.readNamed(v, path, c)
		default:
			l.where[path] = l.at(v)
			if value, ok := l.readValue(v, path, c); ok {
				l.file[path] = given{value, l.at(v)}
			}
		}
	})
}

func (l *loader) readNamed(n *yaml.Node, path string, f *field) {
	l.pairs(n, path, "maps names to sections", func(k, v *yaml.Node) {
		if !nameForm.MatchString(k.Value) {
			l.fail(l.at(k), path, "%v", isName(k.Value))
			return
		}
		entry := join(path, k.Value)
		l.where[entry] = l.at(k)
		l.name(path, k.Value)
		l.readSection(v, entry, f)
	})
}

// readValue reads what a key holds, or reports why it cannot.
func (l *loader) readValue(n *yaml.Node, key string, f *field) (any, bool) {
	if !l.plain(n, key) {
		return nil, false
	}
	if isNull(n) {
		l.fail(l.at(n), key, "has no value: give it one, or delete the line to have the default %s", l.defaultOf(f))
		return nil, false
	}
	switch f.kind {
	case texts:
		return l.readTexts(n, key, f)
	case listed:
		return l.readListed(n, key, f)
	}
	return l.readScalar(n, key, f)
}

func (l *loader) defaultOf(f *field) string {
	if d, ok := defaults()[f.path]; ok {
		return format(d)
	}
	return "(none)"
}

func (l *loader) readScalar(n *yaml.Node, key string, f *field) (any, bool) {
	if n.Kind != yaml.ScalarNode {
		l.fail(l.at(n), key, "has to be %s, not %s", f.describe(), shapeOf(n))
		return nil, false
	}
	v, err := f.parse(n.Value)
	if err != nil {
		l.fail(l.at(n), key, "%v", err)
		return nil, false
	}
	return v, true
}

// readTexts reads a list; a single value stands for a list of one.
func (l *loader) readTexts(n *yaml.Node, key string, f *field) (any, bool) {
	items := []*yaml.Node{n}
	switch n.Kind {
	case yaml.SequenceNode:
		items = n.Content
	case yaml.MappingNode:
		l.fail(l.at(n), key, "has to be a list, not %s", shapeOf(n))
		return nil, false
	}
	values, good := []string{}, true
	for i, item := range items {
		path := fmt.Sprintf("%s[%d]", key, i)
		l.where[path] = l.at(item)
		if !l.plain(item, key) {
			good = false
			continue
		}
		if isNull(item) {
			l.fail(l.at(item), key, "item %d has no value", i+1)
			good = false
			continue
		}
		v, ok := l.readScalar(item, key, f)
		if good = good && ok; ok {
			values = append(values, v.(string))
		}
	}
	return values, good
}

// readListed reads a list of sections.
func (l *loader) readListed(n *yaml.Node, key string, f *field) (any, bool) {
	if n.Kind != yaml.SequenceNode {
		l.fail(l.at(n), key, "has to be a list, not %s", shapeOf(n))
		return nil, false
	}
	before := len(l.findings)
	items := []any{}
	for i, item := range n.Content {
		items = append(items, l.readItem(item, fmt.Sprintf("%s[%d]", key, i), f))
	}
	return items, len(l.findings) == before
}

// readItem reads one section of a list, or one section in it.
func (l *loader) readItem(n *yaml.Node, path string, f *field) map[string]any {
	l.where[path] = l.at(n)
	tree := make(map[string]any)
	l.pairs(n, path, "is a section with keys of its own", func(k, v *yaml.Node) {
		c := f.child(k.Value)
		if c == nil {
			l.fail(l.at(k), path, "unknown key %q%s", k.Value, f.suggest(k.Value))
			return
		}
		p := join(path, c.name)
		if c.kind == section {
			tree[c.name] = l.readItem(v, p, c)
			return
		}
		l.where[p] = l.at(v)
		if value, ok := l.readValue(v, p, c); ok {
			tree[c.name] = value
		}
	})
	if f.kind == listed {
		for _, need := range []string{"name", "action"} {
			if _, ok := l.where[join(path, need)]; !ok {
				l.fail(l.at(n), path, "lacks its %s", need)
			}
		}
	}
	return tree
}

func shapeOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a section"
	case yaml.SequenceNode:
		return "a list"
	}
	return "a single value"
}

// describe says what a value of the key looks like, with its article.
func (f *field) describe() string {
	switch f.kind {
	case boolean:
		return "true or false"
	case number:
		return "a whole number"
	case duration:
		return "a duration such as 500ms or 10s"
	case size:
		return "a size such as 64KiB"
	case moment:
		return "a time such as 2027-01-31T00:00:00Z"
	case texts, listed:
		return "a list"
	case section, named:
		return "a section"
	}
	if len(f.enum) > 0 {
		return "one of " + strings.Join(f.enum, ", ")
	}
	return "a text"
}

// suggest ends the message about an unknown key in section f: the key that
// was meant, or the place where a key of this name belongs.
func (f *field) suggest(name string) string {
	var names []string
	for _, c := range f.children {
		names = append(names, c.name)
	}
	if s := didYouMean(name, names); s != "" {
		return s
	}
	if below := f.descendants(name, ""); len(below) == 1 {
		return fmt.Sprintf(" – it belongs under %s: did you mean %q?", below[0][:strings.LastIndexByte(below[0], '.')], below[0])
	}
	if len(names) > 12 {
		return ""
	}
	return " – the keys here are " + strings.Join(names, ", ")
}

// descendants lists the paths, from f, of keys called name below its sections.
func (f *field) descendants(name, path string) []string {
	var found []string
	for _, c := range f.children {
		if c.kind != section {
			continue
		}
		if c.child(name) != nil {
			found = append(found, join(join(path, c.name), name))
		}
		found = append(found, c.descendants(name, join(path, c.name))...)
	}
	return found
}
