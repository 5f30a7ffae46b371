package people

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/ringwall/ringwall/internal/cfn"
	"github.com/ringwall/ringwall/internal/cfn/res"
	"github.com/ringwall/ringwall/plan"
)

// watchers adds what an account has once: the access analyzer (CIS 1.20) and GuardDuty
// of both Regions, the recorder of AWS Config (3.5), Security Hub (4.16), and a role for
// cases with AWS Support (1.17).
func watchers(p *plan.Plan, s *cfn.Stacks, logs *cfn.Handle) {
	st := s.Stack(plan.StackBaseline)
	analyzer := &res.AccessAnalyzerAnalyzer{Type: cfn.S("ACCOUNT")}
	st.Add("AccessAnalyzer", analyzer)
	st.Add("ThreatDetector", threatDetector())
	if p.AWS.Region != plan.EdgeRegion {
		s.Stack(plan.StackCDN).Add("AccessAnalyzer", analyzer)
		s.Stack(plan.StackCDN).Add("ThreatDetector", threatDetector())
	}
	st.Add("SecurityHub", &res.SecurityHubHub{EnableDefaultStandards: cfn.B(false), AutoEnableControls: cfn.B(true), ControlFindingGenerator: cfn.S("SECURITY_CONTROL")})
	st.Add("SupportRole", &res.IAMRole{
		Description:              cfn.S("People who handle cases with AWS Support."),
		MaxSessionDuration:       cfn.I(3600),
		AssumeRolePolicyDocument: withMFA(),
		ManagedPolicyArns:        []cfn.String{cfn.AWSPolicy("AWSSupportAccess")},
	})
	recorder(p, s, logs)
}

// threatDetector is GuardDuty, on what the site has: calls of the account, its networks,
// buckets, databases, functions and disks. Security Hub shows what it finds. An agent on
// the instances (RUNTIME_MONITORING) would need one more way out of the VPC.
func threatDetector() *res.GuardDutyDetector {
	d := &res.GuardDutyDetector{Enable: cfn.B(true), FindingPublishingFrequency: cfn.S("FIFTEEN_MINUTES")}
	for _, name := range []string{"S3_DATA_EVENTS", "RDS_LOGIN_EVENTS", "LAMBDA_NETWORK_LOGS", "EBS_MALWARE_PROTECTION"} {
		d.Features = append(d.Features, &res.GuardDutyDetector_CFNFeatureConfiguration{Name: cfn.S(name), Status: cfn.S("ENABLED")})
	}
	return d
}

// recorder keeps the history of every resource's configuration.
func recorder(p *plan.Plan, s *cfn.Stacks, logs *cfn.Handle) {
	st := s.Stack(plan.StackBaseline)
	path := func(suffix string) cfn.String {
		return cfn.Sub("arn:${AWS::Partition}:s3:::${Bucket}"+suffix, cfn.With{"Bucket": cfn.RefTo("ConfigBucket")})
	}
	from := cfn.M{"StringEquals": cfn.M{"aws:SourceAccount": cfn.AccountID}}
	service := cfn.Service("config.amazonaws.com")
	b := bucket(st, "ConfigBucket", &res.S3Bucket{
		BucketEncryption: &res.S3Bucket_BucketEncryption{ServerSideEncryptionConfiguration: []*res.S3Bucket_ServerSideEncryptionRule{{
			ServerSideEncryptionByDefault: &res.S3Bucket_ServerSideEncryptionByDefault{SSEAlgorithm: cfn.S("AES256")},
		}}},
		LoggingConfiguration: &res.S3Bucket_LoggingConfiguration{DestinationBucketName: logs.Ref(), LogFilePrefix: cfn.S("s3/config/")},
	}, cfn.Policy{
		{Sid: "ConfigAsks", Principal: service, Action: []string{"s3:GetBucketAcl", "s3:ListBucket"}, Resource: []cfn.String{path("")}, Condition: from},
		{Sid: "ConfigWrites", Principal: service, Action: []string{"s3:PutObject"}, Resource: []cfn.String{path("/AWSLogs/${AWS::AccountId}/Config/*")}, Condition: from},
	})
	role := st.Add("ConfigRole", &res.IAMRole{
		Description:              cfn.S("Lets AWS Config read configurations."),
		AssumeRolePolicyDocument: cfn.Policy{{Principal: service, Action: []string{"sts:AssumeRole"}, Condition: from}},
		ManagedPolicyArns:        []cfn.String{cfn.AWSPolicy("service-role/AWS_ConfigRole")},
		Policies: []*res.IAMRole_Policy{{PolicyName: cfn.S("deliver"), PolicyDocument: cfn.Policy{
			{Action: []string{"s3:PutObject"}, Resource: []cfn.String{path("/AWSLogs/${AWS::AccountId}/Config/*")}},
			{Action: []string{"s3:GetBucketAcl"}, Resource: []cfn.String{path("")}},
		}}},
	})
	st.Add("ConfigChannel", &res.ConfigDeliveryChannel{S3BucketName: b.Ref()}, cfn.DependsOn(st.Find("ConfigBucketPolicy")))
	st.Add("ConfigRecorder", &res.ConfigConfigurationRecorder{
		RoleARN: role.Att("Arn"),
		RecordingGroup: &res.ConfigConfigurationRecorder_RecordingGroup{
			AllSupported: cfn.B(true), IncludeGlobalResourceTypes: cfn.B(true),
		},
	})
}

