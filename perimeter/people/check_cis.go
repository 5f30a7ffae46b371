package people

import (
	"slices"
	"strings"

	"github.com/ringwall/ringwall/internal/template"
	"github.com/ringwall/ringwall/perimeter"
)

// What an attacker gains where a recommendation of a group is not followed.
const (
	whyRights = "Rights that are given by hand, to people, outlive their reason."
	whyTrail  = "What an intruder did to the account is not known, or not believed."
	whyWatch  = "What an intruder does next is seen by nobody."
)

var cisChecks = slices.Concat([]*perimeter.Control{
	perimeter.CIS("people", "1.15", whyRights, checkUsers),
	perimeter.CIS("people", "1.16", whyRights, checkStars),
	perimeter.CIS("people", "1.17", "Nobody may ask AWS for help when it is needed.", checkSupport),
	perimeter.CIS("people", "1.20", "A resource that another account can reach goes unnoticed.", checkAnalyzer),
	perimeter.CIS("people", "2.1.4", "Nobody knows where the data is that must be kept.", checkMacie),
	perimeter.CIS("people", "3.1", whyTrail, checkTrailScope),
	perimeter.CIS("people", "3.2", whyTrail, trailHas("has no digests (EnableLogFileValidation)", "EnableLogFileValidation")),
	perimeter.CIS("people", "3.3", whyTrail, checkTrailBucket),
	perimeter.CIS("people", "3.4", whyWatch, checkTrailStream),
	perimeter.CIS("people", "3.5", whyTrail, checkRecorder),
	perimeter.CIS("people", "3.6", whyTrail, checkTrailBucketLog),
	perimeter.CIS("people", "3.7", whyTrail, checkTrailKey),
	perimeter.CIS("people", "3.8", "A key that leaks opens everything that it ever closed.", checkRotation),
	perimeter.CIS("people", "3.10", whyTrail, dataEvents("WriteOnly")),
	perimeter.CIS("people", "3.11", whyTrail, dataEvents("ReadOnly")),
	perimeter.CIS("people", "4.16", whyWatch, checkHub),
}, alarmChecks())

func checkUsers(p *perimeter.Pass) error {
	policies := p.World.OfType("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy")
	own := p.World.OfType("AWS::IAM::UserPolicy")
	users := p.World.OfType("AWS::IAM::User")
	if len(policies)+len(own)+len(users) == 0 {
		p.Absent("a user or a policy that could be given to one")
		return nil
	}
	p.Tried("whether a policy is given to a user by hand")
	for _, r := range policies {
		judgeList(p, r, "Users", "policy %s is given to users by hand, want groups or roles")
	}
	for _, r := range own {
		p.Broken(r, r.Pos, "policy %s is a user's own", r.ID)
	}
	for _, r := range users {
		for _, name := range []string{"Policies", "ManagedPolicyArns"} {
			judgeList(p, r, name, "user %s has policies of its own, want a group")
		}
	}
	return nil
}

// judgeList: the list is empty.
func judgeList(p *perimeter.Pass, r *template.Resource, property, words string) {
	switch v := r.Get(property); {
	case len(v.List()) > 0:
		p.Broken(r, v.Place(r.Pos), words, r.ID)
	case v.Unknown():
		p.Unknown(r, v.Place(r.Pos), words+": not known, %s", r.ID, v.Show())
	}
}

func checkStars(p *perimeter.Pass) error {
	if len(p.Access.Principals) == 0 {
		p.Absent("a role or a user")
		return nil
	}
	for _, who := range p.Access.Principals {
		p.Tried("whether a policy of %s allows everything on everything", who.Name)
		for _, s := range who.Identity {
			if s.Allow && slices.Contains(s.Actions, "*") && slices.Contains(s.Resources, "*") {
				p.Broken(who.Res, s.Pos, "%s allows everything on everything", s.Policy)
			}
		}
	}
	return nil
}

func checkSupport(p *perimeter.Pass) error {
	for _, who := range p.Access.Principals {
		if slices.Contains(who.Managed, "AWSSupportAccess") {
			p.Tried("%s, which may open cases", who.Name)
			return nil
		}
	}
	p.Account("a role for cases with AWS Support (AWSSupportAccess)")
	return nil
}

// checkAnalyzer: one in every Region that the templates make something in.
func checkAnalyzer(p *perimeter.Pass) error {
	has := map[string]bool{}
	for _, r := range p.World.OfType("AWS::AccessAnalyzer::Analyzer") {
		p.Tried("analyzer %s", r.ID)
		if t := r.Get("Type"); t.Is("ACCOUNT") || t.Is("ORGANIZATION") {
			has[p.World.Region(r.Stack)] = true
		}
	}
	if len(has) == 0 {
		p.Account("an access analyzer")
		return nil
	}
	for _, st := range p.World.Stacks {
		if region := p.World.Region(st); !has[region] {
			p.Broken(nil, template.Pos{File: st.Template.File}, "no template has an access analyzer in %s, where stack %s is", template.Show(region), st.Name)
			has[region] = true
		}
	}
	return nil
}

