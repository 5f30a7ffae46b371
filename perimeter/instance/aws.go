package instance

import (
	"fmt"
	"strconv"

	"github.com/ringwall/ringwall/internal/cfn"
	"github.com/ringwall/ringwall/internal/cfn/res"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

// Groups that are no node of the plan's flows: they exist on AWS only.
const (
	files     = "files"
	endpoints = "endpoint"
	keeper    = "keeper"
	build     = "build"
)

// A rule lets one group open connections to another, or to addresses.
type rule struct {
	from   string     // a group; empty: the prefix list's addresses
	to     string     // a group; empty: block or prefix
	block  cfn.String // with to empty
	prefix cfn.String // id of a prefix list, with to or from empty
	port   int
	about  string
}

// synth adds a security group for each tier and each store, and the rules between
// them: those of the plan's flows, and what AWS itself asks for. Every group's way
// out is written in the group, so that none has the default, which is everywhere;
// the way in is a resource of its own, so that groups may name each other.
func synth(p *plan.Plan, s *cfn.Stacks) error {
	st := s.Stack(plan.StackNetwork)
	groups := groupsOf(p)
	rules := rulesOf(p, st)
	handles := map[string]*cfn.Handle{}
	for _, g := range groups { // in an order in which a group comes after those that it dials
		var out []*res.EC2SecurityGroup_Egress
		for _, r := range rules {
			if r.from == g.node {
				out = append(out, egress(r, handles))
			}
		}
		if len(out) == 0 {
			// A group without a rule gets AWS's own, which allows everything; this one allows nothing.
			out = []*res.EC2SecurityGroup_Egress{{CidrIp: cfn.S("255.255.255.255/32"), IpProtocol: cfn.S("icmp"),
				FromPort: cfn.I(252), ToPort: cfn.I(86), Description: cfn.S("nothing")}}
		}
		h := st.Add(g.ref.Name, &res.EC2SecurityGroup{
			GroupDescription:    cfn.S(p.Site() + ": " + g.about),
			VpcId:               s.Use(plan.RefVPC, st),
			SecurityGroupEgress: out,
			Tags:                []cfn.Tag{{Key: cfn.S("Name"), Value: cfn.S(p.Site() + " " + g.node)}},
		})
		handles[g.node] = h
		s.Provide(g.ref, st, h.Att("GroupId"))
	}
	for _, r := range rules {
		to := handles[r.to]
		if to == nil {
			continue
		}
		in := &res.EC2SecurityGroupIngress{
			GroupId: to.Att("GroupId"), IpProtocol: cfn.S("tcp"), FromPort: cfn.I(r.port), ToPort: cfn.I(r.port), Description: cfn.S(r.about),
		}
		who := "Edge"
		if from := handles[r.from]; from != nil {
			in.SourceSecurityGroupId = from.Att("GroupId")
			who = from.ID()
		} else {
			in.SourcePrefixListId = r.prefix
		}
		st.Add(to.ID()+"From"+who+strconv.Itoa(r.port), in)
	}
	return nil
}

func egress(r rule, handles map[string]*cfn.Handle) *res.EC2SecurityGroup_Egress {
	e := &res.EC2SecurityGroup_Egress{IpProtocol: cfn.S("tcp"), FromPort: cfn.I(r.port), ToPort: cfn.I(r.port), Description: cfn.S(r.about)}
	switch to := handles[r.to]; {
	case to != nil:
		e.DestinationSecurityGroupId = to.Att("GroupId")
	case r.prefix.IsSet():
		e.DestinationPrefixListId = r.prefix
	default:
		e.CidrIp = r.block
	}
	return e
}

// A group is one security group of the site.
type group struct {
	node, about string
	ref         plan.Ref
}

// groupsOf lists the site's groups, those that are dialled first.
func groupsOf(p *plan.Plan) []group {
	list := []group{
		{endpoints, "endpoints of AWS services", plan.RefEndpointGroup},
		{files, "mount targets of the file system", plan.RefFilesGroup},
	}
	if p.Database.Present() {
		list = append(list, group{plan.NodeDatabase, "database", plan.RefDatabaseGroup})
	}
	if HasKeeper(p) {
		list = append(list, group{keeper, "function that makes users of the database", plan.RefKeeperGroup})
	}
	for _, t := range p.Tiers {
		list = append(list, group{t.Name, "instances of " + t.Name, plan.RefTierGroup(t.Name)})
	}
	list = append(list, group{plan.NodeBalancer, "balancer", plan.RefBalancerGroup})
	if p.AWS.Image == plan.ImageBuild {
		list = append(list, group{build, "instances that build the golden image", plan.RefBuildGroup})
	}
	return list
}

// HasKeeper says whether the site has a function that makes database users: where
// it has a database, its own or another's.
func HasKeeper(p *plan.Plan) bool { return p.Database.Present() || p.AWS.DBSecret != "" }

// rulesOf lists who may dial whom. What is not in it is refused, both by the group
// that would dial and by the one that would be dialled.
func rulesOf(p *plan.Plan, st *cfn.Stack) []rule {
	edge := st.Param("CloudFrontPrefixList", cfn.Parameter{
		Type: "String", Pattern: "^pl-[0-9a-f]+$", Constraint: "the id of a prefix list, such as pl-3b927c52",
		Description: "Addresses that CloudFront asks origins from.",
		Lookup:      "prefix-list:com.amazonaws.global.cloudfront.origin-facing",
	})
	s3 := st.Param("S3PrefixList", cfn.Parameter{
		Type: "String", Pattern: "^pl-[0-9a-f]+$", Constraint: "the id of a prefix list, such as pl-6da54004",
		Description: "Addresses of S3 in this Region, behind the gateway endpoint.",
		Lookup:      "prefix-list:com.amazonaws.{region}.s3",
	})
	list := []rule{{to: plan.NodeBalancer, prefix: edge, port: 443, about: "from CloudFront"}}
	for _, f := range p.Flows {
		from := f.From
		if from == plan.NodeEdge {
			from = plan.NodeBalancer // the edge asks the balancer, and the balancer the tiers
		}
		if p.Tier(f.To) != nil || f.To == plan.NodeDatabase && p.Tier(f.From) != nil {
			list = append(list, rule{from: from, to: f.To, port: int(f.Port), about: "to " + f.To})
		}
	}
	outside := func(from, why string) {
		if p.AWS.NATGateways > 0 {
			list = append(list, rule{from: from, block: cfn.S("0.0.0.0/0"), port: 443, about: why})
		}
	}
	services := func(from string) {
		list = append(list,
			rule{from: from, to: endpoints, port: 443, about: "to AWS services"},
			rule{from: from, prefix: s3, port: 443, about: "to S3"})
	}
	for _, t := range p.Tiers {
		list = append(list, rule{from: t.Name, to: files, port: 2049, about: "to the files"})
		services(t.Name)
		if perimeter.FetchesOnAWS(p, t) {
			why := "installation at the first start, through NAT"
			if t.Write {
				why = "updates of the app, through NAT"
			}
			outside(t.Name, why)
		}
	}
	if HasKeeper(p) {
		services(keeper)
		list = append(list, rule{from: keeper, to: plan.NodeDatabase, port: int(p.Database.Port), about: "to the database"})
	}
	if p.AWS.Image == plan.ImageBuild {
		services(build)
		outside(build, "packages of the golden image, through NAT")
	}
	return elsewhere(p, st, list)
}

// elsewhere gives the rules towards a database that is not the site's own an
// address: only the account knows where it is.
func elsewhere(p *plan.Plan, st *cfn.Stack, list []rule) []rule {
	if p.Database.Present() || p.AWS.DBSecret == "" {
		return list
	}
	block := cfn.S(p.AWS.DBNetwork)
	if p.AWS.DBNetwork == "" {
		block = st.Param("DatabaseNetwork", cfn.Parameter{
			Type: "String", Pattern: `^(\d{1,3}\.){3}\d{1,3}/(1[6-9]|2\d|3[0-2])$`, Constraint: "a block such as 10.1.2.0/24, /16 or smaller",
			Description: fmt.Sprintf("Addresses of the server that the secret %s names.", p.AWS.DBSecret),
		})
	}
	for i := range list {
		if list[i].to == plan.NodeDatabase {
			list[i].to, list[i].block = "", block
		}
	}
	for _, t := range p.Tiers {
		if !p.MayDial(t.Name, plan.NodeDatabase, p.Database.Port) {
			list = append(list, rule{from: t.Name, block: block, port: int(p.Database.Port), about: "to the database"})
		}
	}
	return list
}
