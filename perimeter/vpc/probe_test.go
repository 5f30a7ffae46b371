//go:build linux

package vpc_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ringwall/ringwall/internal/boxtest"
	"github.com/ringwall/ringwall/internal/sandbox"
	"github.com/ringwall/ringwall/internal/vnet"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/perimeter/instance"
	"github.com/ringwall/ringwall/perimeter/vpc"
	"github.com/ringwall/ringwall/plan"
)

// Perimeters 3 and 5 are judged together, in one network that stands for a
// site's: the same hosts, the same rules, and something that listens everywhere.

// controls are those of both walls that are probed; templates are checked elsewhere.
var controls = slices.DeleteFunc(slices.Concat(vpc.Perimeter.Controls, instance.Perimeter.Controls),
	func(c *perimeter.Control) bool { return c.Probe == nil })

type trial struct {
	Control string
	Plan    *plan.Plan
	Inside  *perimeter.Inside
}

func TestMain(m *testing.M) {
	boxtest.Main(m, func(config []byte) (any, error) {
		var x trial
		if err := json.Unmarshal(config, &x); err != nil {
			return nil, err
		}
		i := slices.IndexFunc(controls, func(c *perimeter.Control) bool { return c.ID == x.Control })
		return perimeter.Judge(context.Background(), 3, controls[i], &perimeter.Target{Plan: x.Plan, Inside: x.Inside}), nil
	})
}

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

const (
	visitor  = "visitor"
	office   = "office-host"
	stranger = "stranger"
	target   = 8080
	port     = 8443
	database = 5432
)

func sitePlan() *plan.Plan {
	p := &plan.Plan{App: "t", Env: "test", Kind: plan.Command, VPC: plan.NewVPC(netip.MustParsePrefix("10.0.0.0/16"), netip.MustParsePrefix("fd00:7::/64")),
		Tiers: []plan.Tier{{Name: plan.Admin, Min: 1, Max: 1, Write: true}, {Name: plan.Fleet, Min: 2, Max: 2}}}
	p.Network.Visitor, p.Network.Office, p.Network.Stranger = ip("192.0.2.7"), ip("192.0.2.8"), ip("2001:db8::9")
	p.Network.Doors = []plan.Door{{Listen: netip.MustParseAddrPort("127.0.0.1:18443")}}
	p.Balancer.Port, p.Balancer.TargetPort, p.Database.Port = port, target, database
	p.Flows = []plan.Flow{
		{From: plan.Internet, To: plan.NodeEdge, Port: 443}, {From: plan.Office, To: plan.NodeEdge, Port: 443},
		{From: plan.Beside, To: plan.NodeBalancer, Port: port},
		{From: plan.NodeBalancer, To: plan.Admin, Port: target}, {From: plan.NodeBalancer, To: plan.Fleet, Port: target},
		{From: plan.Admin, To: plan.NodeDatabase, Port: database}, {From: plan.Fleet, To: plan.NodeDatabase, Port: database},
	}
	return p
}

// bench is the network, made once.
type bench struct {
	net   *vnet.Net
	plan  *plan.Plan
	rules []vnet.Rule
	open  []net.Listener // kept, or they would be closed
}

