package diff

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/ringwall/ringwall/internal/template"
)

// A way is one thing that lets traffic pass: a rule of a security group, an entry of
// a network ACL, a route.
type way struct {
	kind     string // "ingress", "egress", "acl in", "acl out", "route"
	owner    string // group, ACL or route table
	deny     bool
	protocol string // "-1" is all
	from, to int    // ports; -1, -1: all
	peer     string // a block, a group, a prefix list, a gateway
	order    int    // of an ACL's entry

	at   *template.Resource
	prop string
	pos  template.Pos
}

func (w way) id() string {
	return fmt.Sprintf("%s\n%s\n%t\n%s\n%d\n%d\n%s\n%d", w.kind, w.owner, w.deny, w.protocol, w.from, w.to, w.peer, w.order)
}

func (w way) String() string {
	ports := "all ports"
	switch {
	case w.from == w.to && w.from >= 0:
		ports = strconv.Itoa(w.from)
	case w.from >= 0:
		ports = fmt.Sprintf("%d to %d", w.from, w.to)
	}
	proto := w.protocol
	if proto == "-1" {
		proto = "all protocols"
	}
	verb := map[string]string{"ingress": "from", "egress": "to", "acl in": "from", "acl out": "to", "route": "route to"}[w.kind]
	s := fmt.Sprintf("%s, %s %s %s", proto, ports, verb, w.peer)
	if w.kind == "route" {
		s = "route " + w.peer
	}
	if w.deny {
		s = "deny " + s
	}
	return template.Show(s)
}

// within says whether everything that w lets pass passes by v too.
func (w way) within(v way) bool {
	if w.kind != v.kind || w.owner != v.owner || w.deny != v.deny || w.order != v.order {
		return false
	}
	if v.protocol != "-1" && v.protocol != w.protocol {
		return false
	}
	if v.from >= 0 && (w.from < v.from || w.to > v.to) {
		return false
	}
	if w.peer == v.peer {
		return true
	}
	x, err1 := netip.ParsePrefix(w.peer)
	y, err2 := netip.ParsePrefix(v.peer)
	return err1 == nil && err2 == nil && y.Bits() <= x.Bits() && y.Contains(x.Addr())
}

// reach compares the ways of both sides.
func (c *comparison) reach() {
	before, after := ways(c.before), ways(c.after)
	var lost, got []way
	for _, id := range slices.Sorted(maps.Keys(before)) {
		if _, ok := after[id]; !ok {
			lost = append(lost, before[id])
		}
	}
	for _, id := range slices.Sorted(maps.Keys(after)) {
		if _, ok := before[id]; !ok {
			got = append(got, after[id])
		}
	}
	inside := func(w way, of []way) bool {
		return slices.ContainsFunc(of, func(v way) bool { return w.within(v) })
	}
	name := map[string]string{"ingress": "a way in", "egress": "a way out", "acl in": "an entry of a network ACL", "acl out": "an entry of a network ACL", "route": "a route"}
	for _, w := range got {
		switch what := name[w.kind]; {
		case w.deny:
			c.way("reach/narrowed", w, "", w.String(), what+" that refuses is added")
		case inside(w, lost):
			c.way("reach/narrowed", w, "", w.String(), what+" becomes narrower")
		default:
			c.way("reach/broadened", w, "", w.String(), what+" is added")
		}
	}
	for _, w := range lost {
		switch what := name[w.kind]; {
		case w.deny && !inside(w, got):
			c.way("reach/broadened", w, w.String(), "", what+" that refuses goes")
		default:
			c.way("reach/narrowed", w, w.String(), "", what+" goes")
		}
	}
}

func (c *comparison) way(rule string, w way, before, after, words string) {
	c.covered[[2]string{w.at.Key(), w.prop}] = true
	path := w.prop
	if strings.HasPrefix(path, "(") { // of the whole resource
		path = ""
		for _, p := range properties(w.at) {
			c.covered[[2]string{w.at.Key(), p}] = true
		}
	}
	c.add(rule, c.either(w.at.Key()), Change{Path: path, Before: before, After: after, Words: words, Place: placed(w.pos, w.at)})
}

