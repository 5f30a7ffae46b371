package reach

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/ringwall/ringwall/internal/template"
)

// A Hop is one step of a path, in words, and where it is written.
type Hop struct {
	Words string
	Pos   template.Pos
}

// A Path is how a connection gets from one end to the other.
type Path []Hop

func (p Path) String() string {
	var parts []string
	for _, h := range p {
		parts = append(parts, h.Words)
	}
	return strings.Join(parts, " → ")
}

// An Open is a connection that can be opened.
type Open struct {
	From  *Node // nil: From is outside
	Who   string
	Block netip.Prefix // of an outside peer
	List  string       // of an outside peer: the prefix list's id
	To    *Node        // nil: outside
	Ports Ports
	Sure  template.Tri // Yes, or Maybe when something on the way is unknown
	Why   string       // what is unknown
	Path  Path
}

// Public says whether a block has addresses of the internet in it.
func Public(p netip.Prefix) bool {
	for _, in := range inner {
		if in.Bits() <= p.Bits() && in.Contains(p.Addr()) {
			return false
		}
	}
	return true
}

// inner are the blocks that are never routed on the internet (RFC 6890).
var inner = func() (out []netip.Prefix) {
	for _, s := range []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
		"224.0.0.0/4", "240.0.0.0/4", "255.255.255.255/32", "0.0.0.0/32", "fc00::/7", "fe80::/10", "ff00::/8", "::1/128", "::/128"} {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}()

func (t *Table) name() string {
	if t.Res == nil {
		return "the main route table"
	}
	return "route table " + t.Res.ID
}

func (s *Subnet) hop() Hop {
	words := s.String()
	switch {
	case s.ACL.Res != nil:
		words += " (network ACL " + s.ACL.Res.ID + " lets it through)"
	case s.ACL.Unsure != "":
		words += " (its network ACL is not known)"
	case s.ACL.edited:
		words += " (the VPC's default network ACL lets it through)"
	default:
		words += " (it has no network ACL, and the default one lets everything through)"
	}
	return Hop{words, s.pos()}
}

func (n *Node) hop() Hop {
	words := n.String()
	if n.Public == template.Yes && n.PublicWhy != "" {
		words += " (" + n.PublicWhy + ")"
	}
	pos := n.Res.Pos
	return Hop{words, pos}
}

func (x *Group) hop(r Rule, verb, word string) Hop {
	words := fmt.Sprintf("security group %s %s %s %s %s", x.Name, verb, r.Ports, word, r.Peer)
	if r.Default {
		words += " (nobody wrote that: it is the default)"
	}
	return Hop{words, r.Pos}
}

func (p Peer) String() string {
	switch {
	case p.Block.IsValid():
		return p.Block.String()
	case p.Group != "":
		return "group " + p.Group[strings.LastIndexByte(p.Group, '/')+1:]
	case p.List != "":
		return "prefix list " + ListName(p.List)
	}
	return "someone unknown (" + strings.TrimSuffix(strings.TrimPrefix(p.Unsure, "unknown ("), ")") + ")"
}

// shortest keeps, of several ways to the same end and ports, the sure and short
// one.
func shortest(all []Open) []Open {
	var out []Open
	at := map[string]int{}
	for _, o := range all {
		key := fmt.Sprint(o.Who, "|", o.Ports, "|", o.Block, o.List)
		i, seen := at[key]
		if !seen {
			at[key] = len(out)
			out = append(out, o)
			continue
		}
		if o.Sure > out[i].Sure || o.Sure == out[i].Sure && len(o.Path) < len(out[i].Path) {
			out[i] = o
		}
	}
	return out
}
