package database

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"

	"github.com/ringwall/ringwall/plan"
)

// readTables reads lines of schema, table, column and type in hexadecimal: names
// are the app's, and may hold anything. Column and type are empty on the lines
// that list the tables.
func readTables(out string) ([]table, error) {
	type name struct{ schema, table string }
	byName := map[name]*table{}
	for line := range strings.Lines(out) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 4 {
			return nil, fmt.Errorf("reading the list of tables: got %d columns, want 4", len(f))
		}
		schema, tab, err := unhex2(f[0], f[1])
		if err != nil {
			return nil, err
		}
		t := byName[name{schema, tab}]
		if t == nil {
			t = &table{schema: schema, name: tab}
			byName[name{schema, tab}] = t
		}
		if f[2] != "" {
			col, kind, err := unhex2(f[2], f[3])
			if err != nil {
				return nil, err
			}
			t.columns = append(t.columns, column{col, kind})
		}
	}
	list := make([]table, 0, len(byName))
	for t := range maps.Values(byName) {
		list = append(list, *t)
	}
	slices.SortFunc(list, func(a, b table) int { return cmp.Or(cmp.Compare(a.schema, b.schema), cmp.Compare(a.name, b.name)) })
	return list, nil
}

func unhex2(a, b string) (string, string, error) {
	x, err1 := hex.DecodeString(a)
	y, err2 := hex.DecodeString(b)
	if err := cmp.Or(err1, err2); err != nil {
		return "", "", fmt.Errorf("reading a name from the server: %w", err)
	}
	return string(x), string(y), nil
}

// maskSelect is the query of a mask's view: every column of the table, in order,
// with an expression in place of those that are masked.
func maskSelect(m plan.Mask, t table, quote func(string) string, cast func(expr, kind string) string) string {
	var cols []string
	for _, c := range t.columns {
		if expr, ok := m.Columns[c.name]; ok {
			cols = append(cols, cast(expr, c.kind)+" AS "+quote(c.name))
		} else {
			cols = append(cols, quote(c.name))
		}
	}
	q := "SELECT " + strings.Join(cols, ", ") + " FROM " + quote(t.schema) + "." + quote(t.name)
	if m.Where != "" {
		q += " WHERE (" + m.Where + ")"
	}
	return q
}

func outputOf(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).Output()
	return string(out), err
}