func checkMacie(p *perimeter.Pass) error {
	s := p.World.OfType("AWS::Macie::Session")
	if len(s) == 0 {
		// Macie is paid for by what it reads: no plan brings it by itself.
		p.Absent("Macie")
		return nil
	}
	for _, r := range s {
		p.Tried("session %s", r.ID)
		if v := r.Get("Status"); !v.Absent() && !v.Is("ENABLED") {
			p.Broken(r, v.Place(r.Pos), "Macie session %s is %s", r.ID, v.Show())
		}
	}
	return nil
}

func trails(p *perimeter.Pass) []*template.Resource {
	out := p.World.OfType("AWS::CloudTrail::Trail")
	if len(out) == 0 {
		p.Account("a trail")
	}
	return out
}

func trailHas(words string, property string) func(*perimeter.Pass) error {
	return func(p *perimeter.Pass) error {
		for _, r := range trails(p) {
			p.Tried("trail %s", r.ID)
			p.Must(r, words, property)
		}
		return nil
	}
}

func checkTrailScope(p *perimeter.Pass) error {
	for _, r := range trails(p) {
		p.Tried("what trail %s records", r.ID)
		p.Must(r, "does not record", "IsLogging")
		p.Must(r, "records one Region only", "IsMultiRegionTrail")
		if v := r.Get("IncludeGlobalServiceEvents"); v.Truth(true) != template.Yes {
			p.Broken(r, v.Place(r.Pos), "%s leaves out global services", r.ID)
		}
		for _, s := range r.Get("EventSelectors").List() {
			if v := s.Get("IncludeManagementEvents"); v.Truth(true) == template.No {
				p.Broken(r, v.Place(r.Pos), "%s leaves out management events", r.ID)
			}
			if v := s.Get("ReadWriteType"); !v.Absent() && !v.Is("All") && s.Get("DataResources").Absent() {
				p.Broken(r, v.Place(r.Pos), "%s records %s only", r.ID, v.Show())
			}
		}
	}
	return nil
}

func checkTrailBucket(p *perimeter.Pass) error {
	for _, r := range trails(p) {
		p.Tried("who reads the bucket of trail %s", r.ID)
		b := p.World.Of(r.Get("S3BucketName"))
		if b == nil {
			p.Unknown(r, r.Place("S3BucketName"), "the bucket of trail %s is not in these templates", r.ID)
			continue
		}
		for _, f := range []string{"BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"} {
			p.Must(b, "does not have "+f, "PublicAccessBlockConfiguration", f)
		}
		for _, s := range bucketStatements(p, b) {
			if s.Allow && everyone(s) && len(s.Conditions) == 0 {
				p.Broken(b, s.Pos, "the policy of %s lets everybody in", b.ID)
			}
		}
	}
	return nil
}

func checkTrailStream(p *perimeter.Pass) error {
	for _, r := range trails(p) {
		p.Tried("where trail %s is delivered", r.ID)
		if r.Get("CloudWatchLogsLogGroupArn").Absent() || r.Get("CloudWatchLogsRoleArn").Absent() {
			p.Broken(r, r.Pos, "trail %s is not delivered to CloudWatch Logs, where alarms could see it", r.ID)
		}
	}
	return nil
}

func checkRecorder(p *perimeter.Pass) error {
	rs := p.World.OfType("AWS::Config::ConfigurationRecorder")
	if len(rs) == 0 {
		p.Account("AWS Config's recorder")
		return nil
	}
	for _, r := range rs {
		p.Tried("what recorder %s records", r.ID)
		if !r.Get("RecordingGroup", "RecordingStrategy", "UseOnly").Is("ALL_SUPPORTED_RESOURCE_TYPES") {
			p.Must(r, "does not record all supported types", "RecordingGroup", "AllSupported")
		}
	}
	if len(p.World.OfType("AWS::Config::DeliveryChannel")) == 0 {
		p.Broken(rs[0], rs[0].Pos, "what AWS Config records is delivered nowhere (AWS::Config::DeliveryChannel)")
	}
	return nil
}

func checkTrailBucketLog(p *perimeter.Pass) error {
	for _, r := range trails(p) {
		p.Tried("whether the bucket of trail %s writes down who reads it", r.ID)
		b := p.World.Of(r.Get("S3BucketName"))
		if b == nil {
			p.Unknown(r, r.Place("S3BucketName"), "the bucket of trail %s is not in these templates", r.ID)
		} else if b.Get("LoggingConfiguration").Absent() {
			p.Broken(b, b.Pos, "bucket %s, which has the trail, has no access log", b.ID)
		}
	}
	return nil
}

func checkTrailKey(p *perimeter.Pass) error {
	for _, r := range trails(p) {
		p.Tried("with which key trail %s is encrypted", r.ID)
		if r.Get("KMSKeyId").Absent() {
			p.Broken(r, r.Pos, "trail %s is not encrypted with a key of yours", r.ID)
		}
	}
	return nil
}

