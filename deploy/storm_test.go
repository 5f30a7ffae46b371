package deploy

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringwall/ringwall/deploy/fakecfn"
)

// Two of three calls are throttled, of CloudFormation and of the services that are
// called without their SDK packages; the deployment takes longer and nothing else.
func TestThrottleStorm(t *testing.T) {
	srv := server(t, fakecfn.Options{})
	c, site := client(t), sample(t)
	site.Settings = Settings(home)
	var n atomic.Int64
	srv.Refuse(func(q fakecfn.Request) *fakecfn.Error {
		if n.Add(1)%3 == 0 {
			return nil
		}
		switch q.Service {
		case "ec2":
			return &fakecfn.Error{Status: 503, Code: "RequestLimitExceeded", Message: "Request limit exceeded."}
		case "s3":
			return &fakecfn.Error{Status: 503, Code: "SlowDown", Message: "Please reduce your request rate."}
		}
		return &fakecfn.Error{Code: "Throttling", Message: "Rate exceeded"}
	})
	mustDeploy(t, c, site)
	whole(t, srv)
	if n.Load() < 150 {
		t.Errorf("got %d calls, want many more: the storm did not blow", n.Load())
	}
	// As often as they were refused, calls with an effect had it once.
	creates := map[string]int{}
	for _, q := range srv.Log() {
		if q.Action == "CreateChangeSet" {
			creates[q.Params.Get("StackName")+q.Params.Get("ChangeSetName")]++
		}
	}
	for _, s := range srv.Stacks() {
		if s.Status != "CREATE_COMPLETE" {
			t.Errorf("%s is %s", s.Name, s.Status)
		}
	}
}

// A storm that does not end is an error that says so, not a hang.
func TestThrottleForever(t *testing.T) {
	srv := server(t, fakecfn.Options{})
	c, site := client(t), sample(t)
	srv.Refuse(func(q fakecfn.Request) *fakecfn.Error {
		if q.Service == "cloudformation" {
			return &fakecfn.Error{Code: "Throttling", Message: "Rate exceeded"}
		}
		return nil
	})
	_, err := c.Deploy(t.Context(), site, Options{})
	if e, ok := errors.AsType[*CallError](err); !ok || e.Code != "Throttling" || !strings.Contains(err.Error(), "try later") {
		t.Errorf("got %v", err)
	}
}

// Answers get lost: each call happens, and the connection is cut before its answer.
func TestLostAnswers(t *testing.T) {
	for _, action := range []string{"CreateChangeSet", "ExecuteChangeSet", "DeleteChangeSet", "DescribeChangeSet", "DescribeStackEvents", "DeleteStack"} {
		t.Run(action, func(t *testing.T) {
			srv := server(t, fakecfn.Options{})
			c, site := client(t), sample(t)
			var n atomic.Int64
			srv.Cut(func(q fakecfn.Request) bool { return q.Action == action && n.Add(1)%2 == 1 })
			mustDeploy(t, c, site)
			mustDeploy(t, c, site)
			whole(t, srv)
			if _, err := c.Destroy(t.Context(), site, DestroyOptions{}); err != nil {
				t.Fatal(err)
			}
			if n.Load() == 0 {
				t.Fatalf("NOT RUN: %s was never called", action)
			}
		})
	}
}

// Credentials expire in the middle: the error says what to do and what goes on, and
// the next run with new ones ends the deployment.
func TestExpiredToken(t *testing.T) {
	for _, code := range []string{"ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId"} {
		for _, at := range []string{"GetCallerIdentity", "DescribeStacks", "CreateChangeSet", "DescribeChangeSet", "ExecuteChangeSet", "DescribeStackEvents"} {
			t.Run(code+"/"+at, func(t *testing.T) {
				srv := server(t, fakecfn.Options{Latency: 2 * time.Millisecond})
				c, site := client(t), sample(t)
				var expired atomic.Bool
				srv.Refuse(func(q fakecfn.Request) *fakecfn.Error {
					if q.Action == at {
						expired.Store(true)
					}
					if expired.Load() {
						return &fakecfn.Error{Status: 403, Code: code, Message: "The security token included in the request is expired or invalid"}
					}
					return nil
				})
				begun := time.Now()
				_, err := c.Deploy(t.Context(), site, Options{})
				if !errors.Is(err, ErrCredentials) {
					t.Fatalf("got %v, want ErrCredentials", err)
				}
				if !strings.Contains(err.Error(), "credentials") || !strings.Contains(err.Error(), "run the same command again") {
					t.Errorf("got %v", err)
				}
				if took := time.Since(begun); took > 3*time.Second {
					t.Errorf("it took %v: an expired token is not to be retried", took)
				}
				if at == "DescribeStackEvents" && !strings.Contains(err.Error(), "CloudFormation goes on creating wp-dev-network-stack") {
					t.Errorf("got %v, want what goes on", err)
				}
				srv.Mend()
				mustDeploy(t, c, site)
				whole(t, srv)
			})
		}
	}
}

func TestNoCredentials(t *testing.T) {
	server(t, fakecfn.Options{})
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	_, err := client(t).Deploy(t.Context(), sample(t), Options{})
	if !errors.Is(err, ErrCredentials) || !strings.Contains(err.Error(), "AWS_PROFILE") {
		t.Errorf("got %v", err)
	}
}

func TestOtherAccount(t *testing.T) {
	srv := server(t, fakecfn.Options{})
	site := sample(t)
	site.Account = "999999999999"
	_, err := client(t).Deploy(t.Context(), site, Options{})
	if err == nil || !strings.Contains(err.Error(), fakecfn.Account) || !strings.Contains(err.Error(), "999999999999") {
		t.Errorf("got %v, want both accounts", err)
	}
	for _, q := range srv.Log() {
		if q.Service != "sts" {
			t.Errorf("got %s %s, want no call but the question whose account it is", q.Service, q.Action)
		}
	}
}

// What AWS refuses for want of a permission names it.
func TestAccessDenied(t *testing.T) {
	srv := server(t, fakecfn.Options{})
	srv.Refuse(func(q fakecfn.Request) *fakecfn.Error {
		if q.Action == "CreateChangeSet" {
			return &fakecfn.Error{Status: 403, Code: "AccessDenied", Message: "User: arn:aws:iam::111122223333:user/ops is not authorized to perform: cloudformation:CreateChangeSet"}
		}
		return nil
	})
	_, err := client(t).Deploy(t.Context(), sample(t), Options{})
	if err == nil || !strings.Contains(err.Error(), "cloudformation:CreateChangeSet") || !strings.Contains(err.Error(), "permission") {
		t.Errorf("got %v", err)
	}
}

// Without a network the first call gives up soon, and says so in few words.
func TestNoNetwork(t *testing.T) {
	srv := server(t, fakecfn.Options{})
	srv.Close()
	_, err := client(t).Deploy(t.Context(), sample(t), Options{})
	if err == nil || !strings.Contains(err.Error(), "connection refused; check the network") || strings.Contains(err.Error(), "RequestID") {
		t.Errorf("got %v", err)
	}
}
