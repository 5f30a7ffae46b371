package deploy

import (
	"errors"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/deploy/fakecfn"
)

// resources of the sample, by stack, in an order in which they are made.
var resources = map[string][]string{
	"wp-dev-network-stack":  {"Vpc", "SubnetA", "SubnetB", "Group"},
	"wp-dev-database-stack": {"Files", "Db"},
	"wp-dev-compute-stack":  {"Role", "Balancer", "Fleet"},
	"wp-dev-cdn-stack":      {"Acl", "Site"},
}

const handlerWords = `Resource handler returned message: "A thing of that name already exists (Service: Fake, Status Code: 400, Request ID: 1b2c)" (RequestToken: 6f1e, HandlerErrorCode: AlreadyExists)`

// Every resource's creation fails in turn; the stack goes, and the next run succeeds.
func TestCreationFailsAtEachResource(t *testing.T) {
	for stack, names := range resources {
		for _, name := range names {
			t.Run(name, func(t *testing.T) {
				srv := server(t, fakecfn.Options{})
				c, site := client(t), sample(t)
				srv.Inject(fakecfn.Fault{Stack: stack, Resource: name, Action: "Create", Reason: handlerWords, Times: 1})
				_, err := c.Deploy(t.Context(), site, Options{})
				f, ok := errors.AsType[*Failure](err)
				if !ok {
					t.Fatalf("got %v, want a Failure", err)
				}
				if f.Stack != stack || f.Resource != name || f.Status != "ROLLBACK_COMPLETE" || f.Reason != "A thing of that name already exists" || !strings.Contains(f.Next, "delete or rename") {
					t.Errorf("got %+v", *f)
				}
				if got := srv.Stacks()[stack].Status; got != "ROLLBACK_COMPLETE" {
					t.Errorf("got %s, want ROLLBACK_COMPLETE", got)
				}
				for _, later := range []string{"wp-dev-network-stack", "wp-dev-database-stack", "wp-dev-compute-stack", "wp-dev-cdn-stack"} {
					if s, ok := srv.Stacks()[later]; ok && later != stack && s.Status != "CREATE_COMPLETE" {
						t.Errorf("%s: got %s, want whole or not there", later, s.Status)
					}
				}
				mustDeploy(t, c, site)
				for _, s := range srv.Stacks() {
					if s.Status != "CREATE_COMPLETE" {
						t.Errorf("after the second run %s is %s", s.Name, s.Status)
					}
				}
			})
		}
	}
}

// A creation that fails leaves nothing of what it made, also where that is retained
// otherwise: the next one would find it in its way.
func TestFailedCreationLeavesNothing(t *testing.T) {
	srv := server(t, fakecfn.Options{})
	c, site := client(t), sample(t)
	srv.Inject(fakecfn.Fault{Resource: "Db", Action: "Create", Reason: "no", Times: 1})
	if _, err := c.Deploy(t.Context(), site, Options{}); err == nil {
		t.Fatal("got no error")
	}
	if left := srv.Stacks()["wp-dev-database-stack"].Resources; len(left) != 0 {
		t.Errorf("got %v, want nothing", left)
	}
	for _, q := range srv.Log() {
		if q.Action == "ExecuteChangeSet" && q.Params.Get("RetainExceptOnCreate") != "true" {
			t.Error("a creation was executed without RetainExceptOnCreate")
		}
	}
}

// Every resource's update fails in turn; the stack is as before, and the next run
// succeeds.
func TestUpdateFailsAndRollsBack(t *testing.T) {
	for _, tt := range []struct{ stack, resource, old, new string }{
		{"wp-dev-network-stack", "Group", `"fleet"`, `"the fleet"`},
		{"wp-dev-database-stack", "Db", `"db.t4g.small"`, `"db.t4g.large"`},
		{"wp-dev-compute-stack", "Fleet", `"2"`, `"3"`},
		{"wp-dev-cdn-stack", "Acl", `"CLOUDFRONT"`, `"REGIONAL"`},
	} {
		t.Run(tt.resource, func(t *testing.T) {
			srv := server(t, fakecfn.Options{})
			c, site := client(t), sample(t)
			mustDeploy(t, c, site)
			before := srv.Stacks()[tt.stack]
			changed := edit(t, site, tt.stack, tt.old, tt.new)
			srv.Inject(fakecfn.Fault{Stack: tt.stack, Resource: tt.resource, Action: "Update", Reason: "You are not authorized to perform: fake:Change (Service: Fake, Status Code: 403)", Times: 1})
			var ev events
			_, err := c.Deploy(t.Context(), changed, Options{Progress: ev.add})
			f, ok := errors.AsType[*Failure](err)
			if !ok || f.Resource != tt.resource || f.Status != "UPDATE_ROLLBACK_COMPLETE" || f.Reason != "You are not authorized to perform: fake:Change" || !strings.Contains(f.Next, "permission") {
				t.Fatalf("got %v", err)
			}
			after := srv.Stacks()[tt.stack]
			if after.Resources[tt.resource] != before.Resources[tt.resource] {
				t.Errorf("got %s, want %s as before", after.Resources[tt.resource], before.Resources[tt.resource])
			}
			if !ev.has(tt.stack, tt.resource, Failed) {
				t.Error("progress did not tell of the failure")
			}
			if _, err := c.Deploy(t.Context(), changed, Options{}); err != nil {
				t.Errorf("the next run: %v", err)
			}
		})
	}
}

