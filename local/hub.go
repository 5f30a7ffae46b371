//go:build linux

package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/ringwall/ringwall/internal/manifest"
	"github.com/ringwall/ringwall/internal/sandbox"
	"github.com/ringwall/ringwall/internal/supervise"
	"github.com/ringwall/ringwall/internal/vnet"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/perimeter/application"
	"github.com/ringwall/ringwall/plan"
)

// A hub owns the site's private network and starts every process in it. It is
// process 1 of the site's process namespace: when it ends, all of them end.
type hub struct {
	hubConfig
	public     []*net.TCPListener
	supervisor *net.UnixConn // to hand listeners to it
	net        *vnet.Net
	block      netip.Prefix // of a network on the machine's loopback device
	plan       *plan.Plan   // as it was given: Plan may be adapted to the machine
	steps      chan Step    // to the supervisor; a terminal that is held up must hold nothing else up
	began      time.Time

	front    *front
	database *databasePart // nil: the site has none
	accounts *gate         // opens when the tiers' credentials are known
	rights   *gate         // opens when the tiers have their rights in the database
	logs     map[string]*logFile
	quit     chan string // why the site is to stop

	mu        sync.Mutex
	instances []*instance
	roll      sync.Mutex // one change of instances at a time
	refused   int        // forbidden connections that were tried
	open      bool
	stopping  bool
	ca        string // PEM of the site's own authority
}

func runHub() error {
	var cfg hubConfig
	if err := unpack(&cfg); err != nil {
		return err
	}
	steps := inherited(0, "steps")
	_ = inherited(1, "lock") // held until the last process of the site is gone
	control, err := net.FileListener(inherited(2, "control"))
	if err != nil {
		return fmt.Errorf("taking the control socket over: %w", err)
	}
	h := &hub{accounts: newGate(), rights: newGate(), hubConfig: cfg, plan: cfg.Plan, began: time.Now(), logs: map[string]*logFile{}, quit: make(chan string, 8)}
	defer h.tell(steps)()
	sup, err := net.FileConn(inherited(3, "supervisor"))
	if err != nil {
		return fmt.Errorf("taking the supervisor's socket over: %w", err)
	}
	h.supervisor = sup.(*net.UnixConn)
	for i := range cfg.Public {
		l, err := net.FileListener(inherited(4+i, "public"))
		if err != nil {
			return fmt.Errorf("taking a public listener over: %w", err)
		}
		h.public = append(h.public, l.(*net.TCPListener))
	}
	perimeter.SetDown(cfg.Down)
	if err := h.takeRules(); err != nil {
		return err
	}
	err = h.run(control.(*net.UnixListener))
	if err != nil {
		state := "failed"
		if errors.Is(err, ErrApproval) {
			state = "approval"
		}
		h.step(Step{Part: "site", State: state, Text: err.Error()})
		return errSaid
	}
	return nil
}

// errSaid ends a process that has said already what went wrong.
var errSaid = errors.New("the supervisor was told")

// run is the life of a site. Read the start upwards to follow a request.
func (h *hub) run(control *net.UnixListener) (err error) {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	signal.Ignore(syscall.SIGPIPE)
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	go func() {
		select {
		case s := <-signals:
			h.quit <- fmt.Sprintf("the supervisor asked for it (%v)", s)
		case <-ctx.Done():
		}
	}()
	stopped := make(chan struct{})
	go func() {
		select {
		case <-h.quit:
			cancel(errStopped)
		case <-ctx.Done():
		}
		close(stopped)
	}()
	go h.serveControl(ctx, control)
	defer h.stopAll()

	if err := h.ground(); err != nil {
		return err
	}
	err = h.start(ctx)
	if context.Cause(ctx) == errStopped {
		return nil
	}
	if err != nil {
		h.step(Step{Part: "site", State: "note", Text: "did not start; stopping"})
		return err
	}
	h.step(boxes.step())
	h.step(Step{Part: "site", State: "ready", Took: time.Since(h.began)})
	go h.watch(ctx)
	<-stopped
	return nil
}

var errStopped = errors.New("the site was told to stop")

