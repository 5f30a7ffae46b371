// Package instance tests what instances on AWS try: the scripts truly run, as root
// in namespaces that are laid out as an instance is, with each wall up and then
// down.
package instance

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ringwall/ringwall/deploy"
	"github.com/ringwall/ringwall/deploy/fakecfn"
	"github.com/ringwall/ringwall/internal/boxtest"
	"github.com/ringwall/ringwall/internal/tlsca"
	"github.com/ringwall/ringwall/internal/vnet"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/perimeter/all"
	"github.com/ringwall/ringwall/plan"
	"github.com/ringwall/ringwall/verify"
)

const filtered = "RINGWALL_TEST_FILTERED" // the test's program is to be an app with a filter

func TestMain(m *testing.M) {
	if os.Getenv(filtered) != "" {
		beFiltered()
	}
	boxtest.Main(m, func([]byte) (any, error) { return nil, nil })
}

// beFiltered becomes a program that sleeps, with a filter of system calls that lets
// everything pass: that it is there is what the kernel tells.
func beFiltered() {
	runtime.LockOSThread()
	allow := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW}
	prog := unix.SockFprog{Len: 1, Filter: &allow}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err == nil {
		if _, _, e := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&prog))); e == 0 {
			syscall.Exec("/usr/bin/sleep", []string{"sleep", "600"}, []string{"PATH=/usr/bin:/bin"})
		}
	}
	os.Exit(1)
}

var (
	fleet1   = netip.MustParseAddr("10.9.1.11")
	fleet2   = netip.MustParseAddr("10.9.1.12")
	admin1   = netip.MustParseAddr("10.9.1.21")
	balancer = netip.MustParseAddr("10.9.0.5")
	database = netip.MustParseAddr("10.9.2.5")
	endpoint = netip.MustParseAddr("10.9.1.100")
	outside  = netip.MustParseAddr("203.0.113.9")
	metadata = netip.MustParseAddr("169.254.169.254")
)

// A lab is a VPC with an instance of each tier.
type lab struct {
	t     *testing.T
	plan  *plan.Plan
	cloud *perimeter.Cloud
	net   *vnet.Net
	hosts map[string]*vnet.Host
	rules []vnet.Rule
	dir   string
	roots string      // file of the authority of the site's certificate
	old   atomic.Bool // the metadata service answers without a token
	open  atomic.Bool // the site refuses nobody
}

// A house is how the walls of an instance stand; the zero value has them all up.
type house struct {
	writable  bool   // fleet's tree is mounted writable
	policy    bool   // the file system lets anybody write
	exec      bool   // what is uploaded runs
	frozen    bool   // admin cannot write
	secrets   bool   // the role may read every secret
	foreign   bool   // the tier has another's credentials
	readable  bool   // secrets are open to other users
	argument  bool   // a process has a secret among its arguments
	variable  bool   // or in its environment
	logged    bool   // or in a log
	script    bool   // a script lies among the uploads
	reachable bool   // the app reaches the metadata service
	app       string // how the app was started; empty: with every wall
}

func newLab(t *testing.T) *lab {
	t.Helper()
	p, err := plan.Load(plan.Options{File: "../../plan/testdata/template.properties", Site: "wp-dev", Getenv: func(string) string { return "" }})
	if err != nil {
		t.Fatal(err)
	}
	p.AWS.Image, p.AWS.NATGateways = plan.ImageBuild, 1
	p.AWS.Region = "eu-central-1"
	l := &lab{t: t, plan: p, dir: t.TempDir(), hosts: map[string]*vnet.Host{}}
	p.Files.Mount = filepath.Join(l.dir, "mnt")
	l.cloud = &perimeter.Cloud{Region: p.AWS.Region, Outputs: map[string]string{"BalancerHost": "balancer.test", "Host": "database.test"},
		Names:     map[string]string{"AdminSecret": "arn:admin", "FleetSecret": "arn:fleet", "OriginSecret": "arn:origin", "AdminAppSecret": "arn:app-admin", "FleetAppSecret": "arn:app-fleet"},
		Instances: []perimeter.CloudInstance{{ID: "i-fleet1", Tier: plan.Fleet, Addr: fleet1}, {ID: "i-fleet2", Tier: plan.Fleet, Addr: fleet2}, {ID: "i-admin1", Tier: plan.Admin, Addr: admin1}}}
	return l
}

