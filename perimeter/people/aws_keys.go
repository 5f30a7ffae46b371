package people

import (
	"github.com/ringwall/ringwall/internal/cfn"
	"github.com/ringwall/ringwall/internal/cfn/res"
	"github.com/ringwall/ringwall/plan"
)

// keys adds two customer keys that rotate each year (CIS 3.8): one for what the
// site stores, one for what is written about it.
func keys(p *plan.Plan, s *cfn.Stacks) {
	st := s.Stack(plan.StackBaseline)
	data := key(st, "DataKey", "databases, files, secrets and backups of "+p.Site(), cfn.Policy{
		owners(),
		{
			Sid: "StoresOfThisAccount", Principal: cfn.M{"AWS": "*"},
			Action:   []string{"kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:CreateGrant", "kms:DescribeKey"},
			Resource: cfn.Strs("*"),
			Condition: cfn.M{"StringEquals": cfn.M{
				"kms:CallerAccount": cfn.AccountID,
				"kms:ViaService": []cfn.String{
					via("rds"), via("elasticfilesystem"), via("secretsmanager"), via("backup"),
				},
			}},
		},
	})
	s.Provide(plan.RefDataKey, st, data.Att("Arn"))

	logs := key(st, "LogsKey", "logs and alarms of "+p.Site(), cfn.Policy{
		owners(),
		{
			Sid: "LogGroups", Principal: cfn.M{"Service": cfn.Sub("logs.${AWS::Region}.amazonaws.com")},
			Action:    []string{"kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"},
			Resource:  cfn.Strs("*"),
			Condition: cfn.M{"ArnLike": cfn.M{"kms:EncryptionContext:aws:logs:arn": cfn.Sub("arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:*")}},
		},
		{
			Sid: "Trail", Principal: cfn.Service("cloudtrail.amazonaws.com"), Action: []string{"kms:GenerateDataKey*", "kms:DescribeKey"}, Resource: cfn.Strs("*"),
			Condition: cfn.M{"StringEquals": cfn.M{"aws:SourceArn": trailARN(p)}},
		},
		{
			Sid: "Alarms", Principal: cfn.Service("cloudwatch.amazonaws.com"), Action: []string{"kms:Decrypt", "kms:GenerateDataKey*"}, Resource: cfn.Strs("*"),
			Condition: cfn.M{"StringEquals": cfn.M{"aws:SourceAccount": cfn.AccountID}},
		},
		{
			// Auto scaling and Image Builder tell of what they do as roles of theirs in this account.
			Sid: "Notices", Principal: cfn.M{"AWS": "*"}, Action: []string{"kms:Decrypt", "kms:GenerateDataKey*"}, Resource: cfn.Strs("*"),
			Condition: cfn.M{
				"StringEquals": cfn.M{"kms:CallerAccount": cfn.AccountID, "kms:ViaService": via("sns")},
				"ArnLike":      cfn.M{"aws:PrincipalArn": cfn.Sub("arn:${AWS::Partition}:iam::${AWS::AccountId}:role/aws-service-role/*")},
			},
		},
	})
	s.Provide(plan.RefLogsKey, st, logs.Att("Arn"))
}

func via(service string) cfn.String { return cfn.Sub(service + ".${AWS::Region}.amazonaws.com") }

// owners leaves the administration of a key to the account's own IAM policies.
func owners() cfn.Statement {
	return cfn.Statement{
		Sid: "AdministeredByThisAccount", Principal: cfn.AWS(cfn.Sub("arn:${AWS::Partition}:iam::${AWS::AccountId}:root")),
		Action: []string{"kms:*"}, Resource: cfn.Strs("*"),
	}
}

func key(st *cfn.Stack, id, about string, policy cfn.Policy) *cfn.Handle {
	return st.Add(id, &res.KMSKey{
		Description:         cfn.S("Key of the " + about + "."),
		EnableKeyRotation:   cfn.B(true),
		PendingWindowInDays: cfn.I(30),
		KeyPolicy:           append(policy, cfn.GrantsOfServicesOnly()),
	}, cfn.Retain())
}
