package host

import (
	"fmt"
	"strings"

	"github.com/ringwall/ringwall/internal/cfn"
	"github.com/ringwall/ringwall/internal/lazy"
	"github.com/ringwall/ringwall/plan"
)

// amiPath is where AWS keeps the id of the newest Amazon Linux 2023
// (docs.aws.amazon.com/linux/al2023, AL2023 on EC2).
const amiPath = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-"

var graviton = lazy.Regexp(`^([a-z]+[0-9]+g[a-z]*|a1)\.`)

// instanceType is the EC2 instance type of a tier.
func instanceType(p *plan.Plan, tier string) string {
	if t := p.AWS.InstanceType[tier]; t != "" {
		return t
	}
	return "t4g.small"
}

// arch is the processor of an instance type: arm64 or x86_64.
func arch(instanceType string) string {
	if graviton().MatchString(instanceType) {
		return "arm64"
	}
	return "x86_64"
}

// ami is the parameter with the id of the image that a tier starts from. What is
// dead, or is for another processor, is replaced: Amazon Linux 2 ended on 2026-06-30.
func ami(p *plan.Plan, tier string) (string, []cfn.Note) {
	want := amiPath + arch(instanceType(p, tier))
	was := p.AWS.AMIParameter
	note := func(why string) (string, []cfn.Note) {
		return want, []cfn.Note{{Key: "aws.amiParameter", Was: was, Now: want, Why: why}}
	}
	switch {
	case was == "":
		return want, nil
	case p.AWS.UserDataAs == plan.UserDataVerbatim:
		return was, nil
	case strings.HasPrefix(was, "/aws/service/ami-amazon-linux-latest/amzn"):
		return note("Amazon Linux 2 and older get no more patches")
	case strings.HasPrefix(was, amiPath[:len("/aws/service/ami-amazon-linux-latest/al2023")]) && !strings.HasSuffix(was, arch(instanceType(p, tier))):
		return note(fmt.Sprintf("%s of %s is an %s machine", instanceType(p, tier), tier, arch(instanceType(p, tier))))
	}
	return was, nil
}
