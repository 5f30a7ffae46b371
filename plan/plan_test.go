package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func TestSecretsAreNotPrinted(t *testing.T) {
	s := Secret{Username: "u", Password: "hunter2", Host: "h", DBName: "d"}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if got := fmt.Sprintf(format, s); strings.Contains(got, "hunter2") {
			t.Errorf("%s: got %s", format, got)
		}
	}
}

func TestClassOfFiles(t *testing.T) {
	f := Files{Uploads: []string{"up/"}, Data: []string{"flows.json"}}
	for name, want := range map[string]FileClass{
		"index.php": Code, "up": Upload, "up/a.php": Upload, "upper/a.php": Code, "x/../up/a": Upload,
		"flows.json": Data, "flows.json.js": Code, "../up/a": Upload, "": Code,
	} {
		if got := f.Class(name); got != want {
			t.Errorf("%q: got %d, want %d", name, got, want)
		}
	}
}

// TestAddressesDiffer: no two parts of the largest site share an address.
func TestAddressesDiffer(t *testing.T) {
	for _, block := range []string{"10.0.0.0/16", "172.31.252.0/22"} {
		cidr := netip.MustParsePrefix(block)
		v := NewVPC(cidr, netip.MustParsePrefix("fd72:696e:6777::/64"))
		seen := map[netip.Addr]string{v.Edge: "edge", v.Balancer: "balancer", v.Beside: "beside", v.Database: "database"}
		for _, tier := range []string{Admin, Fleet} {
			for n := 1; n <= 50; n++ {
				a := v.Instance(tier, n)
				if old, ok := seen[a]; ok || !cidr.Contains(a) {
					t.Errorf("%s/%d: got %s, which is %q's or outside %s", tier, n, a, old, cidr)
				}
				seen[a] = tier
			}
		}
		if len(seen) != 104 {
			t.Errorf("%s: got %d addresses, want 104", block, len(seen))
		}
	}
}

func TestMatch(t *testing.T) {
	m := Match{Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}}
	for addr, want := range map[string]bool{"192.0.2.9": true, "::ffff:192.0.2.9": true, "192.0.3.1": false, "2001:db8::1": true, "2001:db9::1": false} {
		if got := m.Has(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: got %v, want %v", addr, got, want)
		}
	}
	if (Match{}).Has(netip.MustParseAddr("192.0.2.1")) || !(Match{Any: true}).Has(netip.MustParseAddr("192.0.2.1")) {
		t.Error("the zero Match has an address, or Any has none")
	}
}

// TestStarters: what init writes loads, for every preset.
func TestStarters(t *testing.T) {
	for _, preset := range Presets() {
		data, err := Starter(Answers{App: "shop", Preset: preset, Admins: []string{"203.0.113.7", "2001:db8::/64"}})
		if err != nil {
			t.Fatal(err)
		}
		p, err := Load(Options{Dir: dirWith(t, FileYAML, string(data)), Getenv: noEnv, Overrides: map[string]string{"files.source": t.TempDir()}})
		if err != nil || p.Preset != preset || p.Network.Office.String() != "203.0.113.7" {
			t.Errorf("%s: got %+v, %v", preset, p, err)
		}
	}
}

func TestShowJSON(t *testing.T) {
	p := loadText(t, small)
	for _, origin := range []bool{false, true} {
		var b bytes.Buffer
		if err := ShowJSON(&b, p, origin); err != nil {
			t.Fatal(err)
		}
		var m map[string]any
		if err := json.Unmarshal(b.Bytes(), &m); err != nil {
			t.Fatal(err)
		}
		got := m["edge.maxBody"]
		if o, ok := got.(map[string]any); ok != origin || origin && (o["origin"] != "default" || o["value"] != "1MiB") || !origin && got != "1MiB" {
			t.Errorf("origin %v: got %v", origin, got)
		}
	}
}

// TestValuesFromText reads lists and tables as a flag has them.
func TestValuesFromText(t *testing.T) {
	p, err := Load(Options{Dir: dirWith(t, FileYAML, small), Getenv: noEnv, Overrides: map[string]string{
		"tiers.fleet.env":      "A=1, B=2",
		"tiers.fleet.env.C":    "x,y",
		"tiers.admin.env":      `{"D": "1,2", "E": 3}`,
		"database.config":      "instance",
		"database.grants":      `{"fleet": [{"tables": "a*", "rights": ["select", "insert"]}]}`,
		"waf.exclusions":       `[{"rule": 7, "path": "/x", "reason": "r"}]`,
		"files.uploads":        "a, b",
		"aws.buildMinutes":     "admin=5",
		"network.doors.office": "[::1]:9443",
	}})
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(p.Tier(Fleet).Env, p.Tier(Admin).Env, p.Database.Grants, p.Edge.WAF.Exclusions, p.Files.Uploads, p.AWS.BuildMinutes, p.Network.Doors[1].URL())
	want := `map[A:1 B:2 C:x,y] map[D:1,2 E:3] map[fleet:[{a* [select insert]}]] [{7 /x  r}] [a b] map[admin:5]https://[::1]:9443/`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if last := p.Flows[len(p.Flows)-1]; last.Rights != "sql: select+insert on a*" || !slices.Contains(p.Network.Hosts, "[::1]:9443") {
		t.Errorf("got %v and %v", last, p.Network.Hosts)
	}
}
