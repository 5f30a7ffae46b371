//go:build linux

package vnet

import (
	"context"
	"errors"
	"fmt"

	"net"
	"net/netip"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The tests run in namespaces of their own: TestMain starts the test binary again
// in them.
func TestMain(m *testing.M) {
	if os.Getenv("VNET_INNER") != "" {
		if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
			fmt.Println("NOT RUN: mounting /proc:", err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	}
	c := exec.Command("/proc/self/exe", os.Args[1:]...)
	c.Env = append(os.Environ(), "VNET_INNER=1")
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	if err := c.Run(); err != nil {
		var e *exec.ExitError
		if !errors.As(err, &e) {
			fmt.Println("NOT RUN: starting the tests in namespaces:", err)
		}
		os.Exit(1)
	}
}

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

func serve(t *testing.T, h *Host, a netip.Addr, port uint16) {
	t.Helper()
	l, err := h.Listen(netip.AddrPortFrom(a, port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
}

func dial(h *Host, to string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	c, err := h.Dial(ctx, "tcp", to)
	if err == nil {
		c.Close()
	}
	return err
}

func TestFirewall(t *testing.T) {
	n, err := New("internet")
	if err != nil {
		t.Fatal(err)
	}
	hosts := map[string]*Host{}
	for _, h := range []struct{ name, group, addr string }{
		{"edge", "edge", "10.0.0.10"}, {"fleet/1", "fleet", "10.0.1.100"}, {"fleet/2", "fleet", "10.0.1.101"},
		{"db", "db", "10.0.2.10"}, {"visitor", "internet", "198.51.100.7"},
	} {
		addrs := []Address{{h.group, ip(h.addr)}}
		if h.name == "edge" {
			addrs = append(addrs, Address{"edge", ip("fd72::10")}, Address{"balancer", ip("10.0.0.20")})
		}
		if h.name == "visitor" {
			addrs = append(addrs, Address{"internet", ip("2001:db8::7")})
		}
		made, err := n.Add(Spec{h.name, addrs})
		if err != nil {
			t.Fatal(err)
		}
		hosts[h.name] = made[0]
	}
	for _, h := range hosts {
		for _, p := range []uint16{443, 80, 5432} {
			serve(t, h, h.Addrs[0].Addr, p)
		}
	}
	serve(t, hosts["edge"], ip("fd72::10"), 443)
	serve(t, hosts["edge"], ip("10.0.0.20"), 8080)
	serve(t, hosts["edge"], ip("10.0.0.10"), 8080)
	if err := n.Allow([]Rule{{From: "internet", To: "edge", Port: 443}, {From: "edge", To: "fleet", Port: 80},
		{From: "fleet", To: "db", Port: 5432}, {From: "fleet", To: "balancer", Port: 8080}}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		from, to string
		want     error
	}{
		{"visitor", "10.0.0.10:443", nil},
		{"visitor", "[fd72::10]:443", nil},
		{"visitor", "[fd72::10]:80", os.ErrDeadlineExceeded},
		{"visitor", "10.0.0.10:80", os.ErrDeadlineExceeded}, // the internet gets silence
		{"visitor", "10.0.1.100:80", os.ErrDeadlineExceeded},
		{"edge", "10.0.1.100:80", nil},
		{"edge", "10.0.1.101:80", nil},
		{"edge", "10.0.1.100:81", syscall.EHOSTUNREACH},
		{"edge", "10.0.2.10:5432", syscall.EHOSTUNREACH},
		{"fleet/1", "10.0.2.10:5432", nil},
		{"fleet/1", "10.0.1.101:80", syscall.EHOSTUNREACH}, // no talk within a group
		{"fleet/1", "10.0.0.10:443", syscall.EHOSTUNREACH},
		{"fleet/1", "169.254.1.1:80", syscall.EHOSTUNREACH}, // the hub itself
		{"fleet/1", "169.254.169.254:80", syscall.EHOSTUNREACH},
		{"fleet/1", "10.0.0.20:8080", nil},
		{"fleet/1", "10.0.0.10:8080", syscall.EHOSTUNREACH}, // another address of the same host
		{"db", "10.0.1.100:80", syscall.EHOSTUNREACH},
		{"db", "1.1.1.1:443", syscall.EHOSTUNREACH},
	} {
		got := dial(hosts[c.from], c.to)
		if c.want == os.ErrDeadlineExceeded {
			if !errors.Is(got, context.DeadlineExceeded) && !os.IsTimeout(got) {
				t.Errorf("%s to %s: got %v, want silence", c.from, c.to, got)
			}
		} else if !errors.Is(got, c.want) {
			t.Errorf("%s to %s: got %v, want %v", c.from, c.to, got, c.want)
		}
	}

	// A host that takes another's address is not heard.
	err = hosts["fleet/1"].Do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_FREEBIND, 1)
		if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{10, 0, 0, 10}}); err != nil {
			return err
		}
		tv := unix.Timeval{Usec: 300000}
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &tv)
		return unix.Connect(fd, &unix.SockaddrInet4{Addr: [4]byte{10, 0, 1, 101}, Port: 80})
	})
	if err == nil {
		t.Error("a connection with a stolen source address was accepted")
	}

	if err := n.Remove("fleet/2"); err != nil {
		t.Fatal(err)
	}
	if err := dial(hosts["edge"], "10.0.1.101:80"); err == nil {
		t.Error("a removed host still answers")
	}
	if err := dial(hosts["edge"], "10.0.1.100:80"); err != nil {
		t.Errorf("after a removal the others no longer answer: %v", err)
	}

	// A bound is each address's own, and a connection that ends makes room.
	if _, err := n.Add(Spec{"fleet/3", []Address{{"fleet", ip("10.0.1.102")}}}); err != nil {
		t.Fatal(err)
	}
	if err := n.Allow([]Rule{{From: "fleet", To: "db", Port: 5432, Each: 3}}); err != nil {
		t.Fatal(err)
	}
	var open []net.Conn
	for i := range 4 {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		c, err := hosts["fleet/1"].Dial(ctx, "tcp", "10.0.2.10:5432")
		cancel()
		if i < 3 && err != nil || i == 3 && !errors.Is(err, syscall.EHOSTUNREACH) {
			t.Fatalf("connection %d of 3: %v", i+1, err)
		}
		if err == nil {
			defer c.Close()
			open = append(open, c)
		}
	}
	if err := dial(n.Host("fleet/3"), "10.0.2.10:5432"); err != nil {
		t.Errorf("one address's connections count for another: %v", err)
	}
	open[0].Close()
	again := errors.New("not tried")
	for end := time.Now().Add(5 * time.Second); again != nil && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		again = dial(hosts["fleet/1"], "10.0.2.10:5432")
	}
	if again != nil {
		t.Errorf("after one of three ended: %v", again)
	}

	// With every rule gone nothing passes: the firewall is what holds.
	if err := n.Allow(nil); err != nil {
		t.Fatal(err)
	}
	if err := dial(hosts["edge"], "10.0.1.100:80"); !errors.Is(err, syscall.EHOSTUNREACH) {
		t.Errorf("without rules: got %v, want %v", err, syscall.EHOSTUNREACH)
	}
	err = hosts["edge"].Do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 262)
		if err == nil {
			unix.Close(fd)
		}
		return err
	})
	if err == nil {
		t.Error("MPTCP sockets can be made in a host")
	}

	// A kernel that acknowledges no rule ends the wait with one error, and the next
	// list is written all the same.
	limit := answerLimit
	answerLimit = -time.Second
	err = n.Allow(nil)
	answerLimit = limit
	if !errors.Is(err, os.ErrDeadlineExceeded) || len(err.Error()) > 120 {
		t.Errorf("a silent kernel: got %v, want one short error: the time is over", err)
	}
	if err := n.Allow(nil); err != nil {
		t.Errorf("the list after it: %v", err)
	}
}
