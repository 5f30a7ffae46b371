package diff

import (
	"strings"

	"github.com/ringwall/ringwall/internal/template"
)

// encryptionSettings say how things are encrypted, at rest and on the way.
func encryptionSettings() []setting {
	return []setting{
		{"AWS::RDS::DBInstance", "StorageEncrypted", "encryption", truth(false), false}, // a member of a cluster has its cluster's
		{"AWS::RDS::DBCluster", "StorageEncrypted", "encryption", truth(false), true},
		{"AWS::RDS::DBInstance", "KmsKeyId", "encryption", key, false},
		{"AWS::RDS::DBCluster", "KmsKeyId", "encryption", key, false},
		{"AWS::RDS::DBParameterGroup", "Parameters/rds.force_ssl", "encryption", truth(false), false},
		{"AWS::RDS::DBParameterGroup", "Parameters/require_secure_transport", "encryption", truth(false), false},
		{"AWS::RDS::DBClusterParameterGroup", "Parameters/rds.force_ssl", "encryption", truth(false), false},
		{"AWS::RDS::DBClusterParameterGroup", "Parameters/require_secure_transport", "encryption", truth(false), false},
		{"AWS::EFS::FileSystem", "Encrypted", "encryption", truth(false), true},
		{"AWS::EFS::FileSystem", "KmsKeyId", "encryption", key, false},
		{"AWS::S3::Bucket", "BucketEncryption/ServerSideEncryptionConfiguration[*]/ServerSideEncryptionByDefault/KMSMasterKeyID", "encryption", key, false},
		{"AWS::S3::Bucket", "BucketEncryption/ServerSideEncryptionConfiguration[*]/ServerSideEncryptionByDefault/SSEAlgorithm", "encryption", ranked("AES256", "aws:kms", "aws:kms:dsse"), false},
		{"AWS::SQS::Queue", "SqsManagedSseEnabled", "encryption", truth(true), true},
		{"AWS::SQS::Queue", "KmsMasterKeyId", "encryption", key, false},
		{"AWS::SNS::Topic", "KmsMasterKeyId", "encryption", key, false},
		{"AWS::DynamoDB::Table", "SSESpecification/SSEEnabled", "encryption", truth(false), false},
		{"AWS::Logs::LogGroup", "KmsKeyId", "encryption", key, false},
		{"AWS::CloudTrail::Trail", "KMSKeyId", "encryption", key, false},
		{"AWS::Backup::BackupVault", "EncryptionKeyArn", "encryption", key, false},
		{"AWS::SecretsManager::Secret", "KmsKeyId", "encryption", key, false},
		{"AWS::KMS::Key", "EnableKeyRotation", "encryption", truth(false), true},
		{"AWS::EC2::LaunchTemplate", "LaunchTemplateData/BlockDeviceMappings[*]/Ebs/Encrypted", "encryption", truth(false), true},
		{"AWS::ElasticLoadBalancingV2::Listener", "Protocol", "encryption", ranked("HTTP", "HTTPS"), false},
		{"AWS::ElasticLoadBalancingV2::Listener", "SslPolicy", "encryption", tlsPolicy, false},
		{"AWS::ElasticLoadBalancingV2::TargetGroup", "Protocol", "encryption", ranked("HTTP", "HTTPS"), false},
		{"AWS::CloudFront::Distribution", "DistributionConfig/ViewerCertificate/MinimumProtocolVersion", "encryption",
			ranked("SSLv3", "TLSv1", "TLSv1_2016", "TLSv1.1_2016", "TLSv1.2_2018", "TLSv1.2_2019", "TLSv1.2_2021", "TLSv1.2_2025", "TLSv1.3_2025"), false},
		{"AWS::CloudFront::Distribution", "DistributionConfig/DefaultCacheBehavior/ViewerProtocolPolicy", "encryption", ranked("allow-all", "redirect-to-https", "https-only"), true},
		{"AWS::CloudFront::Distribution", "DistributionConfig/CacheBehaviors[*]/ViewerProtocolPolicy", "encryption", ranked("allow-all", "redirect-to-https", "https-only"), true},
		{"AWS::CloudFront::Distribution", "DistributionConfig/Origins[*]/CustomOriginConfig/OriginProtocolPolicy", "encryption", ranked("http-only", "match-viewer", "https-only"), true},
		{"AWS::CloudFront::VpcOrigin", "VpcOriginEndpointConfig/OriginProtocolPolicy", "encryption", ranked("http-only", "match-viewer", "https-only"), true},
	}
}

// key orders encryption keys: to have one of one's own is stronger, and a change of
// keys cannot be ordered.
func key(before, after []*template.Value) direction { return present(before, after) }

// tlsPolicy orders the security policies of load balancers by the oldest protocol
// that they speak (ELB guide, security policies for HTTPS listeners).
var tlsPolicy = leveled(0, 2, func(v *template.Value) (int, bool) {
	s, ok := v.Literal()
	s = strings.TrimPrefix(s, "ELBSecurityPolicy-")
	switch {
	case !ok:
		return 0, false
	case strings.HasPrefix(s, "TLS13-1-3"):
		return 3, true
	case strings.HasPrefix(s, "TLS13-1-2"), strings.HasPrefix(s, "TLS-1-2"), strings.HasPrefix(s, "FS-1-2"):
		return 2, true
	case strings.HasPrefix(s, "TLS13-1-1"), strings.HasPrefix(s, "TLS-1-1"), strings.HasPrefix(s, "FS-1-1"):
		return 1, true
	case s == "2016-08", s == "2015-05", s == "FS-2018-06", strings.HasPrefix(s, "TLS13-1-0"), s == "TLS-1-0-2015-04":
		return 0, true
	}
	return 0, false
})
