package database

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"

	"github.com/ringwall/ringwall/internal/cfn"
	"github.com/ringwall/ringwall/internal/cfn/res"
	"github.com/ringwall/ringwall/internal/rdsca"
	"github.com/ringwall/ringwall/plan"
)

// The keeper's program, in Python because that is what Lambda runs from a template.
var (
	//go:embed keeper/wire.py
	keeperWire string
	//go:embed keeper/rights.py
	keeperRights string
	//go:embed keeper/main.py
	keeperMain string
)

// keeperConfig is what the keeper knows of the plan.
type keeperConfig struct {
	Engine   plan.Engine  `json:"engine"`
	Port     uint16       `json:"port"`
	Database string       `json:"database"`
	Network  string       `json:"network"` // whence users log in (MySQL)
	Tiers    []keeperTier `json:"tiers"`
	Masks    []keeperMask `json:"masks"`
}

type keeperTier struct {
	Name   string        `json:"name"`
	IAM    bool          `json:"iam"` // a user who logs in with a token of IAM, beside the two with passwords
	Limit  int           `json:"limit"`
	Grants []keeperGrant `json:"grants"`
}

type keeperGrant struct {
	Tables string   `json:"tables"`
	Rights []string `json:"rights"`
}

type keeperMask struct {
	Tier    string            `json:"tier"`
	Table   string            `json:"table"`
	View    string            `json:"view"`
	Columns map[string]string `json:"columns"`
	Where   string            `json:"where"`
}

// tokens says whether the app can log in with tokens of IAM, which end after a
// quarter of an hour: one of ours or of the user's own. WordPress and Node-RED keep
// a password.
func tokens(p *plan.Plan) bool { return p.Preset == plan.PresetGeneric && p.Database.Present() }

func keeperConfigOf(p *plan.Plan) keeperConfig {
	k := keeperConfig{Engine: p.Database.Engine, Port: p.Database.Port, Database: p.Database.Name, Network: "%", Tiers: []keeperTier{}, Masks: []keeperMask{}}
	if p.Database.Present() {
		k.Network = netmask(p.VPC.CIDR)
	}
	for _, t := range p.Tiers {
		tier := keeperTier{Name: t.Name, IAM: tokens(p), Limit: t.DatabaseConnections(), Grants: []keeperGrant{}}
		for _, g := range planned(p, t.Name) {
			tier.Grants = append(tier.Grants, keeperGrant{g.Tables, append([]string{}, g.Rights...)})
		}
		k.Tiers = append(k.Tiers, tier)
	}
	for _, m := range p.Database.Mask {
		columns := m.Columns
		if columns == nil {
			columns = map[string]string{}
		}
		k.Masks = append(k.Masks, keeperMask{m.Tier, m.Table, m.View, columns, m.Where})
	}
	return k
}

// netmask writes a block as MySQL takes it in an account's name: 10.0.0.0/255.255.0.0.
func netmask(c netip.Prefix) string {
	m := ^uint32(0) << (32 - c.Bits())
	return fmt.Sprintf("%s/%d.%d.%d.%d", c.Masked().Addr(), byte(m>>24), byte(m>>16), byte(m>>8), byte(m))
}

// keeperProgram is the whole program with the plan's part in it.
func keeperProgram(p *plan.Plan) (string, error) {
	config, err := json.Marshal(keeperConfigOf(p))
	if err != nil {
		return "", fmt.Errorf("writing the keeper's configuration: %w", err)
	}
	// A JSON text within a JSON string is a Python string too.
	quoted, err := json.Marshal(string(config))
	if err != nil {
		return "", fmt.Errorf("writing the keeper's configuration: %w", err)
	}
	return strings.Join([]string{keeperWire, keeperRights, keeperMain,
		fmt.Sprintf("CONFIG = %s\nAUTHORITY = \"\"\"%s\"\"\"\n", quoted, rdsca.PEM(p.AWS.Region))}, "\n"), nil
}

