package database

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/ringwall/ringwall/internal/cfn"
	"github.com/ringwall/ringwall/internal/cfn/res"
	"github.com/ringwall/ringwall/internal/rdsca"
	"github.com/ringwall/ringwall/plan"
)

// masterName is the user that the server is made with. Its password is made,
// kept and changed by RDS; the keeper alone may read it.
const masterName = "ringwall"

// A cloud is the database stack while the wall is added to it.
type cloud struct {
	p  *plan.Plan
	s  *cfn.Stacks
	st *cfn.Stack

	version plan.RDSVersion
	server  *cfn.Handle // instance or cluster; nil for a server that is not the stack's
	host    cfn.String  // empty for the same
	port    cfn.String
	master  cfn.String // ARN, or name, of the secret of the user who makes the others
	id      cfn.String // the server's id in IAM; empty for a server that is not the stack's
}

// synth adds the server, in subnets without a way out, and the users: one for each
// tier with the rights of the plan, made by a function that alone reads the secret of
// the server's own user. An empty dbConfig writes no stack, so that one that exists
// stays; none writes one without a server.
func synth(p *plan.Plan, s *cfn.Stacks) error {
	c := &cloud{p: p, s: s, st: s.Stack(plan.StackDatabase), version: p.Database.RDSVersion()}
	c.notes()
	switch {
	case p.Database.Config == plan.DBInstance:
		c.instance()
	case p.Database.Config == plan.DBCluster:
		c.cluster()
	case p.AWS.DBSecret != "":
		c.elsewhere()
	case p.Database.Config == plan.DBNone:
		// A stack is never empty; this one says that there is nothing.
		c.st.Add("None", &res.CloudFormationWaitConditionHandle{})
		return nil
	default:
		return nil
	}
	if p.Database.Present() {
		s.Provide(plan.RefDatabaseHost, c.st, c.host)
		c.st.Output("Host", "the database's address, for instances of the site", c.host)
	}
	return c.users()
}

func (c *cloud) notes() {
	d := c.p.Database
	note := func(key, was, now, why string) { c.s.Note(cfn.Note{Key: key, Was: was, Now: now, Why: why}) }
	if c.p.AWS.DBSecret != "" && d.Present() {
		note("aws.dbSecret", c.p.AWS.DBSecret, "", "the server is new and its first user's secret is kept by RDS; the secret of an existing server goes with an empty database.config")
	}
	if !d.Present() {
		if d.Snapshot == "" && c.p.AWS.DBSnapshot != "" {
			note("aws.dbSnapshot", c.p.AWS.DBSnapshot, "", "there is no server to restore it to")
		}
		return
	}
	if v := c.version; v.Why != "" {
		note("database.full", d.RDSWas(), v.Full, v.Why)
	}
	if c.p.AWS.DBSnapshot != "" && d.Config == plan.DBInstance {
		note("aws.dbSnapshot", "", c.p.AWS.DBSnapshot, "RDS restores a snapshot as it is: copy one that is not encrypted under a key first, and restore the copy")
	}
	if d.Snapshot != "" {
		note("database.snapshot", d.Snapshot, "", "a dump is read back on this machine only; aws.dbSnapshot names a snapshot of RDS")
	}
}

// class is the server's instance class. Aurora has none as small as RDS's smallest,
// and retired versions run on the former generation only.
func (c *cloud) class() cfn.String {
	kind := cmp.Or(c.p.AWS.DBInstanceType, "t4g.micro")
	if v := c.version; v.Engine == "mysql" && v.Major == "5.7" || v.Engine == "postgres" && v.Major == "11" {
		if size, ok := strings.CutPrefix(kind, "t4g."); ok {
			kind = "t3." + size
			c.s.Note(cfn.Note{Key: "aws.dbInstanceType", Was: c.p.AWS.DBInstanceType, Now: kind, Why: v.Engine + " " + v.Major + " has no t4g"})
		}
	}
	if c.p.Database.Config == plan.DBCluster {
		family, size, _ := strings.Cut(kind, ".")
		if size == "micro" || size == "small" || size == "nano" {
			c.s.Note(cfn.Note{Key: "aws.dbInstanceType", Was: c.p.AWS.DBInstanceType, Now: family + ".medium", Why: "Aurora has no smaller class"})
			kind = family + ".medium"
		}
	}
	return cfn.S("db." + strings.TrimPrefix(kind, "db."))
}