// connect makes the network. There can be one: the test's own namespace is its hub.
func (l *lab) connect() {
	t, p := l.t, l.plan
	t.Helper()
	var err error
	if l.net, err = vnet.New("i-fleet1", "i-admin1"); err != nil {
		t.Fatalf("NOT RUN: %v", err)
	}
	port := p.Balancer.TargetPort
	listens := map[string][]uint16{"i-fleet1": {port}, "i-fleet2": {port}, "i-admin1": {port}, "balancer": {443}, "database": {p.Database.Port}, "endpoint": {443}}
	for name, a := range map[string]netip.Addr{"i-fleet1": fleet1, "i-fleet2": fleet2, "i-admin1": admin1, "balancer": balancer, "database": database,
		"endpoint": endpoint, "outside": outside, "metadata": metadata} {
		h, err := l.net.Add(vnet.Spec{Name: name, Addrs: []vnet.Address{{Group: name, Addr: a}}})
		if err != nil {
			t.Fatalf("NOT RUN: %v", err)
		}
		l.hosts[name] = h[0]
		t.Cleanup(func() { l.net.Remove(name) })
		for _, port := range listens[name] {
			l.listen(h[0], a, port, nil)
		}
	}
	l.listen(l.hosts["metadata"], metadata, 80, http.HandlerFunc(l.metadata))
	l.listen(l.hosts["outside"], outside, 80, http.NotFoundHandler())
	l.site()
	l.listen(l.hosts["outside"], outside, 53, nil)
	l.rules = append(l.rules, vnet.Rule{From: "i-admin1", To: "outside", Port: 443}) // NAT, for updates
	for _, from := range []string{"i-fleet1", "i-admin1"} {
		for to, port := range map[string]uint16{"endpoint": 443, "metadata": 80, "database": p.Database.Port} {
			l.rules = append(l.rules, vnet.Rule{From: from, To: to, Port: port})
		}
	}
	l.allow()
}

// allow puts the network's rules in force, with more that take a wall down.
func (l *lab) allow(more ...vnet.Rule) {
	l.t.Helper()
	if err := l.net.Allow(append(slices.Clone(l.rules), more...)); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) listen(h *vnet.Host, a netip.Addr, port uint16, serve http.Handler) {
	l.t.Helper()
	ln, err := h.Listen(netip.AddrPortFrom(a, port))
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { ln.Close() })
	if serve != nil {
		go http.Serve(ln, serve)
		return
	}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { time.Sleep(100 * time.Millisecond); c.Close() }()
		}
	}()
}

// site is the edge, as who is not on its list sees it.
func (l *lab) site() {
	l.t.Helper()
	ca, err := tlsca.Open(l.t.TempDir(), []string{l.plan.Network.Host})
	if err != nil {
		l.t.Fatal(err)
	}
	cert, key, err := ca.Issue([]string{l.plan.Network.Host})
	if err != nil {
		l.t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		l.t.Fatal(err)
	}
	l.roots = filepath.Join(l.dir, "roots.pem")
	if err := os.WriteFile(l.roots, ca.PEM(), 0o644); err != nil {
		l.t.Fatal(err)
	}
	ln, err := l.hosts["outside"].Listen(netip.AddrPortFrom(outside, 443))
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { ln.Close() })
	go http.Serve(tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{pair}}), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !l.open.Load() {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `{"class":"this site is not open to your address","status":403}`)
		}
	}))
}

// metadata is the instance's metadata service, which wants a session's token.
func (l *lab) metadata(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodPut && r.URL.Path == "/latest/api/token":
		fmt.Fprint(w, "TOKEN")
	case r.Header.Get("X-aws-ec2-metadata-token") == "TOKEN" || l.old.Load():
		fmt.Fprint(w, "iam/")
	default:
		w.WriteHeader(http.StatusUnauthorized)
	}
}

