package webserver

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"testing"

	"github.com/ringwall/ringwall/internal/tlsca"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

// tlsFront ends TLS in front of a running nginx and passes every byte on as it is.
func tlsFront(t *testing.T, cert tls.Certificate, in *instance) string {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				n, err := net.Dial("unix", in.sock)
				if err != nil {
					return
				}
				defer n.Close()
				go func() { io.Copy(n, c); n.Close() }()
				io.Copy(c, n)
			}()
		}
	}()
	return l.Addr().String()
}

// The probes of this wall judge nginx as they judge the local server: with the
// table up every promise holds, and with admin's table where visitors come the
// administrators' pages are reached.
func TestNginxProbes(t *testing.T) {
	root := siteTree(t)
	ca, err := tlsca.Open(t.TempDir(), []string{testHost})
	if err != nil {
		t.Fatal(err)
	}
	certPEM, keyPEM, err := ca.Issue([]string{testHost})
	if err != nil {
		t.Fatal(err)
	}
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	p := wordpress()
	p.Network.Host = testHost
	fleet, admin := serveNginx(t, p, plan.Fleet, root, nil), serveNginx(t, p, plan.Admin, root, nil)
	at := map[string]string{plan.Fleet: tlsFront(t, cert, fleet), plan.Admin: tlsFront(t, cert, admin)}
	target := func(visitors string) *perimeter.Target {
		return &perimeter.Target{Plan: p, URL: "https://" + testHost, Roots: ca.Pool(), Site: &perimeter.SiteAccess{State: t.TempDir()},
			From: func(node string) (perimeter.Dialer, error) {
				to := at[visitors]
				if node == plan.Office {
					to = at[plan.Admin]
				}
				return func(ctx context.Context, network, _ string) (net.Conn, error) {
					return (&net.Dialer{}).DialContext(ctx, network, to)
				}, nil
			}}
	}
	judged := 0
	for _, c := range controls {
		if c.Probe == nil || c.Vantage != perimeter.Internet {
			continue
		}
		judged++
		if r := perimeter.Judge(t.Context(), 8, c, target(plan.Fleet)); r.Verdict != perimeter.Held {
			t.Errorf("%s: got %v: %s %v", c.ID, r.Verdict, r.Error, r.Evidence)
		}
		if c.ID == ctlAdmin {
			if r := perimeter.Judge(t.Context(), 8, c, target(plan.Admin)); r.Verdict != perimeter.Broken {
				t.Errorf("%s with admin's table for visitors: got %v: %s %v", c.ID, r.Verdict, r.Error, r.Evidence)
			}
		}
	}
	if judged < 4 {
		t.Errorf("%d probes judged nginx, want all of the wall's", judged)
	}
}
