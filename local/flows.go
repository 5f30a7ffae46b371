//go:build linux

package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/ringwall/ringwall/internal/sandbox"
	"github.com/ringwall/ringwall/perimeter/host"
	"github.com/ringwall/ringwall/plan"
)

// A trial is one connection that a process inside a network is to try.
type trial struct {
	From, To string // nodes
	Addr     netip.AddrPort
	Allowed  bool
}

// services is every place in the site's network where something listens.
func (h *hub) services() map[string]netip.AddrPort {
	p := h.Plan
	out := map[string]netip.AddrPort{
		plan.NodeEdge:     netip.AddrPortFrom(p.VPC.Edge, 443),
		plan.NodeBalancer: netip.AddrPortFrom(p.VPC.Balancer, p.Balancer.Port),
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, i := range h.instances {
		out[i.name] = i.addr
	}
	if h.hasDatabase() {
		out[plan.NodeDatabase] = netip.AddrPortFrom(p.VPC.Database, p.Database.Port)
	}
	return out
}

// trials are all connections from a node: to every service on every port that any
// service has, and to places where nothing of the site is.
func (h *hub) trials(from, self string) []trial {
	if h.lacks(sandbox.Firewall) {
		return []trial{} // nothing refuses them
	}
	services := h.services()
	ports := []uint16{22}
	for _, a := range services {
		if !slices.Contains(ports, a.Port()) {
			ports = append(ports, a.Port())
		}
	}
	var out []trial
	for name, a := range services {
		node, _, _ := strings.Cut(name, "/")
		if name == self || (from == plan.NodeEdge && node == plan.NodeBalancer) {
			continue // its own addresses are its own
		}
		for _, port := range ports {
			t := trial{from, name, netip.AddrPortFrom(a.Addr(), port), h.Plan.MayDial(from, node, port)}
			if from == plan.NodeEdge && h.Plan.MayDial(plan.NodeBalancer, node, port) {
				t.Allowed = true
			}
			out = append(out, t)
		}
	}
	for _, a := range []string{"169.254.1.1:80", "169.254.169.254:80", "198.18.0.1:443"} {
		out = append(out, trial{from, a, netip.MustParseAddrPort(a), false})
	}
	return out
}

// A proof is what came of the trials of one process, which makes them when it
// starts for the first time.
type proof struct {
	who         string
	trials      []trial
	read, write *os.File
}

// prove prepares the trials of a process that stands at a node.
func (h *hub) prove(who, node string) (*proof, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("preparing the trials of %s: %w", who, err)
	}
	return &proof{who: who, trials: h.trials(node, who), read: r, write: w}, nil
}

// take hands the trials, and where their outcome is to be written, to the process
// that is being started; the next one in its place gets none. The caller closes
// the file.
func (p *proof) take() ([]trial, *os.File) {
	w := p.write
	p.write = nil
	if w == nil {
		return nil, nil
	}
	return p.trials, w
}

// outcome waits for it and returns how many forbidden connections were tried. One
// that connects is an error; so is one that gets no clear refusal, and silence.
func (p *proof) outcome() (int, error) {
	defer p.read.Close()
	p.read.SetReadDeadline(time.Now().Add(proofLimit))
	var failures []string
	if err := json.NewDecoder(p.read).Decode(&failures); err != nil {
		return 0, fmt.Errorf("trying the forbidden flows from inside %s: reading the outcome: %w", p.who, err)
	}
	if len(failures) > 0 {
		return 0, fmt.Errorf("the site's firewall does not hold, so the doors stay closed: %s", strings.Join(failures, "; "))
	}
	n := 0
	for _, t := range p.trials {
		if !t.Allowed {
			n++
		}
	}
	return n, nil
}

// proved waits for a proof's outcome and counts it.
func (h *hub) proved(p *proof) error {
	n, err := p.outcome()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refused += n
	return err
}

// proveFlows tries the forbidden flows from the networks in which no process of
// ours stands: the hub dials from there. Instances and the edge try theirs from
// inside their sandboxes when they start.
func (h *hub) proveFlows() error {
	nodes := []string{plan.Beside}
	if h.hasDatabase() {
		nodes = append(nodes, plan.NodeDatabase)
	}
	for _, node := range nodes {
		p, err := h.prove(node, node)
		if err != nil {
			return err
		}
		trials, out := p.take()
		go func() {
			defer out.Close()
			h.net.Host(node).Do(func() error { tryInTurn(trials, out); return nil })
		}()
		if err := h.proved(p); err != nil {
			return err
		}
	}
	return nil
}

// proofLimit is how long the trials of one process may take.
const proofLimit = 20 * time.Second

// bareSpec is a sandbox in a node's network that may do nothing but dial.
func (h *hub) bareSpec(node string) sandbox.Spec {
	s := sandbox.Spec{Name: node + "-probe", Env: childEnv, Net: h.net.Host(node).File(), UID: h.uid("probe"), Cgroup: h.cgroup(), Skip: h.Skip}
	host.Front(h.Plan, &s)
	return s
}

// A dialer is how a process connects from where it stands.
type dialer func(ctx context.Context, network, address string) (net.Conn, error)

// dial connects from this process's own network.
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	d.SetMultipathTCP(false)
	return d.DialContext(ctx, network, address)
}

// try makes all trials at once and writes what is wrong with their outcome.
func try(trials []trial, dial dialer, out io.WriteCloser) {
	defer out.Close()
	failures := []string{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, t := range trials {
		wg.Go(func() {
			if f := t.run(dial); f != "" {
				mu.Lock()
				failures = append(failures, f)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	json.NewEncoder(out).Encode(failures) // whoever reads nothing knows that
}

// tryInTurn makes the trials from the calling thread's network, one after the other
// until a few have failed: a thread for each would cost more than what it tries.
func tryInTurn(trials []trial, out io.Writer) {
	failures := []string{}
	for _, t := range trials {
		if f := t.run(dial); f != "" {
			failures = append(failures, f)
		}
		if len(failures) == 3 {
			break
		}
	}
	json.NewEncoder(out).Encode(failures)
}

// run tries one connection and says what is wrong with the outcome. A closed port
// is as wrong as an open one: the firewall let the packet through.
func (t trial) run(dial dialer) string {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	c, err := dial(ctx, "tcp", t.Addr.String())
	if c != nil {
		c.Close()
	}
	refused := errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EACCES)
	switch {
	case t.Allowed && refused:
		return fmt.Sprintf("%s must reach %s (%s) and is refused: %v", t.From, t.To, t.Addr, err)
	case t.Allowed || refused:
		return ""
	case err == nil:
		return fmt.Sprintf("%s connects to %s (%s), which the plan does not allow", t.From, t.To, t.Addr)
	}
	return fmt.Sprintf("%s gets no clear refusal from %s (%s): %v", t.From, t.To, t.Addr, err)
}
