package cfn_test

import (
	"fmt"

	"github.com/ringwall/ringwall/internal/cfn"
	"github.com/ringwall/ringwall/internal/cfn/res"
)

// ref is what plan.Ref is in the product.
type ref struct{ owner, name string }

func (r ref) Parts() (string, string) { return r.owner, r.name }

func Example() {
	s := cfn.New("eu-central-1")
	s.Declare("network", "wp-dev-network-stack", "", "")
	s.Declare("compute", "wp-dev-compute-stack", "", "")

	refVPC := ref{"vpc", "Vpc"}

	// One wall uses what another has not made yet.
	compute := s.Stack("compute")
	compute.Add("Group", &res.EC2SecurityGroup{
		GroupDescription: cfn.S("instances"),
		VpcId:            s.Use(refVPC, compute),
	})

	network := s.Stack("network")
	vpc := network.Add("Vpc", &res.EC2VPC{CidrBlock: cfn.S("10.0.0.0/16")})
	s.Provide(refVPC, network, vpc.Ref())

	templates, err := s.Templates()
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, t := range templates {
		fmt.Printf("%s\n", t.YAML())
	}
	// Output:
	// AWSTemplateFormatVersion: "2010-09-09"
	// Metadata:
	//   Ringwall:
	//     Stack: wp-dev-network-stack
	//     Region: eu-central-1
	// Resources:
	//   Vpc:
	//     Type: "AWS::EC2::VPC"
	//     Properties:
	//       CidrBlock: "10.0.0.0/16"
	// Outputs:
	//   VpcVpc:
	//     Description: vpc/Vpc
	//     Value:
	//       Ref: Vpc
	//     Export:
	//       Name: "wp-dev-network-stack:VpcVpc"
	//
	// AWSTemplateFormatVersion: "2010-09-09"
	// Metadata:
	//   Ringwall:
	//     Stack: wp-dev-compute-stack
	//     Region: eu-central-1
	// Resources:
	//   Group:
	//     Type: "AWS::EC2::SecurityGroup"
	//     Properties:
	//       GroupDescription: instances
	//       VpcId:
	//         Fn::ImportValue: "wp-dev-network-stack:VpcVpc"
}
