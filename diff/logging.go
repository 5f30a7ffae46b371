package diff

// loggingSettings say what is written down, and where.
func loggingSettings() []setting {
	return []setting{
		{"AWS::ElasticLoadBalancingV2::LoadBalancer", "LoadBalancerAttributes[Key=access_logs.s3.enabled]/Value", "logging", truth(false), false},
		{"AWS::ElasticLoadBalancingV2::LoadBalancer", "LoadBalancerAttributes[Key=access_logs.s3.bucket]/Value", "logging", present, false},
		{"AWS::CloudFront::Distribution", "DistributionConfig/Logging/Bucket", "logging", present, false},
		{"AWS::S3::Bucket", "LoggingConfiguration", "logging", present, false},
		{"AWS::RDS::DBInstance", "EnableCloudwatchLogsExports", "logging", set, false},
		{"AWS::RDS::DBCluster", "EnableCloudwatchLogsExports", "logging", set, false},
		{"AWS::Logs::LogGroup", "RetentionInDays", "logging", number(1 << 30), false}, // absent: for ever
		{"AWS::CloudTrail::Trail", "IsLogging", "logging", truth(true), true},
		{"AWS::CloudTrail::Trail", "IsMultiRegionTrail", "logging", truth(false), false},
		{"AWS::CloudTrail::Trail", "EnableLogFileValidation", "logging", truth(false), true},
		{"AWS::CloudTrail::Trail", "EventSelectors", "logging", present, false},
		{"AWS::CloudTrail::Trail", "S3BucketName", "logging", present, false},
		{"AWS::EC2::FlowLog", "TrafficType", "logging", ranked("ACCEPT", "ALL"), false},
		{"AWS::WAFv2::LoggingConfiguration", "LogDestinationConfigs", "logging", set, false},
		{"AWS::WAFv2::LoggingConfiguration", "RedactedFields", "logging", set, false},
		{"AWS::CloudWatch::Alarm", "AlarmActions", "logging", set, false},
		{"AWS::CloudWatch::Alarm", "ActionsEnabled", "logging", truth(true), true},
	}
}