// subnets is the group of the isolated subnets.
func (c *cloud) subnets() *cfn.Handle {
	var ids []cfn.String
	for z := range c.p.AWS.Zones() {
		ids = append(ids, c.s.Use(plan.RefIsolatedSubnet(z), c.st))
	}
	return c.st.Add("Subnets", &res.RDSDBSubnetGroup{DBSubnetGroupDescription: cfn.S("Isolated subnets of " + c.p.Site() + "."), SubnetIds: ids})
}

// parameters force TLS and write down who connects (CIS 2.3.1 and its TLS half).
func (c *cloud) parameters() cfn.M {
	aurora := c.p.Database.Config == plan.DBCluster
	if c.p.Database.Engine == plan.Postgres {
		return cfn.M{"rds.force_ssl": "1", "password_encryption": "scram-sha-256", "log_connections": "1", "log_disconnections": "1",
			"log_statement": "ddl", "log_min_duration_statement": "1000"}
	}
	m := cfn.M{"require_secure_transport": "1", "slow_query_log": "1", "log_output": "FILE", "local_infile": "0"}
	if c.version.Major != "5.7" {
		m["tls_version"] = "TLSv1.2,TLSv1.3"
	}
	if aurora {
		m["require_secure_transport"] = "ON"
		m["server_audit_logging"], m["server_audit_events"] = "1", "CONNECT,QUERY_DCL,QUERY_DDL"
	}
	return m
}

func (c *cloud) logs() []cfn.String {
	switch {
	case c.p.Database.Engine == plan.Postgres && c.p.Database.Config == plan.DBInstance:
		return cfn.Strs("postgresql", "upgrade")
	case c.p.Database.Engine == plan.Postgres:
		return cfn.Strs("postgresql")
	case c.p.Database.Config == plan.DBCluster:
		return cfn.Strs("audit", "error", "slowquery")
	}
	return cfn.Strs("error", "slowquery")
}

func (c *cloud) tags() []cfn.Tag {
	return []cfn.Tag{{Key: cfn.S(plan.BackupTag), Value: cfn.S(c.p.Site())}}
}

// monitor is the role by which RDS reports on the server's operating system.
func (c *cloud) monitor() cfn.String {
	return c.st.Add("MonitoringRole", &res.IAMRole{
		Description: cfn.S("Lets RDS report on the database of " + c.p.Site() + "."),
		AssumeRolePolicyDocument: cfn.Policy{{Principal: cfn.Service("monitoring.rds.amazonaws.com"), Action: []string{"sts:AssumeRole"},
			Condition: cfn.M{"StringEquals": cfn.M{"aws:SourceAccount": cfn.AccountID}}}},
		ManagedPolicyArns: []cfn.String{cfn.AWSPolicy("service-role/AmazonRDSEnhancedMonitoringRole")},
	}).Att("Arn")
}

func (c *cloud) instance() {
	d := c.p.Database
	group := c.st.Add("Parameters", &res.RDSDBParameterGroup{
		Description: cfn.S("TLS only, for " + c.p.Site() + "."), Family: cfn.S(c.version.Engine + c.version.Major), Parameters: c.parameters(),
	})
	i := &res.RDSDBInstance{
		Engine: cfn.S(c.version.Engine), EngineVersion: cfn.S(c.version.Full), DBInstanceClass: c.class(), Port: cfn.S(strconv.Itoa(int(d.Port))),
		AllocatedStorage: cfn.S("20"), MaxAllocatedStorage: cfn.I(200), StorageType: cfn.S("gp3"),
		StorageEncrypted: cfn.B(true), KmsKeyId: c.s.Use(plan.RefDataKey, c.st),
		DBSubnetGroupName: c.subnets().Ref(), VPCSecurityGroups: []cfn.String{c.s.Use(plan.RefDatabaseGroup, c.st)}, PubliclyAccessible: cfn.B(false), MultiAZ: cfn.B(true),
		DBParameterGroupName: group.Ref(), CACertificateIdentifier: cfn.S(rdsca.Name),
		ManageMasterUserPassword: cfn.B(true), MasterUserSecret: &res.RDSDBInstance_MasterUserSecret{KmsKeyId: c.s.Use(plan.RefDataKey, c.st)},
		EnableIAMDatabaseAuthentication: cfn.B(true), EnableCloudwatchLogsExports: c.logs(),
		BackupRetentionPeriod: cfn.I(35), CopyTagsToSnapshot: cfn.B(true), DeleteAutomatedBackups: cfn.B(false), DeletionProtection: cfn.B(d.Protect),
		AutoMinorVersionUpgrade: cfn.B(true), AllowMajorVersionUpgrade: cfn.B(false),
		MonitoringInterval: cfn.I(60), MonitoringRoleArn: c.monitor(), Tags: c.tags(),
	}
	if snap := c.p.AWS.DBSnapshot; snap != "" {
		i.DBSnapshotIdentifier = cfn.S(snap)
	} else {
		i.MasterUsername, i.DBName = cfn.S(masterName), cfn.S(d.Name)
	}
	c.server = c.st.Add("Database", i, cfn.Snapshot())
	c.host, c.port = c.server.Att("Endpoint.Address"), c.server.Att("Endpoint.Port")
	c.master, c.id = c.server.Att("MasterUserSecret.SecretArn"), c.server.Att("DbiResourceId")
}

