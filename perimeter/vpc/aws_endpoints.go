package vpc

import (
	"slices"
	"strings"

	"github.com/ringwall/ringwall/internal/cfn"
	"github.com/ringwall/ringwall/internal/cfn/res"
	"github.com/ringwall/ringwall/plan"
)

// services are the interface endpoints of the site, and what may be asked through
// them. Systems Manager stands in for SSH; logs take what the instances have to say.
var services = []struct {
	name    string
	actions []string
	when    func(*plan.Plan) bool
}{
	{"secretsmanager", []string{"secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret", "secretsmanager:PutSecretValue",
		"secretsmanager:UpdateSecretVersionStage", "secretsmanager:GetRandomPassword"}, usesSecrets},
	{"ssm", []string{"ssm:DescribeAssociation", "ssm:GetDeployablePatchSnapshotForInstance", "ssm:GetDocument", "ssm:DescribeDocument",
		"ssm:GetManifest", "ssm:GetParameter", "ssm:GetParameters", "ssm:ListAssociations", "ssm:ListInstanceAssociations",
		"ssm:PutInventory", "ssm:PutComplianceItems", "ssm:PutConfigurePackageResult", "ssm:UpdateAssociationStatus",
		"ssm:UpdateInstanceAssociationStatus", "ssm:UpdateInstanceInformation"}, nil},
	{"ssmmessages", []string{"ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel",
		"ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel"}, nil},
	{"ec2messages", []string{"ec2messages:AcknowledgeMessage", "ec2messages:DeleteMessage", "ec2messages:FailMessage",
		"ec2messages:GetEndpoint", "ec2messages:GetMessages", "ec2messages:SendReply"}, nil},
	// An instance tells the stack that waits for it whether it is well.
	{"cloudformation", []string{"cloudformation:SignalResource"}, nil},
	{"logs", []string{"logs:CreateLogStream", "logs:DescribeLogGroups", "logs:DescribeLogStreams", "logs:PutLogEvents"}, nil},
}

// usesSecrets says whether something of the site asks for a secret.
func usesSecrets(p *plan.Plan) bool {
	return p.Database.Present() || p.AWS.DBSecret != "" || slices.ContainsFunc(p.Tiers, p.HasAppSecret)
}

// endpoints lets the private subnets reach the services without the internet. Each
// endpoint has a policy: identities and resources of this account, and the actions
// that the site needs (an endpoint without one allows everything).
func (c *cloud) endpoints() {
	own := cfn.M{"StringEquals": cfn.M{"aws:PrincipalAccount": cfn.AccountID, "aws:ResourceAccount": cfn.AccountID}}
	ownIdentity := cfn.M{"StringEquals": cfn.M{"aws:PrincipalAccount": cfn.AccountID}}
	var subnets []cfn.String
	for _, s := range c.private {
		subnets = append(subnets, s.Ref())
	}
	for _, e := range services {
		if e.when != nil && !e.when(c.p) {
			continue
		}
		condition := ownIdentity
		if e.name == "secretsmanager" || e.name == "logs" {
			condition = own
		}
		policy := cfn.Policy{{Principal: cfn.Anyone, Action: e.actions, Resource: cfn.Strs("*"), Condition: condition}}
		if e.name == "secretsmanager" {
			// It belongs to no resource, so there is none whose account could be asked for.
			policy[0].Action = e.actions[:len(e.actions)-1]
			policy = append(policy, cfn.Statement{Principal: cfn.Anyone, Action: []string{"secretsmanager:GetRandomPassword"}, Resource: cfn.Strs("*"), Condition: ownIdentity})
		}
		c.st.Add(strings.ToUpper(e.name[:1])+e.name[1:]+"Endpoint", &res.EC2VPCEndpoint{
			VpcId:             c.vpc.Ref(),
			VpcEndpointType:   cfn.S("Interface"),
			ServiceName:       cfn.Sub("com.amazonaws.${AWS::Region}." + e.name),
			PrivateDnsEnabled: cfn.B(true),
			SubnetIds:         subnets,
			SecurityGroupIds:  []cfn.String{c.s.Use(plan.RefEndpointGroup, c.st)},
			PolicyDocument:    policy,
		})
	}
	var tables []cfn.String
	for _, t := range c.privateTables {
		tables = append(tables, t.Ref())
	}
	c.st.Add("S3Endpoint", &res.EC2VPCEndpoint{
		VpcId:           c.vpc.Ref(),
		VpcEndpointType: cfn.S("Gateway"),
		ServiceName:     cfn.Sub("com.amazonaws.${AWS::Region}.s3"),
		RouteTableIds:   tables,
		PolicyDocument: cfn.Policy{
			{Sid: "OwnBuckets", Principal: cfn.Anyone, Action: []string{"s3:GetObject", "s3:PutObject"}, Resource: cfn.Strs("*"), Condition: own},
			{Sid: "PackagesAndAgents", Principal: cfn.Anyone, Action: []string{"s3:GetObject"}, Resource: buckets(
				"al2023-repos-${AWS::Region}-de612dc2", "amazon-ssm-${AWS::Region}", "amazon-ssm-packages-${AWS::Region}", "aws-ssm-${AWS::Region}",
				"aws-ssm-document-attachments-${AWS::Region}", "patch-baseline-snapshot-${AWS::Region}", "aws-patch-manager-${AWS::Region}-*",
				"aws-quicksetup-patchpolicy-*", "ec2imagebuilder-toe-${AWS::Region}-prod", "ec2imagebuilder-managed-resources-${AWS::Region}-prod")},
			{Sid: "AnswersToCloudFormation", Principal: cfn.Anyone, Action: []string{"s3:PutObject"}, Resource: buckets("cloudformation-custom-resource-response-*")},
		},
	})
}

func buckets(names ...string) []cfn.String {
	var out []cfn.String
	for _, n := range names {
		out = append(out, cfn.Sub("arn:${AWS::Partition}:s3:::"+n+"/*"))
	}
	return out
}

// flowLogs records every packet's fate for a year (CIS 3.9).
func (c *cloud) flowLogs() {
	group := c.st.Add("FlowLogs", &res.LogsLogGroup{
		RetentionInDays: cfn.I(365),
		KmsKeyId:        c.s.Use(plan.RefLogsKey, c.st),
	}, cfn.Retain())
	role := c.st.Add("FlowLogsRole", &res.IAMRole{
		Description: cfn.S("Lets VPC flow logs write to their log group."),
		AssumeRolePolicyDocument: cfn.Policy{{
			Principal: cfn.Service("vpc-flow-logs.amazonaws.com"), Action: []string{"sts:AssumeRole"},
			Condition: cfn.M{"StringEquals": cfn.M{"aws:SourceAccount": cfn.AccountID}},
		}},
		Policies: []*res.IAMRole_Policy{{PolicyName: cfn.S("write"), PolicyDocument: cfn.Policy{
			{Action: []string{"logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"}, Resource: []cfn.String{group.Att("Arn")}},
		}}},
	})
	c.st.Add("FlowLog", &res.EC2FlowLog{
		ResourceId:               c.vpc.Ref(),
		ResourceType:             cfn.S("VPC"),
		TrafficType:              cfn.S("ALL"),
		LogDestinationType:       cfn.S("cloud-watch-logs"),
		LogGroupName:             group.Ref(),
		DeliverLogsPermissionArn: role.Att("Arn"),
		MaxAggregationInterval:   cfn.I(60),
	})
}
