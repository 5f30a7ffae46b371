//go:build linux

package local

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

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

// A matrixConfig is what a process that tries flows is told.
type matrixConfig struct{ Trials []trial }

// services is every place in the site's network where something listens.
func (h *hub) services() map[string]netip.AddrPort {
	p := h.Plan
	out := map[string]netip.AddrPort{
		plan.NodeEdge:     netip.AddrPortFrom(p.VPC.Edge, 443),
		plan.NodeBalancer: netip.AddrPortFrom(p.VPC.Balancer, p.Balancer.Port),
	}
	for _, b := range h.backends() {
		out[b.Name] = b.Addr
	}
	if h.hasDatabase() {
		out[plan.NodeDatabase] = netip.AddrPortFrom(p.VPC.Database, p.Database.Port)
	}
	return out
}

// trials are all connections from a node: to every service on every port that any
// service has, and to places where nothing of the site is.
func (h *hub) trials(from, self string) []trial {
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

// proveFlows tries every forbidden flow from inside each sandbox, before the
// doors open. One that connects stops the start; one that gets no clear refusal
// stops it too.
func (h *hub) proveFlows(ctx context.Context) error {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	var g errgroup.Group
	var mu sync.Mutex
	count := 0
	try := func(s sandbox.Spec, trials []trial) {
		g.Go(func() error {
			n, err := h.tryFlows(ctx, s, trials)
			mu.Lock()
			count += n
			mu.Unlock()
			return err
		})
	}
	h.mu.Lock()
	instances := slices.Clone(h.instances)
	h.mu.Unlock()
	for _, i := range instances {
		if i.agent == nil {
			continue
		}
		s, err := i.spec()
		if err != nil {
			return err
		}
		try(s, h.trials(i.tier.Name, i.name))
	}
	nodes := []string{plan.NodeEdge, plan.Beside}
	if h.hasDatabase() && h.database.part != nil {
		nodes = append(nodes, plan.NodeDatabase)
	}
	for _, node := range nodes {
		s := h.bareSpec(node)
		try(s, h.trials(node, node))
	}
	if err := g.Wait(); err != nil {
		return err
	}
	h.step(Step{Part: "flows", State: "up", Text: fmt.Sprintf("%d forbidden connections tried from inside, all refused", count), Took: time.Since(began)})
	return nil
}

// bareSpec is a sandbox in a node's network that may do nothing but dial.
func (h *hub) bareSpec(node string) sandbox.Spec {
	s := sandbox.Spec{Name: node + "-probe", Env: childEnv, Net: h.net.Host(node).File(), UID: h.uid("probe"), Cgroup: h.cgroup(), Skip: h.Skip}
	host.Front(h.Plan, &s)
	return s
}

// tryFlows runs trials inside a sandbox and returns how many were forbidden.
func (h *hub) tryFlows(ctx context.Context, s sandbox.Spec, trials []trial) (int, error) {
	config, err := pack(matrixConfig{trials})
	if err != nil {
		return 0, err
	}
	defer config.Close()
	var out bytes.Buffer
	if err := h.runSelf(ctx, s, "@matrix", []*os.File{config}, &out); err != nil {
		return 0, fmt.Errorf("trying the forbidden flows from inside %s: %w", s.Name, err)
	}
	var failures []string
	if err := json.Unmarshal(out.Bytes(), &failures); err != nil {
		return 0, fmt.Errorf("trying the forbidden flows from inside %s: reading the outcome: %w", s.Name, err)
	}
	if len(failures) > 0 {
		return 0, fmt.Errorf("the site's firewall does not hold, so the doors stay closed: %s", strings.Join(failures, "; "))
	}
	n := 0
	for _, t := range trials {
		if !t.Allowed {
			n++
		}
	}
	return n, nil
}

// runMatrix is the process inside the sandbox.
func runMatrix() error {
	var cfg matrixConfig
	if err := unpack(&cfg); err != nil {
		return err
	}
	failures := []string{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, t := range cfg.Trials {
		wg.Go(func() {
			if f := t.run(); f != "" {
				mu.Lock()
				failures = append(failures, f)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return json.NewEncoder(os.Stdout).Encode(failures)
}

// run tries one connection and says what is wrong with the outcome. A closed port
// is as wrong as an open one: the firewall let the packet through.
func (t trial) run() string {
	d := net.Dialer{Timeout: 2 * time.Second}
	d.SetMultipathTCP(false)
	c, err := d.Dial("tcp", t.Addr.String())
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
