package deploy

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ringwall/ringwall/deploy/fakecfn"
)

const home = "eu-central-1"

// server starts a fake and points the SDK's environment at it.
func server(t *testing.T, opt fakecfn.Options) *fakecfn.Server {
	t.Helper()
	if opt.Replaces == nil {
		opt.Replaces = func(_, property string) string {
			switch property {
			case "Engine", "Forever":
				return "Always"
			case "Perhaps":
				return "Conditionally"
			}
			return "Never"
		}
	}
	srv := fakecfn.New(opt)
	t.Cleanup(srv.Close)
	for k, v := range environment(srv.URL) {
		t.Setenv(k, v)
	}
	return srv
}

// environment is one in which nothing but a server of this test can be reached.
func environment(url string) map[string]string {
	return map[string]string{"AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "AKIDTEST", "AWS_SECRET_ACCESS_KEY": "secret",
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
		"AWS_PROFILE": "", "AWS_SESSION_TOKEN": ""}
}

func client(t *testing.T) *Client {
	t.Helper()
	c, err := open(t.Context(), home, 5*time.Millisecond, 4*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func body(t *testing.T, v map[string]any) []byte {
	t.Helper()
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

type obj = map[string]any

func ref(s string) obj { return obj{"Ref": s} }

// sample is a site of four stacks, with outputs that go to the edge's Region and back
// to nothing, a retained file system and a protected database.
func sample(t *testing.T) Site {
	network := body(t, obj{
		"Resources": obj{
			"Vpc":     obj{"Type": "AWS::EC2::VPC", "Properties": obj{"CidrBlock": "10.0.0.0/16"}},
			"SubnetA": obj{"Type": "AWS::EC2::Subnet", "Properties": obj{"VpcId": ref("Vpc"), "CidrBlock": "10.0.1.0/24"}},
			"SubnetB": obj{"Type": "AWS::EC2::Subnet", "Properties": obj{"VpcId": ref("Vpc"), "CidrBlock": "10.0.2.0/24"}},
			"Group":   obj{"Type": "AWS::EC2::SecurityGroup", "Properties": obj{"VpcId": ref("Vpc"), "GroupDescription": "fleet"}},
		},
		"Outputs": obj{
			"Vpc":    obj{"Value": ref("Vpc"), "Export": obj{"Name": "wp-dev-vpc"}},
			"Subnet": obj{"Value": ref("SubnetA"), "Export": obj{"Name": "wp-dev-subnet"}},
			"Group":  obj{"Value": ref("Group"), "Export": obj{"Name": "wp-dev-group"}},
		},
	})
	database := body(t, obj{
		"Parameters": obj{"Size": obj{"Type": "String", "Default": "db.t4g.small"}},
		"Resources": obj{
			"Files": obj{"Type": "AWS::EFS::FileSystem", "DeletionPolicy": "Retain", "Properties": obj{"Encrypted": true}},
			"Db": obj{"Type": "AWS::RDS::DBInstance", "DeletionPolicy": "Snapshot", "Properties": obj{"Engine": "mysql", "DBInstanceClass": ref("Size"),
				"VPCSecurityGroups": []any{obj{"Fn::ImportValue": "wp-dev-group"}}}},
		},
		"Outputs": obj{"Endpoint": obj{"Value": obj{"Fn::GetAtt": []any{"Db", "Endpoint.Address"}}, "Export": obj{"Name": "wp-dev-db"}}},
	})
	compute := body(t, obj{
		"Resources": obj{
			"Role":     obj{"Type": "AWS::IAM::Role", "Properties": obj{"RoleName": "wp-dev-fleet"}},
			"Balancer": obj{"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer", "Properties": obj{"Subnets": []any{obj{"Fn::ImportValue": "wp-dev-subnet"}}}},
			"Fleet": obj{"Type": "AWS::AutoScaling::AutoScalingGroup", "DependsOn": "Role", "Properties": obj{"MinSize": "2",
				"Database": obj{"Fn::ImportValue": "wp-dev-db"}, "Target": obj{"Fn::GetAtt": "Balancer.Arn"}}},
		},
		"Outputs": obj{"Balancer": obj{"Value": obj{"Fn::GetAtt": []any{"Balancer", "Arn"}}}},
	})
	cdn := body(t, obj{
		"Parameters": obj{"Origin": obj{"Type": "String"}},
		"Resources": obj{
			"Acl":  obj{"Type": "AWS::WAFv2::WebACL", "Properties": obj{"Scope": "CLOUDFRONT"}},
			"Site": obj{"Type": "AWS::CloudFront::Distribution", "Properties": obj{"Acl": obj{"Fn::GetAtt": []any{"Acl", "Arn"}}, "Origin": ref("Origin")}},
		},
		"Outputs": obj{"Url": obj{"Value": obj{"Fn::Sub": "https://${Site}.cloudfront.net"}}},
	})
	return Site{Name: "wp-dev", Account: fakecfn.Account, Stacks: []Stack{
		{Name: "wp-dev-cdn-stack", Region: Edge, Template: cdn, From: map[string]Output{"Origin": {"wp-dev-compute-stack", "Balancer"}}},
		{Name: "wp-dev-compute-stack", Region: home, Template: compute, After: []string{"wp-dev-network-stack", "wp-dev-database-stack"}},
		{Name: "wp-dev-database-stack", Region: home, Template: database, After: []string{"wp-dev-network-stack"}},
		{Name: "wp-dev-network-stack", Region: home, Template: network},
	}}
}

// edit replaces a text in one stack's template.
func edit(t *testing.T, s Site, stack, old, new string) Site {
	t.Helper()
	s.Stacks = slices.Clone(s.Stacks)
	for i := range s.Stacks {
		if s.Stacks[i].Name == stack {
			b := strings.Replace(string(s.Stacks[i].Template), old, new, 1)
			if b == string(s.Stacks[i].Template) {
				t.Fatalf("%s has no %q", stack, old)
			}
			s.Stacks[i].Template = []byte(b)
		}
	}
	return s
}

// events collects what a run tells.
type events struct {
	mu  sync.Mutex
	all []Event
}

func (e *events) add(ev Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, ev)
}

func (e *events) has(stack, resource string, state State) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.ContainsFunc(e.all, func(v Event) bool { return v.Stack == stack && v.Resource == resource && v.State == state })
}

func mustDeploy(t *testing.T, c *Client, s Site) *Result {
	t.Helper()
	res, err := c.Deploy(t.Context(), s, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func TestDeployTwoRegions(t *testing.T) {
	srv := server(t, fakecfn.Options{Latency: time.Millisecond})
	c, site := client(t), sample(t)
	var ev events
	res, err := c.Deploy(t.Context(), site, Options{Progress: ev.add})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"wp-dev-network-stack", "wp-dev-database-stack", "wp-dev-compute-stack", "wp-dev-cdn-stack"}
	if !slices.Equal(res.Changed, want) {
		t.Errorf("got %v, want %v", res.Changed, want)
	}
	stacks := srv.Stacks()
	cdn, compute := stacks["wp-dev-cdn-stack"], stacks["wp-dev-compute-stack"]
	if cdn.Region != Edge || compute.Region != home {
		t.Errorf("got Regions %s and %s, want %s and %s", cdn.Region, compute.Region, Edge, home)
	}
	if cdn.Params["Origin"] != compute.Outputs["Balancer"] || cdn.Params["Origin"] == "" {
		t.Errorf("got origin %q, want the other Region's %q", cdn.Params["Origin"], compute.Outputs["Balancer"])
	}
	for _, s := range stacks {
		if s.Status != "CREATE_COMPLETE" || s.Tags[SiteTag] != "wp-dev" {
			t.Errorf("%s: got %s, tags %v", s.Name, s.Status, s.Tags)
		}
	}
	if !ev.has("wp-dev-cdn-stack", "Site", Done) || !ev.has("wp-dev-network-stack", "", Done) {
		t.Error("progress did not tell of the distribution and the network")
	}
	if n := srv.Account().Closed; n != 2 {
		t.Errorf("got %d sides of the default security group closed, want both", n)
	}
	for _, q := range srv.Log() {
		switch q.Action {
		case "DescribeChangeSet", "ExecuteChangeSet", "DeleteChangeSet":
			if !strings.HasPrefix(q.Params.Get("ChangeSetName"), "arn:") {
				t.Errorf("%s by name %q, want the ARN", q.Action, q.Params.Get("ChangeSetName"))
			}
		}
	}

	// A second time nothing happens, and no change set stays.
	res = mustDeploy(t, c, site)
	if len(res.Changed) != 0 || len(res.Unchanged) != 4 {
		t.Errorf("the second time: got %v changed, %v not, want none and four", res.Changed, res.Unchanged)
	}
	for _, s := range srv.Stacks() {
		if s.ChangeSets > 1 {
			t.Errorf("%s: %d change sets are left, want the executed one at most", s.Name, s.ChangeSets)
		}
	}

	// A change ships its own stack, and an output that changes reaches the other Region.
	before := srv.Stacks()["wp-dev-cdn-stack"].Params["Origin"]
	res = mustDeploy(t, c, edit(t, site, "wp-dev-compute-stack", `"wp-dev-fleet"`, `"wp-dev-fleet-2"`))
	if !slices.Equal(res.Changed, []string{"wp-dev-compute-stack"}) {
		t.Errorf("got %v, want the compute stack", res.Changed)
	}
	if got := srv.Stacks()["wp-dev-cdn-stack"].Params["Origin"]; got != before {
		t.Errorf("got origin %q, want %q as before", got, before)
	}
}

func TestDestroy(t *testing.T) {
	srv := server(t, fakecfn.Options{})
	c, site := client(t), sample(t)
	mustDeploy(t, c, site)
	var ev events
	doomed, err := c.Destroy(t.Context(), site, DestroyOptions{Progress: ev.add})
	if err != nil {
		t.Fatal(err)
	}
	if left := srv.Stacks(); len(left) != 0 {
		t.Errorf("got %v, want none", left)
	}
	var order []string
	for _, d := range doomed {
		order = append(order, d.Stack)
	}
	if want := []string{"wp-dev-cdn-stack", "wp-dev-compute-stack", "wp-dev-database-stack", "wp-dev-network-stack"}; !slices.Equal(order, want) {
		t.Errorf("got %v, want %v", order, want)
	}
	db := doomed[2]
	if len(db.Retained) != 1 || !strings.HasPrefix(db.Retained[0], "Files ") || len(db.Snapshots) != 1 {
		t.Errorf("got retained %v, snapshots %v, want Files and Db", db.Retained, db.Snapshots)
	}
	if !ev.has("wp-dev-database-stack", "Files", Kept) {
		t.Error("progress did not say that the files stay")
	}
	if again, err := c.Destroy(t.Context(), site, DestroyOptions{}); err != nil || len(again) != 0 {
		t.Errorf("destroying nothing: got %v, %v", again, err)
	}
}