func checkRotation(p *perimeter.Pass) error {
	return p.Every("the rotation of key", func(r *template.Resource) {
		if s := r.Get("KeySpec"); !s.Absent() && !s.Is("SYMMETRIC_DEFAULT") || r.Get("Origin").Is("EXTERNAL") {
			return // only keys that AWS made can be rotated by it
		}
		p.Must(r, "is never changed (EnableKeyRotation)", "EnableKeyRotation")
	}, "AWS::KMS::Key")
}

// dataEvents: some trail records what is done to objects, for reading or writing.
func dataEvents(kind string) func(*perimeter.Pass) error {
	return func(p *perimeter.Pass) error {
		ts := trails(p)
		for _, r := range ts {
			p.Tried("whether trail %s records objects (%s)", r.ID, kind)
			for _, s := range r.Get("EventSelectors").List() {
				rw := s.Get("ReadWriteType")
				for _, d := range s.Get("DataResources").List() {
					if d.Get("Type").Is("AWS::S3::Object") && (rw.Absent() || rw.Is("All") || rw.Is(kind)) {
						return nil
					}
				}
			}
			if advancedObjects(r, kind) {
				return nil
			}
		}
		if len(ts) > 0 {
			p.Broken(ts[0], ts[0].Place("EventSelectors"), "no trail records what is done to objects in buckets (%s data events)", kind)
		}
		return nil
	}
}

func advancedObjects(r *template.Resource, kind string) bool {
	for _, s := range r.Get("AdvancedEventSelectors").List() {
		data, objects, only := false, false, ""
		for _, f := range s.Get("FieldSelectors").List() {
			eq := f.Get("Equals").List()
			switch f.Get("Field").String() {
			case "eventCategory":
				data = len(eq) > 0 && eq[0].Is("Data")
			case "resources.type":
				objects = len(eq) > 0 && eq[0].Is("AWS::S3::Object")
			case "readOnly":
				if len(eq) > 0 {
					only = eq[0].String()
				}
			}
		}
		if data && objects && (only == "" || only == "true" == (kind == "ReadOnly")) {
			return true
		}
	}
	return false
}

func checkHub(p *perimeter.Pass) error {
	if len(p.World.OfType("AWS::SecurityHub::Hub", "AWS::SecurityHub::HubV2")) == 0 {
		p.Account("Security Hub")
		return nil
	}
	p.Tried("Security Hub, which is there")
	return nil
}

// alarmChecks are recommendations 4.1 to 4.15: a metric filter on the trail's log,
// and an alarm on it that somebody is told of.
func alarmChecks() []*perimeter.Control {
	var out []*perimeter.Control
	for _, line := range strings.Split(cisAlarms, "\n") {
		f := strings.Split(line, "\t")
		if len(f) < 3 || !strings.HasPrefix(f[0], "4.") {
			continue
		}
		words := patternWords(f[2])
		out = append(out, perimeter.CIS("people", f[0], whyWatch, func(p *perimeter.Pass) error { return checkAlarm(p, words) }))
	}
	return out
}

// patternWords are what a pattern compares with: a filter that has all of them sees
// at least as much.
func patternWords(pattern string) []string {
	var out []string
	for _, part := range strings.FieldsFunc(pattern, func(r rune) bool { return strings.ContainsRune("(){}", r) }) {
		for _, term := range strings.Split(strings.ReplaceAll(part, "||", "&&"), "&&") {
			name, value, ok := strings.Cut(term, "=")
			if !ok || strings.HasSuffix(strings.TrimSpace(name), "!") {
				continue
			}
			if v := strings.Trim(strings.TrimSpace(value), `"`); v != "" {
				out = append(out, v)
			}
		}
	}
	return out
}

func checkAlarm(p *perimeter.Pass, words []string) error {
	filters := p.World.OfType("AWS::Logs::MetricFilter")
	if len(trails(p)) == 0 {
		return nil
	}
	p.Tried("%d metric filters for one that sees %s", len(filters), strings.Join(words, ", "))
	for _, f := range filters {
		pattern := f.Get("FilterPattern").String()
		if slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(pattern, w) }) {
			continue
		}
		for _, t := range f.Get("MetricTransformations").List() {
			if alarmed(p, t) {
				return nil
			}
		}
		p.Broken(f, f.Pos, "metric filter %s counts, and no alarm with an action is on what it counts", f.ID)
		return nil
	}
	p.Broken(nil, template.Pos{}, "no metric filter on the trail's log sees %s", strings.Join(words, ", "))
	return nil
}

func alarmed(p *perimeter.Pass, t *template.Value) bool {
	for _, a := range p.World.OfType("AWS::CloudWatch::Alarm") {
		if a.Get("MetricName").String() == t.Get("MetricName").String() && a.Get("Namespace").String() == t.Get("MetricNamespace").String() &&
			len(a.Get("AlarmActions").List()) > 0 && a.Get("ActionsEnabled").Truth(true) == template.Yes {
			return true
		}
	}
	return false
}
