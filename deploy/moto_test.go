package deploy

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/internal/awstools"
)

// moto starts a moto server and points the SDK's environment at it. It is other
// people's reading of the same protocol: what fakecfn and this package agree on by
// mistake, it does not.
func moto(t *testing.T) {
	t.Helper()
	tools, err := awstools.Find()
	if err != nil {
		t.Fatal(err)
	}
	// The shell ends the server when this process is gone, however it went.
	cmd := exec.Command("sh", "-c", `"$0" -H 127.0.0.1 -p 0 & read -r _; kill $!; wait`, tools.MotoServer)
	alive, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	// moto checks no signature, and must find no real credentials either.
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "AWS_ACCESS_KEY_ID=x", "AWS_SECRET_ACCESS_KEY=x", "HOME=" + t.TempDir()}
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("NOT RUN: starting moto: %v", err)
	}
	t.Cleanup(func() { alive.Close(); cmd.Wait() })
	address := make(chan string, 1)
	go func() {
		re := regexp.MustCompile(`Running on (http://127\.0\.0\.1:\d+)`)
		for s := bufio.NewScanner(out); s.Scan(); {
			if m := re.FindStringSubmatch(s.Text()); m != nil {
				select {
				case address <- m[1]:
				default:
				}
			}
		}
	}()
	select {
	case a := <-address:
		for k, v := range environment(a) {
			t.Setenv(k, v)
		}
	case <-time.After(60 * time.Second):
		t.Fatal("NOT RUN: moto did not start in a minute")
	}
}

// motoAccount is the account that moto says credentials are of.
const motoAccount = "123456789012"

