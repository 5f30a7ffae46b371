package plan

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// fuzzFile loads the bytes as a configuration: it must not panic, and what is
// wrong with the file must say where.
func fuzzFile(t *testing.T, name string, data []byte) {
	for _, site := range []string{"", "wp-dev"} {
		l := newLoader("/nowhere/" + name)
		l.data = withoutBOM(data)
		p, err := l.plan(Options{Site: site, Getenv: noEnv})
		if err == nil {
			if p.Site() == "-" || len(p.Flows) == 0 || !p.Network.Office.IsValid() || p.Balancer.Admins.Any {
				t.Fatalf("got an unfinished plan %+v", p)
			}
			continue
		}
		var problems Errors
		if !errors.As(err, &problems) {
			t.Fatalf("got %v, want Errors", err)
		}
		if len(problems) == 0 {
			t.Fatal("got Errors without a problem")
		}
		for _, p := range problems {
			if p.At.Source == "file" && (p.At.Line < 1 || p.At.Column < 1) || p.At.Source != "file" && p.At.Source != "argument" {
				t.Fatalf("got %q at %+v, want a line", p.Error(), p.At)
			}
		}
		_ = err.Error()
	}
}

func seed(f *testing.F, patterns ...string) {
	for _, pattern := range patterns {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatalf("reading the seeds %s: %v, %v", pattern, files, err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
}

func FuzzYAML(f *testing.F) {
	seed(f, "testdata/errors/[^p]*.in", "testdata/show-*.yaml", "presets/*.yaml")
	f.Fuzz(func(t *testing.T, data []byte) { fuzzFile(t, FileYAML, data) })
}

func FuzzProperties(f *testing.F) {
	seed(f, "testdata/errors/prop-*.in", "testdata/*.properties")
	f.Fuzz(func(t *testing.T, data []byte) { fuzzFile(t, FileProperties, data) })
}
