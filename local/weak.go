//go:build linux

package local

import (
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ringwall/ringwall/internal/sandbox"
	"github.com/ringwall/ringwall/internal/vnet"
	"github.com/ringwall/ringwall/plan"
)

// What a site does on a machine that forbids namespaces, when its owner allows it.
// Namespaces are used all or none. Without them the site's network lies on the
// machine's loopback device (internal/vnet), a sandbox sees the machine's own tree
// through what Landlock leaves open of it (unmounted), and processes that outlive
// their parents are ended by hand (orphans).

// lacks says whether the machine lacks one of these layers, or all but these are
// done without.
func (h *hub) lacks(l sandbox.Layer) bool { return h.Skip&l != 0 }

// spaces are the namespaces that the hub is made in.
func spaces(skip sandbox.Layer) uintptr {
	if skip&sandbox.Spaces != 0 {
		return 0
	}
	return syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS
}

// seen is how a sandbox sees a path of the machine that it is shown as another.
func (h *hub) seen(inside, machine string) string {
	if h.lacks(sandbox.Mounts) {
		return machine
	}
	return inside
}

// newNet is the site's network, as much of one as the machine allows.
func (h *hub) newNet() (*vnet.Net, error) {
	switch {
	case h.lacks(sandbox.Net):
		return vnet.NewLoopback(h.block), nil
	case h.lacks(sandbox.Firewall):
		return vnet.NewOpen()
	}
	return vnet.New(plan.Internet, plan.Office)
}

// proven says what became of the trials of forbidden flows.
func (h *hub) proven() Step {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lacks(sandbox.Firewall) {
		return Step{Part: "flows", State: "weak", Text: "not tried: without a firewall nothing refuses what the plan does not allow"}
	}
	return Step{Part: "flows", State: "up", Text: fmt.Sprintf("%d forbidden connections tried from inside, all refused", h.refused)}
}

// adapt changes the plan to what a machine without namespaces has: addresses of
// its loopback network, and the tree where it lies.
func (h *hub) adapt() error {
	if !h.lacks(sandbox.Net) {
		return nil
	}
	block, err := freeBlock(h.State.Dir, h.Plan.Balancer.Port)
	if err != nil {
		return err
	}
	h.block = block
	p := *h.Plan
	p.VPC = plan.NewVPC(block, p.VPC.CIDR6)
	p.VPC.Edge6 = netip.Addr{}
	// A client on the loopback device has the address 127.0.0.1, whomever it dials.
	p.VPC.CIDR = netip.PrefixFrom(netip.AddrFrom4([4]byte{127}), 8)
	p.Files.Mount = h.State.Tree()
	plainTree = unmountedTree{temp: filepath.Join(h.State.Run(), "box"), texts: filepath.Join(h.State.Secrets(), "box"),
		mount: h.Plan.Files.Mount, tree: h.State.Tree()}
	h.Plan = &p
	for _, dir := range []string{plainTree.temp, plainTree.texts} {
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("emptying %s: %w", dir, err)
		}
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
	}
	return nil
}

// freeBlock is the site's part of the loopback network: the same at every start,
// unless another site has it.
func freeBlock(dir string, port uint16) (netip.Prefix, error) {
	sum := fnv.New32a()
	io.WriteString(sum, dir)
	var err error
	for n := range uint32(16) {
		a := netip.AddrFrom4([4]byte{127, byte(1 + (sum.Sum32()+n)%250), 0, 0})
		block := netip.PrefixFrom(a, 16)
		var l net.Listener
		if l, err = net.Listen("tcp", netip.AddrPortFrom(plan.NewVPC(block, netip.Prefix{}).Balancer, port).String()); err == nil {
			l.Close()
			return block, nil
		}
	}
	return netip.Prefix{}, fmt.Errorf("finding addresses of the loopback network for the site: %w", err)
}

// appPlace is where an instance's app is told to listen, over TCP.
func (i *instance) appPlace() (netip.AddrPort, error) {
	at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), appPort)
	if i.host.File() != nil {
		return at, nil
	}
	// All instances share a loopback device: an app that listens on all addresses
	// needs a port of its own.
	l, err := net.Listen("tcp", netip.AddrPortFrom(i.addr.Addr(), 0).String())
	if err != nil {
		return at, err
	}
	defer l.Close()
	return netip.ParseAddrPort(l.Addr().String())
}

// userName is how programs without mounts of their own know this user.
func userName() (string, error) {
	u, err := user.LookupId(strconv.Itoa(os.Getuid()))
	if err != nil {
		return "", fmt.Errorf("finding the name that the database knows this user by: %w; without namespaces the user needs a line in /etc/passwd", err)
	}
	return u.Username, nil
}

// An unmountedTree says where a site keeps what sandboxes would see in mounts of
// their own.
type unmountedTree struct {
	temp, texts string // private directories of sandboxes lie in these
	mount, tree string
}