// motoSite has only what moto supports. Its faults shape it: a stack that a change set
// makes puts out nothing and exports nothing, and a type that it does not know is
// passed over in silence.
func motoSite(t *testing.T) Site {
	network := body(t, obj{
		"Parameters": obj{"Cidr": obj{"Type": "String"}},
		"Resources": obj{
			"Vpc":    obj{"Type": "AWS::EC2::VPC", "Properties": obj{"CidrBlock": ref("Cidr")}},
			"Subnet": obj{"Type": "AWS::EC2::Subnet", "Properties": obj{"VpcId": ref("Vpc"), "CidrBlock": "10.7.1.0/24"}},
			"Group":  obj{"Type": "AWS::EC2::SecurityGroup", "Properties": obj{"VpcId": ref("Vpc"), "GroupDescription": "fleet"}},
			"Role": obj{"Type": "AWS::IAM::Role", "Properties": obj{"RoleName": "wp-dev-fleet", "AssumeRolePolicyDocument": obj{"Version": "2012-10-17",
				"Statement": []any{obj{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": obj{"Service": "ec2.amazonaws.com"}}}}}},
		},
	})
	edge := body(t, obj{"Resources": obj{"Topic": obj{"Type": "AWS::SNS::Topic", "Properties": obj{"TopicName": "alarms"}}}})
	return Site{Name: "wp-dev", Account: motoAccount, Stacks: []Stack{
		{Name: "wp-dev-network-stack", Region: home, Template: network, Parameters: map[string]string{"Cidr": "10.7.0.0/16"}},
		{Name: "wp-dev-cdn-stack", Region: Edge, Template: edge, After: []string{"wp-dev-network-stack"}},
	}}
}

// Against moto: stacks in two Regions, an empty change set, an update, parameters that
// are kept, another account, the account's settings, a long template, and their end.
func TestMoto(t *testing.T) {
	moto(t)
	t.Run("stacks", motoStacks)
	t.Run("settings", motoSettings)
	t.Run("long template", motoLongTemplate)
}

func motoStacks(t *testing.T) {
	c, site := client(t), motoSite(t)
	res := mustDeploy(t, c, site)
	if !slices.Equal(res.Changed, []string{"wp-dev-network-stack", "wp-dev-cdn-stack"}) {
		t.Errorf("got %v", res.Changed)
	}
	have, err := c.resources(t.Context(), home, "wp-dev-network-stack")
	if err != nil || len(have) != 4 {
		t.Fatalf("got %v, %v, want four resources", have, err)
	}

	g, err := c.defaultGroup(t.Context(), home, *have["Vpc"].PhysicalResourceId)
	if err != nil || g.id == "" || len(g.in)+len(g.out) != 0 {
		t.Errorf("the default security group: got %+v, %v, want it without a rule", g, err)
	}

	site.Stacks[0].Parameters = nil
	res = mustDeploy(t, c, site)
	if len(res.Unchanged) != 2 {
		t.Errorf("the second time: got %+v, want nothing to do", res)
	}

	changed := edit(t, site, "wp-dev-cdn-stack", `"alarms"`, `"more-alarms"`)
	res = mustDeploy(t, c, changed)
	if !slices.Equal(res.Changed, []string{"wp-dev-cdn-stack"}) {
		t.Errorf("got %v, want the edge's stack", res.Changed)
	}

	all, _, err := c.Propose(t.Context(), changed)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		if !p.Empty() {
			t.Errorf("%s: got %+v, want nothing to do", p.Stack, p)
		}
	}
	if _, err := c.Deploy(t.Context(), Site{Name: "x", Account: "999999999999", Stacks: site.Stacks}, Options{}); err == nil || !strings.Contains(err.Error(), motoAccount) {
		t.Errorf("another account: got %v", err)
	}
	if _, err := c.Destroy(t.Context(), site, DestroyOptions{}); err != nil {
		t.Fatal(err)
	}
	if cur, err := c.describe(t.Context(), home, "wp-dev-network-stack"); err != nil || cur != nil {
		t.Errorf("got %v, %v, want no stack", cur, err)
	}
	if again, err := c.Destroy(t.Context(), site, DestroyOptions{}); err != nil || len(again) != 0 {
		t.Errorf("destroying nothing: got %v, %v", again, err)
	}
}

// The calls that are made without the SDK's packages, as moto reads them.
func motoSettings(t *testing.T) {
	c := client(t)
	if err := c.identify(t.Context(), motoAccount); err != nil {
		t.Fatal(err)
	}
	for _, s := range Settings(home) {
		before, err := s.read(t.Context(), c, s.place())
		if err != nil {
			t.Errorf("%s: %v", s.ID, err)
			continue
		}
		v, ok := s.merged(before)
		if ok {
			t.Errorf("%s: got %q, want it unset at first", s.ID, before)
		}
		if err := s.write(t.Context(), c, s.place(), v); err != nil {
			t.Errorf("%s: %v", s.ID, err)
		}
		if got, err := s.read(t.Context(), c, s.place()); err != nil || got != v {
			t.Errorf("%s: got %q, %v, want %q", s.ID, got, err, v)
		}
		if err := s.write(t.Context(), c, s.place(), before); err != nil {
			t.Errorf("%s: %v", s.ID, err)
		}
		if got, err := s.read(t.Context(), c, s.place()); err != nil || got != before {
			t.Errorf("%s: got %q, %v, want %q as before", s.ID, got, err, before)
		}
	}
	v, err := c.prefixList(t.Context(), home, "com.amazonaws."+home+".s3")
	if err != nil || !strings.HasPrefix(v, "pl-") {
		t.Errorf("got %q, %v, want a prefix list", v, err)
	}
	if _, err := c.hostedZone(t.Context(), "www.example.org"); err == nil || !strings.Contains(err.Error(), "no public zone") {
		t.Errorf("got %v", err)
	}
}

// A template that is too long to send, as moto's S3 reads the calls.
func motoLongTemplate(t *testing.T) {
	c, site := client(t), motoSite(t)
	resources := obj{}
	for i := range 90 {
		resources["Topic"+strings.Repeat("x", i+1)] = obj{"Type": "AWS::SNS::Topic", "Properties": obj{"DisplayName": strings.Repeat("y", 600), "TopicName": "t" + strings.Repeat("x", i+1)}}
	}
	site.Stacks = site.Stacks[1:]
	site.Stacks[0].After = nil
	site.Stacks[0].Template = body(t, obj{"Resources": resources})
	_, err := c.Deploy(t.Context(), site, Options{})
	// moto's change sets put out nothing, so the bucket's name does not come back.
	if err == nil || errors.Is(err, ErrCredentials) || !strings.Contains(err.Error(), "put out no name") {
		t.Fatalf("got %v", err)
	}
	r := c.newRun(site, Options{})
	have, err := c.resources(t.Context(), Edge, "wp-dev-templates-stack")
	if err != nil {
		t.Fatal(err)
	}
	bucket := *have["Templates"].PhysicalResourceId
	r.result.Outputs["wp-dev-templates-stack/"+Edge] = map[string]string{"Bucket": bucket}
	text, at, err := r.template(t.Context(), &site.Stacks[0])
	if err != nil || text != nil || at == nil {
		t.Fatalf("got %v, %v, %v, want an address", text, at, err)
	}
	if err := r.empty(t.Context(), Edge, bucket); err != nil {
		t.Error(err)
	}
}
