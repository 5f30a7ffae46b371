package mutations

import (
	"maps"
	"slices"
	"testing"

	"github.com/ringwall/ringwall/internal/template"
	"github.com/ringwall/ringwall/perimeter/all"
	"github.com/ringwall/ringwall/verify"
)

// BenchmarkCheck reads and judges the templates of a whole site.
func BenchmarkCheck(b *testing.B) {
	p := sitePlan(b)
	site := build(b, p)
	var files []template.File
	for _, name := range slices.Sorted(maps.Keys(site)) {
		files = append(files, template.File{Name: name + ".json", Text: site[name]})
	}
	jobs := verify.Jobs(all.Perimeters)
	for b.Loop() {
		set, err := template.New(files)
		if err != nil {
			b.Fatal(err)
		}
		verify.Check(p, set, jobs)
	}
}
