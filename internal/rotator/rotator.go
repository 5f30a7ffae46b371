// Package rotator adds the function that changes a secret on a schedule, where the
// secret is known to nobody but the site's own parts. It is not for databases.
package rotator

import (
	_ "embed"

	"github.com/ringwall/ringwall/internal/cfn"
	"github.com/ringwall/ringwall/internal/cfn/res"
)

//go:embed rotate.py
var program string

// days is how long a secret lives.
const days = 30

// A Rotation says what is changed, and what its change must not break.
type Rotation struct {
	ID      string // of the function; the other resources' are made of it
	About   string
	Secrets []*cfn.Handle
	Key     string     // of the value in the secret's JSON
	LogsKey cfn.String // ARN of the key of its log group

	// Where the value is what an edge shows to a balancer:
	Rules  []*cfn.Handle // that ask for it
	Header string        // that it is in
	Host   string        // alias of the distribution
	Site   string        // the distribution's tag ringwall:site
}

// Add adds the function, its role and the schedules.
func Add(st *cfn.Stack, r Rotation) {
	var own []cfn.String
	for _, s := range r.Secrets {
		own = append(own, s.Ref())
	}
	policy := cfn.Policy{
		{Sid: "OwnSecrets", Action: []string{"secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue", "secretsmanager:UpdateSecretVersionStage"}, Resource: own},
		{Sid: "Chance", Action: []string{"secretsmanager:GetRandomPassword"}, Resource: cfn.Strs("*")},
	}
	env := map[string]cfn.String{"KEY": cfn.S(r.Key)}
	if len(r.Rules) > 0 {
		var rules []cfn.String
		for _, h := range r.Rules {
			rules = append(rules, h.Ref())
		}
		env["RULES"], env["HEADER"], env["HOST"] = cfn.Join(",", rules...), cfn.S(r.Header), cfn.S(r.Host)
		policy = append(policy,
			// Neither of these can be narrowed (service authorization reference, CloudFront and Elastic Load Balancing V2).
			cfn.Statement{Sid: "Look", Action: []string{"elasticloadbalancing:DescribeRules", "cloudfront:ListDistributions"}, Resource: cfn.Strs("*")},
			cfn.Statement{Sid: "OwnRules", Action: []string{"elasticloadbalancing:ModifyRule"}, Resource: rules},
			cfn.Statement{Sid: "OwnEdge", Action: []string{"cloudfront:GetDistribution", "cloudfront:GetDistributionConfig", "cloudfront:UpdateDistribution"},
				Resource:  []cfn.String{cfn.Sub("arn:${AWS::Partition}:cloudfront::${AWS::AccountId}:distribution/*")},
				Condition: cfn.M{"StringEquals": cfn.M{"aws:ResourceTag/ringwall:site": r.Site}}})
	}
	logs := st.Add(r.ID+"Logs", &res.LogsLogGroup{RetentionInDays: cfn.I(365), KmsKeyId: r.LogsKey}, cfn.Retain())
	policy = append(policy, cfn.Statement{Sid: "OwnLogs", Action: []string{"logs:CreateLogStream", "logs:PutLogEvents"}, Resource: []cfn.String{logs.Att("Arn")}})
	role := st.Add(r.ID+"Role", &res.IAMRole{
		Description: cfn.S(r.About), AssumeRolePolicyDocument: cfn.Assume("lambda.amazonaws.com"),
		Policies: []*res.IAMRole_Policy{{PolicyName: cfn.S("rotate"), PolicyDocument: policy}},
	})
	f := st.Add(r.ID, &res.LambdaFunction{
		Description: cfn.S(r.About), Runtime: cfn.S("python3.13"), Architectures: cfn.Strs("arm64"), Handler: cfn.S("index.handler"), Role: role.Att("Arn"),
		Code: &res.LambdaFunction_Code{ZipFile: cfn.S(program)}, Timeout: cfn.I(900), MemorySize: cfn.I(128),
		Environment:   &res.LambdaFunction_Environment{Variables: env},
		LoggingConfig: &res.LambdaFunction_LoggingConfig{LogGroup: logs.Ref(), LogFormat: cfn.S("JSON")},
	})
	for _, s := range r.Secrets {
		allowed := st.Add(r.ID+"Of"+s.ID(), &res.LambdaPermission{
			FunctionName: f.Ref(), Action: cfn.S("lambda:InvokeFunction"), Principal: cfn.S("secretsmanager.amazonaws.com"), SourceAccount: cfn.AccountID, SourceArn: s.Ref(),
		})
		st.Add(s.ID()+"Rotation", &res.SecretsManagerRotationSchedule{
			SecretId: s.Ref(), RotationLambdaARN: f.Att("Arn"), RotateImmediatelyOnUpdate: cfn.B(false),
			RotationRules: &res.SecretsManagerRotationSchedule_RotationRules{AutomaticallyAfterDays: cfn.I(days)},
		}, cfn.DependsOn(allowed))
	}
}