// The first failure is the one to show; those that it stopped are not reasons.
func TestFirstFailureIsShown(t *testing.T) {
	srv := server(t, fakecfn.Options{})
	c, site := client(t), sample(t)
	srv.Inject(fakecfn.Fault{Stack: "wp-dev-network-stack", Resource: "Group", Action: "Create", Reason: "The maximum number of security groups has been reached. (Service: Ec2, Status Code: 400, Request ID: x, SDK Attempt Count: 1)"})
	_, err := c.Deploy(t.Context(), site, Options{})
	f, ok := errors.AsType[*Failure](err)
	if !ok || f.Resource != "Group" || f.Others != 0 || f.Reason != "The maximum number of security groups has been reached" || !strings.Contains(f.Next, "quota") {
		t.Fatalf("got %v", err)
	}
	if s := err.Error(); strings.Contains(s, "Service:") || strings.Contains(s, "\n") {
		t.Errorf("got %q, want plain words in one line", s)
	}
}

func TestWords(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{`Resource handler returned message: "Invalid request provided: bad (Service: Ec2, Status Code: 400, Request ID: 1)" (RequestToken: 2, HandlerErrorCode: InvalidRequest)`, "Invalid request provided: bad"},
		{"The following resource(s) failed to create: [A, B]. ", "The following resource(s) failed to create: [A, B]"},
		{"DB Instance not found. (Service: AmazonRDS; Status Code: 404; Error Code: DBInstanceNotFound; Request ID: 3; Proxy: null)", "DB Instance not found"},
		{"", ""},
		{"User: arn:aws:iam::1:user/x is not authorized to perform: ec2:CreateVpc (a note)", "User: arn:aws:iam::1:user/x is not authorized to perform: ec2:CreateVpc (a note)"},
	} {
		if got := words(tt.in); got != tt.want {
			t.Errorf("words(%q): got %q, want %q", tt.in, got, tt.want)
		}
	}
}

// A rollback that fails is taken up on demand, never by itself.
func TestRollbackThatFails(t *testing.T) {
	srv := server(t, fakecfn.Options{})
	c, site := client(t), sample(t)
	mustDeploy(t, c, site)
	changed := edit(t, site, "wp-dev-compute-stack", `"2"`, `"3"`)
	srv.Inject(fakecfn.Fault{Resource: "Fleet", Action: "Update", Reason: "no capacity", Times: 1})
	srv.Inject(fakecfn.Fault{Resource: "Fleet", Action: "Rollback", Reason: "still none", Times: 1})
	_, err := c.Deploy(t.Context(), changed, Options{})
	f, ok := errors.AsType[*Failure](err)
	if !ok || f.Status != "UPDATE_ROLLBACK_FAILED" || !strings.Contains(f.Next, "--continue-rollback") {
		t.Fatalf("got %v", err)
	}
	srv.ForgetLog()
	_, err = c.Deploy(t.Context(), changed, Options{})
	if e, ok := errors.AsType[*StateError](err); !ok || e.Status != "UPDATE_ROLLBACK_FAILED" || !strings.Contains(err.Error(), "--continue-rollback") {
		t.Fatalf("got %v", err)
	}
	for _, q := range srv.Log() {
		if q.Action == "ContinueUpdateRollback" {
			t.Error("the rollback was continued though nobody said so")
		}
	}
	if _, err := c.Deploy(t.Context(), changed, Options{ContinueRollback: true}); err != nil {
		t.Fatal(err)
	}
	if got := srv.Stacks()["wp-dev-compute-stack"].Status; got != "UPDATE_COMPLETE" {
		t.Errorf("got %s, want UPDATE_COMPLETE", got)
	}
}

func TestContinueRollbackSkips(t *testing.T) {
	srv := server(t, fakecfn.Options{})
	c, site := client(t), sample(t)
	mustDeploy(t, c, site)
	changed := edit(t, site, "wp-dev-compute-stack", `"2"`, `"3"`)
	srv.Inject(fakecfn.Fault{Resource: "Fleet", Action: "Update", Reason: "no", Times: 1})
	srv.Inject(fakecfn.Fault{Resource: "Fleet", Action: "Rollback", Reason: "never"})
	if _, err := c.Deploy(t.Context(), changed, Options{}); err == nil {
		t.Fatal("got no error")
	}
	if _, err := c.Deploy(t.Context(), changed, Options{ContinueRollback: true, Skip: []string{"Fleet", "Acl"}}); err != nil {
		t.Fatal(err)
	}
}
