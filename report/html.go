package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"math"
	"strings"
	"sync"

	"github.com/ringwall/ringwall/perimeter"
)

// htmlSink writes one page that needs nothing from anywhere: the eleven rings
// drawn, then every control.
type htmlSink struct{ put func([]byte) error }

//go:embed report.html
var pageSource string

// page is read when a report is written as HTML, and not at every start.
var page = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("report").Funcs(template.FuncMap{
		"place":   place,
		"seconds": seconds,
		"plural":  plural,
		"lines":   func(s string) []string { return strings.Split(s, "\n") },
		"slug":    func(id string) string { return strings.ReplaceAll(id, "/", "-") },
	}).Parse(pageSource))
})

func (s htmlSink) Write(r *Report) error {
	var b bytes.Buffer
	if err := page().Execute(&b, newPage(r)); err != nil {
		return fmt.Errorf("writing the report as HTML: %w", err)
	}
	return s.put(b.Bytes())
}

type pageData struct {
	*Report
	Target  string
	Rings   []ring
	Walls   []pageWall
	Urgent  []Record // broken, then unknown
	Size    int
	Summary string // the drawing, in words
}

type pageWall struct {
	Wall
	Records []Record
}

// A ring is one perimeter in the drawing: an arc per control.
type ring struct {
	Wall
	Radius, NumberY float64
	Arcs            []arc
	Label           string
}

type arc struct {
	Path    string
	Verdict string
	Title   string
	Slug    string
	X, Y    float64 // its middle
}

// The drawing, in its own units: a square with the site in the middle.
const (
	drawing   = 640.0
	outermost = 306.0
	pitch     = 22.0
	numberGap = 17.0 // length of the opening at the top of a ring, where its number stands
	arcGap    = 3.0  // length of the space between two arcs
)

func newPage(r *Report) pageData {
	d := pageData{Report: r, Target: r.Site, Size: drawing}
	if r.URL != "" {
		d.Target = r.URL
	}
	for _, v := range []perimeter.Verdict{perimeter.Broken, perimeter.Unknown} {
		for _, c := range r.Controls {
			if c.Verdict == v {
				d.Urgent = append(d.Urgent, c)
			}
		}
	}
	var words []string
	for i, w := range r.Perimeters {
		pw := pageWall{Wall: w}
		for _, c := range r.Controls {
			if c.Perimeter == w.Number {
				pw.Records = append(pw.Records, c)
			}
		}
		d.Walls = append(d.Walls, pw)
		g := newRing(w, outermost-pitch*float64(i), pw.Records)
		words = append(words, g.Label)
		d.Rings = append(d.Rings, g)
	}
	d.Summary = "Eleven rings around the site, outside in. " + strings.Join(words, ". ") + "."
	return d
}

func newRing(w Wall, radius float64, records []Record) ring {
	g := ring{Wall: w, Radius: radius, NumberY: drawing/2 - radius}
	g.Label = fmt.Sprintf("%d %s: not asked", w.Number, w.Name)
	if w.Total() > 0 {
		g.Label = fmt.Sprintf("%d %s: %d held, %d broken, %d unknown", w.Number, w.Name, w.Held, w.Broken, w.Unknown)
	}
	open, space := numberGap/radius, arcGap/radius
	each := (2*math.Pi - open) / float64(max(1, len(records)))
	for i, c := range records {
		from := open/2 + each*float64(i) + space/2
		to := from + each - space
		x, y := polar(radius, (from+to)/2)
		g.Arcs = append(g.Arcs, arc{arcPath(radius, from, to), c.Verdict.String(), c.ID + ": " + c.Verdict.String(), strings.ReplaceAll(c.ID, "/", "-"), x, y})
	}
	return g
}

// polar is the point at an angle, clockwise from the top.
func polar(radius, angle float64) (x, y float64) {
	return round(drawing/2 + radius*math.Sin(angle)), round(drawing/2 - radius*math.Cos(angle))
}

func round(f float64) float64 { return math.Round(f*100) / 100 }

// arcPath draws clockwise between two angles that are less than a full turn apart.
func arcPath(radius, from, to float64) string {
	x0, y0 := polar(radius, from)
	x1, y1 := polar(radius, to)
	large := 0
	if to-from > math.Pi {
		large = 1
	}
	return fmt.Sprintf("M%g %gA%g %g 0 %d 1 %g %g", x0, y0, radius, radius, large, x1, y1)
}