var theBench = sync.OnceValues(func() (*bench, error) {
	b := &bench{plan: sitePlan()}
	v := b.plan.VPC
	var err error
	if b.net, err = vnet.New(plan.Internet, plan.Office); err != nil {
		return nil, err
	}
	one := func(name, group string, a netip.Addr) vnet.Spec {
		return vnet.Spec{Name: name, Addrs: []vnet.Address{{Group: group, Addr: a}}}
	}
	_, err = b.net.Add(
		vnet.Spec{Name: plan.NodeEdge, Addrs: []vnet.Address{{Group: plan.NodeEdge, Addr: v.Edge}, {Group: plan.NodeEdge, Addr: v.Edge6}, {Group: plan.NodeBalancer, Addr: v.Balancer}}},
		one(plan.Beside, plan.Beside, v.Beside), one(plan.NodeDatabase, plan.NodeDatabase, v.Database),
		one("admin/1", plan.Admin, v.Admin), one("fleet/1", plan.Fleet, v.Fleet), one("fleet/2", plan.Fleet, v.Fleet.Next()),
		one(visitor, plan.Internet, b.plan.Network.Visitor), one(office, plan.Office, b.plan.Network.Office), one(stranger, plan.Internet, b.plan.Network.Stranger),
		one("metadata", "metadata", ip("169.254.169.254")), one("resolver", "resolver", vpc.Resolver(b.plan)))
	if err != nil {
		return nil, err
	}
	for _, l := range []struct {
		host string
		at   netip.Addr
		port uint16
	}{
		{plan.NodeEdge, v.Edge, 443}, {plan.NodeEdge, v.Edge6, 443}, {plan.NodeEdge, v.Balancer, port},
		{"admin/1", v.Admin, target}, {"fleet/1", v.Fleet, target}, {"fleet/2", v.Fleet.Next(), target}, {plan.NodeDatabase, v.Database, database},
	} {
		listener, err := b.net.Host(l.host).Listen(netip.AddrPortFrom(l.at, l.port))
		if err != nil {
			return nil, err
		}
		b.open = append(b.open, listener)
	}
	for _, f := range b.plan.Flows {
		r := vnet.Rule{From: f.From, To: f.To, Port: f.Port}
		if tier := b.plan.Tier(f.From); tier != nil && f.To == plan.NodeDatabase {
			r.Each = tier.InstanceConnections()
		}
		b.rules = append(b.rules, r)
	}
	return b, nil
})

func (b *bench) judge(t *testing.T, c *perimeter.Control) (r perimeter.Result) {
	t.Helper()
	x := &perimeter.Target{Plan: b.plan, Instances: map[string]netip.Addr{"admin/1": b.plan.VPC.Admin, "fleet/1": b.plan.VPC.Fleet, "fleet/2": b.plan.VPC.Fleet.Next()}}
	hosts := map[string]string{plan.Internet: visitor, plan.Office: office, stranger: stranger, plan.Beside: plan.Beside}
	x.From = func(node string) (perimeter.Dialer, error) {
		h := b.net.Host(hosts[node])
		if h == nil {
			return nil, fmt.Errorf("no host stands for %s", node)
		}
		return h.Dial, nil
	}
	name := map[perimeter.Vantage]string{perimeter.InFleet: "fleet/1", perimeter.InAdmin: "admin/1", perimeter.InDatabase: plan.NodeDatabase}[c.Vantage]
	if name == "" {
		return perimeter.Judge(t.Context(), 3, c, x)
	}
	in := &perimeter.Inside{Self: name, Services: map[string]netip.AddrPort{
		plan.NodeEdge: netip.AddrPortFrom(b.plan.VPC.Edge, 443), plan.NodeBalancer: netip.AddrPortFrom(b.plan.VPC.Balancer, port),
		plan.NodeDatabase: netip.AddrPortFrom(b.plan.VPC.Database, database)}}
	in.Tier, _, _ = strings.Cut(name, "/")
	for n, a := range x.Instances {
		in.Services[n] = netip.AddrPortFrom(a, target)
	}
	s := sandbox.Spec{Name: "t", UID: boxtest.UID(2), Net: b.net.Host(name).File(), Calls: sandbox.Calls{TCP: true, Unix: true},
		Mounts: []sandbox.Mount{{Source: "/usr", Target: "/usr", Exec: true}}, Links: map[string]string{"/lib": "usr/lib", "/lib64": "usr/lib64"}, Proc: true}
	if strings.HasSuffix(c.ID, "no-dns") {
		s.Calls.UDP = true // so that the firewall is asked, not the filter alone
	}
	boxtest.Run(t, s, trial{c.ID, b.plan, in}, &r)
	return r
}

