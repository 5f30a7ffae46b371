package diff

import (
	"github.com/ringwall/ringwall/internal/template"
)

// dataSettings say how data is kept from loss.
func dataSettings() []setting {
	return []setting{
		{"AWS::RDS::DBInstance", "DeletionProtection", "data", truth(false), false},
		{"AWS::RDS::DBCluster", "DeletionProtection", "data", truth(false), false},
		{"AWS::RDS::DBInstance", "BackupRetentionPeriod", "data", number(1), false},
		{"AWS::RDS::DBCluster", "BackupRetentionPeriod", "data", number(1), false},
		{"AWS::RDS::DBInstance", "MultiAZ", "data", truth(false), false},
		{"AWS::EFS::FileSystem", "BackupPolicy/Status", "data", ranked("DISABLED", "ENABLED"), false},
		{"AWS::S3::Bucket", "VersioningConfiguration/Status", "data", ranked("Suspended", "Enabled"), false},
		{"AWS::S3::Bucket", "ObjectLockEnabled", "data", truth(false), false},
		{"AWS::S3::Bucket", "LifecycleConfiguration", "data", shorter, false},
		{"AWS::DynamoDB::Table", "DeletionProtectionEnabled", "data", truth(false), false},
		{"AWS::DynamoDB::Table", "PointInTimeRecoverySpecification/PointInTimeRecoveryEnabled", "data", truth(false), false},
		{"AWS::ElasticLoadBalancingV2::LoadBalancer", "LoadBalancerAttributes[Key=deletion_protection.enabled]/Value", "data", truth(false), false},
		{"AWS::Backup::BackupVault", "LockConfiguration", "data", present, false},
		{"AWS::Backup::BackupVault", "LockConfiguration/MinRetentionDays", "data", number(0), false},
		{"AWS::Backup::BackupPlan", "BackupPlan/BackupPlanRule[*]/Lifecycle/DeleteAfterDays", "data", number(1 << 30), false},
		{"AWS::Backup::BackupSelection", "BackupSelection", "data", present, false},
		{"AWS::KMS::Key", "PendingWindowInDays", "data", number(30), false},
		{"AWS::KMS::Key", "Enabled", "data", truth(true), true},
	}
}

// shorter orders lifecycles: none keeps for ever.
func shorter(before, after []*template.Value) direction {
	switch {
	case len(before) == 0:
		return weaker
	case len(after) == 0:
		return stronger
	}
	return unclear
}
