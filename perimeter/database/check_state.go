package database

import (
	"slices"
	"strings"

	"github.com/ringwall/ringwall/internal/access"
	"github.com/ringwall/ringwall/internal/template"
	"github.com/ringwall/ringwall/perimeter"
)

// A store is something that holds state, and how its type says that it is safe.
type store struct {
	encrypted string   // property that must be true; empty: see judgeStore
	protected string   // property that must be true; empty: the type has none
	keeps     []string // DeletionPolicy that keeps it
	backup    bool     // the type can be kept by AWS Backup
}

var stores = map[string]store{
	"AWS::RDS::DBInstance":               {"StorageEncrypted", "DeletionProtection", []string{"Snapshot", "Retain", "RetainExceptOnCreate"}, true},
	"AWS::RDS::DBCluster":                {"StorageEncrypted", "DeletionProtection", []string{"Snapshot", "Retain", "RetainExceptOnCreate"}, true},
	"AWS::EFS::FileSystem":               {"Encrypted", "", []string{"Retain", "RetainExceptOnCreate"}, true},
	"AWS::DynamoDB::Table":               {"SSESpecification.SSEEnabled", "DeletionProtectionEnabled", []string{"Retain", "RetainExceptOnCreate"}, true},
	"AWS::ElastiCache::ReplicationGroup": {"AtRestEncryptionEnabled", "", nil, false},
	"AWS::DocDB::DBCluster":              {"StorageEncrypted", "DeletionProtection", []string{"Snapshot", "Retain", "RetainExceptOnCreate"}, true},
	"AWS::Neptune::DBCluster":            {"StorageEncrypted", "DeletionProtection", []string{"Snapshot", "Retain", "RetainExceptOnCreate"}, true},
	"AWS::Redshift::Cluster":             {"Encrypted", "", []string{"Snapshot", "Retain", "RetainExceptOnCreate"}, true},
	"AWS::OpenSearchService::Domain":     {"EncryptionAtRestOptions.Enabled", "", []string{"Retain", "RetainExceptOnCreate"}, false},
	"AWS::EC2::Volume":                   {"Encrypted", "", []string{"Snapshot", "Retain", "RetainExceptOnCreate"}, true},
}

func checkRestorable(p *perimeter.Pass) error {
	found := false
	for _, r := range p.World.Resources {
		s, ok := stores[r.Type]
		if !ok {
			continue
		}
		found = true
		p.Tried("whether %s is encrypted, protected and kept", r.ID)
		judgeStore(p, r, s)
	}
	judgeTransit(p)
	if !found {
		if len(p.World.OfType("AWS::ElasticLoadBalancingV2::Listener", "AWS::ElasticLoadBalancing::LoadBalancer", "AWS::CloudFront::Distribution")) == 0 {
			p.Absent("anything that holds state")
		}
		return nil
	}
	judgeVault(p)
	return nil
}

