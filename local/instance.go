//go:build linux

package local

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/ringwall/ringwall/internal/sandbox"
	"github.com/ringwall/ringwall/internal/supervise"
	"github.com/ringwall/ringwall/internal/vnet"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/perimeter/files"
	"github.com/ringwall/ringwall/perimeter/host"
	"github.com/ringwall/ringwall/perimeter/webserver"
	"github.com/ringwall/ringwall/plan"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// Where an instance's things appear inside its walls.
const (
	insideRun     = "/run/app"
	insideSecrets = "/run/secrets"
	appPort       = 9000
)

// An instance is one web server and one app process, in one network namespace.
// Its parts are set once, under hub.mu, agent last: an instance without an agent
// is not complete.
type instance struct {
	life     sync.Mutex // it starts as a whole before it stops
	hub      *hub
	name     string // fleet/2
	tier     *plan.Tier
	n        int
	host     *vnet.Host
	addr     netip.AddrPort
	listener *net.TCPListener // the web server's; kept here so that its death loses no connection
	run      string           // of the machine: appears as /run/app
	place    netip.AddrPort   // where the app is told to listen
	began    time.Time
	proof    *proof
	app      *supervise.Part // nil for kind static
	agent    *supervise.Part
}

// An agentConfig is what an instance's web server is told.
type agentConfig struct {
	Plan *plan.Plan
	Tier string
	Name string
	Run  string         // of the app's socket, as the web server sees it
	App  netip.AddrPort // where the app is told to listen
	Down []string

	Trials []trial // to make, with the outcome for the last descriptor
}

// startInstance adds one instance to a tier. The balancer learns of it through
// setBackends.
func (h *hub) startInstance(tier string) (*instance, error) {
	i, err := h.newInstance(tier)
	if err != nil {
		return nil, err
	}
	return i, h.complete(i)
}

// newInstance gives an instance its place: its number, its network, its listener.
// Nothing runs in it yet.
func (h *hub) newInstance(tier string) (*instance, error) {
	i := &instance{hub: h, tier: h.Plan.Tier(tier), began: time.Now()}
	h.mu.Lock()
	if h.stopping {
		h.mu.Unlock()
		return nil, errStopped
	}
	for i.n = 1; slices.ContainsFunc(h.instances, func(x *instance) bool { return x.tier == i.tier && x.n == i.n }); i.n++ {
	}
	i.name = fmt.Sprintf("%s/%d", tier, i.n)
	i.addr = netip.AddrPortFrom(h.Plan.VPC.Instance(tier, i.n), h.Plan.Balancer.TargetPort)
	h.instances = append(h.instances, i)
	h.mu.Unlock()
	if err := i.settle(); err != nil {
		return nil, h.abandon(i, err)
	}
	return i, nil
}

// complete starts what runs in an instance.
func (h *hub) complete(i *instance) error {
	began := time.Now()
	h.mu.Lock()
	i.began = began
	h.mu.Unlock()
	if err := i.start(); err != nil {
		return h.abandon(i, err)
	}
	if i.app != nil && h.rights.at.After(began) { // it waited for the database, which has a line of its own
		began = h.rights.at
	}
	h.step(Step{Part: i.name, State: "up", Took: time.Since(began)})
	return nil
}

func (h *hub) abandon(i *instance, err error) error {
	h.forget(i)
	i.stop()
	return fmt.Errorf("starting %s: %w", i.name, err)
}

func (h *hub) forget(i *instance) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.instances = slices.DeleteFunc(h.instances, func(x *instance) bool { return x == i })
}

