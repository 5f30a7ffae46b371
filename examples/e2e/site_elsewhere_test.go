//go:build linux

package e2e

import (
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/local/localtest"
)

// A site with a public address is judged from outside, by whoever may show its
// owner's token.
func TestProbeElsewhere(t *testing.T) {
	config := filepath.Join(t.TempDir(), "config")
	port := freePort(t)
	s := &site{Site: localtest.New(t, localtest.Build(t, "cmd/ringwall", ""), "st-dev", fmt.Sprintf("app: st\nkind: static\nfiles: {source: site}\n"+
		"network: {listen: \"127.0.0.1:%d\", hosts: [\"localhost:%d\"]}\nenvironments:\n  dev: {}\n", port, port),
		map[string]string{"site/index.html": "hello"})}
	s.Env = append(s.Env, "XDG_CONFIG_HOME="+config)
	token := s.OK("probe", "--token")
	s.Up()
	address := fmt.Sprintf("https://localhost:%d", port)
	args := []string{"probe", "--url", address, "--ca", filepath.Join(s.State(), "ca", "ca.pem")}
	if r := s.Run(args...); r.Code != 1 || !strings.Contains(r.Stderr, "ringwall probe --token") {
		t.Errorf("without the token: got %d\n%s", r.Code, r.Stderr)
	}
	must(t, os.MkdirAll(filepath.Join(s.State(), "files", ".well-known"), 0o755))
	must(t, os.WriteFile(filepath.Join(s.State(), "files", ".well-known", "ringwall-probe.txt"), []byte(token), 0o644))
	if r := s.Run(args...); r.Code != 0 {
		t.Errorf("with the token: got %d\n%s\n%s", r.Code, r.Stdout, r.Stderr)
	}
	if r := s.Run(append(args, "--intrusive")...); r.Code != 0 || !strings.Contains(r.Stdout, "held") {
		t.Errorf("with floods: got %d\n%s\n%s", r.Code, r.Stdout, r.Stderr)
	}

	// A web server without walls, whose owner agrees.
	bare := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Request-Id", "1")
		fmt.Fprintln(w, token)
	}))
	defer bare.Close()

	u, err := url.Parse(bare.URL)
	must(t, err)
	_, at, err := net.SplitHostPort(u.Host)
	must(t, err)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: bare.Certificate().Raw}), 0o644))
	if r := s.Run("probe", "--url", "https://127.0.0.1:"+at, "--ca", ca); r.Code != 3 || !strings.Contains(r.Stdout, "BROKEN") {
		t.Errorf("a server without walls: got %d, want 3\n%s\n%s", r.Code, r.Stdout, r.Stderr)
	}
}
