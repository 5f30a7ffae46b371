package database

import (
	"strings"

	"github.com/ringwall/ringwall/internal/cfn"
	"github.com/ringwall/ringwall/internal/cfn/res"
	"github.com/ringwall/ringwall/internal/rdsca"
	"github.com/ringwall/ringwall/plan"
)

// keeperRole may read the secret of the server's own user, change the tiers' and
// nothing else.
func (c *cloud) keeperRole(secrets map[string]*cfn.Handle) *cfn.Handle {
	var own []cfn.String
	for _, t := range c.p.Tiers {
		own = append(own, secrets[t.Name].Ref())
	}
	master := c.master
	if c.server == nil {
		master = c.arnOf(c.p.AWS.DBSecret)
	}
	return c.st.Add("KeeperRole", &res.IAMRole{
		Description:              cfn.S("Makes the users of the database of " + c.p.Site() + "."),
		AssumeRolePolicyDocument: cfn.Assume("lambda.amazonaws.com"),
		Policies: []*res.IAMRole_Policy{{PolicyName: cfn.S("keeper"), PolicyDocument: cfn.Policy{
			{Sid: "ServersOwnUser", Action: []string{"secretsmanager:GetSecretValue"}, Resource: []cfn.String{master}},
			{Sid: "TiersUsers", Action: []string{"secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret", "secretsmanager:PutSecretValue",
				"secretsmanager:UpdateSecretVersionStage"}, Resource: own},
			// A function in a VPC makes its own network interface; AWS lets none of this be narrowed
			// (docs.aws.amazon.com/lambda, execution role for VPC access).
			{Sid: "OwnInterface", Action: []string{"ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets",
				"ec2:DeleteNetworkInterface", "ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses"}, Resource: cfn.Strs("*")},
		}}},
	})
}

// keeper adds the function, in the private subnets, and its log group.
func (c *cloud) keeper(program string, role *cfn.Handle, secrets map[string]*cfn.Handle) *cfn.Handle {
	logs := c.st.Add("KeeperLogs", &res.LogsLogGroup{RetentionInDays: cfn.I(365), KmsKeyId: c.s.Use(plan.RefLogsKey, c.st)}, cfn.Retain())
	right := c.st.Add("KeeperLogsRight", &res.IAMRolePolicy{RoleName: role.Ref(), PolicyName: cfn.S("logs"), PolicyDocument: cfn.Policy{
		{Action: []string{"logs:CreateLogStream", "logs:PutLogEvents"}, Resource: []cfn.String{logs.Att("Arn")}},
	}})
	env := map[string]cfn.String{"MASTER_ARN": c.master, "DATABASE_PORT": c.port}
	if c.server != nil {
		env["DATABASE_HOST"] = c.host
	}
	for _, t := range c.p.Tiers {
		env[strings.ToUpper(t.Name)+"_ARN"] = secrets[t.Name].Ref()
	}
	if rdsca.PEM(c.p.AWS.Region) == "" || c.server == nil {
		p := cfn.Parameter{Type: "String", Description: "PEM of the authority that signed the database server's certificate."}
		if rdsca.PEM(c.p.AWS.Region) != "" {
			p.Default, p.Description = "", p.Description+" Empty: that of RDS in this Region."
		}
		env["DATABASE_AUTHORITY"] = c.st.Param("DatabaseAuthority", p)
	}
	var subnets []cfn.String
	for z := range c.p.AWS.Zones() {
		subnets = append(subnets, c.s.Use(plan.RefPrivateSubnet(z), c.st))
	}
	return c.st.Add("Keeper", &res.LambdaFunction{
		Description: cfn.S("Makes the users of the database of " + c.p.Site() + ", and rotates their secrets."),
		Runtime:     cfn.S("python3.13"), Architectures: cfn.Strs("arm64"), Handler: cfn.S("index.handler"), Role: role.Att("Arn"),
		Code: &res.LambdaFunction_Code{ZipFile: cfn.S(program)}, Timeout: cfn.I(240), MemorySize: cfn.I(256),
		VpcConfig:     &res.LambdaFunction_VpcConfig{SubnetIds: subnets, SecurityGroupIds: []cfn.String{c.s.Use(plan.RefKeeperGroup, c.st)}},
		Environment:   &res.LambdaFunction_Environment{Variables: env},
		LoggingConfig: &res.LambdaFunction_LoggingConfig{LogGroup: logs.Ref(), LogFormat: cfn.S("JSON")},
	}, cfn.DependsOn(right))
}