// layout makes of a mount namespace an instance of AL2023, then runs the script $1.
const layout = `
set -e
mount --bind "$L/export" "$M"
mount -o remount,bind,$O "$M"
mount -t tmpfs none /run
install -d -m 0750 /run/secrets
cp "$L"/secrets/* /run/secrets/
chmod 0640 /run/secrets/*
for f in hosts fstab passwd group; do mount --bind "$L/$f" /etc/$f; done
mount -t tmpfs none /usr/local/bin
cp "$L"/bin/* /usr/local/bin/
mount -t tmpfs none /sys/fs/cgroup
install -d /sys/fs/cgroup/system.slice/ringwall-app.service
cp "$L/pids" /sys/fs/cgroup/system.slice/ringwall-app.service/cgroup.procs
mount --bind "$L/log" /var/log
$EXTRA
exec sh "$1"
`

// Stand-ins for what only AWS has. They are told how the walls stand by W.
var stands = map[string]string{
	// The client of EFS: the server refuses what its policy does.
	"mount": `#!/bin/sh
[ "$1 $2" = '-t efs' ] || exec /usr/bin/mount "$@"
case $W in *policy*) ;; *)
  case ,$4, in *,accesspoint=*) ;; *) echo 'mount.nfs4: access denied by server while mounting 127.0.0.1:/' >&2; exit 32 ;; esac
  case ,$4, in *,iam,*) ;; *) echo 'mount.nfs4: access denied by server while mounting 127.0.0.1:/' >&2; exit 32 ;; esac
esac
/usr/bin/mount --bind "$L/export" "$6"
case $W in *policy*) ;; *) /usr/bin/mount -o remount,bind,ro "$6" ;; esac
`,
	// The filter of the unit's control group: the app has no way to the address.
	"setpriv": `#!/bin/sh
while case $1 in -*) ;; *) false ;; esac; do shift; done
case $W in *reachable*) exec "$@" ;; esac
exec unshare --net -- "$@"
`,
	// Secrets Manager as IAM lets a role have it.
	"aws": `#!/bin/sh
case "$* $W" in
*list-secrets*' secrets'* | *get-secret-value*' secrets'*) exit ;;
*"arn:$TIER "*) exit ;;
esac
echo "An error occurred (AccessDeniedException) when calling the operation: not authorized" >&2
exit 254
`,
}

