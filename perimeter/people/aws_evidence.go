package people

import (
	"cmp"
	_ "embed"
	"fmt"
	"strings"

	"github.com/ringwall/ringwall/internal/cfn"
	"github.com/ringwall/ringwall/internal/cfn/res"
	"github.com/ringwall/ringwall/plan"
)

// keepDays is how long evidence is kept: a year, and a month to find it.
const keepDays = 400

// bucket adds a bucket for evidence: private, encrypted, versioned, over TLS only,
// and nobody deletes from it; what is old goes by itself. Its name is AWS's choice.
func bucket(st *cfn.Stack, id string, b *res.S3Bucket, more cfn.Policy) *cfn.Handle {
	b.PublicAccessBlockConfiguration = &res.S3Bucket_PublicAccessBlockConfiguration{
		BlockPublicAcls: cfn.B(true), BlockPublicPolicy: cfn.B(true), IgnorePublicAcls: cfn.B(true), RestrictPublicBuckets: cfn.B(true),
	}
	b.OwnershipControls = &res.S3Bucket_OwnershipControls{Rules: []*res.S3Bucket_OwnershipControlsRule{{ObjectOwnership: cfn.S("BucketOwnerEnforced")}}}
	b.VersioningConfiguration = &res.S3Bucket_VersioningConfiguration{Status: cfn.S("Enabled")}
	b.LifecycleConfiguration = &res.S3Bucket_LifecycleConfiguration{Rules: []*res.S3Bucket_Rule{{
		Id: cfn.S("old"), Status: cfn.S("Enabled"), ExpirationInDays: cfn.I(keepDays),
		NoncurrentVersionExpiration:    &res.S3Bucket_NoncurrentVersionExpiration{NoncurrentDays: cfn.I(30)},
		AbortIncompleteMultipartUpload: &res.S3Bucket_AbortIncompleteMultipartUpload{DaysAfterInitiation: cfn.I(7)},
	}}}
	h := st.Add(id, b, cfn.Retain())
	both := []cfn.String{h.Att("Arn"), cfn.Join("", h.Att("Arn"), cfn.S("/*"))}
	policy := cfn.Policy{
		{Sid: "TLSOnly", Deny: true, Principal: cfn.Anyone, Action: []string{"s3:*"}, Resource: both,
			Condition: cfn.M{"Bool": cfn.M{"aws:SecureTransport": "false"}}},
		{Sid: "NewTLSOnly", Deny: true, Principal: cfn.Anyone, Action: []string{"s3:*"}, Resource: both,
			Condition: cfn.M{"NumericLessThan": cfn.M{"s3:TlsVersion": "1.2"}}},
		{Sid: "NobodyDeletes", Deny: true, Principal: cfn.Anyone, Resource: both,
			Action: []string{"s3:DeleteObject", "s3:DeleteObjectVersion", "s3:DeleteBucket", "s3:PutObjectRetention", "s3:BypassGovernanceRetention"}},
	}
	st.Add(id+"Policy", &res.S3BucketPolicy{Bucket: h.Ref(), PolicyDocument: append(policy, more...)})
	return h
}

// accessLogs adds the bucket of access logs. Balancers and S3 itself write only to
// buckets under S3's own key (docs.aws.amazon.com/elasticloadbalancing, access logs).
func accessLogs(p *plan.Plan, s *cfn.Stacks) *cfn.Handle {
	st := s.Stack(plan.StackBaseline)
	to := func(prefix string) cfn.String {
		return cfn.Sub("arn:${AWS::Partition}:s3:::${Bucket}/"+prefix, cfn.With{"Bucket": cfn.RefTo("AccessLogs")})
	}
	h := bucket(st, "AccessLogs", &res.S3Bucket{
		BucketEncryption: &res.S3Bucket_BucketEncryption{ServerSideEncryptionConfiguration: []*res.S3Bucket_ServerSideEncryptionRule{{
			ServerSideEncryptionByDefault: &res.S3Bucket_ServerSideEncryptionByDefault{SSEAlgorithm: cfn.S("AES256")},
		}}},
	}, cfn.Policy{
		{Sid: "Balancers", Principal: cfn.Service("logdelivery.elasticloadbalancing.amazonaws.com"), Action: []string{"s3:PutObject"},
			Resource: []cfn.String{to("alb/*")},
			Condition: cfn.M{
				"StringEquals": cfn.M{"aws:SourceAccount": cfn.AccountID},
				"ArnLike":      cfn.M{"aws:SourceArn": cfn.Sub("arn:${AWS::Partition}:elasticloadbalancing:${AWS::Region}:${AWS::AccountId}:loadbalancer/*")},
			}},
		{Sid: "Buckets", Principal: cfn.Service("logging.s3.amazonaws.com"), Action: []string{"s3:PutObject"},
			Resource: []cfn.String{to("s3/*")}, Condition: cfn.M{"StringEquals": cfn.M{"aws:SourceAccount": cfn.AccountID}}},
	})
	s.Provide(plan.RefAccessLogs, st, h.Ref())
	return h
}