func (i *instance) settle() error {
	i.life.Lock()
	defer i.life.Unlock()
	h := i.hub
	at := i.addr.Addr()
	made, err := h.net.Add(vnet.Spec{Name: i.name, Addrs: []vnet.Address{{Group: i.tier.Name, Addr: at}}})
	if err != nil {
		return err
	}
	i.host = made[0]
	if i.listener, err = i.host.Listen(i.addr); err != nil {
		return err
	}
	if i.place, err = i.appPlace(); err != nil {
		return fmt.Errorf("finding a place for the app to listen at: %w", err)
	}
	i.run = filepath.Join(h.State.Run(), i.dirName())
	if err := h.freshDir(i.run, i.tier.Name, 0o711); err != nil {
		return err
	}
	return h.bound(i.run, i.tier.Name, 0o711)
}

func (i *instance) start() (err error) {
	i.life.Lock()
	defer i.life.Unlock()
	h := i.hub
	h.mu.Lock()
	stopping := h.stopping
	h.mu.Unlock()
	if stopping {
		return errStopped
	}
	if i.proof, err = h.prove(i.name, i.tier.Name); err != nil {
		return err
	}
	var parts errgroup.Group
	if h.Plan.Kind != plan.Static {
		app := &supervise.Part{Name: i.name + " app", Note: h.note, Grace: h.Plan.Balancer.DrainTimeout,
			Start: func() (supervise.Process, error) { return i.startApp() }}
		if h.Plan.Kind == plan.PHP {
			app.Term, app.Again = syscall.SIGQUIT, termAgain // php-fpm's orderly end
		}
		parts.Go(func() error {
			if err := app.Run(); err != nil {
				return fmt.Errorf("the app: %w", err)
			}
			h.mu.Lock()
			defer h.mu.Unlock()
			i.app = app
			return nil
		})
	}
	agent := &supervise.Part{Name: i.name, Note: h.note, Again: termAgain,
		Start: func() (supervise.Process, error) { return i.startAgent() }}
	parts.Go(func() error {
		if err := agent.Run(); err != nil {
			return fmt.Errorf("the web server: %w", err)
		}
		return nil
	})
	err = parts.Wait()
	h.mu.Lock()
	i.agent = agent
	h.mu.Unlock()
	if err != nil {
		return err
	}
	return h.proved(i.proof)
}

func (i *instance) dirName() string { return strings.ReplaceAll(i.name, "/", "-") }

// stop ends the instance. The balancer must no longer use it.
func (i *instance) stop() {
	i.life.Lock()
	defer i.life.Unlock()
	if i.agent != nil {
		i.agent.Stop()
	}
	if i.app != nil {
		i.app.Stop()
	}
	if i.listener != nil {
		i.listener.Close()
	}
	if i.host != nil {
		i.hub.net.Remove(i.name)
	}
	if i.run != "" {
		unix.Unmount(i.run, unix.MNT_DETACH)
		os.RemoveAll(i.run)
	}
}

// termAgain is how soon a process that is the first of its namespace is asked
// again to end: it may have been asked before it could hear.
const termAgain = 500 * time.Millisecond

// freshDir makes an empty directory that a class of processes owns.
func (h *hub) freshDir(dir, class string, mode os.FileMode) error {
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("emptying %s: %w", dir, err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	return errors.Join(h.give(dir, class), os.Chmod(dir, mode))
}

// give makes a class of processes the owner of a file.
func (h *hub) give(name, class string) error {
	if !h.Root {
		return nil // there is one id
	}
	id := int(h.uid(class))
	return os.Chown(name, id, id)
}

// runMax is how much an instance may write to /run/app, in bytes and in files: it
// is the one place where fleet writes that could lie on the machine's disk, beside
// the database and the logs.
const (
	runMax   = sandbox.DefaultTmp
	runFiles = 16 << 10
)

// bound puts a file system of its own over a directory, in the hub's mounts
// alone: it ends with them.
func (h *hub) bound(dir, class string, mode os.FileMode) error {
	if h.lacks(sandbox.Mounts) {
		return nil
	}
	err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, fmt.Sprintf("size=%d,nr_inodes=%d", runMax, runFiles))
	if err != nil {
		return fmt.Errorf("bounding %s: mounting a file system in memory: %w", dir, err)
	}
	return errors.Join(h.give(dir, class), os.Chmod(dir, mode))
}

