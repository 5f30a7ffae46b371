//go:build linux

package local

import (
	"bufio"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ringwall/ringwall/internal/sandbox"
	"github.com/ringwall/ringwall/internal/vnet"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/perimeter/all"
	"github.com/ringwall/ringwall/perimeter/host"
	"github.com/ringwall/ringwall/perimeter/people"
	"github.com/ringwall/ringwall/plan"
	"github.com/ringwall/ringwall/verify"
)

// A probeConfig is what a probing process is told.
type probeConfig struct {
	Plan      *plan.Plan
	Controls  []string
	URL       string
	Roots     string // PEM
	Instances map[string]netip.Addr
	Site      *perimeter.SiteAccess
	Inside    *perimeter.Inside
	Nodes     []string              // whose network namespaces follow the configuration, in order
	Loopback  map[string]netip.Addr // by node: what it dials from, where it has no namespace
	Missing   []string              // layers of the enforcement
	Down      []string
}

// vantages in the order in which they are tried.
var vantages = []perimeter.Vantage{perimeter.Machine, perimeter.InDatabase, perimeter.Beside, perimeter.InAdmin, perimeter.InFleet, perimeter.Internet}

// serveProbe runs controls from every vantage and streams one result per line.
func (h *hub) serveProbe(w http.ResponseWriter, r *http.Request) {
	if err := h.mustBeUp(); err != nil {
		reply(w, nil, err)
		return
	}
	defer h.spoil()()
	only := map[string]bool{}
	for _, id := range strings.Fields(r.FormValue("controls")) {
		only[id] = true
	}
	by := map[perimeter.Vantage][]string{}
	docs := map[string]perimeter.Result{}
	for _, p := range all.Perimeters {
		for _, c := range p.Controls {
			if c.For(h.Plan) && (len(only) == 0 || only[c.ID]) {
				by[c.Vantage] = append(by[c.Vantage], c.ID)
				docs[c.ID] = perimeter.Result{ID: c.ID, Perimeter: p.Number, Vantage: c.Vantage, Doc: c.Doc}
			}
		}
	}
	if h.database != nil && h.database.server != nil && len(by[perimeter.InFleet])+len(by[perimeter.InAdmin]) > 0 {
		drop, err := h.database.server.Sample(r.Context())
		if err != nil {
			h.step(Step{Part: "database", State: "note", Text: err.Error()})
		}
		defer func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), 10*time.Second)
			defer cancel()
			if err := drop(ctx); err != nil {
				h.step(Step{Part: "database", State: "note", Text: "removing the probes' table: " + err.Error()})
			}
		}()
	}
	var mu sync.Mutex
	enc := json.NewEncoder(w)
	emit := func(res perimeter.Result) {
		mu.Lock()
		defer mu.Unlock()
		delete(docs, res.ID)
		enc.Encode(res)
		http.NewResponseController(w).Flush()
	}
	var wg sync.WaitGroup
	for _, v := range vantages {
		ids := by[v]
		if len(ids) == 0 {
			continue
		}
		run := func() {
			err := h.probeFrom(r.Context(), v, ids, emit)
			for _, id := range ids { // whatever has no result by now is unknown
				mu.Lock()
				res, missing := docs[id]
				mu.Unlock()
				if missing {
					res.Error = "the probing process gave no result"
					if err != nil {
						res.Error = err.Error()
					}
					emit(res)
				}
			}
		}
		if v == perimeter.Internet { // floods disturb the others, so they come last
			wg.Wait()
			run()
		} else {
			wg.Go(run)
		}
	}
	wg.Wait()
}

// probeFrom runs controls in a process that stands at a vantage.
func (h *hub) probeFrom(ctx context.Context, v perimeter.Vantage, ids []string, emit func(perimeter.Result)) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	cfg := probeConfig{Plan: h.current(h.Plan), Controls: ids, URL: "https://" + h.Plan.Network.Host, Down: h.Down, Missing: h.Skip.Names(), Instances: map[string]netip.Addr{}}
	for _, b := range h.backends() {
		cfg.Instances[b.Name] = b.Addr.Addr()
	}
	cfg.Roots = h.roots()
	r, w := io.Pipe()
	done := make(chan error, 1)
	switch v {
	case perimeter.Internet, perimeter.Machine, perimeter.Beside:
		go func() { done <- h.probeOutside(ctx, v, cfg, w); w.Close() }()
	default:
		go func() { done <- h.probeInside(ctx, v, cfg, w); w.Close() }()
	}
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			break
		}
		var res perimeter.Result
		if json.Unmarshal(line, &res) == nil && res.ID != "" {
			emit(res)
		}
	}
	return <-done
}

