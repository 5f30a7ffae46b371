package edge

import (
	"github.com/ringwall/ringwall/internal/cfn"
	"github.com/ringwall/ringwall/internal/cfn/res"
)

// keepDays is how long the edge's logs are kept.
const keepDays = 365

// logsKey is the key of the edge's logs: keys do not leave their Region.
func (e *edgeStack) logsKey() *cfn.Handle {
	return e.st.Add("EdgeLogsKey", &res.KMSKey{
		Description: cfn.S("Key of the edge's logs of " + e.p.Site() + "."), EnableKeyRotation: cfn.B(true), PendingWindowInDays: cfn.I(30),
		KeyPolicy: cfn.Policy{
			{Sid: "AdministeredByThisAccount", Principal: cfn.AWS(cfn.Sub("arn:${AWS::Partition}:iam::${AWS::AccountId}:root")), Action: []string{"kms:*"}, Resource: cfn.Strs("*")},
			{Sid: "LogGroups", Principal: cfn.M{"Service": cfn.Sub("logs.${AWS::Region}.amazonaws.com")},
				Action: []string{"kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"}, Resource: cfn.Strs("*"),
				Condition: cfn.M{"ArnLike": cfn.M{"kms:EncryptionContext:aws:logs:arn": cfn.Sub("arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:*")}}},
			cfn.GrantsOfServicesOnly(),
		},
	}, cfn.Retain())
}

// logs keeps what the web ACL decided and what the distribution answered. Neither
// has cookies or authorization in it, and the distribution's has no query.
func (e *edgeStack) logs(acl, distribution, key *cfn.Handle) {
	group := func(id string, name cfn.String) *cfn.Handle {
		return e.st.Add(id, &res.LogsLogGroup{LogGroupName: name, RetentionInDays: cfn.I(keepDays), KmsKeyId: key.Att("Arn")}, cfn.Retain())
	}
	// The name must begin so, or AWS WAF writes nothing. What stays of a site that is
	// taken away must not have the name that its next stack wants.
	decisions := group("WAFLogs", cfn.Join("-", cfn.S("aws-waf-logs-"+e.p.Site()), cfn.Split(0, "-", cfn.Split(2, "/", cfn.StackID))))
	answers := group("EdgeLogs", cfn.String{})
	policy := e.st.Add("LogDelivery", &res.LogsResourcePolicy{
		PolicyName: cfn.S(e.p.Site() + "-edge"),
		// A text here, not an object.
		PolicyDocument: cfn.Sub(`{"Version":"2012-10-17","Statement":[{"Sid":"DeliveryOfThisAccount","Effect":"Allow","Principal":{"Service":"delivery.logs.amazonaws.com"},`+
			`"Action":["logs:CreateLogStream","logs:PutLogEvents"],"Resource":["arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:${Decisions}:log-stream:*",`+
			`"arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:${Answers}:log-stream:*"],`+
			`"Condition":{"StringEquals":{"aws:SourceAccount":"${AWS::AccountId}"},"ArnLike":{"aws:SourceArn":"arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:*"}}}]}`, cfn.With{"Decisions": decisions.Ref(), "Answers": answers.Ref()}),
	})
	redact := func(name string) *res.WAFv2LoggingConfiguration_FieldToMatch {
		return &res.WAFv2LoggingConfiguration_FieldToMatch{SingleHeader: &res.WAFv2LoggingConfiguration_SingleHeader{Name: cfn.S(name)}}
	}
	e.st.Add("WAFLogging", &res.WAFv2LoggingConfiguration{
		ResourceArn: acl.Att("Arn"), LogDestinationConfigs: []cfn.String{cfn.ARN("logs", cfn.S("log-group:"), decisions.Ref())},
		RedactedFields: []*res.WAFv2LoggingConfiguration_FieldToMatch{redact("authorization"), redact("cookie")},
	}, cfn.DependsOn(policy))
	source := e.st.Add("AccessLogSource", &res.LogsDeliverySource{
		Name: cfn.S(e.p.Site() + "-edge"), LogType: cfn.S("ACCESS_LOGS"),
		ResourceArn: cfn.Sub("arn:${AWS::Partition}:cloudfront::${AWS::AccountId}:distribution/${Distribution}", cfn.With{"Distribution": distribution.Ref()}),
	})
	target := e.st.Add("AccessLogTarget", &res.LogsDeliveryDestination{Name: cfn.S(e.p.Site() + "-edge"), DestinationResourceArn: answers.Att("Arn"), OutputFormat: cfn.S("json")}, cfn.DependsOn(policy))
	e.st.Add("AccessLog", &res.LogsDelivery{
		DeliverySourceName: source.Ref(), DeliveryDestinationArn: target.Att("Arn"),
		RecordFields: cfn.Strs("date", "time", "x-edge-location", "sc-bytes", "c-ip", "cs-method", "x-host-header", "cs-uri-stem", "sc-status", "cs(User-Agent)",
			"x-edge-result-type", "x-edge-request-id", "cs-protocol", "cs-bytes", "time-taken", "ssl-protocol", "ssl-cipher", "x-edge-response-result-type",
			"cs-protocol-version", "c-port", "time-to-first-byte", "x-edge-detailed-result-type", "sc-content-type", "sc-content-len"),
	})
}
