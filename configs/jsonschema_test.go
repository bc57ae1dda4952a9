package configs

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

func schemaDocument(t *testing.T) object {
	t.Helper()
	var doc object
	if err := json.Unmarshal(JSONSchema(), &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestJSONSchemaJudgesFiles(t *testing.T) {
	doc := schemaDocument(t)
	for _, tt := range []struct {
		name, file string
		good       bool
	}{
		{"the reference", Reference, true},
		{"an empty section", "listeners:\n", true},
		{"one CA in place of a list", "listeners: {a: {client_auth: {ca: x.pem}}}", true},
		{"a size with a unit", "listeners: {a: {socket: {send_buffer: 4MiB}}}", true},
		{"days", "listeners: {a: {timeouts: {max_lifetime: 1d12h}}}", true},
		{"zero beyond the bounds", "listeners: {a: {socket: {mss: 0}}}", true},
		{"an unknown key", "listner: {}", false},
		{"a name with capitals", "listeners: {A: {}}", false},
		{"a value outside the enumeration", "logging: {level: loud}", false},
		{"a value not built yet", "logging: {schema: ecs}", false},
		{"a duration without unit", "shutdown: {delay: '5'}", false},
		{"a number below its bounds", "listeners: {a: {socket: {mss: 3}}}", false},
		{"a number above its bounds", "listeners: {a: {socket: {dscp: 64}}}", false},
		{"a list for a section", "logging: []", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var v any
			if err := yaml.Unmarshal([]byte(tt.file), &v); err != nil {
				t.Fatal(err)
			}
			if err := conforms(doc, v); (err == nil) != tt.good {
				t.Errorf("conforms = %v, want good %v", err, tt.good)
			}
		})
	}
}

func TestJSONSchemaHasEveryKey(t *testing.T) {
	doc := schemaDocument(t)
	for key := range leaves(allEntries) {
		at := doc
		for part := range strings.SplitSeq(key, ".") {
			if part == "*" {
				at = at["patternProperties"].(object)[nameForm.String()].(object)
			} else {
				at, _ = at["properties"].(object)[part].(object)
			}
		}
		if at["description"] == nil {
			t.Errorf("%s has no description", key)
		}
		if _, ok := at["default"]; !ok {
			t.Errorf("%s has no default", key)
		}
	}
}

// conforms checks v against the keywords our schema uses.
func conforms(s object, v any) error {
	if want, ok := s["const"]; ok && fmt.Sprint(want) != fmt.Sprint(v) {
		return fmt.Errorf("%v is not %v", v, want)
	}
	if enum, ok := s["enum"].([]any); ok && !slices.Contains(enum, v) {
		return fmt.Errorf("%v is not in %v", v, enum)
	}
	if err := conformsType(s["type"], v); err != nil {
		return err
	}
	for _, word := range []string{"oneOf", "anyOf"} {
		if list, ok := s[word].([]any); ok {
			n := 0
			for _, alternative := range list {
				if conforms(alternative.(object), v) == nil {
					n++
				}
			}
			if n == 0 || n > 1 && word == "oneOf" {
				return fmt.Errorf("%v fits %d of %s", v, n, word)
			}
		}
	}
	switch v := v.(type) {
	case int:
		if low, ok := s["minimum"].(float64); ok && float64(v) < low {
			return fmt.Errorf("%d < %v", v, low)
		}
		if high, ok := s["maximum"].(float64); ok && float64(v) > high {
			return fmt.Errorf("%d > %v", v, high)
		}
	case string:
		if p, ok := s["pattern"].(string); ok && (!regexp.MustCompile(p).MatchString(v) || !utf8.ValidString(v)) {
			return fmt.Errorf("%q does not match %s", v, p)
		}
	case []any:
		items, _ := s["items"].(object)
		for _, item := range v {
			if err := conforms(items, item); err != nil {
				return err
			}
		}
	case object:
		return conformsObject(s, v)
	}
	return nil
}

func conformsType(want, v any) error {
	got := map[reflect.Kind]string{reflect.Map: "object", reflect.Slice: "array", reflect.String: "string",
		reflect.Int: "integer", reflect.Bool: "boolean", reflect.Invalid: "null"}[reflect.ValueOf(v).Kind()]
	switch want := want.(type) {
	case string:
		if want != got {
			return fmt.Errorf("%v is %s, not %s", v, got, want)
		}
	case []any:
		if !slices.Contains(want, any(got)) {
			return fmt.Errorf("%v is %s, not %v", v, got, want)
		}
	}
	return nil
}

func conformsObject(s, v object) error {
	for k, below := range v {
		schema, ok := object(nil), false
		if p, has := s["properties"].(object); has {
			schema, ok = p[k].(object)
		}
		if p, has := s["patternProperties"].(object); has && !ok {
			for pattern, sub := range p {
				if regexp.MustCompile(pattern).MatchString(k) {
					schema, ok = sub.(object), true
				}
			}
		}
		if !ok {
			return fmt.Errorf("%q is not expected", k)
		}
		if err := conforms(schema, below); err != nil {
			return fmt.Errorf("%s: %w", k, err)
		}
	}
	return nil
}