// start brings the site up, innermost wall first, and opens the doors when every
// forbidden flow was tried and refused.
func (h *hub) start(ctx context.Context) error {
	if h.Skip != 0 {
		h.step(Step{Part: "enforcement", State: "weak", Text: "without " + h.Skip.String() + ": every control that needs one of them is unknown, and probe fails"})
	}
	if err := h.checkState(); err != nil {
		return err
	}
	if err := h.layNetwork(); err != nil {
		return err
	}
	if err := h.prepareFiles(ctx); err != nil {
		return err
	}
	if err := h.checkPrograms(); err != nil {
		return err
	}
	var all []*instance // every network is there before anything tries to reach it
	for _, t := range h.Plan.Tiers {
		for range t.Min {
			i, err := h.newInstance(t.Name)
			if err != nil {
				return err
			}
			all = append(all, i)
		}
	}
	// All walls are set up together, while the processors have nothing else to do:
	// those of the front, of the database, and of each instance's agent and app.
	each, others := 2, 1
	if h.Plan.Kind == plan.Static {
		each = 1
	}
	if h.Plan.Database.Present() && h.Plan.Database.SecretFile == "" {
		others++
	}
	boxes.expect(others + each*len(all))
	g, first := errgroup.WithContext(ctx)
	g.Go(func() error { return h.startFront(first) })
	g.Go(func() error { return h.openRights(ctx, first) })
	for _, i := range all {
		g.Go(func() error {
			err := h.complete(i)
			if f := h.edge(); err == nil && f != nil {
				f.setBackends(h.backends()) // whose health is asked for at once
			}
			if errors.Is(err, errNoRights) {
				return nil // why there are none is the error
			}
			return err
		})
	}
	g.Go(h.proveFlows)
	if err := g.Wait(); err != nil {
		return err
	}
	boxes.expect(0)
	h.step(h.proven())
	h.front.setBackends(h.backends())
	if err := h.awaitHealthy(ctx); err != nil {
		return err
	}
	if err := h.setUpApp(ctx); err != nil {
		return err
	}
	if err := application.Baseline(h.Plan, h.State.Dir); err != nil {
		return err
	}
	h.mu.Lock()
	h.open = true
	h.mu.Unlock()
	return h.front.ask(ctx, order{Open: true})
}

// openRights starts the database, gives the tiers their rights in it, and lets the
// apps go on. first ends when another part of the start has failed.
func (h *hub) openRights(ctx, first context.Context) (err error) {
	defer func() {
		if err != nil {
			h.accounts.open(errNoRights)
			h.rights.open(errNoRights)
		}
	}()
	grant, err := h.startDatabase(first)
	if err != nil {
		return err
	}
	h.accounts.open(nil) // there may be no database
	if h.Serial > 0 {    // the site was up before: the tiers have their users and their rights
		h.rights.open(nil)
	}
	if err := grant(); err != nil {
		return err
	}
	h.rights.open(nil)
	if h.database != nil { // fleet waits for rights on tables that admin makes
		go h.database.watch(ctx)
	}
	return nil
}

// edge is the front as far as it has come.
func (h *hub) edge() *front { h.mu.Lock(); defer h.mu.Unlock(); return h.front }

