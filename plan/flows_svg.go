package plan

import (
	"fmt"
	"html"
	"io"
	"strings"
)

// A box is a node's place in the picture of the flows.
type box struct {
	name, note string
	x, y       int
}

const (
	boxW, boxH = 150, 56
	svgW, svgH = 1120, 490
)

// FlowsSVG draws every flow of the site: visitors at the left, the database at the
// right, and an arrow for each permission.
func FlowsSVG(w io.Writer, p *Plan) error {
	boxes := map[string]box{
		Internet:     {Internet, "visitors", 30, 110},
		Office:       {Office, "administrators", 30, 250},
		NodeEdge:     {NodeEdge, "TLS, WAF, cache", 290, 180},
		NodeBalancer: {NodeBalancer, "proves the secret", 430, 330},
		Beside:       {Beside, "another edge", 30, 390},
		Admin:        {Admin, instances(p.Tier(Admin)), 600, 80},
		Fleet:        {Fleet, instances(p.Tier(Fleet)), 600, 230},
		NodeDatabase: {NodeDatabase, string(p.Database.Engine), 940, 155},
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" font-family="system-ui, sans-serif" font-size="12">
<title>The flows of %s</title>
<style>
.box{fill:#fff;stroke:#334155;stroke-width:1.5}.name{font-weight:600;font-size:14px;fill:#0f172a}.note{fill:#475569}
.flow{fill:none;stroke:#0f766e;stroke-width:1.6}.in{stroke-dasharray:5 4}.label{fill:#0f172a;paint-order:stroke;stroke:#f8fafc;stroke-width:4px}
</style>
<defs><marker id="a" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto"><path d="M0 0 8 4 0 8z" fill="#0f766e"/></marker></defs>
<rect width="%d" height="%d" fill="#f8fafc"/>
<text x="30" y="36" class="name" font-size="18">%s</text>
<text x="30" y="56" class="note">Every permission of the site. What has no arrow is refused.</text>
`, svgW, svgH, svgW, svgH, html.EscapeString(p.Site()), svgW, svgH, html.EscapeString(p.Site()))

	var order []string
	labels := map[string][]Flow{}
	shown := map[string]bool{}
	for _, f := range p.Flows {
		id := f.From + " " + f.To
		if _, ok := labels[id]; !ok {
			order = append(order, id)
		}
		labels[id] = append(labels[id], f)
		shown[f.From], shown[f.To] = true, true
	}
	for _, id := range order {
		fs := labels[id]
		from, to := boxes[fs[0].From], boxes[fs[0].To]
		arrow(&b, from, to, fs)
	}
	for _, name := range []string{Internet, Office, Beside, NodeEdge, NodeBalancer, Admin, Fleet, NodeDatabase} {
		if !shown[name] {
			continue
		}
		c := boxes[name]
		fmt.Fprintf(&b, `<g><rect class="box" x="%d" y="%d" width="%d" height="%d" rx="8"/><text x="%d" y="%d" text-anchor="middle" class="name">%s</text><text x="%d" y="%d" text-anchor="middle" class="note">%s</text></g>
`, c.x, c.y, boxW, boxH, c.x+boxW/2, c.y+24, html.EscapeString(c.name), c.x+boxW/2, c.y+43, html.EscapeString(c.note))
	}
	fmt.Fprintf(&b, `<text x="30" y="%d" class="note">Dashed: both ends share a process; the flow is proved at the balancer's own listener.</text>
</svg>
`, svgH-12)
	_, err := io.WriteString(w, b.String())
	return err
}

func instances(t *Tier) string {
	files := "files read-only"
	if t.Write {
		files = "files read-write"
	}
	n := fmt.Sprint(t.Min)
	if t.Max != t.Min {
		n = fmt.Sprintf("%d–%d", t.Min, t.Max)
	}
	return n + ", " + files
}

// arrow draws one flow between two boxes, or several that differ in port only.
func arrow(b *strings.Builder, from, to box, fs []Flow) {
	x1, y1 := from.x+boxW, from.y+boxH/2
	x2, y2 := to.x, to.y+boxH/2
	if x2 < x1 { // boxes above each other
		x1, y1 = from.x+boxW/2, from.y+boxH
		x2, y2 = to.x+boxW/2-40, to.y
	}
	class := "flow"
	if fs[0].InProcess {
		class += " in"
	}
	mid := (x1 + x2) / 2
	var ports []string
	full := make([]string, len(fs))
	for i, f := range fs {
		ports = append(ports, fmt.Sprint(f.Port))
		full[i] = f.String() + " " + f.Rights
		if f.When != "" {
			full[i] += " (" + f.When + ")"
		}
	}
	label := strings.Join(ports, ", ")
	fmt.Fprintf(b, `<g><title>%s</title><path class="%s" marker-end="url(#a)" d="M%d %d C%d %d %d %d %d %d"/>`,
		html.EscapeString(strings.Join(full, "\n")), class, x1, y1, mid, y1, mid, y2, x2, y2)
	lx, ly := mid, (y1+y2)/2-6
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="middle" class="label">%s</text>`, lx, ly, html.EscapeString(label))
	if note := fs[0].Rights; !fs[0].InProcess {
		if cut := []rune(note); len(cut) > 26 {
			note = string(cut[:25]) + "…"
		}
		fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="middle" class="label note">%s</text>`, lx, ly+15, html.EscapeString(note))
	}
	b.WriteString("</g>\n")
}
