package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/deploy/fakecfn"
)

// States in which a stack may be found, and what a deployment makes of each.
func TestStackStates(t *testing.T) {
	for _, tt := range []struct {
		status, want string // of the error; empty: it goes on
	}{
		{"CREATE_COMPLETE", ""}, {"UPDATE_COMPLETE", ""}, {"UPDATE_ROLLBACK_COMPLETE", ""}, {"IMPORT_COMPLETE", ""},
		{"ROLLBACK_COMPLETE", ""}, {"ROLLBACK_FAILED", ""},
		{"UPDATE_ROLLBACK_FAILED", "--continue-rollback"},
		{"UPDATE_FAILED", "--continue-rollback"},
		{"DELETE_FAILED", "ringwall destroy"},
		{"CREATE_FAILED", "ringwall destroy"},
	} {
		t.Run(tt.status, func(t *testing.T) {
			srv := server(t, fakecfn.Options{})
			c, site := client(t), sample(t)
			mustDeploy(t, c, site)
			srv.SetStatus(Edge, "wp-dev-cdn-stack", tt.status, "because of something (Service: Fake, Status Code: 400)")
			_, err := c.Deploy(t.Context(), edit(t, site, "wp-dev-cdn-stack", `"CLOUDFRONT"`, `"OTHER"`), Options{})
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				whole(t, srv)
				return
			}
			e, ok := errors.AsType[*StateError](err)
			if !ok || e.Status != tt.status || !strings.Contains(e.Next, tt.want) || e.Reason != "because of something" {
				t.Errorf("got %v, want one that says %s", err, tt.want)
			}
		})
	}
}

// An empty shell that another program's change set keeps is not swept away.
func TestReviewInProgress(t *testing.T) {
	srv := server(t, fakecfn.Options{})
	c, site := client(t), sample(t)
	r := c.newRun(site, Options{})
	if _, err := r.propose(t.Context(), &site.Stacks[3], nil, nil); err != nil {
		t.Fatal(err)
	}
	if got := srv.Stacks()["wp-dev-network-stack"]; got.Status != "REVIEW_IN_PROGRESS" || got.ChangeSets != 1 {
		t.Fatalf("got %+v", got)
	}
	mustDeploy(t, c, site)
	whole(t, srv)
}

// Somebody else's operation is waited for.
func TestWaitsForOthers(t *testing.T) {
	srv := server(t, fakecfn.Options{Latency: 10 * time.Millisecond})
	c, site := client(t), sample(t)
	mustDeploy(t, c, site)
	changed := edit(t, site, "wp-dev-network-stack", `"fleet"`, `"the fleet"`)
	ctx, cancel := context.WithCancel(t.Context())
	srv.OnResource(func(_, _, _, _ string) {
		cancel()
		time.Sleep(500 * time.Millisecond) // the stack is still busy when the next run comes
	})
	if _, err := c.Deploy(ctx, changed, Options{}); err == nil {
		t.Fatal("got no error")
	}
	srv.Mend()
	var ev events
	res, err := c.Deploy(t.Context(), changed, Options{Progress: ev.add})
	if err != nil {
		t.Fatal(err)
	}
	if !ev.has("wp-dev-network-stack", "", Waiting) || !slices.Contains(res.Unchanged, "wp-dev-network-stack") {
		t.Errorf("got %+v, want that it waited for the first one and found nothing left to do", res)
	}
}

// A run that changes nothing proves it by the server's log.
func TestDryRun(t *testing.T) {
	srv := server(t, fakecfn.Options{})
	c, site := client(t), sample(t)
	site.Settings = Settings(home)
	all, settings, err := c.Propose(t.Context(), site)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 4 || all[0].Stack != "wp-dev-network-stack" || all[0].Status != "" || len(all[0].Changes) != 5 || all[0].Changes[4].Action != "close" || all[0].Changes[0].Action != "add" {
		t.Errorf("got %+v", all)
	}
	if len(settings) != 4 || settings[3].New != "EC2,LAMBDA" || settings[0].Now != "off" || settings[0].New != "on" || settings[1].Now != "none" {
		t.Errorf("got %+v", settings)
	}
	onlyReads(t, srv)
	if len(srv.Stacks()) != 0 {
		t.Errorf("got %v, want no stack", srv.Stacks())
	}

	mustDeploy(t, c, site)
	srv.ForgetLog()
	all, settings, err = c.Propose(t.Context(), site)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		if !p.Empty() {
			t.Errorf("%s: got %+v, want nothing to do", p.Stack, p)
		}
	}
	for _, s := range settings {
		if s.New != "" {
			t.Errorf("%s: got %q, want nothing to do", s.ID, s.New)
		}
	}
	changed := edit(t, edit(t, site, "wp-dev-database-stack", `"mysql"`, `"postgres"`), "wp-dev-compute-stack", `"2"`, `"3"`)
	all, _, err = c.Propose(t.Context(), changed)
	if err != nil {
		t.Fatal(err)
	}
	db := all[1].Changes
	if len(db) != 1 || db[0].Action != "perhaps replace" && db[0].Action != "replace" || db[0].Loss == "" || !slices.Equal(db[0].Properties, []string{"Engine"}) {
		t.Errorf("got %+v, want the loss of the database", db)
	}
	if fleet := all[2].Changes; len(fleet) != 1 || fleet[0].Action != "change" || fleet[0].Loss != "" {
		t.Errorf("got %+v", fleet)
	}
	if _, err := c.Doom(t.Context(), site); err != nil {
		t.Fatal(err)
	}
	onlyReads(t, srv)
}

