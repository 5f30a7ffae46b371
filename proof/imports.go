package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// withoutImports copies templates to dir with texts in the place of what other
// stacks export. The rules of cfn-guard ask whether a property is a text or a
// reference within its template, and know no imports.
func withoutImports(dir string, templates []*template) (map[string]*template, error) {
	of := map[string]*template{}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	for _, t := range templates {
		b, err := os.ReadFile(t.file)
		if err != nil {
			return nil, err
		}
		var tree any
		if err := json.Unmarshal(b, &tree); err != nil {
			return nil, fmt.Errorf("reading %s: %w", t.file, err)
		}
		if b, err = json.Marshal(withTexts(tree)); err != nil {
			return nil, err
		}
		file := filepath.Join(dir, filepath.Base(t.file))
		if err := os.WriteFile(file, b, 0o644); err != nil {
			return nil, err
		}
		of[file] = t
	}
	return of, nil
}

func withTexts(tree any) any {
	switch x := tree.(type) {
	case map[string]any:
		if name, ok := x["Fn::ImportValue"].(string); ok && len(x) == 1 {
			return "imported-" + strings.NewReplacer(":", "-", "/", "-").Replace(name)
		}
		for k, v := range x {
			x[k] = withTexts(v)
		}
	case []any:
		for i, v := range x {
			x[i] = withTexts(v)
		}
	}
	return tree
}
