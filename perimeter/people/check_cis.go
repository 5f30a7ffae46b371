package people

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/ringwall/ringwall/internal/access"
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
	policies := p.World.OfType("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy")
	if len(p.Access.Principals)+len(policies) == 0 {
		p.Absent("a role, a user or a policy")
		return nil
	}
	judge := func(r *template.Resource, ss []*access.Statement) {
		for _, s := range ss {
			switch {
			case s.Unsure != "":
				p.Unknown(r, s.Pos, "what %s allows is not known: %s", s.Policy, s.Unsure)
			case s.Allow && slices.ContainsFunc(s.Actions, everything) && (slices.ContainsFunc(s.Resources, everything) || len(s.NotResources) > 0):
				p.Broken(r, s.Pos, "%s allows everything on everything", s.Policy)
			}
		}
	}
	for _, who := range p.Access.Principals {
		p.Tried("whether a policy of %s allows everything on everything", who.Name)
		judge(who.Res, who.Identity)
		for _, why := range who.Unsure {
			p.Unknown(who.Res, who.Res.Pos, "what %s may do is not known: %s", who.Name, why)
		}
	}
	for _, r := range policies { // those that nobody has yet too
		p.Tried("whether policy %s allows everything on everything", r.ID)
		judge(r, p.Access.Policy(r.Get("PolicyDocument"), "policy "+r.ID, r.Pos))
	}
	return nil
}

// everything says whether a pattern is all actions, or all resources.
func everything(pattern string) bool { return strings.Trim(pattern, "*:") == "" }

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
		judgeManagement(p, r)
	}
	return nil
}

