package tlsca

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestOpenKeepsOneAuthority(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ca")
	a, err := Open(dir, []string{"example.com"})
	if err != nil {
		t.Fatal(err)
	}
	b, err := Open(dir, []string{"example.com"})
	if err != nil {
		t.Fatal(err)
	}
	if string(a.PEM()) != string(b.PEM()) {
		t.Error("the second Open made another authority")
	}
	c, err := Open(dir, []string{"example.com", "other.test"})
	if err != nil {
		t.Fatal(err)
	}
	if string(a.PEM()) == string(c.PEM()) {
		t.Error("an authority that may not sign other.test was kept")
	}
	info, err := os.Stat(filepath.Join(dir, "ca.key"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("ca.key: got %v %v, want mode 0600", info.Mode(), err)
	}
	if info, _ := os.Stat(dir); info.Mode().Perm() != 0o700 {
		t.Errorf("directory: got %v, want 0700", info.Mode())
	}
}

func TestOpenReplacesAnOldAuthority(t *testing.T) {
	dir := t.TempDir()
	a, err := openAt(dir, nil, func() time.Time { return time.Now().Add(-caLife) })
	if err != nil {
		t.Fatal(err)
	}
	b, err := Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if string(a.PEM()) == string(b.PEM()) {
		t.Error("an expired authority was kept")
	}
}

func TestOpenRefusesAReadableKey(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(dir, nil); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "ca.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, nil); err == nil || !strings.Contains(err.Error(), "-rw-------") {
		t.Errorf("got %v, want an error about the mode", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "ca.key"), []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	_ = os.Chmod(filepath.Join(dir, "ca.key"), 0o600)
	if _, err := Open(dir, nil); err == nil || !strings.Contains(err.Error(), "remove ca.key") {
		t.Errorf("got %v, want an error with the next step", err)
	}
}

func TestIssue(t *testing.T) {
	ca, err := Open(t.TempDir(), []string{"example.com"})
	if err != nil {
		t.Fatal(err)
	}
	certPEM, keyPEM, err := ca.Issue([]string{"wp-dev.example.com", "localhost", "127.0.0.2", "::1"})
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"wp-dev.example.com", "localhost", "127.0.0.2", "::1"} {
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: ca.Pool(), DNSName: host}); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	for _, hosts := range [][]string{{"bank.test"}, {"192.0.2.1"}, nil} {
		if _, _, err := ca.Issue(hosts); err == nil {
			t.Errorf("signed %v, which the authority's constraints exclude", hosts)
		}
	}
}

// A clock that jumps makes a leaf due; one that is signed then is valid then.
func TestClockJump(t *testing.T) {
	now := time.Now()
	ca, err := openAt(t.TempDir(), []string{"example.com"}, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	start := now
	leaf, _, err := ca.Issue([]string{"example.com"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		jump time.Duration
		due  bool
	}{
		{0, false},
		{-30 * time.Minute, false}, // within what is allowed for clocks that differ
		{-2 * time.Hour, true},
		{30 * 24 * time.Hour, false},
		{61 * 24 * time.Hour, true},
		{400 * 24 * time.Hour, true},
	} {
		now = start.Add(c.jump)
		if due := Due(leaf, now); due != c.due {
			t.Errorf("after a jump of %v: got due %v, want %v", c.jump, due, c.due)
		}
		if c.jump <= -backdate {
			continue // before the authority's own time: openAt replaces it
		}
		fresh, _, err := ca.Issue([]string{"example.com"})
		if err != nil || Due(fresh, now) {
			t.Errorf("after a jump of %v: got a new leaf that is due (%v)", c.jump, err)
		}
	}
	if !Due(nil, start) || !Due([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), start) {
		t.Error("what is no certificate is not due")
	}
}
