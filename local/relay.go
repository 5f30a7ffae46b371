//go:build linux

package local

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringwall/ringwall/plan"
)

// The site's networks have no way out. Where the plan names a database server
// that exists elsewhere, the hub opens the database's place in the site's network
// and hands that listener to the supervisor, which alone can reach the server: one
// flow, to one address, and nothing else leaves.

// A relayRequest comes with the listener's descriptor.
type relayRequest struct {
	Target string `json:"target"` // host:port
}

// relayLimit is how many connections are relayed at one time.
const relayLimit = 512

// askRelay hands the supervisor a listener.
func askRelay(c *net.UnixConn, l *net.TCPListener, target string) error {
	f, err := l.File()
	if err != nil {
		return err
	}
	defer f.Close()
	b, err := json.Marshal(relayRequest{target})
	if err != nil {
		return err
	}
	if _, _, err := c.WriteMsgUnix(b, unix.UnixRights(int(f.Fd())), nil); err != nil {
		return fmt.Errorf("handing the database's listener to the supervisor: %w", err)
	}
	return nil
}

// serveRelays takes listeners until the hub is gone.
func serveRelays(ctx context.Context, c *net.UnixConn) {
	defer c.Close()
	for {
		b, oob := make([]byte, 4096), make([]byte, unix.CmsgSpace(4))
		n, oobn, _, _, err := c.ReadMsgUnix(b, oob)
		if err != nil || n == 0 {
			return
		}
		var req relayRequest
		msgs, err := unix.ParseSocketControlMessage(oob[:oobn])
		if err != nil || len(msgs) != 1 || json.Unmarshal(b[:n], &req) != nil {
			continue
		}
		fds, err := unix.ParseUnixRights(&msgs[0])
		if err != nil || len(fds) != 1 {
			continue
		}
		unix.CloseOnExec(fds[0])
		f := os.NewFile(uintptr(fds[0]), "relay")
		l, err := net.FileListener(f)
		f.Close()
		if err != nil {
			continue
		}
		go relay(ctx, l, req.Target)
	}
}

func relay(ctx context.Context, l net.Listener, target string) {
	defer context.AfterFunc(ctx, func() { l.Close() })()
	slots := make(chan struct{}, relayLimit)
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		slots <- struct{}{}
		go func() {
			defer func() { c.Close(); <-slots }()
			d := net.Dialer{Timeout: 5 * time.Second}
			out, err := d.DialContext(ctx, "tcp", target)
			if err != nil {
				return
			}
			defer out.Close()
			defer context.AfterFunc(ctx, func() { c.Close(); out.Close() })()
			done := make(chan struct{})
			go func() { io.Copy(out, c); out.(*net.TCPConn).CloseWrite(); close(done) }()
			io.Copy(c, out)
			if t, ok := c.(*net.TCPConn); ok {
				t.CloseWrite()
			}
			<-done
		}()
	}
}

// relayDatabase opens the database's place in the network for an existing server.
func (h *hub) relayDatabase(s plan.Secret) error {
	port := s.Port
	if port == 0 {
		port = h.Plan.Database.Port
	}
	l, err := h.net.Host(plan.NodeDatabase).Listen(netip.AddrPortFrom(h.Plan.VPC.Database, h.Plan.Database.Port))
	if err != nil {
		return err
	}
	return askRelay(h.supervisor, l, net.JoinHostPort(s.Host, strconv.Itoa(int(port))))
}