// spec is what the app of this instance may see and do. The probes and the exec
// sessions inside an instance run under the same.
func (i *instance) spec() (sandbox.Spec, error) {
	h, p := i.hub, i.hub.Plan
	s := sandbox.Spec{
		Name: i.dirName(),
		Dir:  p.Files.Mount,
		Net:  i.host.File(),
		UID:  h.uid(i.tier.Name),
		Skip: h.Skip, Cgroup: h.cgroup(),
		Texts: map[string]string{},
	}
	env := map[string]string{
		"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/tmp", "TMPDIR": "/tmp",
		"PORT": strconv.Itoa(int(i.place.Port())), "HOST": i.place.Addr().String(),
		"RINGWALL_SITE": p.Site(), "RINGWALL_TIER": i.tier.Name,
		"DATABASE_SECRET": insideSecrets + "/database.json",
	}
	secrets, err := h.tierSecrets(i.tier.Name)
	if err != nil {
		return s, err
	}
	for name, text := range secrets {
		at := filepath.Join(insideSecrets, name)
		s.Texts[at] = text
		env[strings.ToUpper(strings.TrimSuffix(name, ".json"))+"_SECRET"] = at
	}
	maps.Copy(env, i.tier.Env)
	for _, k := range slices.Sorted(maps.Keys(env)) {
		s.Env = append(s.Env, k+"="+env[k])
	}
	host.Allow(p, i.tier, &s)
	files.Allow(p, i.tier.Name, h.State.Tree(), &s)
	run := i.run
	if perimeter.Down("host/limits-scratch") {
		run += "-unbounded"
		if err := h.freshDir(run, i.tier.Name, 0o711); err != nil {
			return s, err
		}
	}
	s.Mounts = append(s.Mounts, sandbox.Mount{Source: run, Target: insideRun, Write: true, Exec: perimeter.Down("host/no-spawn")})
	return s, nil
}

// tierSecrets are the files of /run/secrets of a tier, by name.
func (h *hub) tierSecrets(tier string) (map[string]string, error) {
	out := map[string]string{}
	if h.database != nil {
		s, err := h.database.secret(tier)
		if err != nil {
			return nil, err
		}
		if perimeter.Down("database/tier-secrets") && tier != plan.Admin {
			if s, err = h.database.secret(plan.Admin); err != nil {
				return nil, err
			}
		}
		b, err := json.Marshal(s)
		if err != nil {
			return nil, err
		}
		out["database.json"] = string(b)
	}
	extra, err := h.appSecrets(tier)
	maps.Copy(out, extra)
	return out, err
}

func (i *instance) startApp() (supervise.Process, error) {
	h, p := i.hub, i.hub.Plan
	if err := h.accounts.wait(); err != nil {
		return nil, err
	}
	s, err := i.spec()
	if err != nil {
		return nil, err
	}
	s.Ready = h.rights.wait
	out, err := h.output(i.dirName() + ".log")
	if err != nil {
		return nil, err
	}
	defer out.Close()
	s.Stdout, s.Stderr = out, out
	if h.Plan.Kind == plan.PHP {
		php, err := findPHP()
		if err != nil {
			return nil, err
		}
		conf, args, err := webserver.FPM(h.Plan, i.tier.Name, insideFPM, webserver.FPMOptions{Env: envMap(s.Env)})
		if err != nil {
			return nil, err
		}
		s.Texts[insideFPM] = conf
		s.Args = append([]string{php}, args...)
		os.Remove(filepath.Join(i.run, "php.sock"))
	} else {
		if s.Args, err = command(p, i.tier, h.State.Tree(), i.place.Port()); err != nil {
			return nil, err
		}
		os.Remove(filepath.Join(i.run, "app.sock"))
	}
	return startBox(s)
}