// ways finds everything that lets traffic pass.
func ways(rs map[string]*template.Resource) map[string]way {
	out := map[string]way{}
	put := func(w way) { out[w.id()] = w }
	for _, key := range slices.Sorted(maps.Keys(rs)) {
		r := rs[key]
		switch r.Type {
		case "AWS::EC2::SecurityGroup":
			for _, v := range r.Get("SecurityGroupIngress").List() {
				put(rule(r, "SecurityGroupIngress", "ingress", template.Token(key, "GroupId"), v))
			}
			for _, v := range r.Get("SecurityGroupEgress").List() {
				put(rule(r, "SecurityGroupEgress", "egress", template.Token(key, "GroupId"), v))
			}
			if r.Get("SecurityGroupEgress").Absent() {
				// Without the property EC2 adds a rule to everywhere.
				put(way{kind: "egress", owner: template.Token(key, "GroupId"), protocol: "-1", from: -1, to: -1, peer: "0.0.0.0/0", at: r, prop: "SecurityGroupEgress"})
			}
		case "AWS::EC2::SecurityGroupIngress":
			put(rule(r, "(rule)", "ingress", group(r.Get("GroupId"), r.Get("GroupName")), r.Props))
		case "AWS::EC2::SecurityGroupEgress":
			put(rule(r, "(rule)", "egress", group(r.Get("GroupId"), nil), r.Props))
		case "AWS::EC2::NetworkAclEntry":
			put(entry(r))
		case "AWS::EC2::Route":
			put(route(r))
		}
	}
	return out
}

// group is a security group's id in one form: a Ref of a group is its id.
func group(v, or *template.Value) string {
	if v.Absent() {
		v = or
	}
	if key, attribute, ok := v.Key(); ok && attribute == "" {
		return template.Token(key, "GroupId")
	}
	return v.String() + v.Why()
}

var protocols = map[string]string{"6": "tcp", "17": "udp", "1": "icmp", "all": "-1", "58": "icmpv6"}

func protocol(v *template.Value) string {
	p := strings.ToLower(v.String() + v.Why())
	if name, ok := protocols[p]; ok {
		return name
	}
	return p
}

func rule(r *template.Resource, prop, kind, owner string, v *template.Value) way {
	w := way{kind: kind, owner: owner, protocol: protocol(v.Get("IpProtocol")), from: -1, to: -1, at: r, prop: prop, pos: v.Place(r.Pos)}
	if w.protocol != "-1" {
		w.from, w.to = ports(v.Get("FromPort"), v.Get("ToPort"))
	}
	for _, p := range []string{"CidrIp", "CidrIpv6", "SourcePrefixListId", "DestinationPrefixListId"} {
		if x := v.Get(p); !x.Absent() {
			w.peer = x.String() + x.Why()
		}
	}
	for _, p := range []string{"SourceSecurityGroupId", "DestinationSecurityGroupId", "SourceSecurityGroupName"} {
		if x := v.Get(p); !x.Absent() {
			w.peer = group(x, nil)
		}
	}
	if v.Why() != "" {
		w.peer = v.Why()
	}
	return w
}

// ports returns -1, -1 for all ports.
func ports(from, to *template.Value) (int, int) {
	f, ok1 := from.Int()
	t, ok2 := to.Int()
	if !ok1 || !ok2 || f < 0 || t < 0 {
		return -1, -1
	}
	return f, t
}

func entry(r *template.Resource) way {
	kind := "acl in"
	if r.Get("Egress").Truth(false) == template.Yes {
		kind = "acl out"
	}
	w := way{kind: kind, owner: r.Get("NetworkAclId").String(), deny: !r.Get("RuleAction").Is("allow"), protocol: protocol(r.Get("Protocol")), at: r, prop: "(entry)"}
	w.from, w.to = ports(r.Get("PortRange", "From"), r.Get("PortRange", "To"))
	w.order, _ = r.Get("RuleNumber").Int()
	for _, p := range []string{"CidrBlock", "Ipv6CidrBlock"} {
		if x := r.Get(p); !x.Absent() {
			w.peer = x.String() + x.Why()
		}
	}
	return w
}

func route(r *template.Resource) way {
	w := way{kind: "route", owner: r.Get("RouteTableId").String(), from: -1, to: -1, at: r, prop: "(route)"}
	var parts []string
	for _, p := range properties(r) {
		if p != "RouteTableId" {
			v := r.Get(p)
			parts = append(parts, v.String()+v.Why())
		}
	}
	w.peer = strings.Join(parts, " by ")
	return w
}
