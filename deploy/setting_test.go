package deploy

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ringwall/ringwall/deploy/fakecfn"
)

// small is a site of one stack.
func small(t *testing.T, name string) Site {
	t.Helper()
	b := body(t, obj{"Resources": obj{"Topic": obj{"Type": "AWS::SNS::Topic"}}})
	return Site{Name: name, Settings: Settings(home), Stacks: []Stack{{Name: name + "-network-stack", Region: home, Template: b}}}
}

func TestSettings(t *testing.T) {
	srv := server(t, fakecfn.Options{})
	former := fakecfn.AccountState{
		EBS:      map[string]bool{home: false},
		Block:    &fakecfn.PublicAccessBlock{BlockPublicAcls: true},
		Password: map[string]string{"MinimumPasswordLength": "20", "PasswordReusePrevention": "5", "RequireSymbols": "true"},
	}
	srv.SetAccount(former)
	c, site := client(t), small(t, "wp-dev")
	res := mustDeploy(t, c, site)
	if len(res.Settings) != 4 {
		t.Errorf("got %v, want four", res.Settings)
	}
	a := srv.Account()
	if !a.EBS[home] || !a.Block.RestrictPublicBuckets || !a.Block.BlockPublicAcls {
		t.Errorf("got %+v", a)
	}
	// What is stricter already stays, and nothing of the policy is lost.
	if a.Password["MinimumPasswordLength"] != "20" || a.Password["PasswordReusePrevention"] != "24" || a.Password["RequireSymbols"] != "true" {
		t.Errorf("got %v", a.Password)
	}
	if res := mustDeploy(t, c, site); len(res.Settings) != 0 {
		t.Errorf("the second time: got %v, want none", res.Settings)
	}

	// A second site wants the same; the first one's end changes nothing.
	other := small(t, "api-dev")
	mustDeploy(t, c, other)
	if _, err := c.Destroy(t.Context(), site, DestroyOptions{}); err != nil {
		t.Fatal(err)
	}
	if a := srv.Account(); !a.EBS[home] || a.Password["PasswordReusePrevention"] != "24" {
		t.Errorf("the other site still wants them: got %+v", a)
	}
	if _, err := c.Destroy(t.Context(), other, DestroyOptions{}); err != nil {
		t.Fatal(err)
	}
	a = srv.Account()
	if a.EBS[home] || a.Block.RestrictPublicBuckets || !a.Block.BlockPublicAcls || a.Password["PasswordReusePrevention"] != "5" || a.Password["MinimumPasswordLength"] != "20" || a.Password["RequireSymbols"] != "true" {
		t.Errorf("got %+v, want it as it was", a)
	}
	if left := srv.Stacks(); len(left) != 0 {
		t.Errorf("got %v, want none", left)
	}
}