// cluster adds an Aurora cluster: a writer and the plan's number of replicas.
func (c *cloud) cluster() {
	d := c.p.Database
	engine, version := c.version.Engine, c.version
	group := c.st.Add("Parameters", &res.RDSDBClusterParameterGroup{
		Description: cfn.S("TLS only, for " + c.p.Site() + "."), Family: cfn.S(engine + version.Major), Parameters: c.parameters(),
	})
	subnets := c.subnets()
	cl := &res.RDSDBCluster{
		Engine: cfn.S(engine), EngineVersion: cfn.S(version.Full), Port: cfn.I(int(d.Port)),
		StorageEncrypted: cfn.B(true), KmsKeyId: c.s.Use(plan.RefDataKey, c.st),
		DBSubnetGroupName: subnets.Ref(), VpcSecurityGroupIds: []cfn.String{c.s.Use(plan.RefDatabaseGroup, c.st)},
		DBClusterParameterGroupName: group.Ref(),
		ManageMasterUserPassword:    cfn.B(true), MasterUserSecret: &res.RDSDBCluster_MasterUserSecret{KmsKeyId: c.s.Use(plan.RefDataKey, c.st)},
		EnableIAMDatabaseAuthentication: cfn.B(true), EnableCloudwatchLogsExports: c.logs(),
		BackupRetentionPeriod: cfn.I(35), CopyTagsToSnapshot: cfn.B(true), DeletionProtection: cfn.B(d.Protect), Tags: c.tags(),
	}
	if snap := c.p.AWS.DBSnapshot; snap != "" {
		cl.SnapshotIdentifier = cfn.S(snap)
	} else {
		cl.MasterUsername, cl.DatabaseName = cfn.S(masterName), cfn.S(d.Name)
	}
	c.server = c.st.Add("Database", cl, cfn.Snapshot())
	role, class := c.monitor(), c.class()
	for n := range 1 + d.Size {
		c.st.Add("Server"+strconv.Itoa(n), &res.RDSDBInstance{
			Engine: cfn.S(engine), DBClusterIdentifier: c.server.Ref(), DBInstanceClass: class, DBSubnetGroupName: subnets.Ref(),
			PubliclyAccessible: cfn.B(false), AutoMinorVersionUpgrade: cfn.B(true), CACertificateIdentifier: cfn.S(rdsca.Name), PromotionTier: cfn.I(min(n, 15)),
			MonitoringInterval: cfn.I(60), MonitoringRoleArn: role,
		}, cfn.Delete())
	}
	c.host, c.port = c.server.Att("Endpoint.Address"), c.server.Att("Endpoint.Port")
	c.master, c.id = c.server.Att("MasterUserSecret.SecretArn"), c.server.Att("DBClusterResourceId")
	c.st.Output("ReaderHost", "address of the replicas", c.server.Att("ReadEndpoint.Address"))
}

// elsewhere takes a server that is there: its secret names a user who may make users.
func (c *cloud) elsewhere() {
	c.master = cfn.S(c.p.AWS.DBSecret)
	c.port = cfn.S(strconv.Itoa(int(c.p.Database.Port)))
}

// hostText is the server's address for a secret's text.
func (c *cloud) hostText() cfn.String {
	if c.server != nil {
		return c.host
	}
	return cfn.SecretValue(c.master, "host")
}

// arnOf is the ARN of the existing server's secret, with the six characters that
// Secrets Manager adds to a name.
func (c *cloud) arnOf(secret string) cfn.String {
	if strings.HasPrefix(secret, "arn:") {
		return cfn.S(secret)
	}
	return cfn.Sub(fmt.Sprintf("arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:%s-??????", secret))
}