func judgeStore(p *perimeter.Pass, r *template.Resource, s store) {
	member := r.Type == "AWS::RDS::DBInstance" && !r.Get("DBClusterIdentifier").Absent()
	if !member {
		if from := snapshotOf(r); from != nil {
			p.Unknown(r, from.Place(r.Pos), "%s is restored from the snapshot %s and is encrypted on disk only if that is: RDS takes it over, whatever StorageEncrypted says. See with: aws rds describe-db-snapshots", r.ID, from.Show())
		} else {
			judgeTruth(p, r, s.encrypted, "%s is not encrypted on disk (%s)")
		}
		if s.protected != "" {
			judgeTruth(p, r, s.protected, "%s can be deleted by one call (%s)")
		}
	}
	if s.keeps != nil && !member {
		if got := r.Option("DeletionPolicy"); !slices.Contains(s.keeps, got) {
			p.Broken(r, r.Pos, "%s goes with its stack: its DeletionPolicy is %s, want %s", r.ID, written(got), s.keeps[0])
		}
		if got := r.Option("UpdateReplacePolicy"); !slices.Contains(s.keeps, got) {
			p.Broken(r, r.Pos, "%s is lost when a change replaces it: its UpdateReplacePolicy is %s, want %s", r.ID, written(got), s.keeps[0])
		}
	}
	switch r.Type {
	case "AWS::EFS::FileSystem":
		if v := r.Get("BackupPolicy", "Status"); v.Unknown() {
			p.Unknown(r, v.Place(r.Pos), "whether %s is backed up is not known: %s", r.ID, v.Show())
		} else if !v.Is("ENABLED") {
			p.Broken(r, v.Place(r.Pos), "%s has no automatic backups (BackupPolicy)", r.ID)
		}
	case "AWS::RDS::DBInstance", "AWS::RDS::DBCluster":
		if v := r.Get("BackupRetentionPeriod"); v.Is("0") && !member {
			p.Broken(r, v.Place(r.Pos), "%s has no automatic backups (BackupRetentionPeriod 0)", r.ID)
		}
	case "AWS::DynamoDB::Table":
		judgeTruth(p, r, "PointInTimeRecoverySpecification.PointInTimeRecoveryEnabled", "%s cannot be put back to a moment (%s)")
	case "AWS::ElastiCache::ReplicationGroup":
		judgeTruth(p, r, "TransitEncryptionEnabled", "%s is not encrypted on the way (%s)")
	}
	if s.backup && !member {
		judgeSelected(p, r)
	}
}

// snapshotOf is the snapshot that decides whether a server is encrypted; nil: its
// own properties do. A cluster is encrypted with the key that it names, whatever it
// is restored from (RestoreDBClusterFromSnapshot); an instance never is
// (RestoreDBInstanceFromDBSnapshot has no key).
func snapshotOf(r *template.Resource) *template.Value {
	names := map[string][]string{"AWS::RDS::DBInstance": {"DBSnapshotIdentifier", "DBClusterSnapshotIdentifier"}, "AWS::RDS::DBCluster": {"SnapshotIdentifier"}}
	if r.Type == "AWS::RDS::DBCluster" && !r.Get("KmsKeyId").Absent() {
		return nil
	}
	for _, name := range names[r.Type] {
		if v := r.Get(name); !v.Absent() && !v.Is("") {
			return v
		}
	}
	return nil
}

func written(s string) string {
	if s == "" {
		return "not given"
	}
	return s
}

func judgeTruth(p *perimeter.Pass, r *template.Resource, property, words string) {
	v := r.Get(strings.Split(property, ".")...)
	switch v.Truth(false) {
	case template.No:
		p.Broken(r, v.Place(r.Pos), words, r.ID, property)
	case template.Maybe:
		p.Unknown(r, v.Place(r.Pos), words+": not known, "+v.Show(), r.ID, property)
	}
}

// judgeSelected: some backup selection names the store, by itself or by a tag.
func judgeSelected(p *perimeter.Pass, r *template.Resource) {
	arn := p.Access.ARN(r)
	unsure := ""
	for _, sel := range p.World.OfType("AWS::Backup::BackupSelection") {
		s := sel.Get("BackupSelection")
		if t, why := leftOut(p, s, r, arn); t != template.No {
			if t == template.Maybe {
				unsure = why
			}
			continue
		}
		for _, x := range s.Get("Resources").List() {
			if p.World.Of(x) == r || x.Is("*") && len(s.Get("ListOfTags").List()) == 0 && s.Get("Conditions").Absent() || p.Access.Text(x.String()) == arn {
				return
			}
			if x.Unknown() {
				unsure = x.Why()
			}
		}
		for _, t := range s.Get("ListOfTags").List() {
			if tagged(r, t.Get("ConditionKey").String(), t.Get("ConditionValue").String()) {
				return
			}
		}
		for _, t := range s.Get("Conditions", "StringEquals").List() {
			if tagged(r, strings.TrimPrefix(t.Get("ConditionKey").String(), "aws:ResourceTag/"), t.Get("ConditionValue").String()) {
				return
			}
		}
	}
	if unsure != "" {
		p.Unknown(r, r.Pos, "whether a backup keeps %s is not known: %s", r.ID, unsure)
		return
	}
	p.Broken(r, r.Pos, "no backup plan keeps %s: there is no selection with it", r.ID)
}

