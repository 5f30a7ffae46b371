//go:build linux

package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringwall/ringwall/internal/sandbox"
	"github.com/ringwall/ringwall/internal/supervise"
	"github.com/ringwall/ringwall/perimeter/host"
	"github.com/ringwall/ringwall/perimeter/people"
	"github.com/ringwall/ringwall/plan"
)

// A front is the hub's side of the process in which the edge and the balancer run.
type front struct {
	hub       *hub
	part      *supervise.Part
	listeners []frontListener
	proof     *proof

	mu       sync.Mutex
	link     *link
	seq      int
	state    frontState
	heard    time.Time
	backends []backend
	secrets  [2]string
	cert     certificate
	rules    *plan.WAF // put in force after the start; nil: the plan's
	open     bool
}

// A frontListener is one listener that the front serves.
type frontListener struct {
	Kind   string     `json:"kind"`   // https, http, balancer
	Viewer netip.Addr `json:"viewer"` // for a door: whom its connections count as
	Addr   string     `json:"addr"`
	l      *net.TCPListener
}

// A frontConfig is what the front is told when it starts.
type frontConfig struct {
	Plan      *plan.Plan
	Listeners []frontListener
	Secrets   [2]string
	Cert      certificate
	Backends  []backend
	Open      bool
	Down      []string
	Trials    []trial // to make, with the outcome for the last descriptor

	// Whom connections that come from these addresses count as.
	Lent map[netip.Addr]netip.Addr
}

func (h *hub) startFront(ctx context.Context) error {
	began := time.Now()
	if h.Plan.Edge.WAF.Record == 0 {
		if err := h.forgetRecorded(); err != nil {
			return err
		}
	}
	f := &front{hub: h}
	f.part = &supervise.Part{Name: "edge", Note: h.note, Again: termAgain, Start: f.start}
	h.mu.Lock()
	h.front = f
	h.mu.Unlock()
	edge := h.net.Host(plan.NodeEdge)
	add := func(kind string, a netip.Addr, port uint16) error {
		l, err := edge.Listen(netip.AddrPortFrom(a, port))
		if err == nil {
			f.listeners = append(f.listeners, frontListener{Kind: kind, Addr: l.Addr().String(), l: l})
		}
		return err
	}
	v := h.Plan.VPC
	err := errors.Join(add("https", v.Edge, 443), add("http", v.Edge, 80), add("balancer", v.Balancer, h.Plan.Balancer.Port))
	if v.Edge6.IsValid() {
		err = errors.Join(err, add("https", v.Edge6, 443), add("http", v.Edge6, 80))
	}
	if err != nil {
		return err
	}
	for i, l := range h.public {
		fl := frontListener{Kind: "https", Addr: l.Addr().String(), l: l}
		if !h.Plan.Network.Listen.IsValid() {
			fl.Viewer = h.Plan.Network.Doors[i].Viewer
		} else if i == 1 {
			fl.Kind = "http"
		}
		f.listeners = append(f.listeners, fl)
	}
	if f.secrets, err = h.originSecrets(); err != nil {
		return err
	}
	if f.cert, err = h.certificate(); err != nil {
		return err
	}
	if f.proof, err = h.prove(plan.NodeEdge, plan.NodeEdge); err != nil {
		return err
	}
	if err := f.part.Run(); err != nil {
		return fmt.Errorf("starting the edge: %w", err)
	}
	// The first word comes when the rules are compiled.
	for f.lastHeard().IsZero() {
		if time.Since(began) > 20*time.Second {
			return fmt.Errorf("starting the edge: it said nothing for 20 s; see: ringwall logs edge%s", h.lastWords("edge.log"))
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(2 * time.Millisecond):
		}
	}
	if err := h.proved(f.proof); err != nil {
		return err
	}
	h.step(Step{Part: "edge", State: "up", Text: "with the balancer in the same process", Took: time.Since(began)})
	return nil
}

func (f *front) start() (supervise.Process, error) {
	h := f.hub
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	theirs := os.NewFile(uintptr(pair[1]), "link")
	defer theirs.Close()
	ours := os.NewFile(uintptr(pair[0]), "link")
	conn, err := net.FileConn(ours)
	ours.Close()
	if err != nil {
		return nil, err
	}
	// From here on orders wait in the new process's socket: what is not in its
	// configuration reaches it so.
	l := newLink(conn)
	trials, proof := f.proof.take()
	defer proof.Close()
	f.mu.Lock()
	cfg := frontConfig{Plan: withRules(h.Plan, f.rules), Listeners: f.listeners, Secrets: f.secrets, Cert: f.cert,
		Backends: f.backends, Open: f.open, Down: h.Down, Trials: trials, Lent: h.net.Lent()}
	f.link, f.state = l, frontState{}
	f.mu.Unlock()
	go f.listen(l) // ends when theirs is closed by all, also when nothing was started
	config, err := pack(cfg)
	if err != nil {
		return nil, err
	}
	defer config.Close()
	out, err := h.output("edge.log")
	if err != nil {
		return nil, err
	}
	defer out.Close()
	access, err := h.output("access.jsonl")
	if err != nil {
		return nil, err
	}
	defer access.Close()
	refusals, err := h.output("refusals.jsonl")
	if err != nil {
		return nil, err
	}
	defer refusals.Close()
	recorded, err := h.output(recordedLog)
	if err != nil {
		return nil, err
	}
	defer recorded.Close()
	s := sandbox.Spec{
		Name: "edge", Args: []string{host.Binary, "@front"}, Env: childEnv, Stdout: out, Stderr: out, Skip: h.Skip, Cgroup: h.cgroup(),
		Net: h.net.Host(plan.NodeEdge).File(), UID: h.uid("front"), Files: []*os.File{config, theirs, access, refusals, recorded},
	}
	for _, l := range f.listeners {
		lf, err := l.l.File()
		if err != nil {
			return nil, err
		}
		defer lf.Close()
		s.Files = append(s.Files, lf)
	}
	if proof != nil {
		s.Files = append(s.Files, proof)
	}
	host.Front(h.Plan, &s)
	return startBox(s)
}

