package main

import (
	"encoding/json"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ringwall/ringwall/deploy/fakecfn"
)

// servers are the fake accounts of the scripts that run.
var servers sync.Map // *testscript.TestScript → *fakecfn.Server

// fakeAWS starts an account that the script's commands reach, and no other: fakeaws
func fakeAWS(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: fakeaws")
	}
	srv := fakecfn.New(fakecfn.Options{Latency: time.Millisecond})
	ts.Defer(func() {
		servers.Delete(ts)
		srv.Close()
	})
	servers.Store(ts, srv)
	for _, r := range []string{"ap-southeast-2", "us-east-1"} {
		srv.AddPrefixList(r, "com.amazonaws.global.cloudfront.origin-facing", "pl-cloudfront")
		srv.AddPrefixList(r, "com.amazonaws."+r+".s3", "pl-s3")
	}
	srv.AddZone("mydomain.com.", "Z0EXAMPLE")
	srv.AddZone("example.com.", "Z1EXAMPLE")
	for k, v := range map[string]string{"AWS_ENDPOINT_URL": srv.URL, "AWS_ACCESS_KEY_ID": "AKIDTEST", "AWS_SECRET_ACCESS_KEY": "secret",
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent"} {
		ts.Setenv(k, v)
	}
}

// breaks makes one resource's creation fail: breaks stack resource reason
func breaks(ts *testscript.TestScript, neg bool, args []string) {
	v, ok := servers.Load(ts)
	if !ok || neg || len(args) != 3 {
		ts.Fatalf("usage: breaks stack resource reason, after fakeaws")
	}
	v.(*fakecfn.Server).Inject(fakecfn.Fault{Stack: args[0], Resource: args[1], Action: "Create", Reason: args[2]})
}

// mends takes every fault away: mends
func mends(ts *testscript.TestScript, neg bool, args []string) {
	v, ok := servers.Load(ts)
	if !ok || neg || len(args) > 0 {
		ts.Fatalf("usage: mends, after fakeaws")
	}
	v.(*fakecfn.Server).Mend()
}

// deploys runs ringwall deploy and compares its exit code. Promises that the templates
// do not keep are overridden: deploys 0 --no-probe
func deploys(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: deploys code [args]")
	}
	var report struct {
		Controls []struct{ ID, Verdict string }
	}
	check := []string{"check", "-o", "json=check.json"}
	for i, a := range args {
		if a == "--set" {
			check = append(check, a, args[i+1])
		}
	}
	ts.Exec("ringwall", check...)
	if err := json.Unmarshal([]byte(ts.ReadFile("check.json")), &report); err != nil || len(report.Controls) == 0 {
		ts.Fatalf("reading what check says: %v", err)
	}
	all := []string{"deploy", "--reason", "a test"}
	for _, r := range report.Controls {
		if r.Verdict != "held" {
			all = append(all, "--override", r.ID)
		}
	}
	code := "0"
	if err := ts.Exec("ringwall", append(all, args[1:]...)...); err != nil {
		code = codeOf(err)
	}
	if code != args[0] {
		ts.Fatalf("got the exit code %s, want %s", code, args[0])
	}
}

// reads fails when a call since the last one changed something in the account, or with
// a bang when none did: reads
func reads(ts *testscript.TestScript, neg bool, args []string) {
	v, ok := servers.Load(ts)
	if !ok || len(args) > 0 {
		ts.Fatalf("usage: reads, after fakeaws")
	}
	srv := v.(*fakecfn.Server)
	var changed []string
	log := srv.Log()
	for _, q := range log {
		if q.Changes() {
			changed = append(changed, q.Action)
		}
	}
	srv.ForgetLog()
	if len(log) == 0 || len(changed) > 0 != neg {
		ts.Fatalf("got %s calls, changing %s", strconv.Itoa(len(log)), strings.Join(changed, " "))
	}
}
