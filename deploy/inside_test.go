package deploy

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/deploy/fakecfn"
	"github.com/ringwall/ringwall/plan"
)

func TestLook(t *testing.T) {
	srv := server(t, fakecfn.Options{})
	c, site := client(t), sample(t)
	if _, err := c.Look(t.Context(), site, home); err == nil || !strings.Contains(err.Error(), "deploy the site first") {
		t.Errorf("before a deployment: got %v", err)
	}
	mustDeploy(t, c, site)
	srv.SetSelf("198.51.100.7")
	srv.AddInstance(fakecfn.Instance{ID: "i-2", Site: "wp-dev", Tier: plan.Fleet, Addr: "10.0.1.2"})
	srv.AddInstance(fakecfn.Instance{ID: "i-1", Site: "wp-dev", Tier: plan.Fleet, Addr: "10.0.1.1", Public: "203.0.113.1"})
	srv.AddInstance(fakecfn.Instance{ID: "i-3", Site: "api-dev", Tier: plan.Admin, Addr: "10.0.1.3"})
	srv.AddInstance(fakecfn.Instance{ID: "i-4", Site: "wp-dev", Addr: "10.0.1.4"}) // builds an image
	srv.ForgetLog()
	cloud, err := c.Look(t.Context(), site, home)
	if err != nil {
		t.Fatal(err)
	}
	if len(cloud.Instances) != 2 || cloud.Instances[0].ID != "i-1" || cloud.Instances[0].Public[0].String() != "203.0.113.1" || len(cloud.Instances[1].Public) != 0 {
		t.Errorf("instances: got %+v", cloud.Instances)
	}
	if cloud.Self.String() != "198.51.100.7" || cloud.Outputs["Balancer"] == "" || cloud.Names["Vpc"] == "" || cloud.Names["Site"] == "" {
		t.Errorf("got %+v", cloud)
	}
	onlyReads(t, srv)
}

func TestRun(t *testing.T) {
	srv := server(t, fakecfn.Options{})
	c := client(t)
	srv.AddInstance(fakecfn.Instance{ID: "i-1", Site: "wp-dev", Tier: plan.Fleet, Addr: "10.0.1.1"})
	srv.AddInstance(fakecfn.Instance{ID: "i-mute", Site: "wp-dev", Tier: plan.Fleet, Addr: "10.0.1.2", NoAgent: true})
	answer := fakecfn.Command{Status: "Success", Out: "hello"}
	srv.OnCommand(func(instance, script string) fakecfn.Command {
		if instance != "i-1" || script != "echo hello\n" {
			t.Errorf("got %q on %s", script, instance)
		}
		return answer
	})
	run := func(instance string) (string, error) {
		return c.Run(t.Context(), home, instance, "a test", "echo hello\n")
	}
	if out, err := run("i-1"); err != nil || out != "hello" {
		t.Errorf("got %q %v", out, err)
	}
	if _, err := run("i-mute"); err == nil || !strings.Contains(err.Error(), "its agent has not reported") {
		t.Errorf("without an agent: got %v", err)
	}
	for status, want := range map[string]string{"TimedOut": "its time was over", "Failed": "ended as Failed with code 2: no such", "Cancelled": "ended as Cancelled"} {
		answer = fakecfn.Command{Status: status, Code: 2, Out: "so far", Err: "no such"}
		if out, err := run("i-1"); err == nil || !strings.Contains(err.Error(), want) || out != "so far" {
			t.Errorf("%s: got %q %v, want %q", status, out, err, want)
		}
	}
	answer = fakecfn.Command{Status: "Success", Out: strings.Repeat("x", 30000)}
	if out, _ := run("i-1"); len(out) != 24000 {
		t.Errorf("got %d characters, want those that Systems Manager keeps", len(out))
	}
	srv.Refuse(func(q fakecfn.Request) *fakecfn.Error {
		if q.Action == "SendCommand" {
			return &fakecfn.Error{Code: "AccessDeniedException", Message: "User: ops is not authorized to perform: ssm:SendCommand"}
		}
		return nil
	})
	if _, err := run("i-1"); err == nil || !strings.Contains(err.Error(), "ssm:SendCommand") || !strings.Contains(err.Error(), "permission") {
		t.Errorf("denied: got %v", err)
	}
	srv.Mend()
	// Who stops waiting has the command stopped.
	srv.OnCommand(nil)
	srv.ForgetLog()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		for !slices.ContainsFunc(srv.Log(), func(q fakecfn.Request) bool { return q.Action == "GetCommandInvocation" }) {
			time.Sleep(5 * time.Millisecond)
		}
		cancel()
	}()
	if _, err := c.Run(ctx, home, "i-1", "a test", "sleep 600"); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: got %v", err)
	}
	log := srv.Log()
	if len(log) == 0 || log[len(log)-1].Action != "CancelCommand" {
		t.Errorf("the command was not stopped: %v", log)
	}
}
