package deploy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringwall/ringwall/deploy/fakecfn"
)

// TestMain lets this binary be a deployment in a process of its own, to be killed.
func TestMain(m *testing.M) {
	if os.Getenv("DEPLOY_CHILD") != "" {
		os.Exit(child())
	}
	os.Exit(m.Run())
}

func child() int {
	c, err := open(context.Background(), home, 5*time.Millisecond, 4*time.Millisecond)
	if err == nil {
		site := sample(&testing.T{})
		site.Settings = Settings(home)
		if os.Getenv("DEPLOY_CHILD") == "destroy" {
			_, err = c.Destroy(context.Background(), site, DestroyOptions{})
		} else {
			_, err = c.Deploy(context.Background(), site, Options{})
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// whole fails the test unless every stack is done and nothing is left over.
func whole(t *testing.T, srv *fakecfn.Server) {
	t.Helper()
	n := 0
	for _, s := range srv.Stacks() {
		if s.Status != "CREATE_COMPLETE" && s.Status != "UPDATE_COMPLETE" {
			t.Errorf("%s is %s", s.Name, s.Status)
		}
		if s.ChangeSets > 1 {
			t.Errorf("%s: %d change sets are left", s.Name, s.ChangeSets)
		}
		if strings.HasPrefix(s.Name, "wp-dev-") {
			n++
		}
	}
	if n != 4 {
		t.Errorf("got %d stacks of the site, want 4", n)
	}
}

// calls counts what a run from nothing to the end asks for.
func calls(t *testing.T, settings []Setting) int {
	srv := server(t, fakecfn.Options{Latency: time.Millisecond})
	site := sample(t)
	site.Settings = settings
	mustDeploy(t, client(t), site)
	return len(srv.Log())
}

// Ctrl-C at each call of a creation in turn: the error says what goes on, and the
// next run ends it.
func TestStopAtEachCall(t *testing.T) {
	total := calls(t, nil)
	for n := 1; n < total; n++ {
		srv := server(t, fakecfn.Options{Latency: time.Millisecond})
		c, site := client(t), sample(t)
		stopAt(t, srv, n, func(ctx context.Context) error {
			_, err := c.Deploy(ctx, site, Options{})
			return err
		})
		for _, s := range srv.Stacks() {
			if s.Status == "REVIEW_IN_PROGRESS" {
				t.Errorf("call %d: %s is left as an empty shell", n, s.Name)
			}
		}
		if _, err := c.Deploy(t.Context(), site, Options{}); err != nil {
			t.Errorf("stopped at call %d: the next run: %v", n, err)
		}
		whole(t, srv)
		srv.Close()
		if t.Failed() {
			t.Fatalf("stopped at call %d of %d", n, total)
		}
	}
}

// stopAt runs do with a context that ends when the server gets its nth call.
func stopAt(t *testing.T, srv *fakecfn.Server, n int, do func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	stop := errors.New("interrupt")
	var seen atomic.Int64
	srv.Refuse(func(fakecfn.Request) *fakecfn.Error {
		if seen.Add(1) == int64(n) {
			cancel(stop)
		}
		return nil
	})
	err := do(ctx)
	if err == nil {
		if ctx.Err() != nil && seen.Load() > int64(n) {
			t.Errorf("stopped at call %d: got no error", n)
		}
		return
	}
	i, ok := errors.AsType[*Interrupted](err)
	if !ok && !errors.Is(err, context.Canceled) && !errors.Is(err, stop) {
		t.Errorf("stopped at call %d: got %v, want what was stopped", n, err)
	}
	if ok && len(i.Left) > 0 && !strings.Contains(err.Error(), "CloudFormation goes on") {
		t.Errorf("got %v", err)
	}
	srv.Mend()
}

// Ctrl-C at each call of an update, with a change in two stacks.
func TestStopUpdateAtEachCall(t *testing.T) {
	for n := 5; n < 80; n += 2 {
		srv := server(t, fakecfn.Options{Latency: time.Millisecond})
		c, site := client(t), sample(t)
		mustDeploy(t, c, site)
		site = edit(t, edit(t, site, "wp-dev-compute-stack", `"2"`, `"3"`), "wp-dev-network-stack", `"fleet"`, `"the fleet"`)
		stopAt(t, srv, n, func(ctx context.Context) error {
			_, err := c.Deploy(ctx, site, Options{})
			return err
		})
		srv.Mend()
		if _, err := c.Deploy(t.Context(), site, Options{}); err != nil {
			t.Errorf("stopped at call %d: the next run: %v", n, err)
		}
		whole(t, srv)
		srv.Close()
	}
}

// Ctrl-C at each call of a destruction: the next one ends it.
func TestStopDestroyAtEachCall(t *testing.T) {
	for n := 1; n < 60; n += 2 {
		srv := server(t, fakecfn.Options{Latency: time.Millisecond})
		c, site := client(t), sample(t)
		site.Settings = Settings(home)
		mustDeploy(t, c, site)
		stopAt(t, srv, n, func(ctx context.Context) error {
			_, err := c.Destroy(ctx, site, DestroyOptions{})
			return err
		})
		srv.Mend()
		if _, err := c.Destroy(t.Context(), site, DestroyOptions{}); err != nil {
			t.Errorf("stopped at call %d: the next destroy: %v", n, err)
		}
		if left := srv.Stacks(); len(left) != 0 {
			t.Errorf("stopped at call %d: got %v, want none", n, left)
		}
		if a := srv.Account(); a.Block != nil || a.Password != nil || a.EBS[home] {
			t.Errorf("stopped at call %d: the account's settings are not put back: %+v", n, a)
		}
		srv.Close()
	}
}

// kill -9 before and after each call that changes something; the next run ends it.
func TestKilledAtEachChange(t *testing.T) {
	srv := server(t, fakecfn.Options{})
	site := sample(t)
	site.Settings = Settings(home)
	mustDeploy(t, client(t), site)
	changes := 0
	for _, q := range srv.Log() {
		if q.Changes() {
			changes++
		}
	}
	if changes < 12 {
		t.Fatalf("got %d changing calls, want more than 12", changes)
	}
	for n := 1; n <= changes; n++ {
		killAt(t, "deploy", n, n%2 == 0, nil, func(srv *fakecfn.Server, c *Client, site Site) {
			if _, err := c.Deploy(t.Context(), site, Options{}); err != nil {
				t.Errorf("killed at change %d: the next run: %v", n, err)
			}
			whole(t, srv)
			if a := srv.Account(); a.Block == nil || a.Password == nil || !a.EBS[home] {
				t.Errorf("killed at change %d: the account's settings: %+v", n, a)
			}
			// What was there before is known in spite of the kill.
			if _, err := c.Destroy(t.Context(), site, DestroyOptions{}); err != nil {
				t.Fatal(err)
			}
			if a := srv.Account(); a.Block != nil || a.Password != nil || a.EBS[home] {
				t.Errorf("killed at change %d: the account's settings are not put back: %+v", n, a)
			}
		})
	}
}

func TestDestroyKilled(t *testing.T) {
	for n := 1; n < 10; n++ {
		prepare := func(srv *fakecfn.Server, c *Client, site Site) { mustDeploy(t, c, site) }
		killAt(t, "destroy", n, n%2 == 0, prepare, func(srv *fakecfn.Server, c *Client, site Site) {
			if _, err := c.Destroy(t.Context(), site, DestroyOptions{}); err != nil {
				t.Errorf("killed at change %d: the next destroy: %v", n, err)
			}
			if left := srv.Stacks(); len(left) != 0 {
				t.Errorf("got %v, want none", left)
			}
			if a := srv.Account(); a.Block != nil || a.Password != nil || a.EBS[home] {
				t.Errorf("the account's settings are not put back: %+v", a)
			}
		})
	}
}

// killAt runs a deployment in a process and kills it at its nth changing call,
// before the call happens or after it.
func killAt(t *testing.T, what string, n int, after bool, prepare, then func(*fakecfn.Server, *Client, Site)) {
	t.Helper()
	srv := server(t, fakecfn.Options{Latency: time.Millisecond})
	defer srv.Close()
	site := sample(t)
	site.Settings = Settings(home)
	c := client(t)
	if prepare != nil {
		prepare(srv, c, site)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "DEPLOY_CHILD="+what)
	started := make(chan struct{})
	var seen atomic.Int64
	hit := func(q fakecfn.Request) bool {
		if !q.Changes() || seen.Add(1) != int64(n) {
			return false
		}
		<-started
		cmd.Process.Kill()
		return true
	}
	if after {
		srv.Cut(hit)
	} else {
		srv.Refuse(func(q fakecfn.Request) *fakecfn.Error {
			if hit(q) {
				return &fakecfn.Error{Code: "Killed", Message: "killed"}
			}
			return nil
		})
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	close(started)
	err := cmd.Wait()
	if seen.Load() >= int64(n) && err == nil {
		t.Errorf("change %d: the process was to be killed and ended well", n)
	}
	srv.Mend()
	then(srv, c, site)
}

// deploy --cancel takes back what a stopped run left in CloudFormation's hands.
func TestCancel(t *testing.T) {
	srv := server(t, fakecfn.Options{Latency: 20 * time.Millisecond})
	c, site := client(t), sample(t)
	mustDeploy(t, c, site)
	changed := edit(t, edit(t, site, "wp-dev-compute-stack", `"2"`, `"3"`), "wp-dev-compute-stack", `"wp-dev-fleet"`, `"wp-dev-fleet-2"`)
	ctx, cancel := context.WithCancel(t.Context())
	srv.OnResource(func(_, stack, _, _ string) { cancel() })
	_, err := c.Deploy(ctx, changed, Options{})
	i, ok := errors.AsType[*Interrupted](err)
	if !ok || len(i.Left) != 1 || !strings.Contains(err.Error(), "CloudFormation goes on updating wp-dev-compute-stack") || !strings.Contains(err.Error(), "--cancel") {
		t.Fatalf("got %v", err)
	}
	did, err := c.Cancel(t.Context(), changed, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(did) != 1 || !strings.Contains(did[0], "rolled back") {
		t.Errorf("got %q", did)
	}
	if got := srv.Stacks()["wp-dev-compute-stack"].Status; got != "UPDATE_ROLLBACK_COMPLETE" {
		t.Errorf("got %s, want UPDATE_ROLLBACK_COMPLETE", got)
	}
	if did, err := c.Cancel(t.Context(), changed, nil); err != nil || len(did) != 0 {
		t.Errorf("cancelling nothing: got %q, %v", did, err)
	}
}

func TestCancelCreation(t *testing.T) {
	srv := server(t, fakecfn.Options{Latency: 20 * time.Millisecond})
	c, site := client(t), sample(t)
	ctx, cancel := context.WithCancel(t.Context())
	srv.OnResource(func(_, stack, resource, _ string) {
		if resource == "Role" {
			cancel()
		}
	})
	site = edit(t, site, "wp-dev-compute-stack", `"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer"`, `"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer", "DeletionPolicy": "RetainExceptOnCreate"`)
	if _, err := c.Deploy(ctx, site, Options{}); err == nil {
		t.Fatal("got no error")
	}
	did, err := c.Cancel(t.Context(), site, nil)
	if err != nil || len(did) != 1 || !strings.Contains(did[0], "kept") || !strings.Contains(did[0], "Balancer (AWS::ElasticLoadBalancingV2::LoadBalancer ") {
		t.Fatalf("got %q, %v, want that the balancer is kept", did, err)
	}
	if _, ok := srv.Stacks()["wp-dev-compute-stack"]; ok {
		t.Error("the stack whose creation was cancelled is still there")
	}
	if got := srv.Stacks()["wp-dev-network-stack"].Status; got != "CREATE_COMPLETE" {
		t.Errorf("the network: got %s, want it as it was", got)
	}
}
