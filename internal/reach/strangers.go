package reach

import (
	"slices"
	"strings"

	"github.com/ringwall/ringwall/internal/template"
)

// A Stranger is a resource with a network interface of whose kind nothing is known here
// but its security groups.
type Stranger struct {
	Res *template.Resource
	// Public says whether the internet may come in: its groups take somebody from there,
	// or it has an address that groups do not guard.
	Public template.Tri
	Why    string
}

// guarded are kinds with security groups that are judged elsewhere, or that are no
// network interface.
var guarded = []string{"AWS::EC2::SecurityGroup", "AWS::EC2::SecurityGroupIngress", "AWS::EC2::SecurityGroupEgress", "AWS::EC2::SecurityGroupVpcAssociation",
	"AWS::EC2::LaunchTemplate", "AWS::AutoScaling::LaunchConfiguration", "AWS::EC2::VPCEndpoint", "AWS::Lambda::Function", "AWS::ECS::Service",
	"AWS::SecretsManager::RotationSchedule", "AWS::ImageBuilder::InfrastructureConfiguration", "AWS::RDS::DBSecurityGroup", "AWS::ElastiCache::SecurityGroup"}

// Strangers are the resources of kinds that are not modelled and that have security
// groups, in the files' order.
func (g *Graph) Strangers() []Stranger {
	var out []Stranger
	for _, r := range g.World.Resources {
		if !strings.HasPrefix(r.Type, "AWS::") || slices.Contains(guarded, r.Type) || strings.HasPrefix(r.Type, "AWS::CloudFormation::") ||
			slices.ContainsFunc(g.Nodes, func(n *Node) bool { return n.Res == r || n.Template == r }) {
			continue
		}
		groups := groupsIn(r.Props, 0)
		if len(groups) == 0 && r.Type != "AWS::EKS::Cluster" {
			continue
		}
		s := Stranger{Res: r, Public: template.No}
		for _, v := range groups {
			x := g.Group(v)
			open := slices.ContainsFunc(x.In, func(r Rule) bool {
				return r.Peer.Unsure != "" || r.Peer.List != "" || r.Peer.Block.IsValid() && Public(r.Peer.Block)
			})
			switch {
			case x.Unsure != "":
				s.Public, s.Why = template.Maybe, "its security group "+x.Name+": "+x.Unsure
			case open:
				s.Public, s.Why = template.Maybe, "its security group "+x.Name+" takes connections from the internet"
			}
		}
		if v := r.Get("ResourcesVpcConfig", "EndpointPublicAccess"); r.Type == "AWS::EKS::Cluster" && v.Truth(true) != template.No {
			s.Public, s.Why = template.Maybe, "its API has a public address (EndpointPublicAccess), which no security group guards"
		}
		out = append(out, s)
	}
	return out
}

// groupsIn are the values of properties that name security groups.
func groupsIn(v *template.Value, deep int) []*template.Value {
	if v == nil || deep > 8 {
		return nil
	}
	var out []*template.Value
	for _, f := range v.Fields {
		if strings.Contains(f.Name, "SecurityGroup") && !strings.Contains(f.Name, "SubnetGroup") {
			for _, x := range f.Value.List() {
				if x.Shape != template.Map {
					out = append(out, x)
				}
			}
			continue
		}
		out = append(out, groupsIn(f.Value, deep+1)...)
	}
	for _, x := range v.Items {
		out = append(out, groupsIn(x, deep+1)...)
	}
	return out
}