func onlyReads(t *testing.T, srv *fakecfn.Server) {
	t.Helper()
	log := srv.Log()
	if len(log) < 5 {
		t.Errorf("got %d calls, want some", len(log))
	}
	for _, q := range log {
		if q.Changes() {
			t.Errorf("%s %s in a run that was to change nothing", q.Service, q.Action)
		}
	}
}

// Check's refusal comes before the first call.
func TestCheckStops(t *testing.T) {
	srv := server(t, fakecfn.Options{})
	broken := errors.New("edge/waf is broken")
	_, err := client(t).Deploy(t.Context(), sample(t), Options{Check: func(context.Context) error { return broken }})
	if !errors.Is(err, broken) || len(srv.Log()) != 0 {
		t.Errorf("got %v after %d calls, want the check's error before any", err, len(srv.Log()))
	}
}

// An override is recorded where everybody with the account sees it.
func TestOverrideIsRecorded(t *testing.T) {
	srv := server(t, fakecfn.Options{})
	_, err := client(t).Deploy(t.Context(), sample(t), Options{Overrides: []Override{{"edge/waf", "the pilot is behind a VPN, until May (Ana)"}}})
	if err != nil {
		t.Fatal(err)
	}
	have, err := client(t).Templates(t.Context(), sample(t))
	if err != nil || len(have) != 4 {
		t.Fatalf("got %d templates, %v, want 4", len(have), err)
	}
	for name, b := range have {
		var v struct {
			Metadata struct{ RingwallOverrides []Override }
		}
		if err := json.Unmarshal(b, &v); err != nil || len(v.Metadata.RingwallOverrides) != 1 || v.Metadata.RingwallOverrides[0].ID != "edge/waf" || !strings.Contains(v.Metadata.RingwallOverrides[0].Reason, "(Ana)") {
			t.Errorf("%s: got %+v, %v", name, v, err)
		}
	}
	for _, q := range srv.Log() {
		if q.Action == "CreateChangeSet" && !strings.Contains(q.Params.Get("Description"), "override edge/waf: the pilot is behind a VPN, until May (Ana)") {
			t.Errorf("got description %q", q.Params.Get("Description"))
		}
	}
}

// Losses wait for approval before anything is changed, whoever finds them.
func TestApproval(t *testing.T) {
	for _, tt := range []struct{ name, old, new, what string }{
		{"replaced", `"mysql"`, `"postgres"`, "replaced"},
		{"restored", `"Engine": "mysql"`, `"DBSnapshotIdentifier": "before", "Engine": "postgres"`, "replaced by one with what is in snapshot before, without what was written after it, because"},
		{"removed", `"Files": {`, `"Other": {`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := server(t, fakecfn.Options{})
			c, site := client(t), sample(t)
			mustDeploy(t, c, site)
			changed := edit(t, site, "wp-dev-database-stack", tt.old, tt.new)
			srv.ForgetLog()
			_, err := c.Deploy(t.Context(), changed, Options{})
			if tt.what == "" { // retained: nothing is lost
				if err != nil {
					t.Errorf("got %v, want no question: the file system stays", err)
				}
				return
			}
			if !errors.Is(err, ErrApproval) || !strings.Contains(err.Error(), tt.what) || !strings.Contains(err.Error(), "--yes") {
				t.Fatalf("got %v", err)
			}
			onlyReads(t, srv)
			asked := 0
			_, err = c.Deploy(t.Context(), changed, Options{Approve: func(_ context.Context, all []Loss) error {
				asked++
				if len(all) != 1 || all[0].Resource != "Db" {
					t.Errorf("got %+v", all)
				}
				return nil
			}})
			if err != nil || asked != 1 {
				t.Errorf("got %v after %d questions, want one", err, asked)
			}
		})
	}
}