// What Inspector looked through before the first site it goes on with after the
// last: another's instances, and images, which are no matter of ours.
func TestInspector(t *testing.T) {
	srv := server(t, fakecfn.Options{})
	srv.SetAccount(fakecfn.AccountState{Inspected: map[string][]string{home: {"EC2", "ECR"}}})
	c, site := client(t), small(t, "wp-dev")
	changes, err := c.ReadSettings(t.Context(), site.Settings)
	if err != nil {
		t.Fatal(err)
	}
	shown := ""
	for _, ch := range changes {
		if ch.ID == "Inspector" {
			shown = ch.String()
		}
	}
	if !strings.Contains(shown, "EC2 → EC2,LAMBDA") || !strings.Contains(shown, "destroy puts it back") {
		t.Errorf("got %q, want the change and that destroy undoes it", shown)
	}
	mustDeploy(t, c, site)
	if got := strings.Join(srv.Account().Inspected[home], ","); got != "EC2,ECR,LAMBDA" {
		t.Errorf("after the deployment: got %s", got)
	}
	if got := srv.Account().Inspected[Edge]; len(got) > 0 {
		t.Errorf("in another Region: got %v, want nothing", got)
	}
	if res := mustDeploy(t, c, site); slices.Contains(res.Settings, "Inspector") {
		t.Error("the second time it was changed again")
	}
	if _, err := c.Destroy(t.Context(), site, DestroyOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(srv.Account().Inspected[home], ","); got != "EC2,ECR" {
		t.Errorf("after the end: got %s, want what was before", got)
	}
}

// An account in which all was on before keeps it, and one that was off goes off.
func TestInspectorAsItWas(t *testing.T) {
	for before, during := range map[string]string{"EC2,LAMBDA,LAMBDA_CODE": "EC2,LAMBDA,LAMBDA_CODE", "": "EC2,LAMBDA"} {
		srv := server(t, fakecfn.Options{})
		srv.SetAccount(fakecfn.AccountState{Inspected: map[string][]string{home: strings.FieldsFunc(before, func(r rune) bool { return r == ',' })}})
		c, site := client(t), small(t, "wp-dev")
		mustDeploy(t, c, site)
		if got := strings.Join(srv.Account().Inspected[home], ","); got != during {
			t.Errorf("with %q before: got %s, want %s", before, got, during)
		}
		if _, err := c.Destroy(t.Context(), site, DestroyOptions{}); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(srv.Account().Inspected[home], ","); got != before {
			t.Errorf("with %q before: got %s at the end", before, got)
		}
	}
}

// A setting that somebody changed meanwhile is theirs.
func TestSettingChangedByOthers(t *testing.T) {
	srv := server(t, fakecfn.Options{})
	c, site := client(t), small(t, "wp-dev")
	mustDeploy(t, c, site)
	a := srv.Account()
	a.Password = map[string]string{"MinimumPasswordLength": "30"}
	srv.SetAccount(a)
	var ev events
	if _, err := c.Destroy(t.Context(), site, DestroyOptions{Progress: ev.add}); err != nil {
		t.Fatal(err)
	}
	if got := srv.Account().Password["MinimumPasswordLength"]; got != "30" {
		t.Errorf("got %q, want 30 as somebody set it", got)
	}
	if !slices.ContainsFunc(ev.all, func(e Event) bool {
		return e.Resource == "PasswordPolicy" && e.State == Kept && strings.Contains(e.Text, "somebody")
	}) {
		t.Error("nobody was told")
	}
}

// An account that has it all already is not touched, and keeps it at the end.
func TestSettingsThatWereThere(t *testing.T) {
	srv := server(t, fakecfn.Options{})
	srv.SetAccount(fakecfn.AccountState{EBS: map[string]bool{home: true},
		Block:     &fakecfn.PublicAccessBlock{BlockPublicAcls: true, IgnorePublicAcls: true, BlockPublicPolicy: true, RestrictPublicBuckets: true},
		Password:  map[string]string{"MinimumPasswordLength": "14", "PasswordReusePrevention": "24"},
		Inspected: map[string][]string{home: {"EC2", "LAMBDA"}}})
	c, site := client(t), small(t, "wp-dev")
	mustDeploy(t, c, site)
	if _, err := c.Destroy(t.Context(), site, DestroyOptions{}); err != nil {
		t.Fatal(err)
	}
	if a := srv.Account(); !a.EBS[home] || a.Block == nil || a.Password == nil {
		t.Errorf("got %+v, want it as it was", a)
	}
	for _, q := range srv.Log() {
		if q.Service != "cloudformation" && q.Changes() && q.Action != "GetCallerIdentity" {
			t.Errorf("%s %s although nothing was to change", q.Service, q.Action)
		}
	}
}

// A template that is too long to send goes through a bucket, which goes with the site.
func TestLongTemplate(t *testing.T) {
	srv := server(t, fakecfn.Options{})
	c, site := client(t), small(t, "wp-dev")
	site.Settings = nil
	resources := obj{}
	for i := range 100 {
		resources["Topic"+strings.Repeat("x", i+1)] = obj{"Type": "AWS::SNS::Topic", "Properties": obj{"DisplayName": strings.Repeat("y", 600)}}
	}
	site.Stacks[0].Template = body(t, obj{"Resources": resources})
	mustDeploy(t, c, site)
	if a := srv.Account(); a.Objects != 1 {
		t.Errorf("got %d objects, want the template", a.Objects)
	}
	mustDeploy(t, c, site)
	if _, err := c.Destroy(t.Context(), site, DestroyOptions{}); err != nil {
		t.Fatal(err)
	}
	if a, left := srv.Account(), srv.Stacks(); a.Objects != 0 || len(left) != 0 {
		t.Errorf("got %d objects and %v, want nothing", a.Objects, left)
	}
	resources["Huge"] = obj{"Type": "AWS::SNS::Topic", "Properties": obj{"DisplayName": strings.Repeat("z", maxTemplate)}}
	site.Stacks[0].Template = body(t, obj{"Resources": resources})
	if _, err := c.Deploy(t.Context(), site, Options{}); err == nil || !strings.Contains(err.Error(), "split it") {
		t.Errorf("got %v", err)
	}
}

func TestLookups(t *testing.T) {
	srv := server(t, fakecfn.Options{})
	srv.AddPrefixList(home, "com.amazonaws."+home+".s3", "pl-s3")
	srv.AddZone("example.com.", "Z1")
	srv.AddZone("other.com.", "Z2")
	b := body(t, obj{"Parameters": obj{"S3": obj{"Type": "String"}, "Zone": obj{"Type": "String"}},
		"Resources": obj{"A": obj{"Type": "AWS::SNS::Topic", "Properties": obj{"TopicName": ref("Zone"), "DisplayName": ref("S3")}}}})
	c := client(t)
	site := func(zone string) Site {
		return Site{Name: "x-dev", Stacks: []Stack{{Name: "x-dev-network-stack", Region: home, Template: b,
			Lookups: map[string]string{"S3": "prefix-list:com.amazonaws.{region}.s3", "Zone": "hosted-zone:" + zone}}}}
	}
	mustDeploy(t, c, site("www.shop.example.com"))
	if p := srv.Stacks()["x-dev-network-stack"].Params; p["S3"] != "pl-s3" || p["Zone"] != "Z1" {
		t.Errorf("got %v", p)
	}
	_, err := c.Deploy(t.Context(), site("example.org"), Options{})
	if err == nil || !strings.Contains(err.Error(), "no public zone") || !strings.Contains(err.Error(), "--parameter Zone=") {
		t.Errorf("got %v", err)
	}
	given := site("example.org")
	given.Stacks[0].Parameters = map[string]string{"Zone": "Z9"}
	mustDeploy(t, c, given)
	if p := srv.Stacks()["x-dev-network-stack"].Params; p["Zone"] != "Z9" {
		t.Errorf("got %v, want what was given", p)
	}
}

// Two sites that are deployed at the same time are both in the record: whoever is
// overtaken, before the change set is made or after, does it again.
func TestRecordOfTwoSitesAtOnce(t *testing.T) {
	for _, at := range []string{"CreateChangeSet", "ExecuteChangeSet"} {
		t.Run(at, func(t *testing.T) {
			srv := server(t, fakecfn.Options{})
			c, site, other := client(t), small(t, "wp-dev"), small(t, "api-dev")
			mustDeploy(t, c, small(t, "first-dev"))
			var done atomic.Bool
			srv.Refuse(func(q fakecfn.Request) *fakecfn.Error {
				if q.Action == at && (q.Params.Get("StackName") == recordName || strings.Contains(q.Params.Get("ChangeSetName"), "changeSet/")) {
					if done.CompareAndSwap(false, true) {
						mustDeploy(t, c, other)
					}
				}
				return nil
			})
			mustDeploy(t, c, site)
			r := c.newRun(site, Options{})
			for _, region := range []string{home, Edge} {
				rec, err := r.readRecord(t.Context(), region)
				if err != nil {
					t.Fatal(err)
				}
				if want := []string{"api-dev", "first-dev", "wp-dev"}; !slices.Equal(rec.sites, want) {
					t.Errorf("%s: got %v, want %v", region, rec.sites, want)
				}
				if rec.former["EbsEncryptionByDefault"] != "off" && region == home {
					t.Errorf("got former values %v, want those before the first site", rec.former)
				}
			}
		})
	}
}