// leftOut says whether a selection takes a store out again, by name or by a condition
// that is not on equal tags.
func leftOut(p *perimeter.Pass, s *template.Value, r *template.Resource, arn string) (t template.Tri, why string) {
	t = template.No
	for _, x := range s.Get("NotResources").List() {
		switch {
		case p.World.Of(x) == r:
			return template.Yes, ""
		case x.Unknown():
			t, why = template.Maybe, x.Why()
		case access.Matches(p.Access.Text(x.String()), arn) == template.Yes:
			return template.Yes, ""
		case ofService(r, x.String()) && !strings.HasPrefix(arn, "arn:"): // the store's name is not in the templates
			t, why = template.Maybe, "a selection leaves out "+x.Show()
		}
	}
	for _, kind := range []string{"StringLike", "StringNotEquals", "StringNotLike"} {
		if !s.Get("Conditions", kind).Absent() {
			t, why = template.Maybe, "a selection has a condition "+kind
		}
	}
	return t, why
}

// ofService says whether a pattern of an ARN can be one of a store's service.
func ofService(r *template.Resource, pattern string) bool {
	service := map[string]string{"AWS::RDS": "rds", "AWS::EFS": "elasticfilesystem", "AWS::DynamoDB": "dynamodb",
		"AWS::DocDB": "rds", "AWS::Neptune": "rds", "AWS::Redshift": "redshift", "AWS::EC2": "ec2"}[r.Type[:strings.LastIndex(r.Type, "::")]]
	parts := strings.SplitN(pattern, ":", 6)
	return len(parts) < 3 || access.Matches(parts[2], service) != template.No
}

func tagged(r *template.Resource, key, value string) bool {
	for _, f := range []string{"Tags", "FileSystemTags"} {
		for _, t := range r.Get(f).List() {
			if t.Get("Key").Is(key) && t.Get("Value").String() == value {
				return true
			}
		}
	}
	return false
}

func judgeVault(p *perimeter.Pass) {
	p.Tried("whether backups can be deleted, and whether a restore is ever tried")
	locked := map[string]bool{}
	for _, v := range p.World.OfType("AWS::Backup::BackupVault", "AWS::Backup::LogicallyAirGappedBackupVault") {
		if !v.Get("LockConfiguration").Absent() || v.Type != "AWS::Backup::BackupVault" {
			locked[v.Key()] = true
			locked[v.Get("BackupVaultName").String()] = true
		}
	}
	if len(locked) == 0 {
		p.Broken(nil, template.Pos{}, "no backup vault is locked: whoever may delete the data may delete its backups")
	}
	for _, plan := range p.World.OfType("AWS::Backup::BackupPlan") {
		judgePlan(p, plan, locked)
	}
	if len(p.World.OfType("AWS::Backup::RestoreTestingSelection")) == 0 {
		p.Broken(nil, template.Pos{}, "no restore is tried (AWS::Backup::RestoreTestingSelection): that a backup can be read is a hope")
	}
}

