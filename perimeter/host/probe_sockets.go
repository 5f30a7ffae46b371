//go:build linux

package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ringwall/ringwall/perimeter"
)

var sockets = []*perimeter.Control{
	fleet("no-udp",
		"The kernel gives a fleet app no datagram socket.",
		"Datagrams pass rules that know connections only, and leave without a handshake to be seen.",
		func(_ context.Context, t *perimeter.Target) error {
			return trySockets(t, syscall.EACCES, []socket{
				{"UDP over IPv4", unix.AF_INET, unix.SOCK_DGRAM, 0},
				{"UDP over IPv6", unix.AF_INET6, unix.SOCK_DGRAM, 0},
				{"UDP-Lite", unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_UDPLITE},
				{"ping", unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_ICMP},
			})
		}),
	fleet("no-mptcp",
		"The kernel gives a fleet app no multipath TCP socket.",
		"Multipath TCP passes rules that are written for TCP, even to a listener that knows plain TCP only.",
		func(_ context.Context, t *perimeter.Target) error {
			for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
				fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, protoMPTCP)
				if err == nil {
					unix.Close(fd)
				}
				// A network where MPTCP is switched off answers otherwise; the filter
				// must not leave it to that.
				t.Unserved(err, []syscall.Errno{syscall.EPROTONOSUPPORT}, "open an MPTCP socket of family %d", family)
			}
			return nil
		}),
	fleet("no-raw",
		"The kernel gives a fleet app no raw, packet, netlink or other family of socket.",
		"Rare socket families are where most holes of the kernel that an app can reach were found.",
		func(_ context.Context, t *perimeter.Target) error {
			return trySockets(t, syscall.EACCES, []socket{
				{"raw ICMP", unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP},
				{"raw IPv6", unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_RAW},
				{"packet", unix.AF_PACKET, unix.SOCK_RAW, 0},
				{"netlink", unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE},
				{"firewall netlink", unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER},
				{"crypto", unix.AF_ALG, unix.SOCK_SEQPACKET, 0},
				{"vsock", unix.AF_VSOCK, unix.SOCK_STREAM, 0},
				{"SCTP", unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_SCTP},
			})
		}),
	fleet("no-abstract-sockets",
		"A socket of the machine that has a name but no file cannot be reached from fleet.",
		"Desktop buses, container run times and editors listen on such sockets and trust their own user.",
		func(_ context.Context, t *perimeter.Target) error {
			return connectAll(t, true)
		}),
	fleet("no-pathname-sockets",
		"The sockets of other parts of the site, and of the machine, are not visible from fleet.",
		"A fleet app that reaches admin's PHP socket, or the database's, is admin.",
		func(_ context.Context, t *perimeter.Target) error {
			return connectAll(t, false)
		}),
	admin("admin-no-pathname-sockets",
		"The sockets of other parts of the site, and of the machine, are not visible from admin.",
		"An administrator's session that reaches the control socket or the database's owns the site.",
		func(_ context.Context, t *perimeter.Target) error {
			return connectAll(t, false)
		}),
}

const protoMPTCP = 262

type socket struct {
	name                   string
	family, kind, protocol int
}

func trySockets(t *perimeter.Target, want syscall.Errno, list []socket) error {
	// The same call with what is allowed, so that a refusal means something.
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening a TCP socket, which is allowed: %w", err)
	}
	unix.Close(fd)
	for _, s := range list {
		fd, e := unix.Socket(s.family, s.kind|unix.SOCK_CLOEXEC, s.protocol)
		if e == nil {
			unix.Close(fd)
		}
		if e := t.Denied(e, []syscall.Errno{want}, "open a %s socket", s.name); e != nil {
			err = errors.Join(err, e)
		}
	}
	return err
}

// connectAll connects to the machine's sockets, those with an abstract name
// (which starts with @) or those with a path.
func connectAll(t *perimeter.Target, abstract bool) error {
	n := 0
	for _, name := range t.Inside.Sockets {
		if strings.HasPrefix(name, "@") != abstract {
			continue
		}
		n++
		err := connect(name)
		if abstract {
			// Nobody of that name in this network, or Landlock's scope.
			if e := t.Denied(err, []syscall.Errno{syscall.ECONNREFUSED, syscall.EPERM}, "connect to the machine's abstract socket"); e != nil {
				return e
			}
			continue
		}
		if e := t.Denied(err, []syscall.Errno{syscall.ENOENT}, "connect to %s", name); e != nil {
			t.Broken("%s is visible: %v", name, err) // whatever keeps it closed is not its invisibility
		}
	}
	if n == 0 {
		return errors.New("no socket of the machine is known that could be tried")
	}
	return nil
}

// connect reaches a socket at a path of any length, by its directory.
func connect(name string) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening a socket: %w", err)
	}
	defer unix.Close(fd)
	if !strings.HasPrefix(name, "@") {
		if _, err := os.Lstat(name); err != nil {
			return err.(*fs.PathError).Err
		}
		dir, err := unix.Open(filepath.Dir(name), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(dir)
		name = fmt.Sprintf("/proc/self/fd/%d/%s", dir, filepath.Base(name))
	}
	return unix.Connect(fd, &unix.SockaddrUnix{Name: name})
}
