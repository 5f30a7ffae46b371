package edge

import (
	"crypto/tls"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/plan"
)

func TestStripped(t *testing.T) {
	for name, want := range map[string]bool{
		"X-Forwarded-For": true, "X_forwarded_for": true, "X-Forwarded.for": true, "X_Forwarded-For": true, "True-Client-Ip": true, "True_Client_Ip": true,
		"Cf-Connecting-Ip": true, "X-Ringwall-Anything": true, "X_ringwall_Viewer": true, "Forwarded": true, "Proxy": true, "Content_length": true, "Cookie_": false,
		"X_request_id": true, "Transfer_encoding": true, "X-Middleware-Subrequest": true,
		"Accept": false, "Cookie": false, "X-Wp-Nonce": false, "X_custom": false, "X-Requested-With": false, "If-None-Match": false, "Node-Red-Api-Version": false,
	} {
		if got := stripped(name); got != want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}

// Whatever a server makes of a header's name, none that is left is one of ours.
func FuzzStripped(f *testing.F) {
	f.Add("X_Forwarded_For")
	f.Add("x-ringwall.viewer")
	f.Fuzz(func(t *testing.T, name string) {
		if stripped(http.CanonicalHeaderKey(name)) {
			return
		}
		cgi := strings.ToUpper(strings.NewReplacer("-", "_", ".", "_", " ", "_").Replace(name))
		for _, bad := range []string{"X_FORWARDED_FOR", "X_RINGWALL_VIEWER", "X_RINGWALL_ORIGIN_SECRET", "X_REAL_IP", "TRUE_CLIENT_IP", "CF_CONNECTING_IP", "PROXY"} {
			if cgi == bad {
				t.Errorf("%q passes and is HTTP_%s to an app", name, bad)
			}
		}
	})
}

func TestWildcard(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"/*", "/", true}, {"/*", "/a/b?c", true}, {"/wp-admin/*", "/wp-admin/", true}, {"/wp-admin/*", "/wp-admin", false}, {"*rest_route*", "/?rest_route=/wp", true},
		{"*rest_route*", "/rest", false}, {"/a*b*c", "/aXbXbXc", true}, {"/a*b*c", "/aXcXb", false}, {"", "", true}, {"*", "", true}, {"", "a", false}, {"/contact/", "/contact/", true}, {"/contact/", "/contact", false},
		{"wordpress_*", "wordpress_logged_in_x", true},
	} {
		if got := wildcard(c.pattern, c.s); got != c.want {
			t.Errorf("%q on %q: got %v", c.pattern, c.s, got)
		}
	}
}

func TestCoverage(t *testing.T) {
	p := &plan.Plan{Edge: plan.Edge{ManagedRules: []string{"AWSManagedRulesAmazonIpReputationList", "AWSManagedRulesKnownBadInputsRuleSet", "AWSManagedRulesCommonRuleSet", "AWSManagedRulesAnonymousIpList", "AWSManagedRulesLinuxRuleSet", "AWSManagedRulesWordPressRuleSet", "Nonsense"}}}
	notes := Coverage(p)
	var bare []string
	for _, n := range notes {
		if !n.Covered {
			bare = append(bare, n.Group)
		}
		if n.Text == "" || n.Group == "" {
			t.Errorf("%+v", n)
		}
	}
	if want := []string{"AWSManagedRulesAmazonIpReputationList", "AWSManagedRulesAnonymousIpList", "Nonsense"}; !slices.Equal(bare, want) {
		t.Errorf("without a counterpart: got %v, want %v", bare, want)
	}
	if last := notes[len(notes)-1]; last.Group != "AWSManagedRulesSQLiRuleSet" {
		t.Errorf("the missing SQL injection group is not noted: %+v", last)
	}
}

func TestCertificate(t *testing.T) {
	p := &plan.Plan{Network: plan.Network{Host: "wp-dev.example.test", Hosts: []string{"wp-dev.example.test", "localhost:8443", "10.9.8.7"}}}
	dir := t.TempDir()
	a, err := Issue(p, dir)
	if err != nil {
		t.Fatal(err)
	}
	certs, err := NewCerts(a.Cert, a.Key)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"wp-dev.example.test", "localhost", "127.0.0.2", "10.9.8.7"} {
		if err := certs.Current().Leaf.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
	first := certs.Current()
	b, err := Issue(p, dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := certs.Set(b.Cert, b.Key); err != nil || certs.Current() == first {
		t.Errorf("rotation: %v", err)
	}
	if string(a.Roots) != string(b.Roots) {
		t.Error("the rotation made another authority")
	}
	if err := certs.Set([]byte("x"), []byte("y")); err == nil || certs.Current() == first {
		t.Error("a broken certificate replaced the good one")
	}
	if _, err := (&Certs{}).TLS().GetCertificate(&tls.ClientHelloInfo{}); err == nil {
		t.Error("no certificate: want an error")
	}
	p.Edge.CertFile, p.Edge.KeyFile = dir+"/none.pem", dir+"/none.key"
	if _, err := Issue(p, dir); err == nil || !strings.Contains(err.Error(), "none.pem") {
		t.Errorf("a missing file: got %v", err)
	}
}

func TestUnknownExclusionSet(t *testing.T) {
	p := testPlan()
	p.Edge.WAF.AdminPlugins = []string{"joomla"}
	if _, err := New(p, nil); err == nil || !strings.Contains(err.Error(), "joomla") {
		t.Errorf("got %v", err)
	}
}
