//go:build linux

package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringwall/ringwall/internal/cgroup"
	"github.com/ringwall/ringwall/internal/sandbox"
	"github.com/ringwall/ringwall/plan"
)

// A hubConfig is what the supervisor tells the hub.
type hubConfig struct {
	Plan    *plan.Plan
	State   State
	Root    bool          // distinct user ids are mapped
	Skip    sandbox.Layer // what this machine lacks and its owner does without
	Approve bool
	Public  int // listeners that follow: doors in order, or HTTPS and HTTP
	Down    []string
	Serial  int // how often the hub was started before
}

// firstUID is where the user ids of a root-owned site begin: above the ranges
// that useradd, systemd-nspawn and container engines hand out.
const firstUID = 0x70000000

// uidRange is how many ids a site's processes are spread over.
const uidRange = 64

// Up runs a site until the context ends or the site is told to stop. It returns
// when nothing of the site is left.
func Up(ctx context.Context, p *plan.Plan, o Options) error {
	if o.Steps == nil {
		o.Steps = func(Step) {}
	}
	s := StateOf(p.Dir(), p.Site())
	if err := s.Create(p.Site()); err != nil {
		return err
	}
	lock, err := waitLock(ctx, s)
	if err != nil {
		return err
	}
	defer lock.Release()
	s.tidy()
	var skip sandbox.Layer
	if o.AllowWeak || p.Host.AllowWeak {
		skip = missing(ctx)
		if skip&sandbox.Spaces != 0 && os.Getuid() == 0 {
			return errRootWeak
		}
	}
	// The groups of processes that were killed have nobody else to remove them.
	sweep := func() { cgroup.Sweep(s.cgroup()) }
	sweep()
	defer sweep()
	// What a killed run left under a name that this run needs.
	os.Remove(s.Control())
	control, err := listenUnix(s.Control())
	if err != nil {
		return err
	}
	defer os.Remove(s.Control())
	defer control.Close()
	public, err := listenPublic(p)
	if err != nil {
		return err
	}
	defer func() {
		for _, l := range public {
			l.Close()
		}
	}()

	ctx, stop := signal.NotifyContext(ctx, endings()...)
	defer stop()
	first, pause := true, time.Duration(0)
	for serial := 0; ; serial++ {
		ready := false
		steps := func(st Step) {
			if st.State == "ready" {
				ready = true
				if first && o.Ready != nil {
					defer o.Ready()
				}
				first = false
			}
			o.Steps(st)
		}
		cfg := hubConfig{Plan: p, State: s, Root: os.Getuid() == 0, Skip: skip, Approve: o.Approve,
			Public: len(public), Down: o.Down, Serial: serial}
		err := runHubProcess(ctx, cfg, lock, control, public, steps)
		switch {
		case errors.Is(err, errOverdue):
			return err
		case err == nil || ctx.Err() != nil:
			return nil
		case !ready && serial == 0:
			return lacking(ctx, err, skip)
		case !ready:
			pause = min(max(2*pause, time.Second), 10*time.Second)
		default:
			pause = 0
		}
		sweep()
		if pause > 0 {
			o.Steps(Step{Part: "site", State: "note", Text: fmt.Sprintf("starting the site again failed: %v; the next try is in %v", err, pause)})
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(pause):
			}
			continue
		}
		o.Steps(Step{Part: "site", State: "note", Text: fmt.Sprintf("%v; starting the site again", err)})
	}
}

// lacking adds to the error of a failed start what this machine lacks, if that
// may be its cause.
func lacking(ctx context.Context, err error, skip sandbox.Layer) error {
	if more := missing(ctx) &^ skip; more != 0 {
		return fmt.Errorf("%w\nthis machine lacks %s, so the enforcement would be weak; mend it (ringwall doctor), or start with --allow-weak: every control that needs it is then unknown, and probe fails", err, more)
	}
	return err
}

// errRootWeak: without namespaces root's processes need other ids, which reach
// nothing of root's state.
var errRootWeak = errors.New("this machine forbids namespaces to root, so the site's processes could not be kept from root's files; run Ringwall as an ordinary user with --allow-weak, or mend the machine: ringwall doctor")

