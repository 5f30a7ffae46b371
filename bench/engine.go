//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	coreruleset "github.com/corazawaf/coraza-coreruleset/v4"
	"github.com/corazawaf/coraza/v3"
	corazahttp "github.com/corazawaf/coraza/v3/http"

	"github.com/ringwall/ringwall/waf"
)

// coreRules are the core rules as every engine here has them: paranoia level 1,
// blocking, responses not inspected, no audit log.
const coreRules = `Include @coraza.conf-recommended
SecRuleEngine On
SecResponseBodyAccess Off
SecAuditEngine Off
Include @crs-setup.conf.example
Include @owasp_crs/*.conf
`

// judged puts an engine before a handler.
func judged(next http.Handler, engine string) (http.Handler, error) {
	switch engine {
	case "coraza":
		w, err := coraza.NewWAF(coraza.NewWAFConfig().WithRootFS(coreruleset.FS).WithDirectives(coreRules))
		if err != nil {
			return nil, err
		}
		return corazahttp.WrapHandler(w, next), nil
	case "ringwall":
		e, err := waf.Compile(coreruleset.FS, waf.Directives(coreRules))
		if err != nil {
			return nil, err
		}
		return e.Wrap(next), nil
	}
	return next, nil
}

const plainNginx = `daemon off;
user %[6]s;
pid nginx.pid;
worker_processes %[5]d;
error_log error.log crit;
%[1]s
events { worker_connections 512; }
http {
	access_log off;
	client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp; uwsgi_temp_path tmp; scgi_temp_path tmp;
	client_body_buffer_size 128k;
	keepalive_requests 100000000;
	upstream app { server %[3]s; keepalive 64; }
	server {
		listen %[2]s;
		modsecurity on;
		modsecurity_rules_file %[4]s;
		location / {
			proxy_pass http://app;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_set_header Host $http_host;
		}
	}
}
`

// startPlainNginx runs nginx with ModSecurity and the very rules that the other
// engines have.
func startPlainNginx(s *settings, app string) (*nginx, error) {
	bin, err := findNginx()
	if err != nil {
		return nil, err
	}
	n := &nginx{dir: filepath.Join(s.dir, "nginx-engine")}
	rules := filepath.Join(n.dir, "rules")
	for _, d := range []string{rules, filepath.Join(n.dir, "tmp")} {
		if err := os.MkdirAll(d, 0o777); err != nil {
			return nil, err
		}
	}
	if n.addr, err = freeAddr("127.0.0.1"); err != nil {
		return nil, err
	}
	from, err := fs.ReadDir(coreruleset.FS, "@owasp_crs")
	if err != nil {
		return nil, err
	}
	copied := map[string]string{"@crs-setup.conf.example": filepath.Join(n.dir, "crs-setup.conf")}
	for _, f := range from {
		copied["@owasp_crs/"+f.Name()] = filepath.Join(rules, f.Name())
	}
	for name, to := range copied {
		b, err := fs.ReadFile(coreruleset.FS, name)
		if err != nil {
			return nil, err
		}
		// The module leaves out blank lines, and ModSecurity takes a rule without
		// actions and the next one for one.
		b = bytes.ReplaceAll(b, []byte("\nSec"), []byte("\n\nSec"))
		if err := os.WriteFile(to, b, 0o644); err != nil {
			return nil, err
		}
	}
	conf, err := modsecurityRules(n.dir, "Include "+n.dir+"/crs-setup.conf\nInclude "+rules+"/*.conf\n")
	if err != nil {
		return nil, err
	}
	text := fmt.Sprintf(plainNginx, "load_module "+nginxModule+";", n.addr, app, conf, runtime.NumCPU(), nginxUser())
	return n, n.start(bin, text, nil)
}

// A peer is a server that is measured.
type peer struct {
	name string
	addr string
	pids []int
	stop func()
}

// startProxy runs the bare proxy with an engine in it.
func startProxy(ctx context.Context, s *settings, app, engine string) (*peer, error) {
	addr, err := freeAddr("127.0.0.1")
	if err != nil {
		return nil, err
	}
	h, err := json.Marshal(bareHop{Listen: addr, Target: "http://" + app, Pool: true, Rules: engine})
	if err != nil {
		return nil, err
	}
	c := exec.Command(s.self, "@hop")
	c.Env = []string{"BENCH_HOP=" + string(h), "BENCH_STDIN=1"}
	c.Stderr = os.Stderr
	in, err := c.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := c.Start(); err != nil {
		return nil, err
	}
	p := &peer{addr: addr, pids: []int{c.Process.Pid}, stop: func() { in.Close(); _ = c.Wait() }}
	if err := plainAnswer(ctx, addr); err != nil {
		p.stop()
		return nil, fmt.Errorf("waiting for the proxy with %q: %w", engine, err)
	}
	return p, nil
}