// trail records every call of the account in every Region (CIS 3.1 to 3.4, 3.6,
// 3.7, 3.10, 3.11).
func trail(p *plan.Plan, s *cfn.Stacks, logs *cfn.Handle) *cfn.Handle {
	st := s.Stack(plan.StackBaseline)
	arn := trailARN(p)
	from := cfn.M{"StringEquals": cfn.M{"aws:SourceArn": arn}}
	store := func(suffix string) cfn.String {
		return cfn.Sub("arn:${AWS::Partition}:s3:::${Bucket}"+suffix, cfn.With{"Bucket": cfn.RefTo("TrailBucket")})
	}
	b := bucket(st, "TrailBucket", &res.S3Bucket{
		BucketEncryption: &res.S3Bucket_BucketEncryption{ServerSideEncryptionConfiguration: []*res.S3Bucket_ServerSideEncryptionRule{{
			BucketKeyEnabled: cfn.B(true),
			ServerSideEncryptionByDefault: &res.S3Bucket_ServerSideEncryptionByDefault{
				SSEAlgorithm: cfn.S("aws:kms"), KMSMasterKeyID: s.Use(plan.RefLogsKey, st)},
		}}},
		LoggingConfiguration: &res.S3Bucket_LoggingConfiguration{DestinationBucketName: logs.Ref(), LogFilePrefix: cfn.S("s3/trail/")},
		ObjectLockEnabled:    cfn.B(true),
		ObjectLockConfiguration: &res.S3Bucket_ObjectLockConfiguration{
			ObjectLockEnabled: cfn.S("Enabled"),
			Rule: &res.S3Bucket_ObjectLockRule{DefaultRetention: &res.S3Bucket_DefaultRetention{
				Mode: cfn.S("GOVERNANCE"), Days: cfn.I(365),
			}},
		},
	}, cfn.Policy{
		{Sid: "TrailAsks", Principal: cfn.Service("cloudtrail.amazonaws.com"), Action: []string{"s3:GetBucketAcl"}, Resource: []cfn.String{store("")}, Condition: from},
		{Sid: "TrailWrites", Principal: cfn.Service("cloudtrail.amazonaws.com"), Action: []string{"s3:PutObject"},
			Resource: []cfn.String{store("/AWSLogs/${AWS::AccountId}/*")}, Condition: from},
	})
	group := st.Add("TrailLogs", &res.LogsLogGroup{RetentionInDays: cfn.I(365), KmsKeyId: s.Use(plan.RefLogsKey, st)}, cfn.Retain())
	role := st.Add("TrailRole", &res.IAMRole{
		Description: cfn.S("Lets the trail write to its log group."),
		AssumeRolePolicyDocument: cfn.Policy{{Principal: cfn.Service("cloudtrail.amazonaws.com"), Action: []string{"sts:AssumeRole"},
			Condition: cfn.M{"StringEquals": cfn.M{"aws:SourceArn": arn}}}},
		Policies: []*res.IAMRole_Policy{{PolicyName: cfn.S("write"), PolicyDocument: cfn.Policy{{
			Action: []string{"logs:CreateLogStream", "logs:PutLogEvents"}, Resource: []cfn.String{group.Att("Arn")},
		}}}},
	})
	st.Add("Trail", &res.CloudTrailTrail{
		TrailName: cfn.S(p.Site()), IsLogging: cfn.B(true), IsMultiRegionTrail: cfn.B(true), IncludeGlobalServiceEvents: cfn.B(true),
		EnableLogFileValidation: cfn.B(true), S3BucketName: b.Ref(), KMSKeyId: s.Use(plan.RefLogsKey, st),
		CloudWatchLogsLogGroupArn: group.Att("Arn"), CloudWatchLogsRoleArn: role.Att("Arn"),
		EventSelectors: []*res.CloudTrailTrail_EventSelector{{
			IncludeManagementEvents: cfn.B(true), ReadWriteType: cfn.S("All"),
			DataResources: []*res.CloudTrailTrail_DataResource{{Type: cfn.S("AWS::S3::Object"), Values: []cfn.String{cfn.Sub("arn:${AWS::Partition}:s3")}}},
		}},
	}, cfn.DependsOn(st.Find("TrailBucketPolicy")))
	s.Provide(plan.RefTrailLogGroup, st, group.Ref())
	return group
}

