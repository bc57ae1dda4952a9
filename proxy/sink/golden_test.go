package sink

import (
	"bytes"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mtlsproxy/proxy/event"
)

var update = flag.Bool("update", false, "write testdata/*.golden anew")

// newTestLog is NewLog in a time zone that is the same everywhere.
func newTestLog(o LogOptions) *Log {
	l := NewLog(o)
	if c, ok := l.enc.(*consoleEncoder); ok {
		c.time.zone = time.UTC
	}
	return l
}

// written returns what a log with the options makes of the events.
func written(o LogOptions, events ...event.Event) string {
	var out bytes.Buffer
	o.Out = &out
	newTestLog(o).EmitBatch(events)
	return out.String()
}

func TestEveryEventHasItsLine(t *testing.T) {
	for name, o := range map[string]LogOptions{
		"json":            {Phases: true},
		"json-info":       {Level: event.Info},
		"console":         {Format: Console, Level: event.Info},
		"console-verbose": {Format: Console, Level: event.Info, Verbose: true},
		"console-debug":   {Format: Console},
		"console-color":   {Format: Console, Level: event.Info, Color: true},
		"console-ascii":   {Format: Console, Level: event.Info, ASCII: true},
		"console-narrow":  {Format: Console, Level: event.Info, Verbose: true, Width: 72},
		"console-wide":    {Format: Console, Level: event.Info, Width: 160},
	} {
		t.Run(name, func(t *testing.T) {
			got := written(o, sampleEvents()...)
			file := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestSamplesHoldEveryBodyOfTheVocabulary(t *testing.T) {
	held := map[string]bool{}
	for _, s := range samples {
		held[reflect.TypeOf(s.body).Name()] = true
	}
	files, err := filepath.Glob("../event/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("the vocabulary's files: %v, %v", files, err)
	}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv == nil || f.Name.Name != "Tell" {
				continue
			}
			if name := f.Recv.List[0].Type.(*ast.Ident).Name; !held[name] {
				t.Errorf("event.%s is not among the samples; give it a line", name)
			}
		}
	}
}
