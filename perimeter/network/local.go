package network

import (
	"crypto/tls"
	"errors"
	"io"
	"log"
	"math"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/ringwall/ringwall/internal/proxy"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

// Wrap refuses requests for names that are not the site's (421), requests above
// a viewer's rate (429), and cuts bodies that come too slowly, before next sees
// them.
func Wrap(p *plan.Plan, next proxy.Handler) proxy.Handler {
	n := p.Network
	hosts := hostSet(n.Hosts)
	limiter := NewLimiter(n.Rate)
	return proxy.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		rec := proxy.From(r.Context())
		if !perimeter.Down("network/known-host") {
			if !hosts[canonicalHost(r.Host)] || !sniMatches(r) {
				return &proxy.Refusal{Status: http.StatusMisdirectedRequest, Control: "network/known-host", Reason: "this site does not answer to that name"}
			}
		}
		if !perimeter.Down("network/rate") {
			if ok, retry := limiter.Allow(rec.Addr, rec.Now()); !ok {
				if r.ProtoMajor == 1 { // what follows on the connection is not read either
					w.Header()["Connection"] = []string{"close"}
				}
				return &proxy.Refusal{Status: http.StatusTooManyRequests, Control: "network/rate",
					Reason: "too many requests from your address", Retry: int(math.Ceil(retry.Seconds()))}
			}
		}
		if r.Body != nil && r.Body != http.NoBody && n.BodyTimeout > 0 && n.MinBodyRate > 0 && !perimeter.Down("network/slow-body") {
			b := slowBody(w, r.Body, n.BodyTimeout, n.MinBodyRate)
			defer b.end()
			r.Body = b
		}
		return next.ServeHTTP(w, r)
	})
}

// Server is an HTTP server with the plan's bounds on slow clients and headers.
// With a TLS configuration it speaks HTTP/2 too.
func Server(p *plan.Plan, h http.Handler, t *tls.Config) *http.Server {
	n := p.Network
	s := &http.Server{
		Handler: h, TLSConfig: t, DisableGeneralOptionsHandler: true,
		ReadHeaderTimeout: n.HeaderTimeout, IdleTimeout: n.IdleTimeout, MaxHeaderBytes: n.MaxHeaderBytes,
		ErrorLog: log.New(io.Discard, "", 0), // what a peer can cause at will is counted, not written
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: 100, MaxReadFrameSize: 64 << 10,
			SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second, WriteByteTimeout: writeStall,
		},
	}
	if perimeter.Down("network/header-size") {
		s.MaxHeaderBytes = 16 << 20
	}
	if t == nil {
		s.Protocols = new(http.Protocols)
		s.Protocols.SetHTTP1(true)
	}
	return s
}

// Serve serves a listener until the server is shut down; TLS when it has a TLS
// configuration. A shut-down server is no error.
func Serve(s *http.Server, ln net.Listener) error {
	var err error
	if s.TLSConfig != nil {
		err = s.ServeTLS(ln, "", "")
	} else {
		err = s.Serve(ln)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Redirect answers plain HTTP: a request for one of the site's names is sent to
// HTTPS, any other is refused.
func Redirect(p *plan.Plan) proxy.Handler {
	names := map[string]string{} // name → host[:port] to send to
	for _, h := range p.Network.Hosts {
		h = canonicalHost(h)
		if name := hostname(h); names[name] == "" {
			names[name] = h
		}
	}
	limiter := NewLimiter(p.Network.Rate)
	return proxy.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		rec := proxy.From(r.Context())
		to, ok := names[hostname(canonicalHost(r.Host))]
		if !ok && !perimeter.Down("network/known-host") {
			return &proxy.Refusal{Status: http.StatusMisdirectedRequest, Control: "network/known-host", Reason: "this site does not answer to that name"}
		}
		if ok, retry := limiter.Allow(rec.Addr, rec.Now()); !ok && !perimeter.Down("network/rate") {
			return &proxy.Refusal{Status: http.StatusTooManyRequests, Control: "network/rate",
				Reason: "too many requests from your address", Retry: int(math.Ceil(retry.Seconds()))}
		}
		if perimeter.Down("network/https-only") {
			rec.Action = "forward"
			w.WriteHeader(http.StatusOK)
			return nil
		}
		if to == "" {
			to = r.Host
		}
		uri := r.URL.RequestURI()
		if !strings.HasPrefix(uri, "/") {
			uri = "/"
		}
		status := http.StatusPermanentRedirect
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			status = http.StatusMovedPermanently
		}
		rec.Action = "redirect"
		w.Header().Set("Location", "https://"+to+uri)
		w.Header().Set("Content-Length", "0")
		w.WriteHeader(status)
		return nil
	})
}

func hostSet(hosts []string) map[string]bool {
	m := map[string]bool{}
	for _, h := range hosts {
		m[canonicalHost(h)] = true
	}
	return m
}

// canonicalHost writes a Host header in one way: lower case, no final dot, no
// default port. It allocates nothing for a host that is already so.
func canonicalHost(h string) string {
	h = strings.ToLower(h)
	h = strings.TrimSuffix(h, ":443")
	h = strings.TrimSuffix(h, ":80")
	if strings.HasSuffix(h, ".") {
		h = h[:len(h)-1]
	} else if i := strings.LastIndex(h, ".:"); i >= 0 {
		h = h[:i] + h[i+1:]
	}
	return h
}

// hostname is a canonical host without its port.
func hostname(h string) string {
	if name, _, err := net.SplitHostPort(h); err == nil {
		return name
	}
	return strings.Trim(h, "[]")
}

// sniMatches says whether the request's host is the one that the TLS handshake
// named, so that one name's connection cannot carry another's request.
func sniMatches(r *http.Request) bool {
	if r.TLS == nil || r.TLS.ServerName == "" {
		return true
	}
	name := hostname(canonicalHost(r.Host))
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	return strings.TrimSuffix(strings.ToLower(r.TLS.ServerName), ".") == name
}
