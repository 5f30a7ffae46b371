package people

import (
	"strings"

	"github.com/ringwall/ringwall/internal/access"
	"github.com/ringwall/ringwall/internal/template"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

var evidenceChecks = []*perimeter.Control{
	{
		ID:      "people/evidence-kept",
		Doc:     "What happens is written down where those whom it is about cannot change it: trail, balancer, edge and network each keep a log.",
		Why:     "An intruder deletes his traces, or leaves none.",
		Vantage: perimeter.Template,
		Check:   checkEvidence,
		Meets:   []string{"INV-13"},
	},
}

// logging are the resources of which a log is wanted, and the trail itself.
var logging = []string{"AWS::CloudTrail::Trail", "AWS::GuardDuty::Detector", "AWS::ElasticLoadBalancingV2::LoadBalancer", "AWS::CloudFront::Distribution", "AWS::EC2::VPC"}

func checkEvidence(p *perimeter.Pass) error {
	if p.Plan == nil && len(p.World.OfType(logging...)) == 0 && len(p.Access.Principals) == 0 {
		p.Absent("anything that keeps a log, and nobody who could stop one")
		return nil
	}
	judgeTrails(p)
	judgeDetectors(p)
	judgeAccessLogs(p)
	judgeAsked(p)
	judgeTamper(p)
	return nil
}

func judgeTrails(p *perimeter.Pass) {
	trails := p.World.OfType("AWS::CloudTrail::Trail")
	p.Tried("whether a trail records the account, everywhere and for good")
	if len(trails) == 0 {
		if p.Plan != nil && !p.Plan.AWS.AccountBaseline {
			p.Tried("nothing more: the configuration says that the account has a trail of its own")
			return
		}
		p.Unknown(nil, template.Pos{}, "no template here has %s; whether the account has that elsewhere no template says", strings.Join(watching(p), ", "))
	}
	for _, t := range trails {
		for _, x := range []struct{ property, words string }{
			{"IsLogging", "trail %s does not record"},
			{"IsMultiRegionTrail", "trail %s records one Region only"},
			{"EnableLogFileValidation", "trail %s has no digests (EnableLogFileValidation): a changed log looks like any other"},
		} {
			v := t.Get(x.property)
			switch v.Truth(false) {
			case template.No:
				p.Broken(t, v.Place(t.Pos), x.words, t.ID)
			case template.Maybe:
				p.Unknown(t, v.Place(t.Pos), x.words+": not known, "+v.Show(), t.ID)
			}
		}
		if t.Get("KMSKeyId").Absent() {
			p.Broken(t, t.Pos, "trail %s is not encrypted with a key of yours", t.ID)
		}
		judgeManagement(p, t)
		judgeLogBucket(p, t, t.Get("S3BucketName"))
	}
}

// watching are the services that record and watch an account and that no template here
// turns on. Inspector has no resource to turn it on with.
func watching(p *perimeter.Pass) []string {
	out := []string{"a trail"}
	for _, x := range []struct{ name, typ string }{
		{"GuardDuty", "AWS::GuardDuty::Detector"}, {"a recorder of AWS Config", "AWS::Config::ConfigurationRecorder"}, {"Security Hub", "AWS::SecurityHub::Hub"},
	} {
		if len(p.World.OfType(x.typ)) == 0 {
			out = append(out, x.name)
		}
	}
	return append(out, "Inspector")
}

// judgeAsked: a bucket of logs keeps a log of who asks it, unless it takes the logs of
// buckets itself.
func judgeAsked(p *perimeter.Pass) {
	takes := map[*template.Resource]bool{}
	for _, b := range p.World.OfType("AWS::S3::Bucket") {
		takes[p.World.Of(b.Get("LoggingConfiguration", "DestinationBucketName"))] = true
	}
	for _, b := range logBuckets(p) {
		p.Tried("whether %s keeps a log of who asks it", b.ID)
		if v := b.Get("LoggingConfiguration"); v.Absent() && !takes[b] {
			p.Broken(b, b.Pos, "bucket %s, which has logs in it, keeps no log of who asks it (LoggingConfiguration)", b.ID)
		} else if v.Unknown() {
			p.Unknown(b, v.Place(b.Pos), "whether bucket %s keeps a log of who asks it is not known: %s", b.ID, v.Show())
		}
	}
}

// judgeDetectors: GuardDuty reads the records, in every Region where the site has a
// stack. Whether an account that is not ours to set up has it no template says.
func judgeDetectors(p *perimeter.Pass) {
	on := map[string]bool{}
	for _, d := range p.World.OfType("AWS::GuardDuty::Detector") {
		p.Tried("whether %s looks for threats", d.ID)
		switch v := d.Get("Enable"); v.Truth(false) {
		case template.Yes:
			on[p.World.Region(d.Stack)] = true
		case template.No:
			p.Broken(d, v.Place(d.Pos), "%s is switched off: nothing looks for threats in what is recorded", d.ID)
		default:
			p.Unknown(d, v.Place(d.Pos), "whether %s is switched on is not known: %s", d.ID, v.Show())
		}
	}
	if p.Plan == nil || !p.Plan.AWS.AccountBaseline {
		return
	}
	for _, region := range []string{p.Plan.AWS.Region, plan.EdgeRegion} {
		if !on[region] {
			p.Broken(nil, template.Pos{}, "nothing looks for threats in what is recorded in %s (AWS::GuardDuty::Detector)", region)
		}
	}
}

// judgeLogBucket: what is in a bucket of logs stays as it was written.
func judgeLogBucket(p *perimeter.Pass, by *template.Resource, ref *template.Value) {
	b := p.World.Of(ref)
	if b == nil {
		p.Unknown(by, ref.Place(by.Pos), "the bucket with the log of %s is not in these templates: %s", by.ID, ref.Show())
		return
	}
	if !b.Get("VersioningConfiguration", "Status").Is("Enabled") {
		p.Broken(b, b.Pos, "bucket %s, which has the log of %s, keeps no versions: what is overwritten is gone", b.ID, by.ID)
	}
	if b.Get("ObjectLockEnabled").Truth(false) == template.Yes && !b.Get("ObjectLockConfiguration", "Rule").Absent() {
		return
	}
	arn := p.Access.ARN(b)
	for _, s := range p.BucketStatements(b) {
		if !s.Allow && everyone(s) && len(s.Conditions) == 0 && about(s, "s3:DeleteObject", arn+"/x") && about(s, "s3:DeleteObjectVersion", arn+"/x") {
			return
		}
	}
	p.Broken(b, b.Pos, "bucket %s, which has the log of %s, has neither an object lock nor a policy that refuses deletion", b.ID, by.ID)
}

func everyone(s *access.Statement) bool {
	for _, w := range s.Who {
		if w.Everyone() {
			return true
		}
	}
	return false
}

func about(s *access.Statement, action, resource string) bool {
	return access.About(s, action, resource) == template.Yes
}

func judgeAccessLogs(p *perimeter.Pass) {
	for _, lb := range p.World.OfType("AWS::ElasticLoadBalancingV2::LoadBalancer") {
		p.Tried("whether %s writes down what it is asked", lb.ID)
		var on, bucket *template.Value
		for _, a := range lb.Get("LoadBalancerAttributes").List() {
			switch a.Get("Key").String() {
			case "access_logs.s3.enabled":
				on = a.Get("Value")
			case "access_logs.s3.bucket":
				bucket = a.Get("Value")
			}
		}
		switch on.Truth(false) {
		case template.Yes:
			judgeLogBucket(p, lb, bucket)
		case template.No:
			p.Broken(lb, lb.Place("LoadBalancerAttributes"), "%s keeps no log of what it is asked (access_logs.s3.enabled)", lb.ID)
		default:
			p.Unknown(lb, on.Place(lb.Pos), "whether %s keeps a log is not known: %s", lb.ID, on.Show())
		}
	}
	for _, d := range p.World.OfType("AWS::CloudFront::Distribution") {
		p.Tried("whether %s writes down what it is asked", d.ID)
		logged := !d.Get("DistributionConfig", "Logging").Absent()
		for _, s := range p.World.OfType("AWS::Logs::DeliverySource") {
			logged = logged || strings.Contains(p.Access.Text(s.Get("ResourceArn").String()), template.Token(d.Key(), ""))
		}
		if !logged {
			p.Broken(d, d.Pos, "distribution %s keeps no log of what it is asked", d.ID)
		}
	}
	logged := map[*template.Resource]bool{}
	for _, f := range p.World.OfType("AWS::EC2::FlowLog") {
		logged[p.World.Of(f.Get("ResourceId"))] = true
	}
	for _, v := range p.World.OfType("AWS::EC2::VPC") {
		p.Tried("whether %s has flow logs", v.ID)
		if !logged[v] {
			p.Broken(v, v.Pos, "VPC %s has no flow log", v.ID)
		}
	}
}

// tamper are actions with which evidence is stopped, changed or destroyed, and the
// kinds of resources that they are about.
var tamper = []struct {
	typ     string
	objects string // behind the ARN
	actions []string
}{
	{"AWS::CloudTrail::Trail", "", []string{"cloudtrail:StopLogging", "cloudtrail:DeleteTrail", "cloudtrail:UpdateTrail", "cloudtrail:PutEventSelectors"}},
	{"AWS::Logs::LogGroup", "", []string{"logs:DeleteLogGroup"}},
	{"AWS::Logs::LogGroup", "log-stream:any", []string{"logs:DeleteLogStream"}},
	{"AWS::KMS::Key", "", []string{"kms:ScheduleKeyDeletion", "kms:DisableKey", "kms:PutKeyPolicy"}},
}

// everywhere are such actions on things that need no template.
var everywhere = []struct{ action, resource string }{
	{"cloudtrail:StopLogging", "arn:aws:cloudtrail:any:any:trail/any"},
	{"cloudtrail:DeleteTrail", "arn:aws:cloudtrail:any:any:trail/any"},
	{"config:StopConfigurationRecorder", "*"},
	{"config:DeleteConfigurationRecorder", "*"},
	{"guardduty:DeleteDetector", "arn:aws:guardduty:any:any:detector/any"},
	{"securityhub:DisableSecurityHub", "*"},
}

// A target is what evidence is kept in or by, and what may be done to it.
type target struct {
	res     *template.Resource
	arn     string
	policy  []*access.Statement
	actions []string
}

func targets(p *perimeter.Pass) []target {
	var out []target
	for _, t := range tamper {
		for _, r := range p.World.OfType(t.typ) {
			x := target{res: r, arn: p.Access.ARN(r), actions: t.actions}
			if t.typ == "AWS::Logs::LogGroup" && t.objects != "" {
				x.arn = strings.TrimSuffix(x.arn, "*") + t.objects
			}
			if t.typ == "AWS::KMS::Key" {
				x.policy = p.Access.Policy(r.Get("KeyPolicy"), "the policy of key "+r.ID, r.Pos)
			}
			out = append(out, x)
		}
	}
	for _, b := range logBuckets(p) {
		policy, arn := p.BucketStatements(b), p.Access.ARN(b)
		out = append(out, target{b, arn + "/any", policy, []string{"s3:DeleteObject", "s3:DeleteObjectVersion"}},
			target{b, arn, policy, []string{"s3:PutBucketPolicy", "s3:DeleteBucketPolicy", "s3:PutLifecycleConfiguration", "s3:DeleteBucket", "s3:PutBucketVersioning"}})
	}
	return out
}

func judgeTamper(p *perimeter.Pass) {
	all := targets(p)
	for _, who := range p.Access.Principals {
		if !who.Usable() {
			continue
		}
		p.Tried("whether %s can stop or delete what is written down", who.Name)
		for _, x := range everywhere {
			judgeMay(p, who, x.action, x.resource, nil, nil)
		}
		for _, t := range all {
			for _, a := range t.actions {
				judgeMay(p, who, a, t.arn, t.res, t.policy)
			}
		}
	}
}

func judgeMay(p *perimeter.Pass, who *access.Principal, action, resource string, r *template.Resource, policy []*access.Statement) {
	mode := access.Either
	if r != nil && r.Type == "AWS::KMS::Key" {
		mode = access.KeyOnly
	}
	d := p.Access.Decide(access.Request{Who: who, Action: action, Resource: resource}, policy, mode)
	if d.Allowed != template.Yes {
		if d.Allowed == template.Maybe {
			p.Unknown(who.Res, who.Res.Pos, "whether %s may do %s is not known: %s", who.Name, action, d.Why)
		}
		return
	}
	on := "anything"
	if r != nil {
		on = r.ID
	}
	at := who.Res.Pos
	if d.By != nil {
		at = d.By.Pos
	}
	p.Broken(who.Res, at, "%s may do %s on %s: %s", who.Name, action, on, d.Why)
}

// logBuckets are the buckets that a trail, a balancer or a distribution writes to.
func logBuckets(p *perimeter.Pass) []*template.Resource {
	var out []*template.Resource
	add := func(v *template.Value) {
		if r := p.World.Of(v); r != nil && r.Type == "AWS::S3::Bucket" {
			for _, have := range out {
				if have == r {
					return
				}
			}
			out = append(out, r)
		}
	}
	for _, t := range p.World.OfType("AWS::CloudTrail::Trail") {
		add(t.Get("S3BucketName"))
	}
	for _, lb := range p.World.OfType("AWS::ElasticLoadBalancingV2::LoadBalancer") {
		for _, a := range lb.Get("LoadBalancerAttributes").List() {
			if a.Get("Key").Is("access_logs.s3.bucket") {
				add(a.Get("Value"))
			}
		}
	}
	for _, d := range p.World.OfType("AWS::CloudFront::Distribution") {
		add(d.Get("DistributionConfig", "Logging", "Bucket"))
	}
	return out
}