// run runs a script on an instance whose walls stand as h says.
func (l *lab) run(h house) verify.Runner {
	return func(ctx context.Context, on perimeter.CloudInstance, script string) (string, error) {
		dir, err := os.MkdirTemp(l.dir, "i")
		if err != nil {
			return "", err
		}
		must := func(e error) { err = cmpErr(err, e) }
		write := func(name, text string, mode os.FileMode) {
			must(os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
			must(os.WriteFile(filepath.Join(dir, name), []byte(text), mode))
		}
		who := on.Tier + "_a"
		if h.foreign {
			who = "admin_b"
		}
		const password = "correct-horse-battery"
		secret, _ := json.Marshal(plan.Secret{Username: who, Password: password, Host: "database.test", DBName: "wp", Port: l.plan.Database.Port})
		write("secrets/database.json", string(secret), 0o640)
		write("hosts", fmt.Sprintf("127.0.0.1 localhost\n%s ssm.eu-central-1.amazonaws.com\n%s checkip.amazonaws.com a.root-servers.net %s\n%s balancer.test\n%s database.test\n",
			endpoint, outside, l.plan.Network.Host, balancer, database), 0o644)
		options, tree := "ro,nosuid,nodev,noexec", "ro,noexec"
		if on.Tier == plan.Admin {
			options, tree = "nosuid,nodev,noexec", "rw,noexec"
		}
		if h.writable {
			tree = "rw,noexec"
		}
		if h.exec {
			tree = "rw"
		}
		if h.frozen {
			tree = "ro"
		}
		write("fstab", fmt.Sprintf("fs-1:/ %s efs _netdev,noresvport,tls,iam,%s,accesspoint=fsap-1,fsc 0 0\n", l.plan.Files.Mount, options), 0o644)
		write("passwd", "root:x:0:0:root:/:/bin/sh\napp:x:1:1::/:/bin/sh\n", 0o644)
		write("group", "root:x:0:\napp:x:1:\n", 0o644)
		write("log/messages", "all is well\n", 0o644)
		if h.logged {
			write("log/app.log", "logging in with "+password+"\n", 0o644)
		}
		write("export/index.php", "<?php\n", 0o644)
		for _, u := range l.plan.Files.Uploads {
			write("export/"+u+"/cat.jpg", "cat", 0o644)
			if h.script {
				write("export/"+u+"/cat.php.jpg", "<?php", 0o644)
			}
		}
		for name, text := range stands {
			write("bin/"+name, text, 0o755)
		}
		must(os.MkdirAll(l.plan.Files.Mount, 0o755))
		app := l.app(dir, h)
		defer app.Process.Kill()
		write("pids", fmt.Sprintln(app.Process.Pid), 0o644)
		walls := ""
		for name, down := range map[string]bool{"policy": h.policy, "reachable": h.reachable, "secrets": h.secrets} {
			if down {
				walls += " " + name
			}
		}
		extra := ""
		if h.readable {
			extra = "chmod 0644 /run/secrets/database.json"
		}
		write("layout", layout, 0o644)
		write("script", script, 0o644)
		if err != nil {
			return "", err
		}
		if h.argument || h.variable {
			leak := exec.CommandContext(ctx, "sleep", "600")
			if h.argument {
				leak = exec.CommandContext(ctx, "sh", "-c", "sleep 600; : "+password)
			}
			if h.variable {
				leak.Env = append(os.Environ(), "DB_PASSWORD="+password)
			}
			leak.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // its end is below, or that of the test's process namespace
			if err := leak.Start(); err != nil {
				return "", err
			}
			defer func() { syscall.Kill(-leak.Process.Pid, syscall.SIGKILL); leak.Wait() }()
		}
		var out, errs bytes.Buffer
		c := exec.CommandContext(ctx, "unshare", "--mount", "sh", filepath.Join(dir, "layout"), filepath.Join(dir, "script"))
		c.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "L=" + dir, "M=" + l.plan.Files.Mount, "O=" + tree, "W=" + walls + " ", "TIER=" + on.Tier, "EXTRA=" + extra, "CURL_CA_BUNDLE=" + l.roots}
		c.Stdout, c.Stderr = &out, &errs
		if h := l.hosts[on.ID]; h != nil {
			err = h.Do(c.Start)
		} else {
			err = c.Start()
		}
		if err == nil {
			err = c.Wait()
		}
		if errs.Len() > 0 {
			l.t.Logf("on %s: %s", on.ID, errs.String())
		}
		if err != nil {
			return out.String(), fmt.Errorf("%w: %s", err, errs.String())
		}
		return out.String(), nil
	}
}

func cmpErr(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// app starts what stands for the app's process.
func (l *lab) app(dir string, h house) *exec.Cmd {
	l.t.Helper()
	self, err := os.Executable()
	if err != nil {
		l.t.Fatal(err)
	}
	args := []string{"--bounding-set=-all", "--inh-caps=-all", self}
	switch h.app {
	case "capable":
		args = args[2:]
	case "free":
		args = []string{"--bounding-set=-all", "--inh-caps=-all", "sleep", "600"}
	}
	c := exec.Command("/usr/bin/setpriv", args...)
	c.Dir = dir
	c.Env = append(os.Environ(), filtered+"=1")
	if err := c.Start(); err != nil {
		l.t.Fatalf("NOT RUN: %v", err)
	}
	l.t.Cleanup(func() { c.Process.Kill(); c.Wait() })
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", c.Process.Pid))
		if strings.TrimSpace(string(b)) == "sleep" {
			return c
		}
		if time.Now().After(end) {
			l.t.Fatalf("NOT RUN: the app does not start: it is %q", b)
		}
	}
}