// probeOutside runs probes as an ordinary process of the hub's namespaces, with
// the networks of the world outside at hand.
func (h *hub) probeOutside(ctx context.Context, v perimeter.Vantage, cfg probeConfig, out io.Writer) error {
	cfg.Site = &perimeter.SiteAccess{State: h.State.Dir, Secrets: h.secretValues(), PIDs: descendants(os.Getpid())}
	cfg.Loopback = map[string]netip.Addr{}
	files := []*os.File{}
	for _, n := range []string{hostVisitor, hostOffice, hostStranger, hostCrowd, plan.Beside} {
		if x := h.net.Host(n); x != nil && x.File() == nil {
			cfg.Loopback[n] = x.From()
		} else if x != nil {
			cfg.Nodes = append(cfg.Nodes, n)
			files = append(files, x.File())
		}
	}
	config, err := pack(cfg)
	if err != nil {
		return err
	}
	defer config.Close()
	c := exec.CommandContext(ctx, "/proc/self/exe")
	c.Args = []string{"ringwall", "@probe"}
	c.Env = childEnv
	c.ExtraFiles = append([]*os.File{config}, files...)
	c.Stdout = out
	var stderr strings.Builder
	c.Stderr = &stderr
	c.WaitDelay = time.Second
	if err := c.Run(); err != nil {
		return fmt.Errorf("probing from %s: %w %s", v, err, stderr.String())
	}
	return nil
}

// probeInside runs probes within the walls of an instance, or in the database's
// network: the same sandbox as the app's, with this program visible in it.
func (h *hub) probeInside(ctx context.Context, v perimeter.Vantage, cfg probeConfig, out io.Writer) error {
	var s sandbox.Spec
	in := &perimeter.Inside{Tier: string(v), Services: h.services(), Files: h.Plan.Files.Mount}
	switch v {
	case perimeter.InDatabase:
		if !h.hasDatabase() {
			return errors.New("this site has no database")
		}
		s = h.bareSpec(plan.NodeDatabase)
		in.Tier = ""
	default:
		i := h.anyInstance(string(v))
		if i == nil {
			return fmt.Errorf("there is no running instance of %s", v)
		}
		var err error
		if s, err = i.spec(); err != nil {
			return err
		}
		in.Self = i.name
		in.Write = []string{h.seen(insideRun, i.run)} // and what it finds to be its directory for temporary files
		if i.tier.Write {
			in.Write = append(in.Write, h.Plan.Files.Mount)
		}
		if h.database != nil {
			in.Secret = insideSecrets + "/database.json"
		}
	}
	in.Hidden = append(h.hidden(), h.State.Control(), h.State.Secrets(), h.State.Logs())
	if h.hasDatabase() {
		in.Hidden = append(in.Hidden, h.State.Database())
	}
	in.Sockets = append([]string{h.State.Control()}, sockets(h.State.Run())...)
	abstract, err := h.listenAbstract(v)
	if err != nil {
		return err
	}
	defer abstract.Close()
	in.Sockets = append(in.Sockets, abstract.Addr().String())
	cfg.Inside = in
	config, err := pack(cfg)
	if err != nil {
		return err
	}
	defer config.Close()
	return h.runSelf(ctx, s, "@probe", []*os.File{config}, out)
}

// sockets are those of the site's other parts.
func sockets(run string) []string {
	var out []string
	filepath.WalkDir(run, func(name string, e os.DirEntry, err error) error {
		if err == nil && e.Type() == os.ModeSocket {
			out = append(out, name)
		}
		return nil
	})
	return out
}