// TestProbes judges each control under the plan's rules, where it must hold, and
// with one rule more, where it must not.
func TestProbes(t *testing.T) {
	b, err := theBench()
	if err != nil {
		t.Fatal("NOT RUN: ", err)
	}
	rule := func(from, to string, ports ...uint16) (out []vnet.Rule) {
		for _, p := range ports {
			out = append(out, vnet.Rule{From: from, To: to, Port: p})
		}
		return out
	}
	down := map[string][]vnet.Rule{
		"vpc/internet-to-balancer":     rule(plan.Internet, plan.NodeBalancer, port),
		"vpc/internet-to-instances":    rule(plan.Internet, plan.Fleet, target),
		"vpc/internet-to-database":     rule(plan.Internet, plan.NodeDatabase, 22), // where nobody listens
		"vpc/database-dials-nothing":   rule(plan.NodeDatabase, plan.Admin, target),
		"vpc/no-metadata":              rule(plan.Fleet, "metadata", 80),
		"vpc/admin-no-metadata":        rule(plan.Admin, "metadata", 80),
		"vpc/no-dns":                   rule(plan.Fleet, "resolver", 53),
		"vpc/admin-no-dns":             rule(plan.Admin, "resolver", 53),
		"vpc/no-internet":              rule(plan.Fleet, plan.Office, 443),
		"vpc/admin-no-internet":        rule(plan.Admin, plan.Internet, 443),
		"instance/beside-to-instances": rule(plan.Beside, plan.Admin, 22),
		"instance/beside-to-database":  rule(plan.Beside, plan.NodeDatabase, database),
		"instance/fleet-to-admin":      rule(plan.Fleet, plan.Admin, target),
		"instance/fleet-to-fleet":      rule(plan.Fleet, plan.Fleet, target),
		"instance/fleet-to-edge":       rule(plan.Fleet, plan.NodeEdge, 443),
		"instance/admin-to-edge":       rule(plan.Admin, plan.NodeBalancer, port),
		"instance/admin-to-fleet":      rule(plan.Admin, plan.Fleet, target),
		"instance/fleet-other-ports":   rule(plan.Fleet, plan.NodeDatabase, 22),
		"instance/admin-other-ports":   rule(plan.Admin, plan.NodeDatabase, 22),
	}
	// What no rule can open: a listener of the machine's loopback in the instance's network.
	loopback := map[string]string{"vpc/no-host-loopback": "fleet/1", "vpc/admin-no-host-loopback": "admin/1"}
	for _, c := range controls {
		t.Run(c.ID, func(t *testing.T) {
			want := func(v perimeter.Verdict) {
				t.Helper()
				if r := b.judge(t, c); r.Verdict != v {
					t.Errorf("got %v, want %v: %s\ntried %q\nsaw %q", r.Verdict, v, r.Error, r.Tried, r.Evidence)
				}
			}
			if err := b.net.Allow(b.rules); err != nil {
				t.Fatal(err)
			}
			want(perimeter.Held)
			if host := loopback[c.ID]; host != "" {
				l, err := b.net.Host(host).Listen(b.plan.Network.Doors[0].Listen)
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
			} else if down[c.ID] == nil && c.ID != "instance/fleet-connections" {
				t.Fatal("no wall is taken down for this control, so its probe is not tested")
			}
			rules := slices.Concat(b.rules, down[c.ID])
			if c.ID == "instance/fleet-connections" {
				for i := range rules {
					rules[i].Each = 0
				}
			}
			if err := b.net.Allow(rules); err != nil {
				t.Fatal(err)
			}
			want(perimeter.Broken)
		})
	}
}

// TestDeadNetworkIsUnknown cuts everything: a refusal proves nothing then.
func TestDeadNetworkIsUnknown(t *testing.T) {
	b, err := theBench()
	if err != nil {
		t.Fatal("NOT RUN: ", err)
	}
	if err := b.net.Allow(nil); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"vpc/internet-to-balancer", "vpc/no-internet", "instance/fleet-to-admin", "instance/beside-to-database"} {
		i := slices.IndexFunc(controls, func(c *perimeter.Control) bool { return c.ID == id })
		if r := b.judge(t, controls[i]); r.Verdict != perimeter.Unknown {
			t.Errorf("%s: got %v, want unknown: %q", id, r.Verdict, r.Evidence)
		}
	}
}
