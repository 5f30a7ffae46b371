package synth_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/perimeter/all"
	"github.com/ringwall/ringwall/perimeter/host"
	"github.com/ringwall/ringwall/perimeter/webserver"
	"github.com/ringwall/ringwall/plan"
)

// whole synthesizes every wall of a site.
func whole(t testing.TB, file, name string, set map[string]string) *site {
	t.Helper()
	s, err := try(file, name, set, everyWall())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func everyWall() (names []string) {
	for _, w := range all.Perimeters {
		names = append(names, w.Name)
	}
	return names
}

// outerSites are sites of every kind, by name.
func outerSites(t *testing.T) map[string]*site {
	yaml := func(text string) *site {
		return whole(t, yamlFile(t, text), "", nil)
	}
	return map[string]*site{
		"sample wordpress": whole(t, sample, "wp-dev", nil),
		"sample node-red":  whole(t, sample, "nodered-dev", nil),
		"sample postgres":  whole(t, sample, "nodered-test", nil),
		"image":            whole(t, sample, "wp-dev", map[string]string{"aws.image": "build"}),
		"image node-red":   whole(t, sample, "nodered-dev", map[string]string{"aws.image": "build"}),
		"two processors":   whole(t, sample, "wp-dev", map[string]string{"aws.image": "build", "aws.instanceType.admin": "t3.micro"}),
		"public":           whole(t, sample, "wp-dev", map[string]string{"aws.balancer": "public"}),
		"edge's Region":    whole(t, sample, "wp-dev", map[string]string{"aws.region": "us-east-1"}),
		"everybody":        whole(t, sample, "wp-dev", map[string]string{"allowed": "*"}),
		"three zones":      whole(t, sample, "wp-dev", map[string]string{"aws.natGateways": "3"}),
		"no database":      whole(t, sample, "wp-dev", map[string]string{"database.config": "none", "database.protect": "false"}),
		"verbatim":         whole(t, sample, "nodered-dev", map[string]string{"aws.userDataAs": "verbatim"}),
		"generic": yaml("app: api\ncommand: [./server]\nfiles: {source: site}\nnetwork: {zone: example.com, hosts: [api.example.com, other.test]}\n" +
			"allowed: [203.0.113.0/24, \"2001:db8::/32\"]\nadmins: [203.0.113.7, \"2001:db8:7::/48\"]\nroutes: {admin: [/admin/*, \"?do=admin\"]}\naws: {region: eu-west-1}\n"),
		"static": yaml("app: pages\nkind: static\nfiles: {source: site}\nnetwork: {zone: example.com}\ncache: {disabled: true}\naws: {region: eu-west-1, natGateways: 0, image: build}\n"),
	}
}

// TestOuterWalls looks at what holds for the outer walls of every site.
func TestOuterWalls(t *testing.T) {
	for name, s := range outerSites(t) {
		t.Run(name, func(t *testing.T) {
			distribution(t, s)
			webACL(t, s)
			doors(t, s)
			instances(t, s)
			for _, tm := range s.templates {
				if n := len(tm.JSON()); n > 1<<20 {
					t.Errorf("%s has %d bytes, want 1 MiB at most", tm.Name, n)
				}
				if n := len(s.resources(tm.Role)); n > 500 {
					t.Errorf("%s has %d resources, want 500 at most", tm.Name, n)
				}
			}
		})
	}
}

type object = map[string]any

// at walks into a value by keys and indices.
func at(v any, path ...any) any {
	for _, p := range path {
		switch p := p.(type) {
		case string:
			m, _ := v.(object)
			v = m[p]
		case int:
			l, _ := v.([]any)
			if p >= len(l) {
				return nil
			}
			v = l[p]
		}
	}
	return v
}

func list(v any) []any { l, _ := v.([]any); return l }

func distribution(t *testing.T, s *site) {
	c := at(s.props(plan.StackCDN, "Distribution"), "DistributionConfig")
	policies := map[string]any{}
	for _, id := range s.ids(plan.StackCDN, "AWS::CloudFront::CachePolicy") {
		policies[id] = at(s.props(plan.StackCDN, id), "CachePolicyConfig")
	}
	behaviours := append([]any{at(c, "DefaultCacheBehavior")}, list(at(c, "CacheBehaviors"))...)
	for _, b := range behaviours {
		where := text(at(b, "PathPattern"))
		events := []string{}
		for _, f := range list(at(b, "FunctionAssociations")) {
			events = append(events, text(at(f, "EventType"))+" "+text(at(f, "FunctionARN")))
		}
		if want := []string{"viewer-request RequestFunction.FunctionARN", "viewer-response ResponseFunction.FunctionARN"}; !slices.Equal(events, want) {
			t.Errorf("%s: got the functions %v, want %v", where, events, want)
		}
		p := policies[text(at(b, "CachePolicyId"))]
		if text(at(p, "MinTTL")) != "0" {
			t.Errorf("%s: least time %v, want 0", where, at(p, "MinTTL"))
		}
		if where != "-" && text(at(p, "MaxTTL")) != "0" {
			t.Errorf("%s is stored", where)
		}
		if text(at(p, "MaxTTL")) != "0" {
			key := at(p, "ParametersInCacheKeyAndForwardedToOrigin")
			for _, h := range []string{"Authorization", plan.HeaderStore, plan.HeaderTier} {
				if !slices.Contains(list(at(key, "HeadersConfig", "Headers")), any(h)) {
					t.Errorf("%s: %s is not in the key", where, h)
				}
			}
			if text(at(key, "CookiesConfig", "CookieBehavior")) != "all" {
				t.Errorf("%s: cookies are not in the key", where)
			}
		}
		if text(at(b, "ViewerProtocolPolicy")) != "redirect-to-https" {
			t.Errorf("%s is answered without TLS", where)
		}
	}
	if s.plan.Edge.Cache.Off && len(policies) != 1 {
		t.Errorf("the cache is off, and there are %d policies", len(policies))
	}
	if text(at(c, "ViewerCertificate", "MinimumProtocolVersion")) != "TLSv1.2_2021" || text(at(c, "WebACLId")) != "WebACL.Arn" {
		t.Errorf("got %v, %v", at(c, "ViewerCertificate"), at(c, "WebACLId"))
	}
	origin := at(c, "Origins", 0)
	public := s.plan.AWS.Balancer == plan.BalancerPublic
	if (at(origin, "VpcOriginConfig") == nil) != public || (at(origin, "CustomOriginConfig") == nil) == public {
		t.Errorf("got the origin %v with the balancer %q", origin, s.plan.AWS.Balancer)
	}
	if public && text(at(origin, "CustomOriginConfig", "OriginProtocolPolicy")) != "https-only" {
		t.Errorf("got %v", origin)
	}
	for _, e := range list(at(c, "CustomErrorResponses")) {
		if text(at(e, "ErrorCachingMinTTL")) != "0" {
			t.Errorf("errors are stored: %v", e)
		}
	}
	if n := len(text(s.props(plan.StackCDN, "RequestFunction")["FunctionCode"])); n > 10<<10 {
		t.Errorf("a function of %d bytes", n)
	}
	if got := s.ids(plan.StackCDN, "AWS::Route53::RecordSet"); !slices.Contains(got, "RecordA") || !slices.Contains(got, "RecordAAAA") || !slices.Contains(got, "RecordCAA") {
		t.Errorf("got the records %v", got)
	}
}

func webACL(t *testing.T, s *site) {
	acl := s.props(plan.StackCDN, "WebACL")
	names := map[string]bool{}
	for _, r := range list(acl["Rules"]) {
		name := text(at(r, "Name"))
		names[name] = true
		if g := at(r, "Statement", "ManagedRuleGroupStatement"); g != nil && at(r, "OverrideAction", "None") == nil {
			t.Errorf("the group %s only counts", name)
		}
		if at(r, "Statement", "ManagedRuleGroupStatement") == nil && at(r, "Action", "Block") == nil {
			t.Errorf("the rule %s does not refuse", name)
		}
	}
	want := []string{"Rate", "BodySize", "BodiesOfVisitors", "AWSManagedRulesCommonRuleSet", "AWSManagedRulesKnownBadInputsRuleSet"}
	if s.plan.Database.Present() {
		want = append(want, "AWSManagedRulesSQLiRuleSet")
	}
	if !s.plan.Edge.Allowed.Any {
		want = append(want, "AllowedAddresses")
	}
	for _, w := range want {
		if !names[w] {
			t.Errorf("the web ACL has no %s: %v", w, names)
		}
	}
	if names["AllowedAddresses"] == s.plan.Edge.Allowed.Any {
		t.Errorf("an allow list: %v, everybody is allowed: %v", names["AllowedAddresses"], s.plan.Edge.Allowed.Any)
	}
	wcu, _ := at(s.resources(plan.StackCDN)["WebACL"], "Metadata", "Ringwall", "WCU").(float64)
	if wcu <= 900 || wcu > 5000 {
		t.Errorf("got %v capacity units", wcu)
	}
	logging := s.props(plan.StackCDN, "WAFLogging")
	hidden := text(logging["RedactedFields"])
	if !strings.Contains(hidden, "authorization") || !strings.Contains(hidden, "cookie") || !strings.Contains(text(s.props(plan.StackCDN, "WAFLogs")["LogGroupName"]), "aws-waf-logs-") {
		t.Errorf("got logging %v", logging)
	}
}

func doors(t *testing.T, s *site) {
	const st = plan.StackCompute
	l := s.props(st, "Listener")
	if text(at(l["DefaultActions"], 0, "Type")) != "fixed-response" || text(at(l["DefaultActions"], 0, "FixedResponseConfig", "StatusCode")) != "404" || !strings.Contains(text(l["SslPolicy"]), "TLS13-1-2") {
		t.Errorf("got the listener %v", l)
	}
	priority := map[string]float64{}
	for _, tier := range []string{plan.Admin, plan.Fleet} {
		r := s.props(st, strings.ToUpper(tier[:1])+tier[1:]+"Rule")
		priority[tier], _ = r["Priority"].(float64)
		got := map[string]string{}
		for _, c := range list(r["Conditions"]) {
			got[text(at(c, "HttpHeaderConfig", "HttpHeaderName"))] = text(at(c, "HttpHeaderConfig", "Values", 0))
		}
		sent := text(at(s.props(plan.StackCDN, "Distribution"), "DistributionConfig", "Origins", 0, "OriginCustomHeaders", 0, "HeaderValue"))
		if got[plan.HeaderTier] != tier || got[plan.HeaderSecret] != sent || !strings.HasPrefix(sent, "{{resolve:secretsmanager:") {
			t.Errorf("the rule of %s asks for %v, the edge sends %s", tier, got, sent)
		}
	}
	if priority[plan.Admin] >= priority[plan.Fleet] {
		t.Errorf("got the priorities %v", priority)
	}
	b := s.props(st, "Balancer")
	if public := s.plan.AWS.Balancer == plan.BalancerPublic; (b["Scheme"] == "internet-facing") != public {
		t.Errorf("got scheme %v", b["Scheme"])
	}
	if len(list(b["Subnets"])) < 2 {
		t.Errorf("the balancer stands in %v", b["Subnets"])
	}
	secret := s.props(st, "OriginSecret")
	if (secret["ReplicaRegions"] == nil) != (s.plan.AWS.Region == plan.EdgeRegion) {
		t.Errorf("got copies %v", secret["ReplicaRegions"])
	}
}

var subbed = regexp.MustCompile(`\$\{([A-Za-z]+)\}`)

func instances(t *testing.T, s *site) {
	const st = plan.StackCompute
	if host.AppPort != webserver.NginxAppPort {
		t.Errorf("the app listens at %d, and nginx asks %d", host.AppPort, webserver.NginxAppPort)
	}
	for _, tier := range s.plan.Tiers {
		id := strings.ToUpper(tier.Name[:1]) + tier.Name[1:]
		d := at(s.props(st, id+"Template"), "LaunchTemplateData")
		m := at(d, "MetadataOptions")
		if text(at(m, "HttpTokens")) != "required" || text(at(m, "HttpPutResponseHopLimit")) != "1" || at(d, "KeyName") != nil {
			t.Errorf("%s: got %v, key %v", tier.Name, m, at(d, "KeyName"))
		}
		if text(at(d, "BlockDeviceMappings", 0, "Ebs", "Encrypted")) != "true" {
			t.Errorf("%s: the disk is not encrypted", tier.Name)
		}
		if at(d, "NetworkInterfaces") != nil {
			t.Errorf("%s has network interfaces of its own", tier.Name)
		}
		g := s.props(st, id+"Instances")
		if g["MinSize"] != fmt.Sprint(tier.Min) || g["MaxSize"] != fmt.Sprint(tier.Max) || len(list(g["VPCZoneIdentifier"])) != s.plan.AWS.Zones() || g["HealthCheckType"] != "ELB" {
			t.Errorf("%s: got %v to %v over %v", tier.Name, g["MinSize"], g["MaxSize"], g["VPCZoneIdentifier"])
		}
		if (s.props(st, id+"Scaling") != nil) != (tier.Max > tier.Min) {
			t.Errorf("%s: %d to %d instances, scaling %v", tier.Name, tier.Min, tier.Max, s.props(st, id+"Scaling"))
		}
		if m := s.plan.AWS.BuildMinutes[tier.Name]; m > 0 && g["HealthCheckGracePeriod"] != float64(m*60) {
			t.Errorf("%s: got grace %v, want %d minutes", tier.Name, g["HealthCheckGracePeriod"], m)
		}
		if want := s.plan.AWS.InstanceType[tier.Name]; want != "" && at(d, "InstanceType") != want {
			t.Errorf("%s: got %v, want %s", tier.Name, at(d, "InstanceType"), want)
		}
		script := text(at(d, "UserData", "Fn::Base64"))
		sub := list(at(d, "UserData", "Fn::Base64", "Fn::Sub"))
		if len(sub) == 2 {
			script = text(sub[0])
		} else if one, ok := at(d, "UserData", "Fn::Base64", "Fn::Sub").(string); ok {
			script = one
		}
		if s.plan.AWS.UserDataAs == plan.UserDataVerbatim {
			if !strings.Contains(script, "node-red") {
				t.Errorf("%s: verbatim user data is %s", tier.Name, script)
			}
			continue
		}
		if len(script) > 15<<10 {
			t.Errorf("%s: user data of %d bytes", tier.Name, len(script))
		}
		for _, f := range subbed.FindAllStringSubmatch(script, -1) {
			if at(sub, 1, f[1]) == nil {
				t.Errorf("%s: nobody fills ${%s}", tier.Name, f[1])
			}
		}
		unpacked(t, s, tier, text(at(sub, 1, "Webserver")))
		if image := s.plan.AWS.Image == plan.ImageBuild; strings.Contains(script, "dnf ") == image || (len(s.ids(plan.StackImage, "AWS::ImageBuilder::Image")) > 0) != image {
			t.Errorf("%s: image %q, and user data installs: %v", tier.Name, s.plan.AWS.Image, strings.Contains(script, "dnf "))
		}
	}
}

// unpacked takes the web server's files out of the template as an instance does,
// and has nginx judge them.
func unpacked(t *testing.T, s *site, tier plan.Tier, spec string) {
	t.Helper()
	parts, sum, _ := strings.Cut(spec, " ")
	if len(sum) != 64 {
		t.Errorf("%s: user data knows %q of the web server's files", tier.Name, spec)
		return
	}
	var all string
	for n := 0; fmt.Sprint(n) != parts; n++ {
		name, found := plan.FilesPrefix(s.plan.Site(), tier.Name, "webserver")+"/"+sum[:12]+"/"+fmt.Sprint(n), false
		for _, id := range s.ids(plan.StackCompute, "AWS::SSM::Parameter") {
			if p := s.props(plan.StackCompute, id); p["Name"] == name {
				value := text(p["Value"])
				if len(value) > 4096 {
					t.Errorf("%s has %d characters", name, len(value))
				}
				all, found = all+value, true
			}
		}
		if !found {
			t.Fatalf("%s: there is no parameter %s", tier.Name, name)
		}
	}
	b, err := base64.StdEncoding.DecodeString(all)
	if err != nil {
		t.Fatal(err)
	}
	if got := sha256.Sum256(b); hex.EncodeToString(got[:]) != sum {
		t.Errorf("%s: got checksum %x, want %s", tier.Name, got, sum)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "files"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "tar", "-xzf", "files")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	got, err := os.ReadFile(filepath.Join(dir, "etc/nginx/nginx.conf"))
	want, _ := webserver.Nginx(s.plan, tier.Name, webserver.NginxOptions{})
	if err != nil || string(got) != want {
		t.Errorf("%s: the instance gets another nginx.conf: %v", tier.Name, err)
	}
	fpm, err := os.ReadFile(filepath.Join(dir, "etc/ringwall/php-fpm.conf"))
	if (err == nil) != (s.plan.Kind == plan.PHP) || s.plan.Kind == plan.PHP && !strings.Contains(string(fpm), "env[RINGWALL_TIER] = '"+tier.Name+"'") {
		t.Errorf("%s: kind %s, php-fpm.conf: %v %.60s", tier.Name, s.plan.Kind, err, fpm)
	}
}

// TestOuterNotes: what is replaced is said.
func TestOuterNotes(t *testing.T) {
	s := whole(t, sample, "wp-dev", map[string]string{"network.hosts": "other.test"})
	all := strings.Join(s.notes, "\n")
	for _, want := range []string{"Amazon Linux 2", "configure_apache.sh", "configure_apache_install_wordpress_and_config.sh", "commands of the sample", "SQL", "capacity units", "other.test"} {
		if !strings.Contains(all, want) {
			t.Errorf("nothing says %q:\n%s", want, all)
		}
	}
	if s := whole(t, sample, "wp-dev", map[string]string{"edge.managedRules": "AWSManagedRulesCommonRuleSet,AWSManagedRulesKnownBadInputsRuleSet,AWSManagedRulesLinuxRuleSet,AWSManagedRulesUnixRuleSet,AWSManagedRulesPHPRuleSet,AWSManagedRulesWordPressRuleSet,AWSManagedRulesAmazonIpReputationList"}); !strings.Contains(strings.Join(s.notes, "\n"), "are above 1500") {
		t.Errorf("the price step is not said: %v", s.notes)
	}
}

func TestOuterErrors(t *testing.T) {
	for want, set := range map[string]map[string]string{
		"neither known nor there":  {"aws.userDataScript.fleet": "nowhere.sh"},
		"sign-up page":             {"edge.managedRules": "AWSManagedRulesACFPRuleSet"},
		"blocks of administrators": {"admins": manyBlocks(), "allowed": "*"},
	} {
		if _, err := try(sample, "wp-dev", set, everyWall()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got %v, want %q", set, err, want)
		}
	}
}

func manyBlocks() string {
	var list []string
	for i := range 700 {
		list = append(list, fmt.Sprintf("11.%d.%d.0/24", i/256, i%256))
	}
	return strings.Join(list, ",")
}

// Two runs give the same bytes.
func TestOuterDeterministic(t *testing.T) {
	one, two := whole(t, sample, "wp-dev", nil), whole(t, sample, "wp-dev", nil)
	a, _ := json.Marshal(one.stacks)
	b, _ := json.Marshal(two.stacks)
	if string(a) != string(b) {
		t.Error("two runs differ")
	}
	for i := range one.templates {
		if string(one.templates[i].JSON()) != string(two.templates[i].JSON()) {
			t.Errorf("%s differs", one.templates[i].Name)
		}
	}
}

// What stays when a site is taken away has no name that its next stacks want too.
func TestWhatStaysHasANameOfItsOwn(t *testing.T) {
	s := whole(t, sample, "wp-dev", map[string]string{"aws.image": "build"})
	kept := 0
	for _, tpl := range s.templates {
		var doc struct {
			Resources map[string]struct {
				DeletionPolicy string
				Properties     map[string]json.RawMessage
			}
		}
		if err := json.Unmarshal(tpl.JSON(), &doc); err != nil {
			t.Fatal(err)
		}
		for id, r := range doc.Resources {
			if !strings.HasPrefix(r.DeletionPolicy, "Retain") {
				continue
			}
			kept++
			for _, name := range []string{"Name", "LogGroupName", "BucketName", "BackupVaultName", "TableName"} {
				if v := string(r.Properties[name]); v != "" && !strings.Contains(v, "AWS::StackId") {
					t.Errorf("%s of %s is %s and stays: the next stack of that site cannot be made", name, id, v)
				}
			}
		}
	}
	if kept < 5 {
		t.Errorf("got %d resources that stay, want the logs, keys and files", kept)
	}
}