// judgeManagement: some selector of a trail, if it has any, takes the calls that change
// the account, all of them.
func judgeManagement(p *perimeter.Pass, r *template.Resource) {
	basic, advanced := r.Get("EventSelectors"), r.Get("AdvancedEventSelectors")
	if why := cmp.Or(basic.Deep(), advanced.Deep()); why != "" {
		p.Unknown(r, r.Pos, "what trail %s leaves out is not known: %s", r.ID, why)
		return
	}
	if len(basic.List())+len(advanced.List()) == 0 {
		return
	}
	for _, s := range basic.List() {
		if rw := s.Get("ReadWriteType"); s.Get("IncludeManagementEvents").Truth(true) == template.Yes && (rw.Absent() || rw.Is("All")) {
			return
		}
	}
	read, write := false, false
	for _, s := range advanced.List() {
		management, only, narrowed := false, "", false
		for _, f := range s.Get("FieldSelectors").List() {
			eq := f.Get("Equals").List()
			switch name := f.Get("Field").String(); {
			case name == "eventCategory":
				management = len(eq) > 0 && eq[0].Is("Management")
			case name == "readOnly" && len(eq) > 0:
				only = eq[0].String()
			default: // of eventSource only KMS and the RDS data API can be left out
				narrowed = narrowed || name != "eventSource" || f.Get("NotEquals").Absent()
			}
		}
		if management && !narrowed {
			read, write = read || only != "false", write || only != "true"
		}
	}
	if !read || !write {
		p.Broken(r, r.Pos, "%s leaves out management events, or some of them", r.ID)
	}
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
		for _, s := range p.BucketStatements(b) {
			switch {
			case s.Unsure != "":
				p.Unknown(b, s.Pos, "whom the policy of %s lets in is not known: %s", b.ID, s.Unsure)
			case s.Allow && (everyone(s) || len(s.NotWho) > 0) && len(s.Conditions) == 0:
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
			p.Must(r, "leaves out what is global, as IAM is", "RecordingGroup", "IncludeGlobalResourceTypes")
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
					if d.Get("Type").Is("AWS::S3::Object") && (rw.Absent() || rw.Is("All") || rw.Is(kind)) && slices.ContainsFunc(d.Get("Values").List(), everyBucket) {
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

// everyBucket says whether a selector's value is all buckets (CloudTrail API, DataResource).
func everyBucket(v *template.Value) bool {
	s := v.String()
	return strings.HasSuffix(s, ":s3") || strings.HasSuffix(s, ":s3:::")
}

func advancedObjects(r *template.Resource, kind string) bool {
	for _, s := range r.Get("AdvancedEventSelectors").List() {
		data, objects, only, part := false, false, "", false
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
			default: // some names, some resources
				part = true
			}
		}
		if data && objects && !part && (only == "" || only == "true" == (kind == "ReadOnly")) {
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
		out = append(out, perimeter.CIS("people", f[0], whyWatch, func(p *perimeter.Pass) error {
			want, err := readPattern(f[2])
			if err != nil {
				return err
			}
			events := want.examples()
			for _, e := range events {
				if from := eventSources[f[0]]; from != "" {
					e["$.eventSource"] = from
				}
			}
			return checkAlarm(p, f[1], events)
		}))
	}
	return out
}

// eventSources are the services whose events the recommendations are for that do not
// name one in their patterns; those that are not here are for all services' events.
var eventSources = map[string]string{
	"4.2": "signin.amazonaws.com", "4.4": "iam.amazonaws.com", "4.5": "cloudtrail.amazonaws.com", "4.6": "signin.amazonaws.com",
	"4.10": "ec2.amazonaws.com", "4.11": "ec2.amazonaws.com", "4.12": "ec2.amazonaws.com", "4.14": "ec2.amazonaws.com",
}

// checkAlarm: of the filters on a trail's log, one sees every event that the
// recommendation's own pattern is for, and an alarm rings at the first of them.
func checkAlarm(p *perimeter.Pass, name string, events []event) error {
	filters := p.World.OfType("AWS::Logs::MetricFilter")
	if len(trails(p)) == 0 {
		return nil
	}
	p.Tried("%d metric filters for one that sees what %s is for", len(filters), name)
	var near *template.Resource
	var missed event
	least := len(events)
	for _, f := range filters {
		v := f.Get("FilterPattern")
		if v.Unknown() {
			p.Unknown(f, v.Place(f.Pos), "what metric filter %s sees is not known: %s", f.ID, v.Why())
			return nil
		}
		got, err := readPattern(v.String())
		if err != nil {
			continue
		}
		miss, which := 0, event(nil)
		for _, e := range events {
			if !got.sees(e) {
				miss, which = miss+1, e
			}
		}
		if miss > 0 {
			if miss < least {
				near, missed, least = f, which, miss
			}
			continue
		}
		judgeFilter(p, f)
		return nil
	}
	if near != nil {
		p.Broken(near, near.Place("FilterPattern"), "metric filter %s comes nearest to %s, and does not see each %s", near.ID, name, missed)
		return nil
	}
	p.Broken(nil, template.Pos{}, "no metric filter on the trail's log sees what %s is for: %s", name, events[0])
	return nil
}

// judgeFilter: a filter that sees an event is on a trail's log, and an alarm on what it
// counts rings.
func judgeFilter(p *perimeter.Pass, f *template.Resource) {
	switch v := f.Get("LogGroupName"); ofTrail(p, v) {
	case template.No:
		p.Broken(f, v.Place(f.Pos), "metric filter %s reads the log %s, to which no trail is delivered", f.ID, v.Show())
		return
	case template.Maybe:
		p.Unknown(f, v.Place(f.Pos), "whether metric filter %s reads a trail's log is not known: %s", f.ID, v.Show())
		return
	}
	why := ""
	for _, t := range f.Get("MetricTransformations").List() {
		ok, but := alarmed(p, t)
		if ok {
			return
		}
		why = cmp.Or(why, but)
	}
	p.Broken(f, f.Pos, "metric filter %s counts, and %s", f.ID, cmp.Or(why, "no alarm with an action is on what it counts"))
}

// ofTrail says whether a trail is delivered to a log group.
func ofTrail(p *perimeter.Pass, group *template.Value) template.Tri {
	name, out := p.Access.Text(group.String()), template.No
	for _, t := range p.World.OfType("AWS::CloudTrail::Trail") {
		to := t.Get("CloudWatchLogsLogGroupArn")
		switch arn := p.Access.Text(to.String()); {
		case to.Absent():
		case name != "" && !group.Unknown() && strings.Contains(arn+":", ":log-group:"+name+":"):
			return template.Yes
		case p.World.Of(to) != nil && p.World.Of(to) == p.World.Of(group):
			return template.Yes
		case group.Unknown() || to.Unknown() || name == "":
			out = template.Maybe
		}
	}
	return out
}

// alarmed says whether an alarm on a filter's metric rings at the first event.
func alarmed(p *perimeter.Pass, t *template.Value) (ok bool, why string) {
	for _, a := range p.World.OfType("AWS::CloudWatch::Alarm") {
		if a.Get("MetricName").String() != t.Get("MetricName").String() || a.Get("Namespace").String() != t.Get("MetricNamespace").String() {
			continue
		}
		level, err := strconv.ParseFloat(a.Get("Threshold").String(), 64)
		over := a.Get("ComparisonOperator")
		switch {
		case len(a.Get("AlarmActions").List()) == 0:
			why = "alarm " + a.ID + " on it tells nobody (AlarmActions)"
		case a.Get("ActionsEnabled").Truth(true) != template.Yes:
			why = "the actions of alarm " + a.ID + " on it are off"
		case err != nil || !(over.Is("GreaterThanOrEqualToThreshold") && level <= 1 || over.Is("GreaterThanThreshold") && level < 1):
			why = "alarm " + a.ID + " on it does not ring at the first event (" + over.Show() + " " + a.Get("Threshold").Show() + ")"
		default:
			return true, ""
		}
	}
	return false, why
}
