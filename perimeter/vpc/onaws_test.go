package vpc

import (
	"context"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"

	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

// TestNothingPublicOnAWS: what has no public address cannot be dialled; what has one
// must be silent.
func TestNothingPublicOnAWS(t *testing.T) {
	const edge, public = "203.0.113.1:443", "203.0.113.9"
	refused := &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	silent := &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}
	for _, c := range []struct {
		name   string
		public bool
		answer error // of the public address; nil: a connection
		want   perimeter.Verdict
	}{
		{"none is public", false, nil, perimeter.Held},
		{"a public one is silent", true, silent, perimeter.Held},
		{"a public one answers", true, nil, perimeter.Broken},
		{"a public one says that nobody listens", true, refused, perimeter.Broken},
		{"a public one, and no way there", true, &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ENETUNREACH)}, perimeter.Unknown},
	} {
		p := &plan.Plan{}
		p.Database.Config, p.Database.Port = plan.DBInstance, 3306
		private := netip.MustParseAddr("10.0.1.5")
		cloud := &perimeter.Cloud{Instances: []perimeter.CloudInstance{{ID: "i-1", Tier: plan.Fleet, Addr: private}}, Outputs: map[string]string{"BalancerHost": "b.test", "Host": "db.test"}}
		cloud.Resolve = func(context.Context, string, string) ([]netip.Addr, error) {
			if c.public {
				return []netip.Addr{netip.MustParseAddr(public)}, nil
			}
			return []netip.Addr{private}, nil
		}
		if c.public {
			cloud.Instances[0].Public = []netip.Addr{netip.MustParseAddr(public)}
		}
		target := &perimeter.Target{Plan: p, URL: "https://203.0.113.1", Cloud: cloud, From: func(string) (perimeter.Dialer, error) {
			return func(_ context.Context, _, address string) (net.Conn, error) {
				if address != edge && c.answer != nil {
					return nil, c.answer
				}
				a, b := net.Pipe()
				b.Close()
				return a, nil
			}, nil
		}}
		for _, x := range controls {
			if x.Vantage != perimeter.Internet {
				continue
			}
			if r := perimeter.Judge(t.Context(), 3, x, target); r.Verdict != c.want {
				t.Errorf("%s, %s: got %v %s %q, want %v", x.ID, c.name, r.Verdict, r.Error, r.Evidence, c.want)
			}
		}
	}
	target := &perimeter.Target{Plan: &plan.Plan{}, URL: "https://203.0.113.1", Cloud: &perimeter.Cloud{}}
	for _, x := range controls {
		if x.Vantage == perimeter.Internet {
			if r := perimeter.Judge(t.Context(), 3, x, target); r.Verdict != perimeter.Unknown {
				t.Errorf("%s of an account that tells nothing: got %v, want unknown", x.ID, r.Verdict)
			}
		}
	}
}
