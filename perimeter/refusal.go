package perimeter

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// A Place is somewhere that a probe dials.
type Place struct {
	Name string
	Addr netip.AddrPort
}

func (p Place) String() string { return fmt.Sprintf("%s (%s)", p.Name, p.Addr) }

const (
	answerTime  = 2 * time.Second        // in which a firewall that answers has answered
	silenceTime = 400 * time.Millisecond // after which no answer counts as silence, where there is a way
)

// Own dials from the network that the probe's own process is in. It never uses
// MPTCP, which is another promise's matter.
func Own(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	d.SetMultipathTCP(false)
	return d.DialContext(ctx, network, address)
}

// Denied records an attempt that a wall is to refuse with one of the errors in
// want. Success is Broken. Any other error is returned: something refused it,
// but not the wall.
func (t *Target) Denied(err error, want []syscall.Errno, format string, a ...any) error {
	what := fmt.Sprintf(format, a...)
	t.Tried("%s", what)
	if err == nil {
		t.Broken("%s: it was done", what)
		return nil
	}
	for _, w := range want {
		if errors.Is(err, w) {
			t.Saw("%s: %v", what, w)
			return nil
		}
	}
	return fmt.Errorf("%s: got %w, which is not the wall's answer (%v)", what, err, want)
}

// Unserved records an attempt that a wall is to refuse before the kernel looks
// at it. Success is Broken, and so is any error but the wall's: the kernel took
// the call and disliked an argument.
func (t *Target) Unserved(err error, want []syscall.Errno, format string, a ...any) {
	if other := t.Denied(err, want, format, a...); other != nil {
		t.Broken("%s: %v: the kernel took the call", fmt.Sprintf(format, a...), err)
	}
}

// Reaches is the control beside a refusal: it returns an error unless the dialer
// connects, because then a refusal elsewhere would prove nothing.
func (t *Target) Reaches(ctx context.Context, dial Dialer, p Place) error {
	c, err := dialFor(ctx, dial, p, answerTime)
	if err != nil {
		return fmt.Errorf("reaching %s, which is allowed, so that a refusal elsewhere means something: %w", p, err)
	}
	c.Close()
	t.Saw("%s, which is allowed, answers", p)
	return nil
}

// Refused dials every place, all at the same time, from where the firewall
// answers what it refuses. A connection is Broken; so is a refused one, because
// its packet passed the firewall. Silence is an error.
func (t *Target) Refused(ctx context.Context, dial Dialer, places ...Place) error {
	return each(places, func(p Place) error {
		t.Tried("connect to %s", p)
		c, err := dialFor(ctx, dial, p, answerTime)
		switch {
		case err == nil:
			c.Close()
			t.Broken("%s accepts a connection", p)
		case errors.Is(err, syscall.ECONNREFUSED):
			t.Broken("%s: the packet passed the firewall; only nobody listens there now", p)
		case unreachable(err):
			t.Saw("%s: %v", p, errno(err))
		default:
			return fmt.Errorf("connecting to %s: got %w, want the firewall's answer (%v)", p, err, syscall.EHOSTUNREACH)
		}
		return nil
	})
}

// Silent dials every place, all at the same time, from a node that the firewall
// gives no answer. The caller has shown with Reaches that the node can send.
func (t *Target) Silent(ctx context.Context, dial Dialer, places ...Place) error {
	return each(places, func(p Place) error {
		t.Tried("connect to %s", p)
		c, err := dialFor(ctx, dial, p, silenceTime)
		var timeout net.Error
		switch {
		case err == nil:
			c.Close()
			t.Broken("%s accepts a connection", p)
		case errors.Is(err, syscall.ECONNREFUSED):
			t.Broken("%s: the packet passed the firewall; only nobody listens there now", p)
		case unreachable(err):
			t.Saw("%s: %v", p, errno(err))
		case ctx.Err() == nil && errors.As(err, &timeout) && timeout.Timeout():
			t.Saw("%s: silence for %v", p, silenceTime)
		default:
			return fmt.Errorf("connecting to %s: got %w, want silence", p, err)
		}
		return nil
	})
}

func dialFor(ctx context.Context, dial Dialer, p Place, d time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return dial(ctx, "tcp", p.Addr.String())
}

// unreachable says whether a connection was refused on its way: there is no
// route, or the firewall's "administratively prohibited", which the kernel
// reports as EHOSTUNREACH over IPv4 and as EACCES over IPv6. An EACCES of
// another call than connect is no firewall's.
func unreachable(err error) bool {
	var call *os.SyscallError
	return errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH) ||
		errors.Is(err, syscall.EACCES) && errors.As(err, &call) && call.Syscall == "connect"
}

// Refuses says whether an error is a host's own answer that nobody listens.
func Refuses(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

func errno(err error) error {
	var e syscall.Errno
	if errors.As(err, &e) {
		return e
	}
	return err
}

// each runs f for every place at the same time and joins the errors.
func each(places []Place, f func(Place) error) error {
	errs := make([]error, len(places))
	var wg sync.WaitGroup
	for i, p := range places {
		wg.Go(func() { errs[i] = f(p) })
	}
	wg.Wait()
	return errors.Join(errs...)
}