// listen takes the front's words in until the process is gone.
func (f *front) listen(l *link) {
	for {
		var w word
		if err := l.dec.Decode(&w); err != nil {
			l.c.Close()
			f.mu.Lock()
			if f.link == l {
				f.link = nil
			}
			for _, c := range l.waiting {
				c <- nil // a new front starts with what was kept
			}
			l.waiting = nil
			f.mu.Unlock()
			return
		}
		f.mu.Lock()
		if w.State != nil {
			f.state, f.heard = *w.State, time.Now()
		}
		if c := l.waiting[w.Seq]; w.Seq != 0 && c != nil {
			delete(l.waiting, w.Seq)
			if w.Error != "" {
				c <- errors.New(w.Error)
			} else {
				c <- nil
			}
		}
		f.mu.Unlock()
	}
}

// ask gives an order and waits until it is carried out. What a new front must
// know too is kept.
func (f *front) ask(ctx context.Context, o order) error {
	f.mu.Lock()
	f.seq++
	o.Seq = f.seq
	if o.Backends != nil {
		f.backends = o.Backends
	}
	if o.Secrets != nil {
		f.secrets = *o.Secrets
	}
	if o.Cert != nil {
		f.cert = *o.Cert
	}
	f.open = f.open || o.Open
	l := f.link
	answer := make(chan error, 1)
	if l == nil || l.waiting == nil {
		f.mu.Unlock()
		return nil // a new front starts with what was kept
	}
	l.waiting[o.Seq] = answer
	f.mu.Unlock()
	if err := l.send(o); err != nil {
		return nil // it ended
	}
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		f.mu.Lock()
		delete(l.waiting, o.Seq)
		f.mu.Unlock()
		return ctx.Err()
	}
}

func (f *front) setBackends(b []backend) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	f.ask(ctx, order{Backends: b})
}

func (f *front) lastHeard() time.Time { f.mu.Lock(); defer f.mu.Unlock(); return f.heard }

func (f *front) status() frontState { f.mu.Lock(); defer f.mu.Unlock(); return f.state }

func (f *front) healthy(name string) bool { return f.status().Healthy[name] }

func (f *front) stop() {
	if f.part != nil {
		if f.lastHeard().IsZero() {
			// It has only begun and serves nobody. The kernel drops a SIGTERM for the
			// first process of a namespace that does not listen to it yet.
			time.AfterFunc(100*time.Millisecond, f.part.Kill)
		}
		f.part.Stop()
	}
	for _, l := range f.listeners {
		l.l.Close()
	}
}

// awaitHealthy waits until every tier has its least number of healthy instances.
func (h *hub) awaitHealthy(ctx context.Context) error {
	began, told := time.Now(), time.Now()
	for {
		waiting, unwell := "", ""
		var names []string // of the logs of those that are not
		st := h.front.status()
		for _, t := range h.Plan.Tiers {
			n := 0
			for _, b := range h.backends() {
				if b.Tier == t.Name && st.Healthy[b.Name] {
					n++
				} else if b.Tier == t.Name {
					unwell = cmp.Or(st.Unwell[b.Name], unwell)
					names = append(names, strings.ReplaceAll(b.Name, "/", "-")+".log")
				}
			}
			if n < t.Min {
				waiting = fmt.Sprintf("%s has %d of %d healthy instances", t.Name, n, t.Min)
				if unwell != "" {
					waiting += ": " + unwell
				}
			}
		}
		if waiting == "" {
			return nil
		}
		if time.Since(began) > h.startLimit() {
			return fmt.Errorf("waiting for the app to answer GET %s: %s after %v; a slow app may need a larger balancer.startTimeout; all that it said: ringwall logs%s",
				h.Plan.Balancer.HealthPath, waiting, h.startLimit(), h.lastWords(names...))
		}
		if time.Since(told) > 5*time.Second {
			told = time.Now()
			h.step(Step{Part: "site", State: "note", Text: fmt.Sprintf("waiting for GET %s: %s", h.Plan.Balancer.HealthPath, waiting)})
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (h *hub) startLimit() time.Duration { return h.Plan.Balancer.StartTimeout }

// originSecrets reads the secret that the edge proves itself with, or makes it.
func (h *hub) originSecrets() ([2]string, error) {
	var s [2]string
	err := people.Ensure(h.State.Secrets(), "origin.json", &s, func() { s[0] = people.NewSecret() })
	if err == nil && len(s[0]) < 32 {
		err = people.Damaged(h.State.Secrets(), "origin.json")
	}
	return s, err
}