// plainAnswer waits until a server answers.
func plainAnswer(ctx context.Context, addr string) error {
	end := time.Now().Add(time.Minute)
	for {
		l, err := openPlain(addr, 1, newWords(0).request(addr, "GET", "/", "", ""))
		if err == nil {
			l.close()
			return nil
		}
		if time.Now().After(end) || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// targets of the engine's processor time: at least so many times less than
// Coraza and ModSecurity, at most so many times the bare proxy's, by kind.
var engineTargets = []struct{ coraza, modsecurity, proxy float64 }{{10, 10, 1.1}, {35, 25, 3}, {30, 13, 2.5}, {10, 10, 1.1}}

func runEngine(ctx context.Context, s *settings) (*report, error) {
	app, err := freeAddr("127.0.0.1")
	if err != nil {
		return nil, err
	}
	stop, err := startApp(s, app)
	if err != nil {
		return nil, err
	}
	defer stop()
	var peers []*peer
	for _, p := range []struct{ name, engine string }{{"bare proxy", ""}, {"Coraza", "coraza"}, {"ours", "ringwall"}} {
		x, err := startProxy(ctx, s, app, p.engine)
		if err != nil {
			return nil, err
		}
		defer x.stop()
		x.name = p.name
		peers = append(peers, x)
	}
	n, err := startPlainNginx(s, app)
	if err != nil {
		return nil, err
	}
	defer n.stop()
	if err := plainAnswer(ctx, n.addr); err != nil {
		return nil, fmt.Errorf("waiting for nginx: %w\n%s", err, n.log())
	}
	theirs, err := descendants(n.cmd.Process.Pid)
	if err != nil {
		return nil, err
	}
	peers = append(peers, &peer{name: "ModSecurity", addr: n.addr, pids: theirs})

	r := &report{head: []string{"request", "server", "CPU", "req/s", "p50", "p99", "refused", "CPU, ours less (median)"},
		how: []string{fmt.Sprintf("One httputil.ReverseProxy with kept connections and buffers before the same app: bare, with Coraza, with our engine; and nginx with ModSecurity, one worker for each processor. "+
			"All three engines have the OWASP rules %s, paranoia level 1, blocking; responses are not inspected, there is no audit log. %d kept HTTP/1.1 connections on loopback without TLS; "+
			"%d variants of each kind of request in turn; %d rounds of %v for each kind and server, the servers in turn. CPU is the processor time of the server's processes for one request.", crsVersion(), s.conns, variants, s.rounds, s.slice)}}
	for k, kind := range kinds {
		if err := s.comparePeers(ctx, r, peers, k); err != nil {
			return nil, fmt.Errorf("%s: %w", kind.name, err)
		}
	}
	return r, nil
}

// crsVersion is the version of the rules that all engines have.
func crsVersion() string {
	b, _ := fs.ReadFile(coreruleset.FS, "@owasp_crs/REQUEST-901-INITIALIZATION.conf")
	for line := range strings.Lines(string(b)) {
		if _, v, ok := strings.Cut(line, "OWASP CRS ver."); ok {
			return strings.TrimSpace(v)
		}
	}
	return "of the module"
}

// comparePeers measures one kind of request.
func (s *settings) comparePeers(ctx context.Context, r *report, peers []*peer, kind int) error {
	n := len(peers)
	cost, rps := make([][]float64, n), make([][]float64, n)
	times := make([][]time.Duration, n)
	refused, asked, next := make([]int64, n), make([]int64, n), make([]int, n)
	for round := range s.rounds {
		for i := range peers {
			i = (i + round) % n
			p := peers[i]
			all := variantsOf(kind, "www.example.com")
			at := next[i] % len(all)
			t, cpu, err := s.plainSlot(ctx, p.addr, append(all[at:], all[:at]...), p.pids, &times[i])
			if err != nil {
				return fmt.Errorf("asking %s: %w", p.name, err)
			}
			if t.done == 0 {
				return fmt.Errorf("asking %s: no answer in %v", p.name, s.slice)
			}
			rps[i] = append(rps[i], float64(t.done)/t.wall.Seconds())
			cost[i] = append(cost[i], float64(cpu)/float64(t.done))
			next[i] += int(t.done)
			refused[i], asked[i] = refused[i]+t.other, asked[i]+t.done
		}
		if s.verbose {
			fmt.Fprintf(os.Stderr, "bench: engine %s round %d: bare %.0f, Coraza %.0f, ours %.0f, ModSecurity %.0f µs\n", kinds[kind].name, round+1,
				cost[0][round]/1e3, cost[1][round]/1e3, cost[2][round]/1e3, cost[3][round]/1e3)
		}
	}
	ratios := make([][]float64, n)
	var alone []float64
	for round := range s.rounds {
		for i := range peers {
			ratios[i] = append(ratios[i], cost[i][round]/cost[2][round])
		}
		alone = append(alone, (cost[2][round]-cost[0][round])/cost[0][round])
	}
	for i, p := range peers {
		less := fmt.Sprintf("%.1fx", median(ratios[i]))
		if i == 2 {
			less = fmt.Sprintf("engine alone: %.2fx the bare proxy", median(alone))
		}
		r.rows = append(r.rows, []string{kinds[kind].name, p.name, us(time.Duration(median(cost[i]))), fmt.Sprintf("%.0f", median(rps[i])),
			tenths(quantile(times[i], 0.5)), tenths(quantile(times[i], 0.99)), fmt.Sprintf("%.0f %%", 100*float64(refused[i])/float64(asked[i])), less})
	}
	g := engineTargets[kind]
	r.verdict = append(r.verdict,
		atLeast(kinds[kind].name+", CPU less than Coraza's", median(ratios[1]), g.coraza, "x"),
		atLeast(kinds[kind].name+", CPU less than ModSecurity's", median(ratios[3]), g.modsecurity, "x"),
		met(kinds[kind].name+", CPU of the engine alone against the bare proxy", median(alone), g.proxy, "x"))
	return nil
}

// plainSlot is slot without TLS; it also notes how long each answer took.
func (s *settings) plainSlot(ctx context.Context, addr string, requests [][]byte, pids []int, times *[]time.Duration) (t tally, cpu time.Duration, err error) {
	l, err := openPlain(addr, s.conns, requests[0])
	if err != nil {
		return t, 0, err
	}
	defer l.close()
	l.times = times
	before, err := cpuTimes(pids)
	if err != nil {
		return t, 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.slice)
	defer cancel()
	if t, err = l.run(ctx, requests, 0, 0); err != nil {
		return t, 0, err
	}
	after, err := cpuTimes(pids)
	return t, after - before, err
}
