package database

import (
	"slices"
	"strconv"
	"strings"

	"github.com/ringwall/ringwall/internal/reach"
	"github.com/ringwall/ringwall/internal/template"
	"github.com/ringwall/ringwall/perimeter"
)

// checks are the promises that templates keep or break.
var checks = []*perimeter.Control{
	{
		ID:      "database/isolated",
		Doc:     "The database has no way to or from the internet, takes connections from the site's tiers only, on its own port, with TLS, and knows IAM's identities.",
		Why:     "Everything the site knows is one open connection away.",
		Vantage: perimeter.Template,
		Check:   checkIsolated,
		Meets:   []string{"INV-05"},
	},
	{
		ID:      "database/restorable",
		Doc:     "Everything that holds state is encrypted, on disk and on the way, protected from deletion, kept by a locked backup, and its restore is tried.",
		Why:     "One mistake or one intruder ends the site for good.",
		Vantage: perimeter.Template,
		Check:   checkRestorable,
		Meets:   []string{"INV-15"},
	},
}

// servers are the databases that have an address of their own.
func servers(p *perimeter.Pass) []*reach.Node {
	return slices.DeleteFunc(slices.Clone(p.Reach.Nodes), func(n *reach.Node) bool { return n.Kind != reach.Database })
}

func checkIsolated(p *perimeter.Pass) error {
	nodes := servers(p)
	if len(nodes) == 0 {
		p.Absent("a database")
		return nil
	}
	friends := friendGroups(p)
	for _, n := range nodes {
		p.Tried("who reaches %s, and where it reaches", n)
		for _, why := range n.Unsure {
			p.Unknown(n.Res, n.Res.Pos, "who reaches %s is not known: %s", n, why)
		}
		p.Judge(n.Public, n.Res, n.PublicAt, nil, "%s may have a public address: %s", n, n.PublicWhy)
		judgeRoutes(p, n)
		if n.Res.Type != "AWS::RDS::DBProxy" {
			judgeSources(p, n, friends)
			judgeTLS(p, n.Res)
			judgeIAM(p, n.Res)
		} else if n.Res.Get("RequireTLS").Truth(false) != template.Yes {
			p.Broken(n.Res, n.Res.Pos, "%s takes connections without TLS", n)
		}
	}
	return nil
}

func judgeRoutes(p *perimeter.Pass, n *reach.Node) {
	for _, s := range n.Subnets {
		for _, r := range s.Table.Routes {
			switch r.Target {
			case reach.UnknownTarget:
				p.Unknown(n.Res, r.Pos, "%s, of %s, has a route to something unknown", s, n)
			default:
				p.Broken(n.Res, r.Pos, "%s, of %s, has a route to %s (%s %s); want none but the VPC's own", s, n, r.Dest, r.Target, r.Name)
			}
		}
	}
}

// friendGroups are the groups of those who may ask the database: instances,
// functions, proxies, and the functions that rotate its secrets.
func friendGroups(p *perimeter.Pass) map[string]bool {
	out := map[string]bool{}
	for _, t := range p.Tiers() {
		for _, g := range t.Node.Groups {
			out[g.Key] = true
		}
	}
	for _, n := range p.Reach.Nodes {
		if n.Kind == reach.Function || n.Res.Type == "AWS::RDS::DBProxy" {
			for _, g := range n.Groups {
				out[g.Key] = true
			}
		}
	}
	for _, r := range p.World.OfType("AWS::SecretsManager::RotationSchedule") {
		for _, v := range strings.Split(r.Get("HostedRotationLambda", "VpcSecurityGroupIds").String(), ",") {
			if key, _, ok := template.KeyOf(strings.TrimSpace(v)); ok {
				out[key] = true
			}
		}
	}
	return out
}

func judgeSources(p *perimeter.Pass, n *reach.Node, friends map[string]bool) {
	port, known := portOf(p, n.Res)
	for _, g := range n.Groups {
		for _, r := range g.In {
			switch {
			case r.Peer.Unsure != "" || r.Unsure != "":
				p.Unknown(n.Res, r.Pos, "security group %s of %s takes %s from %s", g.Name, n, r.Ports, r.Peer)
			case r.Peer.Group != "" && !friends[r.Peer.Group] && !worn(p, r.Peer.Group):
				p.Unknown(n.Res, r.Pos, "security group %s of %s takes %s from %s, which nothing in these templates has", g.Name, n, r.Ports, r.Peer)
			case r.Peer.Group == "" || !friends[r.Peer.Group]:
				p.Broken(n.Res, r.Pos, "security group %s of %s takes %s from %s, which is none of the site's tiers", g.Name, n, r.Ports, r.Peer)
			case known && (r.Ports.Protocol != reach.TCP || !r.Ports.Spans.Only(port)):
				p.Broken(n.Res, r.Pos, "security group %s of %s takes %s, and the server listens on port %d only", g.Name, n, r.Ports, port)
			case !known:
				p.Unknown(n.Res, r.Pos, "the port of %s is not known", n)
			}
		}
	}
}

