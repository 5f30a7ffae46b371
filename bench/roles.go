//go:build linux

package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"sync"

	"github.com/ringwall/ringwall/internal/sandbox"
	"github.com/ringwall/ringwall/internal/tlsca"
	"github.com/ringwall/ringwall/internal/vnet"
	"github.com/ringwall/ringwall/perimeter/host"
	"github.com/ringwall/ringwall/plan"
)

// Roles of this program when it is executed again.
var roles = map[string]func() error{
	"@app":    runApp,
	"@bare":   runBare,
	"@hop":    runHop,
	"@engine": runEngineAlone,
	"@sites":  runSites,
}

// runApp is the app behind every server that is measured: pages of two sizes,
// and an answer to whatever is posted.
func runApp() error {
	page := func(n int) http.HandlerFunc {
		text := append([]byte("<!doctype html><title>page</title><p>"), bytes.Repeat([]byte("lorem ipsum "), n/12)...)
		return func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Header().Set("Cache-Control", "no-store")
			_, _ = w.Write(text)
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("/page", page(10<<10))
	mux.HandleFunc("/", page(200))
	lc := net.ListenConfig{}
	lc.SetMultipathTCP(false)
	l, err := lc.Listen(context.Background(), "tcp", net.JoinHostPort(cmp.Or(os.Getenv("HOST"), "127.0.0.1"), cmp.Or(os.Getenv("PORT"), "9000")))
	if err != nil {
		return err
	}
	endWithStdin()
	return http.Serve(l, mux)
}

// endWithStdin ends a process that bench started when bench is gone. The app of
// a site has no such parent.
func endWithStdin() {
	if os.Getenv("BENCH_STDIN") == "" {
		return
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
}

// A bareHop says what one bare reverse proxy does: TLS on an inherited listener,
// or plain HTTP on an address; to a target.
type bareHop struct {
	Listen, Target string
	Cert, Key      string // PEM; with them the listener is descriptor 3
	Pool           bool   // answers are copied through kept buffers
	Rules          string // what judges requests: "", "coraza" or "ringwall"
}

// runHop is a reverse proxy as a Go programmer writes one: the standard
// library's, with connections kept.
func runHop() error {
	var h bareHop
	if err := json.Unmarshal([]byte(os.Getenv("BENCH_HOP")), &h); err != nil {
		return err
	}
	u, err := url.Parse(h.Target)
	if err != nil {
		return err
	}
	tr := http.DefaultTransport.(*http.Transport).Clone()
	tr.Proxy = nil
	tr.MaxIdleConnsPerHost = 256
	rp := &httputil.ReverseProxy{Transport: tr, ErrorLog: log.New(io.Discard, "", 0),
		Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(u); p.SetXForwarded(); p.Out.Host = p.In.Host }}
	if h.Pool {
		rp.BufferPool = &bufs{}
	}
	handler, err := judged(rp, h.Rules)
	if err != nil {
		return err
	}
	srv := &http.Server{ErrorLog: rp.ErrorLog, Handler: handler}
	endWithStdin()
	if h.Cert == "" {
		l, err := net.Listen("tcp", h.Listen)
		if err != nil {
			return err
		}
		return srv.Serve(l)
	}
	l, err := net.FileListener(os.NewFile(3, "listener"))
	if err != nil {
		return err
	}
	pair, err := tls.X509KeyPair([]byte(h.Cert), []byte(h.Key))
	if err != nil {
		return err
	}
	srv.TLSConfig = &tls.Config{Certificates: []tls.Certificate{pair}}
	return srv.ServeTLS(l, "", "")
}

// appSpec is what a site's app of kind command may see and do.
func appSpec(network *os.File) sandbox.Spec {
	p := &plan.Plan{Kind: plan.Command}
	spec := sandbox.Spec{Name: "bare-app", Args: []string{"/bench", "@app"}, Env: []string{"PORT=9000"}, Net: network, Cgroup: "ringwall/bench-bare"}
	if os.Getuid() == 0 && os.Getenv("BENCH_ROOT") != "" {
		spec.UID = 1
	}
	host.Allow(p, &plan.Tier{Name: plan.Fleet, Limits: plan.Limits{CPU: 100}}, &spec)
	self, _ := os.Readlink("/proc/self/exe")
	spec.Mounts = append(spec.Mounts, sandbox.Mount{Source: self, Target: "/bench", Exec: true})
	return spec
}

type bufs struct{ p sync.Pool }

func (b *bufs) Get() []byte {
	if v, ok := b.p.Get().(*[]byte); ok {
		return *v
	}
	return make([]byte, 32<<10)
}

func (b *bufs) Put(v []byte) { b.p.Put(&v) }

// runBare lays the network that a site has — a namespace for the edge, one for
// an instance, a firewall between them — and starts the two hops and the app in
// it, without any other wall. It prints the hops' process ids.
func runBare() error {
	n, err := vnet.New("internet")
	if err != nil {
		return err
	}
	edge, fleet := netip.MustParseAddr("10.0.0.10"), netip.MustParseAddr("10.0.1.100")
	hosts, err := n.Add(
		vnet.Spec{Name: "edge", Addrs: []vnet.Address{{Group: "edge", Addr: edge}}},
		vnet.Spec{Name: "fleet/1", Addrs: []vnet.Address{{Group: "fleet", Addr: fleet}}})
	if err != nil {
		return err
	}
	if err := n.Allow([]vnet.Rule{{From: "edge", To: "fleet", Port: 8080}}); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "ringwall-bench-ca-")
	if err != nil {
		return err
	}
	ca, err := tlsca.Open(dir, []string{"localhost"})
	os.RemoveAll(dir)
	if err != nil {
		return err
	}
	cert, key, err := ca.Issue([]string{"localhost"})
	if err != nil {
		return err
	}
	var pids []int
	var pipes []io.Closer // their end is the children's
	start := func(h *vnet.Host, listener *os.File, role, env string) error {
		c := exec.Command("/proc/self/exe", role)
		c.Env = []string{env, "BENCH_STDIN=1"}
		c.Stderr = os.Stderr
		if listener != nil {
			c.ExtraFiles = []*os.File{listener}
		}
		in, err := c.StdinPipe()
		if err != nil {
			return err
		}
		pipes = append(pipes, in)
		if err := h.Do(c.Start); err != nil {
			return fmt.Errorf("starting %s: %w", role, err)
		}
		go c.Wait()
		pids = append(pids, c.Process.Pid)
		return nil
	}
	hop := func(h *vnet.Host, listener *os.File, spec bareHop) error {
		spec.Pool = os.Getenv("BENCH_POOL") != ""
		b, _ := json.Marshal(spec)
		return start(h, listener, "@hop", "BENCH_HOP="+string(b))
	}
	if err := hop(hosts[0], os.NewFile(3, "listener"), bareHop{Target: "http://10.0.1.100:8080", Cert: string(cert), Key: string(key)}); err != nil {
		return err
	}
	if err := hop(hosts[1], nil, bareHop{Listen: "10.0.1.100:8080", Target: "http://127.0.0.1:9000"}); err != nil {
		return err
	}
	hops := pids
	// The app is the same in both: in a sandbox, with its limits.
	app, err := sandbox.Start(appSpec(hosts[1].File()))
	if err != nil {
		return err
	}
	go app.Wait()
	defer app.Wait()
	defer app.Kill()
	if err := json.NewEncoder(os.Stdout).Encode(hops); err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	for _, p := range pipes {
		p.Close()
	}
	return nil
}
