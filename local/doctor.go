//go:build linux

package local

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringwall/ringwall/internal/sandbox"
	"github.com/ringwall/ringwall/internal/vnet"
	"github.com/ringwall/ringwall/internal/wordpress"
	"github.com/ringwall/ringwall/perimeter/database"
	"github.com/ringwall/ringwall/plan"
)

// Doctor tries everything a site needs, by doing it. The plan may be nil: then
// what depends on the site is left out.
func Doctor(ctx context.Context, p *plan.Plan) []Check {
	var out []Check
	for _, c := range capabilities(ctx) {
		out = append(out, Check{Name: c.Name, OK: c.OK, Detail: c.Detail, Fix: c.Fix, Required: c.Layer != sandbox.Cgroup, Layer: c.Layer != sandbox.Cgroup})
	}
	if p == nil {
		return out
	}
	add := func(name string, err error, ok, fix string) {
		c := Check{Name: name, OK: err == nil, Required: true, Detail: ok}
		if err != nil {
			c.Detail, c.Fix = err.Error(), fix
		}
		out = append(out, c)
	}
	s := StateOf(p.Dir(), p.Site())
	if s.alive() {
		out = append(out, Check{Name: "ports", OK: true, Detail: "the site is running on them"})
	} else {
		ls, err := listenPublic(p)
		for _, l := range ls {
			l.Close()
		}
		add("ports", err, "free", "stop the other program or choose others")
	}
	add("disk", diskSpace(p.Dir()), "at least 1 GiB free", "free some space")
	add("clock", clock(), "set", "set the clock: certificates are judged by it")
	if p.Kind == plan.PHP {
		name, err := findPHP()
		add("PHP-FPM", err, name, "make setup, or: apt-get install php-fpm")
	}
	if p.Database.Present() {
		name, fix := "PostgreSQL", "make setup, or: apt-get install postgresql"
		if p.Database.Engine == plan.MySQL {
			name, fix = "MariaDB", "make setup, or: apt-get install mariadb-server"
		}
		_, err := database.New(p, database.Dirs{}, nil)
		add(name, err, "found", fix)
	}
	if p.Kind == plan.Command {
		tree := s.Tree()
		if _, err := os.Stat(tree); err != nil {
			tree = p.Files.Source // what the tree will be made of
		}
		for i := range p.Tiers {
			t := &p.Tiers[i]
			args, err := command(p, t, tree, appPort)
			add("program of "+t.Name, err, strings.Join(args[:min(1, len(args))], ""), "put it there or change tiers."+t.Name+".command")
		}
	}
	if p.Application.Setup == "wordpress" && p.Files.Source == "" {
		_, err := os.Stat(filepath.Join(wordpress.Source, "wp-settings.php"))
		add("WordPress", err, wordpress.Source, "make setup SET=wordpress, or: apt-get install wordpress")
	}
	return out
}

// capabilities tries the parts of the enforcement, the site's network among them.
func capabilities(ctx context.Context) []sandbox.Capability {
	return sandbox.Capabilities(ctx,
		sandbox.Check{Layer: sandbox.Net, Name: "network between namespaces", Try: tryNetwork("@network"), Fix: "the kernel needs veth: modprobe veth"},
		sandbox.Check{Layer: sandbox.Firewall, Name: "firewall", Try: tryNetwork("@firewall"), Fix: "the kernel needs nf_tables: modprobe nf_tables nft_reject_inet"})
}

// tryNetwork builds a small network in namespaces of its own.
func tryNetwork(role string) func(context.Context) error {
	return func(ctx context.Context) error {
		if runtime.GOOS != "linux" {
			return errors.New("only Linux has network namespaces")
		}
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		c := exec.CommandContext(ctx, "/proc/self/exe")
		c.Args = []string{"ringwall", role}
		c.Env = childEnv
		c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET | syscall.CLONE_NEWNS,
			UidMappings: idMap(os.Getuid()), GidMappings: idMap(os.Getgid()), Pdeathsig: syscall.SIGKILL}
		out, err := c.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}
}

func runNetworkTrial() error {
	n, err := vnet.NewOpen()
	if err != nil {
		return err
	}
	_, err = n.Add(trialHost)
	return err
}

func runFirewallTrial() error {
	n, err := vnet.New()
	if err != nil {
		return err
	}
	if _, err := n.Add(trialHost); err != nil {
		return err
	}
	return n.Allow([]vnet.Rule{{From: "trial", To: "trial", Port: 80}})
}

var trialHost = vnet.Spec{Name: "trial", Addrs: []vnet.Address{{Group: "trial", Addr: netip.AddrFrom4([4]byte{10, 0, 0, 10})}}}

// missing is what this machine cannot enforce, of what a site can do without when
// its owner allows it. Namespaces are used all or none.
func missing(ctx context.Context) (skip sandbox.Layer) {
	for _, c := range capabilities(ctx) {
		if !c.OK && c.Layer != sandbox.Cgroup {
			skip |= c.Layer
		}
	}
	if skip&sandbox.Spaces != 0 {
		skip |= sandbox.Spaces | sandbox.Firewall
	}
	return skip
}

func diskSpace(dir string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return err
	}
	if free := int64(st.Bavail) * st.Bsize; free < 1<<30 {
		return fmt.Errorf("%d MiB are free in %s, want 1 GiB", free>>20, dir)
	}
	return nil
}

func clock() error {
	if y := time.Now().Year(); y < 2026 {
		return fmt.Errorf("it says %d", y)
	}
	return nil
}