// backups adds a locked vault, a plan that fills it each night, and one that
// restores from it each week to see that it can be done.
func backups(p *plan.Plan, s *cfn.Stacks) {
	st := s.Stack(plan.StackBaseline)
	vault := st.Add("BackupVault", &res.BackupBackupVault{
		BackupVaultName:   vaultName(p.Site()),
		EncryptionKeyArn:  s.Use(plan.RefDataKey, st),
		LockConfiguration: &res.BackupBackupVault_LockConfigurationType{MinRetentionDays: cfn.I(7), MaxRetentionDays: cfn.I(365)},
		AccessPolicy: cfn.Policy{{Sid: "NobodyDeletes", Deny: true, Principal: cfn.Anyone, Resource: cfn.Strs("*"),
			Action: []string{"backup:DeleteRecoveryPoint", "backup:UpdateRecoveryPointLifecycle", "backup:DeleteBackupVaultLockConfiguration"}}},
	}, cfn.Retain())
	s.Provide(plan.RefBackupVault, st, vault.Ref())
	role := st.Add("BackupRole", &res.IAMRole{
		Description:              cfn.S("Lets AWS Backup keep and restore the stores of " + p.Site() + "."),
		AssumeRolePolicyDocument: cfn.Assume("backup.amazonaws.com"),
		ManagedPolicyArns: []cfn.String{
			cfn.AWSPolicy("service-role/AWSBackupServiceRolePolicyForBackup"), cfn.AWSPolicy("service-role/AWSBackupServiceRolePolicyForRestores")},
	})
	nightly := st.Add("BackupPlan", &res.BackupBackupPlan{BackupPlan: &res.BackupBackupPlan_BackupPlanResourceType{
		BackupPlanName: cfn.S(atMost(p.Site(), 50)),
		BackupPlanRule: []*res.BackupBackupPlan_BackupRuleResourceType{{
			RuleName: cfn.S("nightly"), TargetBackupVault: vault.Ref(), ScheduleExpression: cfn.S("cron(0 3 * * ? *)"),
			StartWindowMinutes: cfn.N(60), CompletionWindowMinutes: cfn.N(480),
			Lifecycle: &res.BackupBackupPlan_LifecycleResourceType{DeleteAfterDays: cfn.N(35)},
		}},
	}})
	st.Add("BackupSelection", &res.BackupBackupSelection{
		BackupPlanId: nightly.Ref(),
		BackupSelection: &res.BackupBackupSelection_BackupSelectionResourceType{
			SelectionName: cfn.S(atMost(p.Site(), 50)), IamRoleArn: role.Att("Arn"),
			ListOfTags: []*res.BackupBackupSelection_ConditionResourceType{{
				ConditionType: cfn.S("STRINGEQUALS"), ConditionKey: cfn.S(plan.BackupTag), ConditionValue: cfn.S(p.Site()),
			}},
		},
	})
	test := st.Add("RestoreTest", &res.BackupRestoreTestingPlan{
		RestoreTestingPlanName: cfn.S(underscored(atMost(p.Site(), 50))), ScheduleExpression: cfn.S("cron(0 6 ? * SUN *)"), StartWindowHours: cfn.I(24),
		RecoveryPointSelection: &res.BackupRestoreTestingPlan_RestoreTestingRecoveryPointSelection{
			Algorithm: cfn.S("LATEST_WITHIN_WINDOW"), IncludeVaults: []cfn.String{vault.Att("BackupVaultArn")},
			RecoveryPointTypes: cfn.Strs("SNAPSHOT"), SelectionWindowDays: cfn.I(14),
		},
	})
	kinds := []string{"EFS"}
	switch p.Database.Config {
	case plan.DBInstance:
		kinds = append(kinds, "RDS")
	case plan.DBCluster:
		kinds = append(kinds, "Aurora")
	}
	for _, kind := range kinds {
		st.Add("RestoreTestOf"+kind, &res.BackupRestoreTestingSelection{
			RestoreTestingPlanName: test.Ref(), RestoreTestingSelectionName: cfn.S(underscored(atMost(p.Site(), 43)) + "_" + kind),
			IamRoleArn: role.Att("Arn"), ProtectedResourceType: cfn.S(kind), ValidationWindowHours: cfn.I(1),
			ProtectedResourceConditions: &res.BackupRestoreTestingSelection_ProtectedResourceConditions{
				StringEquals: []*res.BackupRestoreTestingSelection_KeyValue{{
					Key: cfn.S("aws:ResourceTag/" + plan.BackupTag), Value: cfn.S(p.Site()),
				}},
			},
		})
	}
}

// vaultName is the site's with the first part of the stack's own id: a vault that is
// kept when the stack goes is not in the next one's way.
func vaultName(site string) cfn.String {
	id := cfn.Split(0, "-", cfn.Split(2, "/", cfn.StackID))
	return cfn.Join("-", cfn.S(site[:min(len(site), 40)]), id)
}

// atMost is a name of n characters at most: a longer one ends in a part of its
// hash, so that two of them stay two.
func atMost(s string, n int) string {
	if len(s) <= n {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	return s[:n-7] + "-" + hex.EncodeToString(sum[:3])
}

func underscored(s string) string { return strings.ReplaceAll(s, "-", "_") }
