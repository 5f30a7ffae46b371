package people

import (
	"strings"

	"github.com/ringwall/ringwall/internal/cfn"
	"github.com/ringwall/ringwall/internal/cfn/res"
	"github.com/ringwall/ringwall/plan"
)

// synth adds who may do what: keys, evidence and backups in the baseline stack,
// and a role for each tier in the network stack.
func synth(p *plan.Plan, s *cfn.Stacks) error {
	keys(p, s)
	logs := accessLogs(p, s)
	topic := alarmTopic(p, s)
	if p.AWS.AccountBaseline {
		group := trail(p, s, logs)
		if err := alarms(s, group, topic); err != nil {
			return err
		}
		watchers(p, s, logs)
	} else {
		s.Note(cfn.Note{Key: "aws.accountBaseline", Why: "trail, alarms, access analyzer, GuardDuty, AWS Config and Security Hub are left to another stack of the account"})
	}
	backups(p, s)
	roles(p, s)
	return nil
}

// roles gives each tier an IAM role and an instance profile. A role may be managed
// by Systems Manager and write its own logs; what else it may do, the walls that own
// the thing attach: files its access point, database its secret.
func roles(p *plan.Plan, s *cfn.Stacks) {
	st := s.Stack(plan.StackNetwork)
	for _, t := range p.Tiers {
		ref := plan.RefRole(t.Name)
		logs := st.Add(tierID(t.Name)+"Logs", &res.LogsLogGroup{
			RetentionInDays: cfn.I(365), KmsKeyId: s.Use(plan.RefLogsKey, st),
		}, cfn.Retain())
		role := st.Add(ref.Name, &res.IAMRole{
			Description:              cfn.S("Instances of " + t.Name + " of " + p.Site() + "."),
			AssumeRolePolicyDocument: cfn.Assume("ec2.amazonaws.com"),
			Policies: []*res.IAMRole_Policy{{PolicyName: cfn.S("instance"), PolicyDocument: cfn.Policy{
				// What the agent of Systems Manager asks for, without the parameters of the
				// account that AmazonSSMManagedInstanceCore would open. None of it can be
				// narrowed to an instance (docs.aws.amazon.com/service-authorization, Systems Manager).
				{Sid: "ManagedBySystemsManager", Action: agentActions, Resource: cfn.Strs("*")},
				{Sid: "OwnLogs", Action: []string{"logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"},
					Resource: []cfn.String{logs.Att("Arn")}},
				{Sid: "OwnMetrics", Action: []string{"cloudwatch:PutMetricData"}, Resource: cfn.Strs("*"),
					Condition: cfn.M{"StringEquals": cfn.M{"cloudwatch:namespace": "Ringwall/" + p.Site()}}},
			}}},
		})
		profile := st.Add(plan.RefInstanceProfile(t.Name).Name, &res.IAMInstanceProfile{Roles: []cfn.String{role.Ref()}})
		s.Provide(ref, st, role.Ref())
		s.Provide(plan.RefRoleARN(t.Name), st, role.Att("Arn"))
		s.Provide(plan.RefInstanceProfile(t.Name), st, profile.Att("Arn"))
		s.Provide(plan.RefTierLogs(t.Name), st, logs.Ref())
	}
	operator(p, st)
}

var agentActions = []string{
	"ec2messages:AcknowledgeMessage", "ec2messages:DeleteMessage", "ec2messages:FailMessage", "ec2messages:GetEndpoint",
	"ec2messages:GetMessages", "ec2messages:SendReply",
	"ssm:DescribeAssociation", "ssm:GetDeployablePatchSnapshotForInstance", "ssm:GetDocument", "ssm:DescribeDocument", "ssm:GetManifest",
	"ssm:ListAssociations", "ssm:ListInstanceAssociations", "ssm:PutComplianceItems", "ssm:PutConfigurePackageResult", "ssm:PutInventory",
	"ssm:UpdateAssociationStatus", "ssm:UpdateInstanceAssociationStatus", "ssm:UpdateInstanceInformation",
	"ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel", "ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel",
}

// operator lets people with a second factor open a shell on the admin tier by
// Session Manager, for an hour; there is no other way in and none to fleet.
func operator(p *plan.Plan, st *cfn.Stack) {
	st.Add("OperatorRole", &res.IAMRole{
		Description:              cfn.S("People who open a shell on the admin tier of " + p.Site() + "."),
		MaxSessionDuration:       cfn.I(3600),
		AssumeRolePolicyDocument: withMFA(),
		Policies: []*res.IAMRole_Policy{{PolicyName: cfn.S("session"), PolicyDocument: cfn.Policy{
			{Sid: "ShellOnAdmin", Action: []string{"ssm:StartSession"},
				Resource: []cfn.String{cfn.Sub("arn:${AWS::Partition}:ec2:${AWS::Region}:${AWS::AccountId}:instance/*")},
				Condition: cfn.M{
					"StringEquals": cfn.M{"ssm:resourceTag/ringwall:site": p.Site(), "ssm:resourceTag/" + plan.TierTag: plan.Admin},
					"Bool":         cfn.M{"ssm:SessionDocumentAccessCheck": "true"},
				}},
			{Sid: "OfOneKind", Action: []string{"ssm:StartSession"},
				Resource: []cfn.String{cfn.Sub("arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:document/SSM-SessionManagerRunShell")}},
			{Sid: "OwnSessions", Action: []string{"ssm:ResumeSession", "ssm:TerminateSession"},
				Resource: []cfn.String{cfn.Sub("arn:${AWS::Partition}:ssm:*:${AWS::AccountId}:session/${!aws:userid}-*")}},
		}}},
	})
}

// withMFA trusts people of this account who have proved a second factor within the hour.
func withMFA() cfn.Policy {
	return cfn.Policy{{
		Principal: cfn.AWS(cfn.Sub("arn:${AWS::Partition}:iam::${AWS::AccountId}:root")), Action: []string{"sts:AssumeRole"},
		Condition: cfn.M{
			"Bool":            cfn.M{"aws:MultiFactorAuthPresent": "true"},
			"NumericLessThan": cfn.M{"aws:MultiFactorAuthAge": "3600"},
		},
	}}
}

func tierID(tier string) string { return strings.ToUpper(tier[:1]) + tier[1:] }