// checkState reads the small files that the start needs, and makes the missing
// ones, before anything is started that a damaged one would end again.
func (h *hub) checkState() error {
	if _, err := h.originSecrets(); err != nil {
		return err
	}
	if _, err := h.adminLogin(); err != nil {
		return err
	}
	_, err := manifest.Load(h.State.path("manifest.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// ground makes the hub's own surroundings: private mounts and a /proc of its own
// process namespace.
func (h *hub) ground() error {
	unix.Umask(0o022) // the state directory itself is closed to others
	if h.lacks(sandbox.PID) {
		if err := adopt(); err != nil {
			return fmt.Errorf("adopting what the site's programs leave behind: %w", err)
		}
		orphans.run()
		go followSupervisor(h.supervisor)
		return errors.Join(h.checkPaths(), h.adapt())
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making the site's mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mounting the site's own /proc: %w; some containers forbid it: ringwall doctor", err)
	}
	unix.Sethostname([]byte(h.Plan.Site()))
	return nil
}

// Names of the hosts that stand for the world outside.
const (
	hostVisitor  = "visitor"
	hostOffice   = "office"
	hostStranger = perimeter.Stranger
	hostCrowd    = perimeter.Crowd
)

// layNetwork makes perimeter 3: the networks, with nothing allowed between them
// but the plan's flows.
func (h *hub) layNetwork() error {
	began := time.Now()
	p := h.Plan
	n, err := h.newNet()
	if err != nil {
		return fmt.Errorf("making the site's network: %w", err)
	}
	h.net = n
	edge := []vnet.Address{{Group: plan.NodeEdge, Addr: p.VPC.Edge}, {Group: plan.NodeBalancer, Addr: p.VPC.Balancer}}
	if p.VPC.Edge6.IsValid() {
		edge = append(edge, vnet.Address{Group: plan.NodeEdge, Addr: p.VPC.Edge6})
	}
	one := func(name, group string, a netip.Addr) vnet.Spec {
		return vnet.Spec{Name: name, Addrs: []vnet.Address{{Group: group, Addr: a}}}
	}
	hosts := []vnet.Spec{
		{Name: plan.NodeEdge, Addrs: edge},
		one(plan.Beside, plan.Beside, p.VPC.Beside),
	}
	for _, x := range []vnet.Spec{one(hostVisitor, plan.Internet, p.Network.Visitor), one(hostOffice, plan.Office, p.Network.Office),
		one(hostStranger, plan.Internet, p.Network.Stranger), one(hostCrowd, plan.Internet, p.Network.Crowd)} {
		if x.Addrs[0].Addr.IsValid() { // the plan may have nobody of the kind
			hosts = append(hosts, x)
		}
	}
	if h.hasDatabase() || h.unwantedDatabase() {
		hosts = append(hosts, one(plan.NodeDatabase, plan.NodeDatabase, p.VPC.Database))
	}
	hosts = append(hosts, downHosts(p)...)
	if _, err := n.Add(hosts...); err != nil {
		return fmt.Errorf("making the site's network: %w", err)
	}
	if err := n.Allow(h.rules()); err != nil {
		return fmt.Errorf("writing the site's firewall: %w", err)
	}
	text := fmt.Sprintf("%d networks, %d flows allowed", len(hosts), len(p.Flows))
	switch {
	case h.lacks(sandbox.Net):
		text = fmt.Sprintf("%d addresses of %s on this machine's loopback device; nothing keeps them apart", len(hosts), h.block)
	case h.lacks(sandbox.Firewall):
		text = fmt.Sprintf("%d networks; no firewall keeps them apart", len(hosts))
	}
	h.step(Step{Part: "network", State: "up", Text: text, Took: time.Since(began)})
	return nil
}

// rules is the plan's list of flows as firewall rules: perimeter 5.
func (h *hub) rules() []vnet.Rule {
	var out []vnet.Rule
	for _, f := range h.Plan.Flows {
		if !f.InProcess {
			r := vnet.Rule{From: f.From, To: f.To, Port: f.Port}
			if t := h.Plan.Tier(f.From); t != nil && f.To == plan.NodeDatabase && !perimeter.Down("instance/fleet-connections") {
				r.Each = t.InstanceConnections()
			}
			out = append(out, r)
		}
	}
	return append(out, downRules(h.Plan)...)
}

func (h *hub) step(s Step) {
	select {
	case h.steps <- s:
	default: // a thousand lines wait already
	}
}

// tell writes steps to the supervisor until finish is called, which waits a moment
// for the last ones.
func (h *hub) tell(w io.Writer) (finish func()) {
	h.steps = make(chan Step, 1024)
	done := make(chan struct{})
	go func() {
		defer close(done)
		enc := json.NewEncoder(w)
		for s := range h.steps {
			if s == (Step{}) {
				return
			}
			enc.Encode(s)
		}
	}()
	return func() {
		select {
		case h.steps <- Step{}:
		default:
		}
		select {
		case <-done:
		case <-time.After(time.Second):
		}
	}
}

// note turns a part's changes into steps.
func (h *hub) note(s supervise.Status) {
	switch s.State {
	case supervise.Waiting:
		h.step(Step{Part: s.Name, State: "note", Text: s.LastExit})
	case supervise.Running:
		if s.Restarts > 0 {
			h.step(Step{Part: s.Name, State: "note", Text: fmt.Sprintf("started again (%d)", s.Restarts)})
		}
	}
}

// log is the log of a part; it is opened once.
func (h *hub) log(name string) (*logFile, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if l := h.logs[name]; l != nil {
		return l, nil
	}
	l, err := openLog(filepath.Join(h.State.Logs(), name))
	if err == nil {
		h.logs[name] = l
	}
	return l, err
}

// stopAll ends the site from the outside in: the doors first, the database last.
func (h *hub) stopAll() {
	h.mu.Lock()
	h.stopping = true
	all := slices.Clone(h.instances)
	h.mu.Unlock()
	if h.front != nil {
		h.front.stop()
	}
	var wg sync.WaitGroup
	for _, i := range all {
		wg.Go(i.stop)
	}
	wg.Wait()
	if h.database != nil {
		h.database.stop()
	}
	h.step(Step{Part: "site", State: "stopped", Took: time.Since(h.began)})
}

// cgroup is the site's own control group, where the machine gives one.
func (h *hub) cgroup() string { return h.State.cgroup() }

// uid is the user id, in the hub's user namespace, of a class of processes. Where
// the site has one id only, all classes share it.
func (h *hub) uid(class string) uint32 {
	if !h.Root {
		return uint32(os.Getuid())
	}
	return 1 + uint32(slices.Index([]string{plan.Admin, plan.Fleet, plan.NodeDatabase, "agent", "front", "probe", "tool"}, class))
}