// judgePlan: what a plan keeps comes into a locked vault, at once or as a copy.
func judgePlan(p *perimeter.Pass, plan *template.Resource, locked map[string]bool) {
	var other, unsure *template.Value
	for _, rule := range plan.Get("BackupPlan", "BackupPlanRule").List() {
		vaults := []*template.Value{rule.Get("TargetBackupVault")}
		for _, c := range rule.Get("CopyActions").List() {
			vaults = append(vaults, c.Get("DestinationBackupVaultArn"))
		}
		for _, v := range vaults {
			name, known := v.Literal()
			switch r := p.World.Of(v); {
			case r != nil && locked[r.Key()], known && name != "" && locked[name]:
				return
			case r == nil && !known:
				unsure = v
			default:
				other = v
			}
		}
	}
	switch {
	case len(locked) == 0: // said already
	case unsure != nil:
		p.Unknown(plan, unsure.Place(plan.Pos), "whether backup plan %s keeps in a locked vault is not known: %s", plan.ID, unsure.Show())
	default:
		p.Broken(plan, other.Place(plan.Pos), "backup plan %s keeps in vault %s, which is not the locked one: whoever may delete the data may delete its backups", plan.ID, other.Show())
	}
}

// modern are the policies of listeners that take TLS 1.2 and later only (ELB
// guide, security policies).
func modern(policy string) bool {
	return strings.HasPrefix(policy, "ELBSecurityPolicy-TLS13-1-2-") || strings.HasPrefix(policy, "ELBSecurityPolicy-TLS13-1-3-") ||
		strings.HasPrefix(policy, "ELBSecurityPolicy-TLS-1-2-") || strings.HasPrefix(policy, "ELBSecurityPolicy-FS-1-2-")
}

func judgeTransit(p *perimeter.Pass) {
	for _, l := range p.World.OfType("AWS::ElasticLoadBalancingV2::Listener") {
		p.Tried("with what listener %s protects what it takes", l.ID)
		proto, policy := l.Get("Protocol"), l.Get("SslPolicy")
		s, known := policy.Literal()
		switch {
		case proto.Unknown():
			p.Unknown(l, proto.Place(l.Pos), "the protocol of listener %s is %s", l.ID, proto.Show())
		case proto.Is("HTTP"):
			judgePlain(p, l, l.Get("DefaultActions"))
			for _, r := range p.World.OfType("AWS::ElasticLoadBalancingV2::ListenerRule") {
				if p.World.Of(r.Get("ListenerArn")) == l {
					judgePlain(p, r, r.Get("Actions"))
				}
			}
		case !proto.Is("HTTPS") && !proto.Is("TLS"):
			p.Unknown(l, proto.Place(l.Pos), "listener %s passes %s on as it is; whether there is TLS in it only what is behind it decides", l.ID, proto.Show())
		case policy.Absent():
			p.Broken(l, l.Pos, "listener %s has no SslPolicy, and the default one (ELBSecurityPolicy-2016-08) takes TLS 1.0", l.ID)
		case !known:
			p.Unknown(l, policy.Place(l.Pos), "the SslPolicy of listener %s is %s", l.ID, policy.Show())
		case !modern(s):
			p.Broken(l, policy.Place(l.Pos), "listener %s has policy %s, which takes TLS older than 1.2", l.ID, s)
		}
	}
	for _, lb := range p.World.OfType("AWS::ElasticLoadBalancing::LoadBalancer") {
		p.Tried("with what %s protects what it takes", lb.ID)
		judgeClassic(p, lb)
	}
	for _, d := range p.World.OfType("AWS::CloudFront::Distribution") {
		p.Tried("with what distribution %s protects what it takes", d.ID)
		certificate := d.Get("DistributionConfig", "ViewerCertificate")
		v := certificate.Get("MinimumProtocolVersion")
		if own := certificate.Get("CloudFrontDefaultCertificate"); own.Truth(false) != template.No {
			// With its own certificate CloudFront takes TLS 1.0, whatever is written
			// (CloudFront API, ViewerCertificate).
			p.Judge(own.Truth(false), d, own.Place(d.Pos), nil, "distribution %s has CloudFront's own certificate, with which it takes TLS 1.0 whatever MinimumProtocolVersion says", d.ID)
		} else if s, ok := v.Literal(); !ok && !v.Absent() {
			p.Unknown(d, v.Place(d.Pos), "the least TLS of distribution %s is %s", d.ID, v.Show())
		} else if !strings.HasPrefix(s, "TLSv1.2") && !strings.HasPrefix(s, "TLSv1.3") {
			p.Broken(d, v.Place(d.Place("DistributionConfig")), "distribution %s takes TLS older than 1.2 (MinimumProtocolVersion is %s)", d.ID, v.Show())
		}
		for _, b := range perimeter.Behaviours(d) {
			switch v := b.Value.Get("ViewerProtocolPolicy"); {
			case v.Is("allow-all"):
				p.Broken(d, v.Place(d.Pos), "behaviour %s answers plain HTTP", b.Path)
			case !v.Is("https-only") && !v.Is("redirect-to-https"):
				p.Unknown(d, v.Place(d.Pos), "whether behaviour %s answers plain HTTP is not known: ViewerProtocolPolicy is %s", b.Path, v.Show())
			}
		}
		for _, o := range d.Get("DistributionConfig", "Origins").List() {
			judgeOrigin(p, d, o)
		}
	}
}