// worn says whether anything in the templates has a security group.
func worn(p *perimeter.Pass, key string) bool {
	for _, n := range p.Reach.Nodes {
		for _, g := range n.Groups {
			if g.Key == key {
				return true
			}
		}
	}
	return false
}

// engineOf is the engine of a server, or of the cluster it belongs to.
func engineOf(p *perimeter.Pass, r *template.Resource) (engine, version string) {
	engine, version = r.Get("Engine").String(), r.Get("EngineVersion").String()
	if c := p.World.Of(r.Get("DBClusterIdentifier")); c != nil {
		if engine == "" {
			engine = c.Get("Engine").String()
		}
		version = c.Get("EngineVersion").String()
	}
	return strings.ToLower(engine), version
}

// portOf is the port that a server is given, or its engine's own.
func portOf(p *perimeter.Pass, r *template.Resource) (int, bool) {
	for _, x := range []*template.Resource{r, p.World.Of(r.Get("DBClusterIdentifier"))} {
		if v := x.Get("Port"); !v.Absent() {
			return v.Int()
		}
	}
	engine, _ := engineOf(p, r)
	switch {
	case strings.Contains(engine, "postgres"):
		return 5432, true
	case strings.Contains(engine, "mysql"), strings.Contains(engine, "mariadb"):
		// Aurora MySQL and RDS listen on 3306 where no port is given.
		return 3306, true
	}
	return 0, false
}

// judgeTLS: a server takes connections without TLS unless its parameter group
// says otherwise (RDS guide, using SSL/TLS; PostgreSQL 15 and later do by default).
func judgeTLS(p *perimeter.Pass, r *template.Resource) {
	engine, version := engineOf(p, r)
	name, want := "require_secure_transport", []string{"ON", "1", "on"}
	if strings.Contains(engine, "postgres") {
		name, want = "rds.force_ssl", []string{"1"}
	}
	if r.Type == "AWS::RDS::DBInstance" && !r.Get("DBClusterIdentifier").Absent() {
		return // its cluster is asked
	}
	ref := r.Get("DBParameterGroupName")
	if r.Type == "AWS::RDS::DBCluster" {
		ref = r.Get("DBClusterParameterGroupName")
	}
	major, _, _ := strings.Cut(version, ".")
	n, err := strconv.Atoi(major)
	byDefault := engine == "postgres" && err == nil && n >= 15
	g := p.World.Of(ref)
	switch {
	case g == nil && ref.Absent() && byDefault:
	case g == nil && ref.Absent():
		p.Broken(r, r.Pos, "%s has no parameter group of its own, and the default one takes connections without TLS", r.ID)
	case g == nil:
		p.Unknown(r, ref.Place(r.Pos), "whether %s requires TLS is not known: its parameter group is %s", r.ID, ref.Show())
	default:
		v := g.Get("Parameters", name)
		switch s, ok := v.Literal(); {
		case v.Absent() && byDefault:
		case v.Absent():
			p.Broken(g, g.Place("Parameters"), "parameter group %s does not say %s: %s takes connections without TLS", g.ID, name, r.ID)
		case !ok:
			p.Unknown(g, v.Place(g.Pos), "%s of %s is %s", name, g.ID, v.Show())
		case !slices.Contains(want, s):
			p.Broken(g, v.Place(g.Pos), "%s of %s is %s: %s takes connections without TLS", name, g.ID, s, r.ID)
		}
	}
}

func judgeIAM(p *perimeter.Pass, r *template.Resource) {
	if r.Type == "AWS::RDS::DBInstance" && !r.Get("DBClusterIdentifier").Absent() {
		return
	}
	v := r.Get("EnableIAMDatabaseAuthentication")
	switch v.Truth(false) {
	case template.No:
		p.Broken(r, v.Place(r.Pos), "%s does not know IAM's identities (EnableIAMDatabaseAuthentication): passwords are the only way in", r.ID)
	case template.Maybe:
		p.Unknown(r, v.Place(r.Pos), "whether %s knows IAM's identities is not known: %s", r.ID, v.Show())
	}
}