// trailARN is the trail's, from its name: the bucket and the key know it before it is there.
func trailARN(p *plan.Plan) cfn.String {
	return cfn.Sub("arn:${AWS::Partition}:cloudtrail:${AWS::Region}:${AWS::AccountId}:trail/" + p.Site())
}

// alarmTopic adds the topic of every alarm of the site, and who reads it.
func alarmTopic(p *plan.Plan, s *cfn.Stacks) *cfn.Handle {
	st := s.Stack(plan.StackBaseline)
	topic := st.Add("AlarmTopic", &res.SNSTopic{
		DisplayName: cfn.S("Alarms of " + p.Site()), KmsMasterKeyId: s.Use(plan.RefLogsKey, st),
	})
	st.Add("AlarmTopicPolicy", &res.SNSTopicPolicy{Topics: []cfn.String{topic.Ref()}, PolicyDocument: cfn.Policy{
		{Sid: "Alarms", Principal: cfn.Service("cloudwatch.amazonaws.com"), Action: []string{"sns:Publish"},
			Resource: []cfn.String{topic.Ref()}, Condition: cfn.M{"StringEquals": cfn.M{"aws:SourceAccount": cfn.AccountID}}},
		{Sid: "TLSOnly", Deny: true, Principal: cfn.Anyone, Action: []string{"sns:Publish"}, Resource: []cfn.String{topic.Ref()},
			Condition: cfn.M{"Bool": cfn.M{"aws:SecureTransport": "false"}}},
	}})
	if p.AWS.AlarmEmail != "" {
		st.Add("AlarmReader", &res.SNSSubscription{TopicArn: topic.Ref(), Protocol: cfn.S("email"), Endpoint: cfn.S(p.AWS.AlarmEmail)})
	} else {
		s.Note(cfn.Note{Key: "aws.alarmEmail", Why: "nobody is told of alarms; name an address to be"})
	}
	s.Provide(plan.RefAlarmTopic, st, topic.Ref())
	st.Output("AlarmTopic", "topic of every alarm of the site", topic.Ref())
	return topic
}

// cisAlarms has a line for each alarm of CIS AWS Foundations 1.5.0, section 4: id,
// name, and the pattern of the trail's records that raises it.
//
//go:embed cis_alarms.tsv
var cisAlarms string

func alarms(s *cfn.Stacks, group, topic *cfn.Handle) error {
	st := s.Stack(plan.StackBaseline)
	for line := range strings.Lines(cisAlarms) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 3 {
			return fmt.Errorf("reading the table of alarms: got %d columns in %q, want id, name and pattern", len(f), line)
		}
		id, name, pattern := f[0], f[1], f[2]
		metric := name + "Count"
		filter := st.Add(name+"Filter", &res.LogsMetricFilter{
			LogGroupName: group.Ref(), FilterPattern: cfn.S(pattern),
			MetricTransformations: []*res.LogsMetricFilter_MetricTransformation{{
				MetricNamespace: cfn.S("CISBenchmark"), MetricName: cfn.S(metric), MetricValue: cfn.S("1"),
			}},
		})
		st.Add(name+"Alarm", &res.CloudWatchAlarm{
			AlarmDescription: cfn.S(fmt.Sprintf("CIS AWS Foundations 1.5.0, %s: %s.", id, cmp.Or(alarmWords[id], name))),
			AlarmActions:     []cfn.String{topic.Ref()}, Namespace: cfn.S("CISBenchmark"), MetricName: cfn.S(metric),
			Statistic: cfn.S("Sum"), Period: cfn.I(300), EvaluationPeriods: cfn.I(1), Threshold: cfn.N(1),
			ComparisonOperator: cfn.S("GreaterThanOrEqualToThreshold"), TreatMissingData: cfn.S("notBreaching"),
		}, cfn.DependsOn(filter))
	}
	return nil
}

var alarmWords = map[string]string{
	"4.1": "a call was refused", "4.2": "someone logged in to the console without a second factor", "4.3": "the root user was used",
	"4.4": "an IAM policy changed", "4.5": "a trail changed", "4.6": "a login to the console failed", "4.7": "a key was disabled or is to be deleted",
	"4.8": "a bucket's policy changed", "4.9": "AWS Config changed", "4.10": "a security group changed", "4.11": "a network ACL changed",
	"4.12": "a network gateway changed", "4.13": "a route table changed", "4.14": "a VPC changed", "4.15": "the organization changed",
}
