package configs

import (
	"fmt"
	"iter"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"time"
)

// kind is what a key holds.
type kind int

const (
	section  kind = iota // keys of its own
	named                // a map from names to sections
	listed               // a list of sections
	boolean              // true or false
	number               // a whole number
	text                 // a string
	texts                // a list of strings
	duration             // a time.Duration
	size                 // a Size
	moment               // a time.Time
)

// field is one key of the schema, read from a struct field and its tags.
type field struct {
	path     string // as in listeners.*.address; [] stands for the items of a list
	name     string // last part of path
	kind     kind
	doc      string
	enum     []string
	is       string
	min, max int64 // bounds of a number, size, or duration in nanoseconds; max 0 is none
	zero     string
	unit     string
	entry    string // named: the entry that exists if no other is named
	reload   bool   // a reload applies it to new connections
	short    string // flag that sets it
	alias    string // in aliases
	children []*field
	index    int // in the Go struct
}

// nameForm is what entries of maps are called, so that each key has one
// environment variable and survives viper's lower-casing.
var nameForm = regexp.MustCompile(`^[a-z0-9_]+$`)

// schema is the root of all keys.
var schema = sync.OnceValue(func() *field {
	root := &field{kind: section}
	root.children = readStruct(reflect.TypeFor[Config](), root)
	return root
})

func readStruct(t reflect.Type, parent *field) []*field {
	var fields []*field
	for i := range t.NumField() {
		sf := t.Field(i)
		name := sf.Tag.Get("mapstructure")
		if name == "-" {
			continue
		}
		f := &field{
			path: join(parent.path, name), name: name, index: i,
			doc:    keyDocs[t.Name()+"."+sf.Name],
			is:     sf.Tag.Get("is"),
			zero:   sf.Tag.Get("zero"),
			unit:   sf.Tag.Get("unit"),
			entry:  sf.Tag.Get("names"),
			short:  sf.Tag.Get("short"),
			alias:  sf.Tag.Get("alias"),
			reload: parent.reload,
		}
		if r, ok := sf.Tag.Lookup("reload"); ok {
			f.reload = r == "connections"
		}
		if e, ok := sf.Tag.Lookup("enum"); ok {
			f.enum = strings.Split(e, "|")
		}
		f.readType(sf.Type)
		f.readBounds(sf.Tag)
		fields = append(fields, f)
	}
	return fields
}

// readType sets what follows from the Go type. Below a map the path goes on
// with *, below a list of sections with [].
func (f *field) readType(t reflect.Type) {
	switch t {
	case reflect.TypeFor[time.Duration]():
		f.kind = duration
		return
	case reflect.TypeFor[Size]():
		f.kind = size
		return
	case reflect.TypeFor[time.Time]():
		f.kind = moment
		return
	case reflect.TypeFor[[]string]():
		f.kind = texts
		return
	}
	below := *f
	switch t.Kind() {
	case reflect.Bool:
		f.kind = boolean
	case reflect.Int, reflect.Uint32:
		f.kind = number
	case reflect.String:
		f.kind = text
	case reflect.Struct:
		f.kind, f.children = section, readStruct(t, f)
	case reflect.Map:
		below.path = join(f.path, "*")
		f.kind, f.children = named, readStruct(t.Elem(), &below)
	case reflect.Slice:
		below.path += "[]"
		f.kind, f.children = listed, readStruct(t.Elem(), &below)
	default:
		panic(fmt.Sprintf("configs: internal error: %s has type %s", f.path, t))
	}
}

func (f *field) readBounds(tag reflect.StructTag) {
	read := func(s string) int64 {
		switch {
		case s == "":
			return 0
		case f.kind == duration:
			d, err := parseDuration(s)
			if err != nil {
				panic(fmt.Sprintf("configs: internal error: bound of %s: %v", f.path, err))
			}
			return int64(d)
		case s == "-1":
			return -1
		}
		n, err := ParseSize(s)
		if err != nil {
			panic(fmt.Sprintf("configs: internal error: bound of %s: %v", f.path, err))
		}
		return int64(n)
	}
	f.min, f.max = read(tag.Get("min")), read(tag.Get("max"))
}

// leaf reports whether the key holds a value rather than other keys.
func (f *field) leaf() bool { return f.kind != section && f.kind != named }

// child returns the key called name, or nil.
func (f *field) child(name string) *field {
	for _, c := range f.children {
		if c.name == name {
			return c
		}
	}
	return nil
}

// lookup finds the key of a path, which may name entries (listeners.main) or
// stand for all (listeners.*). For an entry it returns the map it is in. It
// returns nil if there is no such key or a name is malformed.
func lookup(path string) *field {
	f, inMap := schema(), false
	for part := range strings.SplitSeq(path, ".") {
		if inMap {
			if part != "*" && !nameForm.MatchString(part) {
				return nil
			}
			inMap = false
			continue
		}
		name, _, item := strings.Cut(part, "[")
		if f = f.child(name); f == nil || item && f.kind != listed {
			return nil
		}
		inMap = f.kind == named
	}
	return f
}

// isMap tells the path of a map from that of an entry, which [lookup] finds at
// the same field.
func (f *field) isMap(path string) bool {
	return f.kind == named && strings.Count(path, ".") == strings.Count(f.path, ".")
}

// leaves yields every key that holds a value, in the order of the schema.
// entries gives the names in a map, by the map's path; [allEntries] keeps *.
func leaves(entries func(path string) []string) iter.Seq2[string, *field] {
	return func(yield func(string, *field) bool) { eachLeaf(schema(), "", entries, yield) }
}

func allEntries(string) []string { return []string{"*"} }

func eachLeaf(f *field, path string, entries func(string) []string, yield func(string, *field) bool) bool {
	for _, c := range f.children {
		p := join(path, c.name)
		switch c.kind {
		case section:
			if !eachLeaf(c, p, entries, yield) {
				return false
			}
		case named:
			for _, name := range entries(p) {
				if !eachLeaf(c, join(p, name), entries, yield) {
					return false
				}
			}
		default:
			if !yield(p, c) {
				return false
			}
		}
	}
	return true
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
