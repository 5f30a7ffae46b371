package main

import (
	"os"
	"path/filepath"
	"strings"
)

// A template is one that some sites of the matrix have.
type template struct {
	stack    string // network, database …: the same for all sites
	region   string
	file     string   // JSON
	variants []string // the sites that have exactly this one
}

// templates writes the templates that are judged, each once, and names the variants.
func (s *settings) templates(dir string) ([]*template, []string, error) {
	if s.dir != "" {
		return given(s.dir, s.region)
	}
	return matrix(dir)
}

// given returns the templates of a directory.
func given(dir, region string) ([]*template, []string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, nil, err
	}
	var out []*template
	for _, f := range files {
		t := &template{stack: stackOf(f), region: region, file: f, variants: []string{filepath.Base(f)}}
		if t.stack == "cdn" {
			t.region = "us-east-1"
		}
		out = append(out, t)
	}
	return out, []string{dir}, nil
}

// stackOf is the part of the name that sites have in common: database of
// wp-dev-database-stack.json.
func stackOf(file string) string {
	name, _, _ := strings.Cut(filepath.Base(file), ".")
	parts := strings.Split(strings.TrimSuffix(name, "-stack"), "-")
	return parts[len(parts)-1]
}

// plant copies the template with faults on purpose to where the others are.
func plant(dir string) (*template, error) {
	b, err := os.ReadFile("proof/testdata/planted.json")
	if err != nil {
		return nil, err
	}
	t := &template{stack: "planted", region: "us-east-1", file: filepath.Join(dir, "planted.json")}
	return t, os.WriteFile(t.file, b, 0o644)
}
