package vpc

import (
	"fmt"
	"net/netip"
	"strconv"

	"github.com/ringwall/ringwall/internal/cfn"
	"github.com/ringwall/ringwall/internal/cfn/res"
	"github.com/ringwall/ringwall/plan"
)

// A cloud is the network stack while the wall is added to it.
type cloud struct {
	p     *plan.Plan
	s     *cfn.Stacks
	st    *cfn.Stack
	vpc   *cfn.Handle
	zones int

	public, private, isolated []*cfn.Handle // subnets, one per zone
	privateTables             []*cfn.Handle
}

// synth adds the VPC: three kinds of subnet in each zone, a way out for the private
// ones where the plan has NAT gateways, network ACLs that know the site's ports,
// endpoints, and flow logs.
func synth(p *plan.Plan, s *cfn.Stacks) error {
	c := &cloud{p: p, s: s, st: s.Stack(plan.StackNetwork), zones: p.AWS.Zones()}
	c.network()
	c.ways()
	c.acls()
	c.endpoints()
	c.flowLogs()
	return nil
}

func (c *cloud) network() {
	c.vpc = c.st.Add("Vpc", &res.EC2VPC{
		CidrBlock:          cfn.S(c.p.VPC.CIDR.String()),
		EnableDnsHostnames: cfn.B(true),
		EnableDnsSupport:   cfn.B(true),
		Tags:               name(c.p.Site()),
	})
	c.s.Provide(plan.RefVPC, c.st, c.vpc.Ref())
	blocks := Subnets(c.p.VPC.CIDR, c.zones)
	for z := range c.zones {
		add := func(kind string, n int) *cfn.Handle {
			return c.st.Add(kind+"Subnet"+strconv.Itoa(z), &res.EC2Subnet{
				VpcId:               c.vpc.Ref(),
				AvailabilityZone:    cfn.Zone(z),
				CidrBlock:           cfn.S(blocks[n*c.zones+z].String()),
				MapPublicIpOnLaunch: cfn.B(false),
				Tags:                name(fmt.Sprintf("%s %s %d", c.p.Site(), kind, z)),
			})
		}
		c.public = append(c.public, add("Public", 0))
		c.private = append(c.private, add("Private", 1))
		c.isolated = append(c.isolated, add("Isolated", 2))
		c.s.Provide(plan.RefPublicSubnet(z), c.st, c.public[z].Ref())
		c.s.Provide(plan.RefPrivateSubnet(z), c.st, c.private[z].Ref())
		c.s.Provide(plan.RefIsolatedSubnet(z), c.st, c.isolated[z].Ref())
	}
}

// Subnets cuts a block into equal ones: public of each zone, private of each zone,
// isolated of each zone. What is left over stays free. A /22 in three zones gives
// blocks of 64 addresses, of which AWS keeps five.
func Subnets(block netip.Prefix, zones int) []netip.Prefix {
	bits := 3
	for 1<<bits < 3*zones {
		bits++
	}
	size := block.Bits() + bits
	base := block.Masked().Addr().As4()
	start := uint32(base[0])<<24 | uint32(base[1])<<16 | uint32(base[2])<<8 | uint32(base[3])
	var out []netip.Prefix
	for i := range 3 * zones {
		a := start + uint32(i)<<(32-size)
		out = append(out, netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(a >> 24), byte(a >> 16), byte(a >> 8), byte(a)}), size))
	}
	return out
}

// ways adds the route tables. The VPC's main table stays empty, so that a subnet
// without one of its own leads nowhere.
func (c *cloud) ways() {
	gateway := c.st.Add("InternetGateway", &res.EC2InternetGateway{Tags: name(c.p.Site())})
	attached := c.st.Add("InternetGatewayAttachment", &res.EC2VPCGatewayAttachment{VpcId: c.vpc.Ref(), InternetGatewayId: gateway.Ref()})

	public := c.table("Public")
	c.st.Add("PublicDefaultRoute", &res.EC2Route{
		RouteTableId: public.Ref(), DestinationCidrBlock: cfn.S("0.0.0.0/0"), GatewayId: gateway.Ref(),
	}, cfn.DependsOn(attached))
	isolated := c.table("Isolated")

	gateways := c.nat(attached)
	for z := range c.zones {
		zone := strconv.Itoa(z)
		private := c.table("Private" + zone)
		c.privateTables = append(c.privateTables, private)
		if len(gateways) > 0 {
			c.st.Add("PrivateDefaultRoute"+zone, &res.EC2Route{
				RouteTableId: private.Ref(), DestinationCidrBlock: cfn.S("0.0.0.0/0"), NatGatewayId: gateways[z%len(gateways)].Ref(),
			})
		}
		for _, way := range []struct {
			kind          string
			subnet, table *cfn.Handle
		}{{"Public", c.public[z], public}, {"Private", c.private[z], private}, {"Isolated", c.isolated[z], isolated}} {
			c.st.Add(way.kind+"RouteTableOf"+zone, &res.EC2SubnetRouteTableAssociation{SubnetId: way.subnet.Ref(), RouteTableId: way.table.Ref()})
		}
	}
}

func (c *cloud) table(kind string) *cfn.Handle {
	return c.st.Add(kind+"RouteTable", &res.EC2RouteTable{VpcId: c.vpc.Ref(), Tags: name(c.p.Site() + " " + kind)})
}

// nat adds the gateways that the plan asks for, one zone each.
func (c *cloud) nat(attached *cfn.Handle) []*cfn.Handle {
	count := min(c.p.AWS.NATGateways, c.zones)
	if count < c.p.AWS.NATGateways {
		c.s.Note(cfn.Note{Key: "aws.natGateways", Was: strconv.Itoa(c.p.AWS.NATGateways), Now: strconv.Itoa(count),
			Why: "one gateway in each of the site's zones is the most that helps"})
	}
	var out []*cfn.Handle
	for z := range count {
		ip := c.st.Add("NatAddress"+strconv.Itoa(z), &res.EC2EIP{Domain: cfn.S("vpc")}, cfn.DependsOn(attached))
		out = append(out, c.st.Add("NatGateway"+strconv.Itoa(z), &res.EC2NatGateway{
			SubnetId: c.public[z].Ref(), AllocationId: ip.Att("AllocationId"), Tags: name(c.p.Site() + " " + strconv.Itoa(z)),
		}, cfn.DependsOn(attached)))
	}
	return out
}

func name(s string) []cfn.Tag { return []cfn.Tag{{Key: cfn.S("Name"), Value: cfn.S(s)}} }
