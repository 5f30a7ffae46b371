package files

import (
	"github.com/ringwall/ringwall/internal/access"
	"github.com/ringwall/ringwall/internal/reach"
	"github.com/ringwall/ringwall/internal/template"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

// checks are the promises that templates keep or break.
var checks = []*perimeter.Control{
	{
		ID:      "files/fleet-cannot-write",
		Doc:     "Nobody on a fleet instance can write to the file system or act as root on it, not even a client that says who it is to nobody.",
		Why:     "A captured fleet instance could change the site's code for everyone.",
		Vantage: perimeter.Template,
		Check:   checkFleetWrite,
		Meets:   []string{"INV-06"},
	},
}

// nfs is the port of EFS.
const nfs = 2049

func checkFleetWrite(p *perimeter.Pass) error {
	systems := p.World.OfType("AWS::EFS::FileSystem")
	if len(systems) == 0 {
		p.Absent("a file system")
		return nil
	}
	for _, fs := range systems {
		policy := p.Access.Policy(fs.Get("FileSystemPolicy"), "the file-system policy of "+fs.ID, fs.Pos)
		c := fileCheck{p, fs, policy, p.Access.ARN(fs), accessPoints(p, fs)}
		c.anonymous()
		c.roles()
		c.sources()
	}
	return nil
}

type fileCheck struct {
	*perimeter.Pass
	fs     *template.Resource
	policy []*access.Statement
	arn    string
	points []string
}

func accessPoints(p *perimeter.Pass, fs *template.Resource) []string {
	var out []string
	for _, r := range p.World.OfType("AWS::EFS::AccessPoint") {
		if p.World.Of(r.Get("FileSystemId")) == fs {
			out = append(out, p.Access.ARN(r))
		}
	}
	return out
}

// contexts are the ways in which a client may come: it chooses whether to use
// TLS, and which access point.
func (c fileCheck) contexts(tls string) []access.Context {
	var out []access.Context
	for _, point := range append([]string{""}, c.points...) {
		ctx := access.Context{"aws:securetransport": {tls}, "elasticfilesystem:accessedviamounttarget": {"true"}, "elasticfilesystem:accesspointarn": nil}
		if point != "" {
			ctx["elasticfilesystem:accesspointarn"] = []string{point}
		}
		out = append(out, ctx)
	}
	return out
}

// best is what a client achieves in the way that suits it most.
func (c fileCheck) best(who *access.Principal, action string, tls ...string) access.Decision {
	d := access.Decision{Allowed: template.No}
	for _, t := range tls {
		for _, ctx := range c.contexts(t) {
			if x := c.Access.Decide(access.Request{Who: who, Action: action, Resource: c.arn, Context: ctx}, c.policy, access.Either); d.Why == "" || better(x, d) {
				d = x
			}
		}
	}
	return d
}

func better(a, b access.Decision) bool { return rank(a.Allowed) > rank(b.Allowed) }

func rank(t template.Tri) int {
	switch t {
	case template.Yes:
		return 2
	case template.Maybe:
		return 1
	}
	return 0
}

// path is how a fleet instance gets to the file system.
func (c fileCheck) path() (reach.Path, template.Tri) {
	sure := template.No
	for _, t := range perimeter.Named(c.Tiers(), plan.Fleet) {
		for _, n := range c.targets() {
			for _, o := range c.Reach.Between(t.Node, n) {
				if o.Ports.Spans.Has(nfs) && (o.Ports.Protocol == reach.TCP || o.Ports.Protocol == reach.All) {
					if o.Sure == template.Yes {
						return o.Path, template.Yes
					}
					sure = template.Maybe
				}
			}
		}
	}
	return nil, sure
}

func (c fileCheck) targets() []*reach.Node {
	var out []*reach.Node
	for _, n := range c.Reach.Nodes {
		if n.Kind == reach.FileSystem && c.World.Of(n.Res.Get("FileSystemId")) == c.fs {
			out = append(out, n)
		}
	}
	return out
}

// anonymous: a client that mounts without -o iam is nobody, and no identity's
// Deny binds it.
func (c fileCheck) anonymous() {
	c.Tried("what a client that says who it is to nobody may do on %s", c.fs.ID)
	path, _ := c.path()
	if c.fs.Get("FileSystemPolicy").Absent() {
		// EFS guide, default file system policy: full access for whoever reaches
		// a mount target.
		path = append(path, reach.Hop{Words: "file system " + c.fs.ID + " has no FileSystemPolicy, so EFS gives any client full access: mount without -o iam, and write", Pos: c.fs.Pos})
		c.Judge(template.Yes, c.fs, c.fs.Pos, path, "%s has no file-system policy: whoever reaches it may write and be root, whatever IAM says", c.fs.ID)
		return
	}
	in := c.best(nil, clientMount, "true", "false")
	if in.Allowed == template.No {
		return
	}
	for _, action := range []string{clientWrite, clientRoot, clientMount} {
		d := c.best(nil, action, "true", "false")
		if d.Allowed == template.No {
			continue
		}
		at := c.fs.Place("FileSystemPolicy")
		if d.By != nil {
			at = d.By.Pos
		}
		c.Judge(d.Allowed.And(in.Allowed), c.fs, at, append(path, reach.Hop{Words: d.Why, Pos: at}), "a client that says who it is to nobody is allowed %s on %s: %s", action, c.fs.ID, d.Why)
		return
	}
}

func (c fileCheck) roles() {
	for _, t := range c.Tiers() {
		if t.Role == nil {
			switch {
			case t.Name != plan.Fleet:
			case !t.Profile.Absent():
				c.Unknown(c.fs, t.Profile.Place(t.Node.Res.Pos), "which role %s has is not known: %s", t.Node, t.Profile.Show())
			case len(t.Node.Unsure) > 0:
				c.Unknown(c.fs, t.Node.Res.Pos, "which role %s has is not known: %s", t.Node, t.Node.Unsure[0])
			}
			continue
		}
		c.Tried("what role %s may do on %s", t.Role.Name, c.fs.ID)
		if t.Name == plan.Fleet {
			for _, action := range []string{clientWrite, clientRoot} {
				d := c.best(t.Role, action, "true", "false")
				c.judge(d, t.Role, "role %s of %s is allowed %s on %s: %s", t.Role.Name, t.Node, action, c.fs.ID, d.Why)
			}
			for _, action := range []string{"elasticfilesystem:PutFileSystemPolicy", "elasticfilesystem:DeleteFileSystemPolicy"} {
				d := c.Access.Decide(access.Request{Who: t.Role, Action: action, Resource: c.arn}, nil, access.Either)
				c.judge(d, t.Role, "role %s of %s may write who writes to %s, itself as well (%s): %s", t.Role.Name, t.Node, c.fs.ID, action, d.Why)
			}
		}
		if !c.fs.Get("FileSystemPolicy").Absent() {
			d := c.best(t.Role, clientMount, "false")
			c.judge(d, t.Role, "role %s may mount %s without TLS: %s", t.Role.Name, c.fs.ID, d.Why)
		}
	}
}

func (c fileCheck) judge(d access.Decision, who *access.Principal, format string, a ...any) {
	at := who.Res.Pos
	if d.By != nil {
		at = d.By.Pos
	}
	c.Judge(d.Allowed, who.Res, at, nil, format, a...)
}

// sources: only instances have business at a mount target.
func (c fileCheck) sources() {
	tiers := map[*reach.Node]bool{}
	for _, t := range c.Tiers() {
		tiers[t.Node] = true
	}
	for _, to := range c.targets() {
		c.Tried("who can open a connection to %s", to)
		for _, from := range c.Reach.Nodes {
			if tiers[from] || from.Kind == reach.FileSystem {
				continue
			}
			for _, o := range c.Reach.Between(from, to) {
				if (o.Ports.Protocol == reach.TCP || o.Ports.Protocol == reach.All) && o.Ports.Spans.Has(nfs) {
					c.Judge(o.Sure, to.Res, to.Res.Pos, o.Path, "%s can open %s on %s, and is no instance of the site", from, o.Ports, to)
				}
			}
		}
	}
}