// judge runs controls by their ids, or all that instances try.
func (l *lab) judge(h house, only ...string) map[string]perimeter.Result {
	l.t.Helper()
	_, inside, _ := verify.ForAWS(l.plan, l.cloud, verify.Jobs(all.Perimeters), false)
	inside = slices.DeleteFunc(inside, func(j verify.Job) bool {
		return j.Control.AWS == nil || j.Control.AWS.Try == nil || len(only) > 0 && !slices.Contains(only, j.Control.ID)
	})
	if len(inside) == 0 {
		l.t.Fatalf("no control of %v is tried by instances", only)
	}
	var results []perimeter.Result
	verify.RunInside(l.t.Context(), inside, &perimeter.Target{Plan: l.plan, Cloud: l.cloud}, l.run(h), func(r perimeter.Result) { results = append(results, r) })
	out := map[string]perimeter.Result{}
	for _, r := range verify.Complete(inside, results) {
		out[r.ID] = r
	}
	return out
}

func show(r perimeter.Result) string {
	return fmt.Sprintf("%s is %s\n  tried %s\n  saw %s\n  %s", r.ID, r.Verdict, strings.Join(r.Tried, "\n  tried "), strings.Join(r.Evidence, "\n  saw "), r.Error)
}

// TestInstance has every instance try everything, with all walls up, and then with
// one of them down at a time.
func TestInstance(t *testing.T) {
	l := newLab(t)
	t.Run("by Systems Manager", func(t *testing.T) { bySystemsManager(t, newLab(t)) })
	l.connect()
	for _, r := range l.judge(house{}) {
		if r.Verdict != perimeter.Held {
			t.Error(show(r))
		}
	}
	wallsDown(t, l)
}

// bySystemsManager goes the whole way: the account is asked where the instances are,
// and Run Command runs the script.
func bySystemsManager(t *testing.T, l *lab) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	lo.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		t.Fatalf("NOT RUN: bringing the loopback device up: %v", err)
	}
	srv := fakecfn.New(fakecfn.Options{})
	defer srv.Close()
	for k, v := range map[string]string{"AWS_ENDPOINT_URL": srv.URL, "AWS_ACCESS_KEY_ID": "AKIDTEST", "AWS_SECRET_ACCESS_KEY": "secret",
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent"} {
		t.Setenv(k, v)
	}
	for _, i := range l.cloud.Instances {
		srv.AddInstance(fakecfn.Instance{ID: i.ID, Site: l.plan.Site(), Tier: i.Tier, Addr: i.Addr.String(), NoAgent: i.Tier == plan.Admin})
	}
	srv.OnCommand(func(instance, script string) fakecfn.Command {
		out, err := l.run(house{})(t.Context(), l.cloud.Instances[0], script)
		if err != nil {
			return fakecfn.Command{Status: "Failed", Code: 1, Out: out, Err: err.Error()}
		}
		return fakecfn.Command{Status: "Success", Out: out}
	})
	client, err := deploy.Open(t.Context(), l.plan.AWS.Region)
	if err != nil {
		t.Fatal(err)
	}
	jobs, err := verify.Select(all.Perimeters, []string{"files", "people"})
	if err != nil {
		t.Fatal(err)
	}
	_, inside, left := verify.ForAWS(l.plan, l.cloud, jobs, false)
	if len(left) == 0 || !strings.Contains(strings.Join(left, "\n"), "people/control-socket") {
		t.Errorf("what is left out: got %q, want the control socket among it", left)
	}
	target := &perimeter.Target{Plan: l.plan, Cloud: l.cloud}
	var results []perimeter.Result
	verify.RunInside(t.Context(), inside, target, func(ctx context.Context, i perimeter.CloudInstance, script string) (string, error) {
		return client.Run(ctx, l.plan.AWS.Region, i.ID, "a test", script)
	}, func(r perimeter.Result) { results = append(results, r) })
	for _, r := range verify.Complete(inside, results) {
		// The admin instance has no agent: what it was to try is unknown, for both tiers' promises too.
		want := perimeter.Held
		if r.Vantage != perimeter.InFleet {
			want = perimeter.Unknown
		}
		if r.Verdict != want || want == perimeter.Unknown && !strings.Contains(r.Error, "its agent has not reported") {
			t.Errorf("want %s: %s", want, show(r))
		}
	}
}

