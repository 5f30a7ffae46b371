package vpc

import (
	"strconv"

	"github.com/ringwall/ringwall/internal/cfn"
	"github.com/ringwall/ringwall/internal/cfn/res"
	"github.com/ringwall/ringwall/plan"
)

// Numbers of protocols (IANA).
const (
	tcp = 6
	all = -1
)

const anywhere = "0.0.0.0/0"

// An entry is one rule of a network ACL.
type entry struct {
	deny        bool
	from        string // the other side's block
	first, last int    // ports of the destination
}

// acls adds a network ACL for each kind of subnet. Security groups say who may
// reach whom; the ACLs are the second lock: whatever a group says, no administration
// port is open to the internet, and nothing of the isolated subnets leaves the VPC.
// ACLs keep no state, so each way of a connection has its rule. The default ACL is
// closed (CIS 5.1).
func (c *cloud) acls() {
	inside := c.p.VPC.CIDR.String()
	reply := func(to string) entry { return entry{from: to, first: 1024, last: 65535} }
	// The administration ports within the range of replies (CIS 5.1).
	noRDP := entry{deny: true, from: anywhere, first: 3389, last: 3389}
	one := func(from string, port uint16) entry { return entry{from: from, first: int(port), last: int(port)} }
	https := func(from string) entry { return one(from, 443) }
	target := c.p.Balancer.TargetPort

	publicIn := []entry{noRDP, https(inside), reply(anywhere)}
	publicOut := []entry{https(anywhere), reply(inside)}
	if c.p.AWS.Balancer == plan.BalancerPublic {
		publicIn = []entry{noRDP, https(anywhere), reply(anywhere)}
		publicOut = []entry{https(anywhere), one(inside, target), reply(anywhere)}
	}
	// Replies of the S3 gateway endpoint come from S3's public addresses, those of
	// everything else outside through NAT.
	privateIn := []entry{noRDP, https(inside), one(inside, target), reply(anywhere)}
	privateOut := []entry{https(anywhere), one(inside, target), one(inside, 2049), reply(inside)}
	isolatedIn := []entry{one(inside, 2049)}
	isolatedOut := []entry{reply(inside)}
	if c.p.Database.Present() {
		privateOut = append(privateOut, one(inside, c.p.Database.Port))
		isolatedIn = append(isolatedIn, one(inside, c.p.Database.Port))
	} else if c.p.AWS.DBSecret != "" {
		privateOut = append(privateOut, one(anywhere, c.p.Database.Port))
	}

	c.acl("Public", c.public, publicIn, publicOut)
	c.acl("Private", c.private, privateIn, privateOut)
	c.acl("Isolated", c.isolated, isolatedIn, isolatedOut)
	for _, out := range []bool{false, true} {
		deny := func(number int) *res.EC2NetworkAclEntry {
			return &res.EC2NetworkAclEntry{NetworkAclId: c.vpc.Att("DefaultNetworkAcl"), RuleNumber: cfn.I(number), Protocol: cfn.I(all),
				Egress: cfn.B(out), RuleAction: cfn.S("deny")}
		}
		v4, v6 := deny(1), deny(2)
		v4.CidrBlock, v6.Ipv6CidrBlock = cfn.S(anywhere), cfn.S("::/0")
		c.st.Add("DefaultAclDeny"+direction(out), v4)
		c.st.Add("DefaultAclDeny"+direction(out)+"6", v6)
	}
}

func direction(out bool) string {
	if out {
		return "Out"
	}
	return "In"
}

func (c *cloud) acl(kind string, subnets []*cfn.Handle, in, out []entry) {
	acl := c.st.Add(kind+"Acl", &res.EC2NetworkAcl{VpcId: c.vpc.Ref(), Tags: name(c.p.Site() + " " + kind)})
	for _, side := range []struct {
		out  bool
		list []entry
	}{{false, in}, {true, out}} {
		seen := map[entry]bool{}
		n := 0
		for _, e := range side.list {
			if seen[e] {
				continue
			}
			seen[e] = true
			n++
			action := "allow"
			if e.deny {
				action = "deny"
			}
			c.st.Add(kind+"Acl"+direction(side.out)+strconv.Itoa(n*10), &res.EC2NetworkAclEntry{
				NetworkAclId: acl.Ref(), RuleNumber: cfn.I(n * 10), Protocol: cfn.I(tcp), Egress: cfn.B(side.out),
				RuleAction: cfn.S(action), CidrBlock: cfn.S(e.from),
				PortRange: &res.EC2NetworkAclEntry_PortRange{From: cfn.I(e.first), To: cfn.I(e.last)},
			})
		}
	}
	for z, subnet := range subnets {
		c.st.Add(kind+"AclOf"+strconv.Itoa(z), &res.EC2SubnetNetworkAclAssociation{SubnetId: subnet.Ref(), NetworkAclId: acl.Ref()})
	}
}
