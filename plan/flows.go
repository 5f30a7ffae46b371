package plan

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// flows derives who may reach whom. The firewall, the grants, the security groups
// and the probes are all made from this list; what is not in it is refused.
func flows(p *Plan) []Flow {
	allowed := "from an allowed address"
	if p.Edge.Allowed.Any {
		allowed = ""
	}
	office := "from an administrator's address"
	list := []Flow{
		{From: Internet, To: NodeEdge, Port: 443, Rights: "https", When: allowed},
		{From: Internet, To: NodeEdge, Port: 80, Rights: "redirect to https", When: allowed},
		{From: Office, To: NodeEdge, Port: 443, Rights: "https", When: office},
		{From: Office, To: NodeEdge, Port: 80, Rights: "redirect to https", When: office},
		{From: NodeEdge, To: NodeBalancer, Port: p.Balancer.Port, Rights: "http", When: "with the origin secret", InProcess: true},
		{From: Beside, To: NodeBalancer, Port: p.Balancer.Port, Rights: "http", When: "with the origin secret"},
	}
	for _, t := range p.Tiers {
		f := Flow{From: NodeEdge, To: t.Name, Port: p.Balancer.TargetPort, Rights: "routes: all", When: "for a viewer from the office"}
		if t.Name != Admin {
			f.Rights, f.When = "routes: public", "for every other viewer"
		}
		list = append(list, f)
	}
	if !p.hasDatabase() {
		return list
	}
	for _, t := range p.Tiers {
		list = append(list, Flow{From: t.Name, To: NodeDatabase, Port: p.Database.Port, Rights: p.sqlRights(t), When: "as this tier's own user"})
	}
	return list
}

// sqlRights says in words what a tier may do in the database.
func (p *Plan) sqlRights(t Tier) string {
	grants, ok := p.Database.Grants[t.Name]
	if !ok {
		if t.Write {
			return "sql: all"
		}
		return "sql: select"
	}
	var out []string
	for _, g := range grants {
		rights := strings.Join(g.Rights, "+")
		if rights == "" {
			rights = "nothing"
		}
		on := " on " + g.Tables
		if g.Tables == "*" {
			on = ""
		}
		out = append(out, rights+on)
	}
	for _, m := range p.Database.Mask {
		if m.Tier == t.Name {
			i := slices.Index(out, "nothing on "+m.Table)
			if i >= 0 {
				out[i] = m.View + " for " + m.Table
			} else {
				out = append(out, m.View+" for "+m.Table)
			}
		}
	}
	if len(out) == 0 {
		return "sql: nothing"
	}
	return "sql: " + strings.Join(out, ", ")
}

// FlowsTable prints every flow of the site, a line each.
func FlowsTable(w io.Writer, p *Plan) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "FROM\tTO\tPORT\tWHEN\tRIGHTS")
	for _, f := range p.Flows {
		when := f.When
		if when == "" {
			when = "always"
		}
		if f.InProcess {
			when += ", in one process"
		}
		fmt.Fprintf(tw, "%s\t%s\t%d\t%s\t%s\n", f.From, f.To, f.Port, when, f.Rights)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, "\nWhat is not listed is refused. What happens in one process is proved at the balancer's own listener.")
	return err
}
