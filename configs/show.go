package configs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// YAML writes the configuration in force as a file that loads to the same. With
// origin each value is followed by where it came from.
func (l *Loaded) YAML(origin bool) ([]byte, error) {
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(l.tree(origin)); err != nil {
		return nil, fmt.Errorf("writing configuration: %w", err)
	}
	return b.Bytes(), enc.Close()
}

// JSON writes the configuration in force. Keys come in the order of the schema;
// durations and sizes are strings, as in the file.
func (l *Loaded) JSON() ([]byte, error) {
	var compact, indented bytes.Buffer
	if err := writeJSON(&compact, l.tree(false)); err != nil {
		return nil, fmt.Errorf("writing configuration: %w", err)
	}
	if err := json.Indent(&indented, compact.Bytes(), "", "  "); err != nil {
		return nil, fmt.Errorf("writing configuration: %w", err)
	}
	return append(indented.Bytes(), '\n'), nil
}

// tree is the configuration as YAML nodes.
func (l *Loaded) tree(origin bool) *yaml.Node {
	entries := make(map[string][]string)
	for _, key := range l.keys {
		for i, c := range key {
			f := lookup(key[:i])
			if c != '.' || f == nil || !f.isMap(key[:i]) {
				continue
			}
			name, _, _ := strings.Cut(key[i+1:], ".")
			if list := entries[key[:i]]; len(list) == 0 || list[len(list)-1] != name {
				entries[key[:i]] = append(list, name)
			}
		}
	}
	t := treeWriter{entries: entries}
	if origin {
		t.comment = func(key string) string { return l.Origin(key).String() }
	}
	return t.section(schema(), "", reflect.ValueOf(l.Config).Elem())
}

type treeWriter struct {
	entries map[string][]string
	comment func(key string) string
}

func (t treeWriter) section(f *field, path string, v reflect.Value) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for _, c := range f.children {
		n.Content = append(n.Content, word(c.name), t.value(c, join(path, c.name), v.Field(c.index)))
	}
	return n
}

func (t treeWriter) value(f *field, path string, v reflect.Value) *yaml.Node {
	switch f.kind {
	case section:
		return t.section(f, path, v)
	case named:
		n := &yaml.Node{Kind: yaml.MappingNode}
		for _, name := range t.entries[path] {
			n.Content = append(n.Content, word(name), t.section(f, join(path, name), v.MapIndex(reflect.ValueOf(name))))
		}
		return n
	case listed:
		n := &yaml.Node{Kind: yaml.SequenceNode}
		if v.Len() == 0 {
			n.Style = yaml.FlowStyle
		}
		for i := range v.Len() {
			n.Content = append(n.Content, t.item(f, v.Index(i)))
		}
		return n
	}
	n := leafNode(v.Interface())
	if t.comment != nil {
		n.LineComment = t.comment(path)
	}
	return n
}

// item writes one section of a list, without what is not set in it: there are
// no defaults to show.
func (t treeWriter) item(f *field, v reflect.Value) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for _, c := range f.children {
		field := v.Field(c.index)
		switch {
		case field.IsZero():
		case c.kind == section:
			n.Content = append(n.Content, word(c.name), t.item(c, field))
		default:
			n.Content = append(n.Content, word(c.name), leafNode(field.Interface()))
		}
	}
	return n
}

func leafNode(v any) *yaml.Node {
	switch v := v.(type) {
	case bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: fmt.Sprint(v)}
	case int, uint32:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: fmt.Sprint(v)}
	case Size:
		if s := v.String(); !isNumber(s) {
			return word(s)
		}
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: v.String()}
	case time.Duration:
		return word(formatDuration(v))
	case time.Time:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!timestamp", Value: format(v)}
	case []string:
		n := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		for _, s := range v {
			n.Content = append(n.Content, word(s))
		}
		return n
	}
	return word(v.(string))
}

// word is a string; the encoder quotes it where it would read as something else.
func word(s string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}
}

func writeJSON(b *bytes.Buffer, n *yaml.Node) error {
	switch {
	case n.Kind == yaml.ScalarNode && (n.Tag == "!!bool" || n.Tag == "!!int"):
		b.WriteString(n.Value)
		return nil
	case n.Kind == yaml.ScalarNode:
		s, err := json.Marshal(n.Value)
		b.Write(s)
		return err
	}
	brackets, step := "[]", 1
	if n.Kind == yaml.MappingNode {
		brackets, step = "{}", 2
	}
	b.WriteByte(brackets[0])
	for i := 0; i < len(n.Content); i += step {
		if i > 0 {
			b.WriteByte(',')
		}
		for j, c := range n.Content[i : i+step] {
			if j > 0 {
				b.WriteByte(':')
			}
			if err := writeJSON(b, c); err != nil {
				return err
			}
		}
	}
	b.WriteByte(brackets[1])
	return nil
}