// What only the change set knows to be lost is asked about too, and a refusal leaves
// the stack as it was, without a change set.
func TestApprovalOfChangeSet(t *testing.T) {
	srv := server(t, fakecfn.Options{Replaces: func(kind, property string) string {
		if kind == "AWS::RDS::DBInstance" {
			return "Always" // the service knows more than the schema
		}
		return "Never"
	}})
	c, site := client(t), sample(t)
	mustDeploy(t, c, site)
	changed := edit(t, site, "wp-dev-database-stack", `"db.t4g.small"`, `"db.t4g.large"`)
	_, err := c.Deploy(t.Context(), changed, Options{})
	if !errors.Is(err, ErrApproval) || !strings.Contains(err.Error(), "because DBInstanceClass changes") {
		t.Fatalf("got %v", err)
	}
	if s := srv.Stacks()["wp-dev-database-stack"]; s.Status != "CREATE_COMPLETE" || s.ChangeSets != 1 {
		t.Errorf("got %s with %d change sets, want it as it was", s.Status, s.ChangeSets)
	}
}

func TestDrift(t *testing.T) {
	srv := server(t, fakecfn.Options{})
	c, site := client(t), sample(t)
	mustDeploy(t, c, site)
	srv.Drift(home, "wp-dev-network-stack", "Group", "GroupDescription", "open to all")
	srv.Drift(home, "wp-dev-network-stack", "SubnetB", "", nil)
	changed := edit(t, site, "wp-dev-network-stack", `"10.0.1.0/24"`, `"10.0.3.0/24"`)
	_, err := c.Deploy(t.Context(), changed, Options{})
	e, ok := errors.AsType[*Drifted](err)
	if !ok || !errors.Is(err, ErrApproval) || len(e.Resources) != 2 {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"GroupDescription is open to all, not fleet", "SubnetB (AWS::EC2::Subnet) is deleted", "--ignore-drift"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if got := srv.Stacks()["wp-dev-network-stack"].Status; got != "CREATE_COMPLETE" {
		t.Errorf("got %s, want it as it was", got)
	}
	var ev events
	if _, err := c.Deploy(t.Context(), changed, Options{IgnoreDrift: true, Progress: ev.add}); err != nil {
		t.Fatal(err)
	}
	if !ev.has("wp-dev-network-stack", "", Note) {
		t.Error("the drift was not told")
	}
}

// Drift that could not be looked for is said, and does not pass for none.
func TestDriftUnknown(t *testing.T) {
	srv := server(t, fakecfn.Options{})
	c, site := client(t), sample(t)
	mustDeploy(t, c, site)
	srv.Refuse(func(q fakecfn.Request) *fakecfn.Error {
		if q.Action == "DetectStackDrift" {
			return &fakecfn.Error{Status: 403, Code: "AccessDenied", Message: "not authorized to perform: cloudformation:DetectStackDrift"}
		}
		return nil
	})
	var ev events
	if _, err := c.Deploy(t.Context(), edit(t, site, "wp-dev-cdn-stack", `"CLOUDFRONT"`, `"OTHER"`), Options{Progress: ev.add}); err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(ev.all, func(e Event) bool { return e.State == Note && strings.Contains(e.Text, "drift is unknown") }) {
		t.Error("nobody was told that drift is unknown")
	}
}

func TestDeletionProtection(t *testing.T) {
	srv := server(t, fakecfn.Options{})
	c, site := client(t), sample(t)
	site = edit(t, site, "wp-dev-database-stack", `"Engine": "mysql"`, `"Engine": "mysql", "DeletionProtection": true`)
	for i := range site.Stacks {
		site.Stacks[i].Protect = strings.Contains(site.Stacks[i].Name, "database")
	}
	mustDeploy(t, c, site)
	srv.ForgetLog()
	for _, opt := range []DestroyOptions{{}, {Unprotect: true}} {
		_, err := c.Destroy(t.Context(), site, opt)
		e, ok := errors.AsType[*Protected](err)
		if !ok || !strings.Contains(err.Error(), "deletion protection of Db") || !strings.Contains(err.Error(), "nothing was deleted") {
			t.Fatalf("got %v", err)
		}
		if want := map[bool]int{false: 2, true: 1}[opt.Unprotect]; len(e.What) != want {
			t.Errorf("unprotect %v: got %q, want %d", opt.Unprotect, e.What, want)
		}
	}
	onlyReads(t, srv)
	site = edit(t, site, "wp-dev-database-stack", `, "DeletionProtection": true`, "")
	mustDeploy(t, c, site)
	if _, err := c.Destroy(t.Context(), site, DestroyOptions{Unprotect: true}); err != nil {
		t.Fatal(err)
	}
	if left := srv.Stacks(); len(left) != 0 {
		t.Errorf("got %v, want none", left)
	}
}

// A stack that cannot be deleted says what holds it, and can be left behind.
func TestDestroyFails(t *testing.T) {
	srv := server(t, fakecfn.Options{})
	c, site := client(t), sample(t)
	mustDeploy(t, c, site)
	srv.Inject(fakecfn.Fault{Resource: "Group", Action: "Delete", Reason: "resource sg-1 has a dependent object (Service: Ec2, Status Code: 400, Request ID: 1)"})
	_, err := c.Destroy(t.Context(), site, DestroyOptions{})
	f, ok := errors.AsType[*Failure](err)
	if !ok || f.Resource != "Group" || f.Status != "DELETE_FAILED" || f.Reason != "resource sg-1 has a dependent object" {
		t.Fatalf("got %v", err)
	}
	if _, err := c.Destroy(t.Context(), site, DestroyOptions{}); err == nil {
		t.Error("the second time: got no error")
	}
	if _, err := c.Destroy(t.Context(), site, DestroyOptions{Abandon: []string{"Group"}}); err != nil {
		t.Fatal(err)
	}
	if left := srv.Stacks(); len(left) != 0 {
		t.Errorf("got %v, want none", left)
	}
}

func TestSiteThatCannotBeOrdered(t *testing.T) {
	site := sample(t)
	site.Stacks[3].After = []string{"wp-dev-cdn-stack"}
	for _, tt := range []struct {
		site Site
		want string
	}{
		{site, "in a circle"},
		{Site{Name: "x", Stacks: []Stack{{Name: "a", Region: home, Template: []byte("{}"), After: []string{"b"}}}}, "not among them"},
		{Site{Name: "x", Stacks: []Stack{{Name: "a", Region: home, Template: []byte("{}")}, {Name: "a", Region: home, Template: []byte("{}")}}}, "twice"},
		{Site{Name: "x", Stacks: []Stack{{Name: "a"}}}, "want all three"},
	} {
		if err := tt.site.validate(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("got %v, want %q", err, tt.want)
		}
	}
}

// A parameter that nobody fills is named with its description.
func TestMissingParameter(t *testing.T) {
	server(t, fakecfn.Options{})
	b := body(t, obj{"Parameters": obj{"Zone": obj{"Type": "String", "Description": "the hosted zone"}, "Size": obj{"Type": "Number", "Default": 3}},
		"Resources": obj{"A": obj{"Type": "AWS::SNS::Topic", "Properties": obj{"TopicName": ref("Zone")}}}})
	site := Site{Name: "x-dev", Stacks: []Stack{{Name: "x-dev-network-stack", Region: home, Template: b}}}
	c := client(t)
	_, err := c.Deploy(t.Context(), site, Options{})
	if err == nil || !strings.Contains(err.Error(), "Zone (the hosted zone)") || strings.Contains(err.Error(), "Size") {
		t.Fatalf("got %v", err)
	}
	if !site.Give("Zone", "Z1") || site.Give("Nope", "x") {
		t.Error("Give found the wrong parameters")
	}
	mustDeploy(t, c, site)
	// The next run need not be told again.
	site.Stacks[0].Parameters = nil
	if kept, err := c.Kept(t.Context(), site); err != nil || len(kept) != 1 || kept["Zone"] != "Z1" {
		t.Errorf("got %v, %v, want the zone that was given", kept, err)
	}
	if res := mustDeploy(t, c, site); len(res.Unchanged) != 1 {
		t.Errorf("got %+v, want nothing to do", res)
	}
}

// A change set that a killed run left in a stack goes, also where nothing is left to do.
func TestSweepsWhatIsLeft(t *testing.T) {
	srv := server(t, fakecfn.Options{})
	c, site := client(t), sample(t)
	mustDeploy(t, c, site)
	changed := edit(t, site, "wp-dev-network-stack", `"fleet"`, `"the fleet"`)
	r := c.newRun(changed, Options{})
	cur, err := r.describe(t.Context(), home, "wp-dev-network-stack")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.propose(t.Context(), &changed.Stacks[3], cur, nil); err != nil {
		t.Fatal(err)
	}
	if n := srv.Stacks()["wp-dev-network-stack"].ChangeSets; n != 2 {
		t.Fatalf("NOT RUN: got %d change sets, want the executed one and one that waits", n)
	}
	mustDeploy(t, c, site)
	if n := srv.Stacks()["wp-dev-network-stack"].ChangeSets; n != 1 {
		t.Errorf("got %d change sets, want the executed one alone", n)
	}
}