// users adds a secret for each tier, and the keeper who makes the users that they name.
func (c *cloud) users() error {
	program, err := keeperProgram(c.p)
	if err != nil {
		return err
	}
	if err := validate(c.p); err != nil {
		return err
	}
	secrets := c.secrets()
	role := c.keeperRole(secrets)
	keeper := c.keeper(program, role, secrets)
	c.closed(role, secrets)

	sum := sha256.Sum256([]byte(program))
	users := c.st.Add("Users", &cfn.Custom{Kind: "Custom::DatabaseUsers", ServiceToken: keeper.Att("Arn"), Properties: cfn.M{
		// What the keeper is called again for. A secret's value may not stand here.
		"Program": hex.EncodeToString(sum[:8]), "Server": c.master, "ServiceTimeout": 600,
	}}, cfn.DependsOn(c.st.Find("KeeperLogsRight")), cfn.Delete())
	permission := func(id, service string, source cfn.String) *cfn.Handle {
		p := &res.LambdaPermission{Action: cfn.S("lambda:InvokeFunction"), FunctionName: keeper.Att("Arn"), Principal: cfn.S(service), SourceAccount: cfn.AccountID}
		if source.IsSet() {
			p.SourceArn = source
		}
		return c.st.Add(id, p)
	}
	clock := c.st.Add("KeeperClock", &res.EventsRule{
		Description:        cfn.S("Rights on tables that the app has made since, for " + c.p.Site() + "."),
		ScheduleExpression: cfn.S("rate(5 minutes)"), State: cfn.S("ENABLED"),
		Targets: []*res.EventsRule_Target{{Arn: keeper.Att("Arn"), Id: cfn.S("keeper")}},
	}, cfn.DependsOn(users))
	permission("KeeperOfClock", "events.amazonaws.com", clock.Att("Arn"))
	for _, t := range c.p.Tiers {
		id := plan.RefDatabaseSecret(t.Name).Name
		allowed := permission("KeeperOf"+id, "secretsmanager.amazonaws.com", secrets[t.Name].Ref())
		c.st.Add(id+"Rotation", &res.SecretsManagerRotationSchedule{
			SecretId: secrets[t.Name].Ref(), RotationLambdaARN: keeper.Att("Arn"), RotateImmediatelyOnUpdate: cfn.B(false),
			RotationRules: &res.SecretsManagerRotationSchedule_RotationRules{AutomaticallyAfterDays: cfn.I(30)},
		}, cfn.DependsOn(allowed, users))
	}
	return nil
}

// secrets are the tiers' own: the JSON object of plan.Secret.
func (c *cloud) secrets() map[string]*cfn.Handle {
	out := map[string]*cfn.Handle{}
	for _, t := range c.p.Tiers {
		ref := plan.RefDatabaseSecret(t.Name)
		out[t.Name] = c.st.Add(ref.Name, &res.SecretsManagerSecret{
			Description: cfn.S("Database user of " + t.Name + " of " + c.p.Site() + "."),
			KmsKeyId:    c.s.Use(plan.RefDataKey, c.st),
			GenerateSecretString: &res.SecretsManagerSecret_GenerateSecretString{
				SecretStringTemplate: cfn.Sub(fmt.Sprintf(`{"username":"%s_a","engine":"%s","host":"${Host}","port":%d,"dbname":"%s"}`,
					t.Name, c.p.Database.Engine, c.p.Database.Port, c.p.Database.Name), cfn.With{"Host": c.hostText()}),
				GenerateStringKey: cfn.S("password"), PasswordLength: cfn.I(32), ExcludePunctuation: cfn.B(true),
			},
		})
		c.s.Provide(ref, c.st, out[t.Name].Ref())
		statements := cfn.Policy{{Sid: "OwnSecret", Action: []string{"secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"},
			Resource: []cfn.String{out[t.Name].Ref()}}}
		if tokens(c.p) {
			statements = append(statements, cfn.Statement{Sid: "OwnToken", Action: []string{"rds-db:connect"}, Resource: []cfn.String{
				cfn.Sub("arn:${AWS::Partition}:rds-db:${AWS::Region}:${AWS::AccountId}:dbuser:${Id}/"+t.Name+"_iam", cfn.With{"Id": c.id})}})
		}
		c.st.Add(ref.Name+"Right", &res.IAMRolePolicy{RoleName: c.s.Use(plan.RefRole(t.Name), c.st), PolicyName: cfn.S("database"), PolicyDocument: statements})
	}
	return out
}

// closed shuts each secret for everybody but its readers, whatever their own
// policies say. The server's own is shut for all but the keeper and RDS, which
// changes it.
func (c *cloud) closed(role *cfn.Handle, secrets map[string]*cfn.Handle) {
	for _, t := range c.p.Tiers {
		id := plan.RefDatabaseSecret(t.Name).Name
		c.st.Add(id+"Policy", &res.SecretsManagerResourcePolicy{
			SecretId: secrets[t.Name].Ref(), BlockPublicPolicy: cfn.B(true),
			ResourcePolicy: cfn.Policy{{Sid: "ReadersOnly", Deny: true, Principal: cfn.Anyone, Action: []string{"secretsmanager:GetSecretValue"}, Resource: cfn.Strs("*"),
				Condition: cfn.M{"ArnNotEquals": cfn.M{"aws:PrincipalArn": []cfn.String{c.s.Use(plan.RefRoleARN(t.Name), c.st), role.Att("Arn")}}}}},
		})
	}
	if c.server == nil {
		return // the secret of a server elsewhere is not ours to shut
	}
	c.st.Add("MasterSecretPolicy", &res.SecretsManagerResourcePolicy{
		SecretId: c.master, BlockPublicPolicy: cfn.B(true),
		ResourcePolicy: cfn.Policy{{Sid: "KeeperOnly", Deny: true, Principal: cfn.Anyone, Action: []string{"secretsmanager:GetSecretValue"}, Resource: cfn.Strs("*"),
			Condition: cfn.M{
				"ArnNotLike": cfn.M{"aws:PrincipalArn": []cfn.String{role.Att("Arn"), cfn.Sub("arn:${AWS::Partition}:iam::${AWS::AccountId}:role/aws-service-role/rds.amazonaws.com/*")}},
				"Bool":       cfn.M{"aws:PrincipalIsAWSService": "false"},
			}}},
	})
}