var (
	plainTree unmountedTree
	boxSerial atomic.Int64
)

// unmounted changes a sandbox for a machine without private mounts: the program is
// told the machine's own paths, what was to be generated for it lies in a private
// directory, and Landlock opens these and nothing else. done removes the directory.
func unmounted(s *sandbox.Spec) (done func(), err error) {
	serial := strconv.FormatInt(boxSerial.Add(1), 10)
	tmp, own := filepath.Join(plainTree.temp, serial), filepath.Join(plainTree.texts, serial)
	done = func() { os.RemoveAll(tmp); os.RemoveAll(own) }
	for _, dir := range []string{tmp, own} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return done, fmt.Errorf("making a sandbox's directory: %w", err)
		}
	}
	seen := map[string]string{plainTree.mount: plainTree.tree, "/tmp": tmp}
	mounts := []sandbox.Mount{{Source: tmp, Target: tmp, Write: true}, {Source: own, Target: own}}
	for _, m := range s.Mounts {
		seen[m.Source] = m.Source // which may lie in what is shown as another, as in /tmp
		seen[m.Target] = m.Source
		mounts = append(mounts, sandbox.Mount{Source: m.Source, Target: m.Source, Write: m.Write, Exec: m.Exec})
	}
	for name := range s.Texts {
		if strings.HasPrefix(name, "/etc/") { // the machine's own: it names its people
			if real, err := filepath.EvalSymlinks(name); err == nil {
				mounts = append(mounts, sandbox.Mount{Source: real, Target: real})
			}
			continue
		}
		seen[name] = filepath.Join(own, name)
	}
	tr := newTranslation(seen)
	for name, text := range s.Texts {
		if to := seen[name]; to != "" {
			if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
				return done, err
			}
			if err := os.WriteFile(to, []byte(tr.text(text)), 0o600); err != nil {
				return done, fmt.Errorf("writing %s for a sandbox: %w", name, err)
			}
		}
	}
	s.Mounts, s.Texts, s.Links = mounts, nil, nil
	s.Args, s.Env, s.Dir = tr.all(s.Args), tr.all(s.Env), tr.text(s.Dir)
	if !slices.ContainsFunc(s.Env, func(e string) bool { return strings.HasPrefix(e, "TMPDIR=") }) {
		s.Env = append(s.Env, "TMPDIR="+tmp)
	}
	// The kernel counts all that the user runs, not what the sandbox does.
	if s.Limits.Processes <= 0 {
		s.Limits.Processes = sandbox.DefaultProcesses
	}
	s.Limits.Processes += tasks(os.Getuid())
	return done, nil
}

// A translation puts paths in the place of others wherever a text names them.
type translation struct {
	from []string // the longest first
	to   map[string]string
}

func newTranslation(to map[string]string) translation {
	t := translation{to: to}
	for name := range to {
		t.from = append(t.from, name)
	}
	slices.SortFunc(t.from, func(a, b string) int { return len(b) - len(a) })
	return t
}

func (t translation) all(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = t.text(s)
	}
	return out
}

// text translates every path that begins where no name goes on, and ends so.
func (t translation) text(s string) string {
	var b strings.Builder
next:
	for i := 0; i < len(s); {
		if s[i] == '/' && (i == 0 || !nameByte(s[i-1])) {
			for _, f := range t.from {
				if rest, ok := strings.CutPrefix(s[i:], f); ok && (rest == "" || rest[0] == '/' || !nameByte(rest[0])) {
					b.WriteString(t.to[f])
					i += len(f)
					continue next
				}
			}
		}
		b.WriteByte(s[i])
		i++
	}
	return b.String()
}

// nameByte says whether a byte goes on with a name in a path.
func nameByte(c byte) bool {
	return c == '/' || c == '.' || c == '-' || c == '_' || c >= 0x80 || '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
}

// tasks is how many threads a user runs.
func tasks(uid int) (n int) {
	for _, pid := range pids() {
		dir := fmt.Sprintf("/proc/%d/task", pid)
		var st unix.Stat_t
		if unix.Stat(dir, &st) == nil && int(st.Uid) == uid {
			n += int(max(st.Nlink, 3) - 2)
		}
	}
	return n
}

// socketMax is the longest path of a socket that the kernel takes.
const socketMax = 107

// checkPaths refuses a site whose sockets the kernel would not take.
func (h *hub) checkPaths() error {
	if !h.lacks(sandbox.Mounts) {
		return nil
	}
	longest := filepath.Join(h.State.Run(), "database", ".s.PGSQL.5432")
	if len(longest) > socketMax {
		return fmt.Errorf("without private mounts sockets lie at %s, whose path is longer than the kernel takes (%d, at most %d); move the site to a shorter path", longest, len(longest), socketMax)
	}
	return nil
}