// judgePlain: what comes in clear is answered or sent to HTTPS, and not passed on.
func judgePlain(p *perimeter.Pass, r *template.Resource, actions *template.Value) {
	for _, a := range actions.List() {
		switch typ := a.Get("Type"); {
		case typ.Is("redirect"), typ.Is("fixed-response"):
		case typ.Unknown():
			p.Unknown(r, typ.Place(r.Pos), "what %s does with plain HTTP is not known: %s", r.ID, typ.Show())
		default:
			p.Broken(r, typ.Place(r.Pos), "%s takes and forwards plain HTTP", r.ID)
		}
	}
}

// judgeClassic: a balancer of the first generation takes HTTPS. Which versions of TLS
// its policy takes is a list of attributes that is not read here.
func judgeClassic(p *perimeter.Pass, lb *template.Resource) {
	for _, l := range lb.Get("Listeners").List() {
		switch proto := l.Get("Protocol"); strings.ToUpper(proto.String()) {
		case "HTTP":
			p.Broken(lb, proto.Place(lb.Pos), "%s takes and forwards plain HTTP", lb.ID)
		case "HTTPS", "SSL":
			p.Unknown(lb, proto.Place(lb.Pos), "which versions of TLS %s takes is not known: a balancer of the first generation; want AWS::ElasticLoadBalancingV2::LoadBalancer", lb.ID)
		default:
			p.Unknown(lb, proto.Place(lb.Pos), "%s passes %s on as it is; whether there is TLS in it only what is behind it decides", lb.ID, proto.Show())
		}
	}
}

// judgeOrigin: what CloudFront asks a balancer is as encrypted as what it is asked. A
// bucket that is a web site knows no TLS; another promise is about those.
func judgeOrigin(p *perimeter.Pass, d *template.Resource, o *template.Value) {
	c := o.Get("CustomOriginConfig")
	if v := p.World.Of(o.Get("VpcOriginConfig", "VpcOriginId")); v != nil {
		c = v.Get("VpcOriginEndpointConfig")
	}
	if c.Absent() || strings.Contains(o.Get("DomainName").String(), "s3-website") {
		return
	}
	switch v := c.Get("OriginProtocolPolicy"); {
	case v.Unknown():
		p.Unknown(d, v.Place(d.Pos), "whether CloudFront asks origin %s over TLS is not known: %s", o.Get("Id").Show(), v.Show())
	case !v.Absent() && !v.Is("https-only"):
		p.Broken(d, v.Place(d.Pos), "CloudFront asks origin %s in plain HTTP (OriginProtocolPolicy is %s)", o.Get("Id").Show(), v.Show())
	}
	for _, v := range c.Get("OriginSSLProtocols").List() {
		if v.Is("SSLv3") || v.Is("TLSv1") || v.Is("TLSv1.1") {
			p.Broken(d, v.Place(d.Pos), "CloudFront may ask origin %s with %s (OriginSSLProtocols)", o.Get("Id").Show(), v.Show())
			return
		}
	}
}
