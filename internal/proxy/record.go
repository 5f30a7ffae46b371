package proxy

import (
	"context"
	"crypto/tls"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// A Record is what the walls learn about one request while they serve it. Reply
// makes it, the walls fill it, and its Event is logged once at the end. One
// request's goroutine owns it.
type Record struct {
	Event

	Addr     netip.Addr                      // the viewer: the peer's address, or whom its door stands for
	Start    time.Time                       // when the header was complete
	Sent     time.Time                       // when the request went to the target; zero: never
	First    time.Time                       // when the target's header arrived; zero: never
	OnHeader func(status int, h http.Header) // changes the header of every final response just before it leaves; nil: nothing
	Now      func() time.Time                // the clock
}

type recordKey struct{}

// From returns the request's Record. A request that did not come through Reply
// has an empty one, which is not logged.
func From(ctx context.Context) *Record {
	if rec, ok := ctx.Value(recordKey{}).(*Record); ok {
		return rec
	}
	return &Record{Now: time.Now}
}

// NewContext returns a context that carries the record.
func NewContext(ctx context.Context, rec *Record) context.Context {
	return context.WithValue(ctx, recordKey{}, rec)
}

// NewID makes a request id: 24 letters and digits that nobody can guess.
func NewID() string {
	const digits = "0123456789abcdef"
	var b [24]byte
	x, y := rand.Uint64(), rand.Uint64()
	for i := range b {
		if i == 16 {
			x = y
		}
		b[i] = digits[x&15]
		x >>= 4
	}
	return string(b[:])
}

// peer reads an address that net/http wrote.
func peer(remote string) netip.AddrPort {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
}

func (rec *Record) begin(r *http.Request) {
	ap := peer(r.RemoteAddr)
	rec.Addr = ap.Addr()
	rec.Time = rec.Start
	rec.Viewer = r.RemoteAddr
	rec.Method = r.Method
	rec.Host = r.Host
	rec.URL = RedactURI(r.RequestURI)
	rec.Protocol = r.Proto
	rec.UserAgent = clip(r.UserAgent(), 256)
	if r.TLS != nil {
		rec.TLSCipher = cipherName(r.TLS.CipherSuite)
		rec.TLSProtocol = tls.VersionName(r.TLS.Version)
	}
}

// finish turns the record's times into the durations that the log carries. A
// duration that does not apply is -1, as in a load balancer's log.
func (rec *Record) finish(end time.Time) {
	rec.RequestTime, rec.TargetTime, rec.ResponseTime = -1, -1, -1
	switch {
	case rec.Sent.IsZero():
		rec.RequestTime = seconds(end.Sub(rec.Start))
	case rec.First.IsZero():
		rec.RequestTime = seconds(rec.Sent.Sub(rec.Start))
	default:
		rec.RequestTime = seconds(rec.Sent.Sub(rec.Start))
		rec.TargetTime = seconds(rec.First.Sub(rec.Sent))
		rec.ResponseTime = seconds(end.Sub(rec.First))
	}
}

// seconds rounds to microseconds, so that the log stays readable.
func seconds(d time.Duration) float64 { return float64(max(d, 0).Microseconds()) / 1e6 }

var cipherNames = sync.OnceValue(func() map[uint16]string {
	m := map[uint16]string{}
	for _, s := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		m[s.ID] = s.Name
	}
	return m
})

func cipherName(id uint16) string { return cipherNames()[id] }

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n] + "…"
}
