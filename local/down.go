//go:build linux

package local

import (
	"net/netip"

	"github.com/ringwall/ringwall/internal/vnet"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/perimeter/vpc"
	"github.com/ringwall/ringwall/plan"
)

// downRules opens what a control forbids, for the tests that take its wall down.
// In a released binary it is always empty.
func downRules(p *plan.Plan) (out []vnet.Rule) {
	open := func(id, from, to string, ports ...uint16) {
		if perimeter.Down(id) {
			for _, port := range ports {
				out = append(out, vnet.Rule{From: from, To: to, Port: port})
			}
		}
	}
	b := p.Balancer
	open("vpc/internet-to-balancer", plan.Internet, plan.NodeBalancer, b.Port)
	open("vpc/internet-to-instances", plan.Internet, plan.Admin, b.TargetPort)
	open("vpc/internet-to-instances", plan.Internet, plan.Fleet, b.TargetPort)
	open("vpc/internet-to-database", plan.Internet, plan.NodeDatabase, p.Database.Port)
	open("vpc/database-dials-nothing", plan.NodeDatabase, plan.Admin, b.TargetPort)
	open("vpc/database-dials-nothing", plan.NodeDatabase, plan.Fleet, b.TargetPort)
	open("instance/beside-to-instances", plan.Beside, plan.Admin, b.TargetPort)
	open("instance/beside-to-instances", plan.Beside, plan.Fleet, b.TargetPort)
	open("instance/beside-to-database", plan.Beside, plan.NodeDatabase, p.Database.Port)
	open("instance/fleet-to-admin", plan.Fleet, plan.Admin, b.TargetPort)
	open("instance/fleet-to-fleet", plan.Fleet, plan.Fleet, b.TargetPort)
	open("instance/fleet-to-edge", plan.Fleet, plan.NodeEdge, 443)
	open("instance/fleet-to-edge", plan.Fleet, plan.NodeBalancer, b.Port)
	open("instance/admin-to-fleet", plan.Admin, plan.Fleet, b.TargetPort)
	open("instance/admin-to-edge", plan.Admin, plan.NodeEdge, 443)
	open("instance/fleet-other-ports", plan.Fleet, plan.NodeDatabase, 22)
	open("instance/admin-other-ports", plan.Admin, plan.NodeDatabase, 22)
	for prefix, tier := range map[string]string{"vpc/": plan.Fleet, "vpc/admin-": plan.Admin} {
		open(prefix+"no-metadata", tier, downMetadata, 80)
		open(prefix+"no-dns", tier, downResolver, 53)
		open(prefix+"no-internet", tier, plan.Internet, 443)
		open(prefix+"no-internet", tier, plan.Office, 443)
	}
	return out
}

// Hosts that only builds with switches have: what the opened rules lead to.
const (
	downMetadata = "metadata"
	downResolver = "resolver"
)

func downHosts(p *plan.Plan) []vnet.Spec {
	if !perimeter.CanTakeDown {
		return nil
	}
	return []vnet.Spec{
		{Name: downMetadata, Addrs: []vnet.Address{{Group: downMetadata, Addr: netip.MustParseAddr("169.254.169.254")}}},
		{Name: downResolver, Addrs: []vnet.Address{{Group: downResolver, Addr: vpc.Resolver(p)}}},
	}
}