// waitLock gives a run that was just killed the moment it needs to be gone.
func waitLock(ctx context.Context, s State) (*Lock, error) {
	for n := range 20 {
		l, err := s.Lock()
		if !errors.Is(err, ErrRunning) || (n > 3 && s.alive()) {
			return l, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return s.Lock()
}

// listenPublic opens the site's doors, or its public addresses.
func listenPublic(p *plan.Plan) (out []*net.TCPListener, err error) {
	at := func(a netip.AddrPort, flag string) error {
		lc := net.ListenConfig{}
		lc.SetMultipathTCP(false)
		l, err := lc.Listen(context.Background(), "tcp", a.String())
		if errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("opening %s: another program listens there; stop it, or choose another address with %s", a, flag)
		} else if errors.Is(err, syscall.EACCES) {
			return fmt.Errorf("opening %s: %w; ports below 1024 need root or: sysctl net.ipv4.ip_unprivileged_port_start=%d", a, err, a.Port())
		} else if err != nil {
			return fmt.Errorf("opening %s: %w", a, err)
		}
		out = append(out, l.(*net.TCPListener))
		return nil
	}
	if p.Network.Listen.IsValid() {
		err = at(p.Network.Listen, "network.listen")
		if err == nil && p.Network.ListenHTTP.IsValid() {
			err = at(p.Network.ListenHTTP, "network.listenHTTP")
		}
	} else {
		for _, d := range p.Network.Doors {
			if err = at(d.Listen, "network.doors"); err != nil {
				break
			}
		}
	}
	if err != nil {
		for _, l := range out {
			l.Close()
		}
		return nil, err
	}
	return out, nil
}

// runHubProcess starts the hub and returns when it has ended: nil when it was
// told to.
func runHubProcess(ctx context.Context, cfg hubConfig, lock *Lock, control *net.UnixListener, public []*net.TCPListener, steps func(Step)) error {
	config, err := pack(cfg)
	if err != nil {
		return err
	}
	defer config.Close()
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer read.Close()
	files := []*os.File{config, write, lock.f}
	cf, err := control.File()
	if err != nil {
		return err
	}
	defer cf.Close()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	theirs, ours := os.NewFile(uintptr(pair[1]), "supervisor"), os.NewFile(uintptr(pair[0]), "hub")
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	ours.Close()
	if err != nil {
		return err
	}
	defer conn.Close()
	relays, endRelays := context.WithCancel(ctx)
	defer endRelays()
	go serveRelays(relays, conn.(*net.UnixConn))
	files = append(files, cf, theirs)
	for _, l := range public {
		f, err := l.File()
		if err != nil {
			return err
		}
		defer f.Close()
		files = append(files, f)
	}
	c := exec.Command("/proc/self/exe")
	c.Args = []string{"ringwall", "@hub"}
	c.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "GODEBUG=multipathtcp=0"}
	c.Dir = "/"
	c.ExtraFiles = files
	c.Stderr = os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: spaces(cfg.Skip),
		Setpgid:    true, // Ctrl-C reaches the supervisor alone, which then stops the site in order
	}
	bind(c.SysProcAttr, cfg.Skip)
	if c.SysProcAttr.Cloneflags != 0 {
		c.SysProcAttr.UidMappings, c.SysProcAttr.GidMappings = idMap(os.Getuid()), idMap(os.Getgid())
		c.SysProcAttr.GidMappingsEnableSetgroups = os.Getuid() == 0
	} else {
		if err := adopt(); err != nil {
			return fmt.Errorf("adopting what the site's programs leave behind: %w", err)
		}
		others := children()
		defer endAll(others, 5*time.Second)
	}
	if err := startLocked(c); err != nil {
		write.Close()
		if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) {
			return fmt.Errorf("starting the site's hub in namespaces of its own: %w; see what this machine lacks with: ringwall doctor", err)
		}
		return fmt.Errorf("starting the site's hub: %w", err)
	}
	write.Close()
	var overdue atomic.Bool
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-ctx.Done():
			c.Process.Signal(syscall.SIGTERM)
		case <-ended:
			return
		}
		select {
		case <-time.After(stopLimit):
			overdue.Store(true)
			c.Process.Kill()
		case <-ended:
		}
	}()
	var failed error
	dec := json.NewDecoder(read)
	for {
		var st Step
		if dec.Decode(&st) != nil {
			break
		}
		if st.Part == "site" && st.State == "failed" {
			failed = errors.New(st.Text)
			continue
		}
		if st.Part == "site" && st.State == "approval" {
			failed = fmt.Errorf("%w: %s", ErrApproval, strings.TrimPrefix(st.Text, ErrApproval.Error()+": "))
			continue
		}
		steps(st)
	}
	err = c.Wait()
	if overdue.Load() {
		return errOverdue
	}
	if failed != nil || err == nil {
		return failed
	}
	return fmt.Errorf("the site's hub ended: %w", err)
}

var errOverdue = fmt.Errorf("stopping the site: it was not done in %v, so all its processes were killed; the next up recovers", stopLimit)

// stopLimit is how long a site may take to stop in order. What its parts may take
// adds up to less.
const stopLimit = time.Minute

// endings are the signals that ask a supervisor to end. A terminal that closes is
// one, unless whoever started it (nohup) said otherwise.
func endings() []os.Signal {
	list := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		list = append(list, syscall.SIGHUP)
	}
	return list
}

// startLocked starts a command from a thread that lives as long as this process:
// Pdeathsig is sent when the thread that forked ends, not the process.
func startLocked(c *exec.Cmd) error {
	done := make(chan error)
	forks <- func() { done <- c.Start() }
	return <-done
}

func idMap(self int) []syscall.SysProcIDMap {
	m := []syscall.SysProcIDMap{{ContainerID: 0, HostID: self, Size: 1}}
	if os.Getuid() == 0 {
		m = append(m, syscall.SysProcIDMap{ContainerID: 1, HostID: firstUID, Size: uidRange})
	}
	return m
}

// listenUnix listens on a path of any length, for the owner alone.
func listenUnix(path string) (*net.UnixListener, error) {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("opening the control socket: %w", err)
	}
	defer dir.Close()
	short := filepath.Join("/proc/self/fd", strconv.Itoa(int(dir.Fd())), filepath.Base(path))
	old := syscall.Umask(0o177)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
	syscall.Umask(old)
	if err != nil {
		return nil, fmt.Errorf("opening the control socket %s: %w", path, err)
	}
	l.SetUnlinkOnClose(false)
	return l, nil
}