func wallsDown(t *testing.T, l *lab) {
	port := l.plan.Balancer.TargetPort
	seen := map[string]bool{}
	for _, c := range []struct {
		id    string
		house house
		rule  vnet.Rule
		with  func()
	}{
		{id: "files/read-only", house: house{writable: true}},
		{id: "files/no-create", house: house{writable: true}},
		{id: "files/no-rename", house: house{writable: true}},
		{id: "files/no-attributes", house: house{writable: true}},
		{id: "files/no-remount", house: house{policy: true}},
		{id: "files/uploads-noexec", house: house{exec: true}},
		{id: "files/admin-writes", house: house{frozen: true}},
		{id: "application/no-code-in-uploads", house: house{script: true}},
		{id: "people/secret-files", house: house{readable: true}},
		{id: "people/no-secrets-in-argv", house: house{argument: true}},
		{id: "people/no-secrets-in-environ", house: house{variable: true}},
		{id: "people/no-secrets-in-logs", house: house{logged: true}},
		{id: "database/tier-secrets", house: house{secrets: true}},
		{id: "database/tier-secrets", house: house{foreign: true}},
		{id: "host/no-capabilities", house: house{app: "capable"}},
		{id: "host/admin-no-capabilities", house: house{app: "capable"}},
		{id: "host/seccomp", house: house{app: "free"}},
		{id: "host/no-new-privs", house: house{app: "free"}},
		{id: "vpc/no-metadata", house: house{reachable: true}},
		{id: "vpc/admin-no-metadata", house: house{reachable: true}},
		{id: "vpc/no-metadata", with: func() { l.old.Store(true) }},
		{id: "vpc/no-internet", rule: vnet.Rule{From: "i-fleet1", To: "outside", Port: 443}},
		{id: "vpc/admin-no-internet", rule: vnet.Rule{From: "i-admin1", To: "outside", Port: 80}},
		{id: "instance/fleet-to-admin", rule: vnet.Rule{From: "i-fleet1", To: "i-admin1", Port: port}},
		{id: "instance/fleet-to-admin", rule: vnet.Rule{From: "i-fleet1", To: "i-admin1", Port: 22}}, // nobody listens there
		{id: "instance/fleet-to-fleet", rule: vnet.Rule{From: "i-fleet1", To: "i-fleet2", Port: port}},
		{id: "instance/admin-to-fleet", rule: vnet.Rule{From: "i-admin1", To: "i-fleet2", Port: port}},
		{id: "instance/fleet-to-edge", rule: vnet.Rule{From: "i-fleet1", To: "balancer", Port: 443}},
		{id: "instance/admin-to-edge", rule: vnet.Rule{From: "i-admin1", To: "balancer", Port: 443}},
		{id: "instance/fleet-other-ports", rule: vnet.Rule{From: "i-fleet1", To: "database", Port: 22}},
		{id: "instance/admin-other-ports", rule: vnet.Rule{From: "i-admin1", To: "database", Port: 111}},
		{id: "edge/allow-list", with: func() { l.open.Store(true) }},
	} {
		seen[c.id] = true
		l.allow()
		l.old.Store(false)
		l.open.Store(false)
		if c.rule.Port != 0 {
			l.allow(c.rule)
		}
		if c.with != nil {
			c.with()
		}
		if r := l.judge(c.house, c.id)[c.id]; r.Verdict != perimeter.Broken {
			t.Errorf("with its wall down (%+v %+v): %s", c.house, c.rule, show(r))
		}
	}
	_, inside, _ := verify.ForAWS(l.plan, l.cloud, verify.Jobs(all.Perimeters), false)
	for _, j := range inside {
		if j.Control.AWS != nil && j.Control.AWS.Try != nil && !seen[j.Control.ID] {
			t.Errorf("%s is tried by instances, and nothing here takes its wall down", j.Control.ID)
		}
	}
}
