package configs

import (
	"errors"
	"fmt"

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
			l.namesUnsure = l.namesUnsure || key == ""
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
			l.namesUnsure = true
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
		what := "a single value (" + f.typeName() + ")"
		if f.kind == texts {
			what = "a list of single values"
		}
		l.fail(l.at(n), key, "has to be %s, not %s", what, shapeOf(n))
		return nil, false
	}
	quoted := n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0
	word, ok := l.ourWord(f, key, n.Value, quoted, l.at(n))
	if !ok {
		return nil, false
	}
	v, err := f.parse(word)
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