func (i *instance) startAgent() (supervise.Process, error) {
	h := i.hub
	trials, proof := i.proof.take()
	defer proof.Close()
	config, err := pack(agentConfig{Plan: h.Plan, Tier: i.tier.Name, Name: i.name, Run: h.seen(insideRun, i.run), App: i.place, Down: h.Down, Trials: trials})
	if err != nil {
		return nil, err
	}
	defer config.Close()
	l, err := i.listener.File()
	if err != nil {
		return nil, err
	}
	defer l.Close()
	refusals, err := h.output("refusals.jsonl")
	if err != nil {
		return nil, err
	}
	defer refusals.Close()
	out, err := h.output("agent-" + i.dirName() + ".log")
	if err != nil {
		return nil, err
	}
	defer out.Close()
	s := sandbox.Spec{
		Name: i.dirName() + "-agent", Args: []string{host.Binary, "@agent"}, Env: childEnv,
		Net: i.host.File(), UID: h.uid("agent"), Files: []*os.File{config, l, refusals}, Stdout: out, Stderr: out, Skip: h.Skip, Cgroup: h.cgroup(),
	}
	if proof != nil {
		s.Files = append(s.Files, proof)
	}
	host.Agent(h.Plan, &s)
	s.Mounts = append(s.Mounts, sandbox.Mount{Source: h.State.Tree(), Target: h.Plan.Files.Mount})
	s.Mounts = append(s.Mounts, sandbox.Mount{Source: i.run, Target: insideRun})
	return startBox(s)
}

// childEnv is the environment of our own processes. The collector's own setting
// stays: a larger one costs tens of megabytes and saves next to no time.
var childEnv = []string{"LANG=C.UTF-8", "GODEBUG=multipathtcp=0", "GOMEMLIMIT=128MiB"}

// output is a descriptor whose lines go to a log of the site.
func (h *hub) output(name string) (*os.File, error) {
	l, err := h.log(name)
	if err != nil {
		return nil, err
	}
	return l.pipe()
}

// A box is a sandboxed process as supervise wants it.
type box struct{ *sandbox.Process }

func (b box) PID() int { return b.Process.PID }

func (b box) Wait() error { return exitError(b.Process.Wait()) }

// exitError is nil for exit code 0.
func exitError(e sandbox.Exit, err error) error {
	if err != nil || e.Success() {
		return err
	}
	return errors.New(e.String())
}

func startBox(s sandbox.Spec) (supervise.Process, error) {
	p, err := launch(s)
	if err != nil {
		return nil, err
	}
	return box{p}, nil
}

// runBox runs a sandboxed program to its end, or until the context ends.
func runBox(ctx context.Context, s sandbox.Spec) error {
	p, err := launch(s)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { p.Kill() })
	defer stop()
	err = exitError(p.Wait())
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// insideFPM is where PHP-FPM's configuration lies.
const insideFPM = "/run/php-fpm.conf"

// findPHP is the newest PHP-FPM of the system.
func findPHP() (string, error) {
	var found []string
	for _, pattern := range []string{"/usr/sbin/php-fpm[0-9]*", "/usr/sbin/php-fpm", "/usr/local/sbin/php-fpm"} {
		m, _ := filepath.Glob(pattern)
		found = append(found, m...)
	}
	if len(found) == 0 {
		return "", errors.New("finding PHP-FPM: it is not installed; ringwall doctor says how")
	}
	slices.SortFunc(found, natural)
	return found[len(found)-1], nil
}

// natural orders names with version numbers: php-fpm8.2 before php-fpm8.10.
func natural(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b)) }

func envMap(env []string) map[string]string {
	m := map[string]string{}
	for _, e := range env {
		k, v, _ := strings.Cut(e, "=")
		m[k] = v
	}
	return m
}

// backends is what the balancer may use, in a stable order.
func (h *hub) backends() []backend {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []backend
	for _, i := range h.instances {
		if i.agent != nil {
			out = append(out, backend{i.name, i.tier.Name, i.addr})
		}
	}
	slices.SortFunc(out, func(a, b backend) int { return strings.Compare(a.Name, b.Name) })
	return out
}
