package configs

import (
	"encoding/json"
	"slices"
	"time"
)

const (
	durationPattern = `^([0-9]+d)?([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h))*$|^0$`
	sizePattern     = `^[0-9]+ *([KMGT]i)?B?$`
)

// JSONSchema describes the configuration file for editors, as JSON Schema
// draft 2020-12. Values that are not supported yet are left out of
// enumerations. What it accepts, [Load] may still refuse: it knows no
// relations between keys and no forms of addresses.
func JSONSchema() []byte {
	root := schema().jsonSchema()
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "mtlsproxy configuration"
	out, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		panic("configs: internal error: " + err.Error())
	}
	return append(out, '\n')
}

type object = map[string]any

func (f *field) jsonSchema() object {
	var s object
	switch f.kind {
	case section:
		s = f.jsonSection()
		s["type"] = []string{"object", "null"}
	case named:
		s = object{
			"type":                 []string{"object", "null"},
			"patternProperties":    object{nameForm.String(): f.jsonEntry()},
			"additionalProperties": false,
		}
	case listed:
		items := f.jsonSection()
		items["required"] = []string{"name", "action"}
		s = object{"type": "array", "items": items}
	case texts:
		item := f.jsonText()
		s = object{"oneOf": []object{item, {"type": "array", "items": item}}}
	default:
		s = f.jsonScalar()
	}
	if f.doc != "" {
		s["description"] = f.doc
	}
	if d, ok := defaults()[f.path]; ok {
		s["default"] = jsonValue(d)
	}
	return s
}

func (f *field) jsonSection() object {
	properties := object{}
	for _, c := range f.children {
		properties[c.name] = c.jsonSchema()
	}
	return object{"type": "object", "properties": properties, "additionalProperties": false}
}

func (f *field) jsonEntry() object {
	s := f.jsonSection()
	s["type"] = []string{"object", "null"}
	return s
}

func (f *field) jsonScalar() object {
	switch f.kind {
	case boolean:
		return object{"type": "boolean"}
	case number:
		s := object{"type": "integer"}
		if len(f.enum) > 0 {
			return object{"const": 1}
		}
		f.jsonBounds(s)
		return s
	case size:
		plain := object{"type": "integer"}
		f.jsonBounds(plain)
		return object{"oneOf": []object{plain, {"type": "string", "pattern": sizePattern}}}
	case duration:
		return object{"type": "string", "pattern": durationPattern}
	case moment:
		return object{"type": "string", "format": "date-time"}
	}
	return f.jsonText()
}

func (f *field) jsonText() object {
	if len(f.enum) > 0 {
		return object{"enum": f.built()}
	}
	return object{"type": "string"}
}

func (f *field) jsonBounds(s object) {
	if f.max > 0 {
		s["maximum"] = f.max
	}
	if f.zero != "" {
		s["anyOf"] = []object{{"const": 0}, {"minimum": f.min}}
		return
	}
	s["minimum"] = f.min
}

// built is the enumeration without what is not supported yet.
func (f *field) built() []string {
	u, ok := unbuiltKey(f.path)
	if !ok || f.kind == texts {
		return f.enum
	}
	works := u.works(f, intendedDefaults()[f.path])
	return slices.DeleteFunc(slices.Clone(f.enum), func(v string) bool { return !slices.Contains(works, v) })
}

// jsonValue is a value as the file would hold it.
func jsonValue(v any) any {
	switch v := v.(type) {
	case time.Duration:
		return formatDuration(v)
	case Size:
		if v == 0 {
			return 0
		}
		return v.String()
	}
	return v
}