// listenAbstract opens a socket without a file for a probe to look for, on the
// hub's side of the instance's network.
func (h *hub) listenAbstract(v perimeter.Vantage) (l net.Listener, err error) {
	listen := func() error {
		l, err = net.Listen("unix", "@ringwall-"+people.NewSecret()[:16])
		return err
	}
	i := h.anyInstance(string(v))
	if i == nil || !perimeter.Down("host/no-abstract-sockets") {
		return l, listen()
	}
	return l, i.host.Do(listen)
}

// hidden are paths on the machine that exist and that no instance may see.
func (h *hub) hidden() []string {
	var out []string
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, i := range h.instances {
		out = append(out, i.run)
	}
	for _, p := range []string{"/root", "/home", "/var/lib", "/etc/shadow", "/etc/hostname"} {
		if _, err := os.Stat(p); err == nil {
			out = append(out, p)
		}
	}
	return out
}

func (h *hub) anyInstance(tier string) *instance {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, i := range h.instances {
		if i.tier.Name == tier && i.agent != nil {
			return i
		}
	}
	return nil
}

// runSelf runs a role of this program inside a sandbox, to its end.
func (h *hub) runSelf(ctx context.Context, s sandbox.Spec, role string, files []*os.File, out io.Writer) error {
	if err := host.Visit(&s); err != nil {
		return err
	}
	s.Args, s.Files = []string{host.Binary, role}, files
	s.Env = append(slices.Clone(s.Env), "GODEBUG=multipathtcp=0")
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	er, ew, err := os.Pipe()
	if err != nil {
		return err
	}
	s.Stdout, s.Stderr = w, ew
	var wg sync.WaitGroup
	var stderr strings.Builder
	wg.Go(func() { io.Copy(out, r); r.Close() })
	wg.Go(func() { io.Copy(&stderr, io.LimitReader(er, 4096)); er.Close() })
	err = runBox(ctx, s)
	w.Close()
	ew.Close()
	wg.Wait()
	if err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(stderr.String()))
	}
	return nil
}

// runProbe is the probing process.
func runProbe() error {
	var cfg probeConfig
	if err := unpack(&cfg); err != nil {
		return err
	}
	perimeter.SetDown(cfg.Down)
	t := &perimeter.Target{Plan: cfg.Plan, URL: cfg.URL, Instances: cfg.Instances, Site: cfg.Site, Inside: cfg.Inside, Missing: cfg.Missing}
	if cfg.Roots != "" {
		t.Roots = x509.NewCertPool()
		t.Roots.AppendCertsFromPEM([]byte(cfg.Roots))
	}
	if in := t.Inside; in != nil && in.Self != "" {
		in.Write = append(in.Write, os.TempDir())
		if in.Secret != "" {
			in.Secret = os.Getenv("DATABASE_SECRET")
		}
	}
	nets := map[string]*os.File{}
	for i, n := range cfg.Nodes {
		nets[n] = inherited(i, n)
	}
	hosts := map[string]string{plan.Internet: hostVisitor, plan.Office: hostOffice, hostStranger: hostStranger, hostCrowd: hostCrowd, plan.Beside: plan.Beside}
	t.From = func(node string) (perimeter.Dialer, error) {
		if from, ok := cfg.Loopback[hosts[node]]; ok {
			return func(ctx context.Context, network, address string) (net.Conn, error) {
				return vnet.DialLoopback(from, ctx, network, address)
			}, nil
		}
		ns := nets[hosts[node]]
		if ns == nil {
			return nil, fmt.Errorf("this vantage cannot stand at %s", node)
		}
		return func(ctx context.Context, network, address string) (net.Conn, error) {
			return vnet.DialFrom(ns, ctx, network, address)
		}, nil
	}
	enc := json.NewEncoder(os.Stdout)
	jobs, err := verify.Select(all.Perimeters, cfg.Controls)
	if err != nil {
		return err
	}
	verify.Run(context.Background(), verify.Probing(jobs), t, true, func(r perimeter.Result) { enc.Encode(r) })
	return nil
}

// pids are the processes of the site, as the hub sees them.
func pids() []int {
	var out []int
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		if n, err := strconv.Atoi(filepath.Base(d)); err == nil {
			out = append(out, n)
		}
	}
	return out
}
