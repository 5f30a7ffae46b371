package perimeter

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ringwall/ringwall/plan"
)

// A Target is a running site as one vantage sees it, and the record of what a
// probe did to it. It is safe for concurrent use.
type Target struct {
	Plan *plan.Plan
	URL  string // of the public site: https://host; names, not addresses, so that certificates are checked

	// From dials as a node of the plan would, from that node's own network:
	// plan.Internet (a visitor), plan.Office (an administrator), Stranger,
	// Crowd, plan.Beside. Nil where this vantage
	// has only its own network.
	From func(node string) (Dialer, error)

	Roots     *x509.CertPool        // that sign the site's certificate; nil: the system's
	Instances map[string]netip.Addr // running instances by name: admin/1, fleet/2
	Site      *SiteAccess           // on the machine of the site only
	Inside    *Inside               // vantages inside an instance only
	Missing   []string              // layers that this machine lacks
	Token     string                // Ownership token for a site elsewhere
	Cloud     *Cloud                // of a site on AWS that was looked up in its account

	wall     int // the perimeter whose control is judged
	mu       sync.Mutex
	tried    []string
	evidence []string
	broken   bool
}

// A Dialer opens TCP connections to literal addresses.
type Dialer func(ctx context.Context, network, address string) (net.Conn, error)

// SiteAccess is what a probe on the site's own machine may look at.
type SiteAccess struct {
	State   string   // the site's state directory
	Secrets []string // values that must appear nowhere; never printed
	PIDs    []int    // of the site's processes, in the probe's own process namespace
}

// Inside is what a probe within an instance's walls knows of its surroundings.
type Inside struct {
	Tier     string
	Self     string                    // the instance's name: fleet/1
	Files    string                    // where the tree is mounted
	Write    []string                  // directories this tier may write
	Sockets  []string                  // paths of other parts' sockets on the machine, which must not be reachable
	Hidden   []string                  // paths on the machine that exist and must not be visible
	Services map[string]netip.AddrPort // every listening service of the site's network, by name
	Secret   string                    // path of this tier's database credentials; empty: none
	Rounds   Rounds                    `json:"-"` // on AWS: how a probe of this machine asks the database
}

func (t *Target) fresh() *Target {
	return &Target{Plan: t.Plan, URL: t.URL, From: t.From, Roots: t.Roots, Instances: t.Instances,
		Site: t.Site, Inside: t.Inside, Token: t.Token, Missing: t.Missing, Cloud: t.Cloud}
}

// lacks says whether the machine has none of the layers of a Control's need.
func (t *Target) lacks(need string) bool {
	return !slices.ContainsFunc(strings.Split(need, " or "), func(l string) bool { return !slices.Contains(t.Missing, l) })
}

// Lacks says whether the machine lacks a layer of the enforcement.
func (t *Target) Lacks(layer string) bool { return slices.Contains(t.Missing, layer) }

// Tried records something the probe did to the site, before or after doing it.
func (t *Target) Tried(format string, a ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tried = append(t.tried, fmt.Sprintf(format, a...))
}

// Saw records evidence that a wall held: the refusal's own words.
func (t *Target) Saw(format string, a ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.evidence = append(t.evidence, fmt.Sprintf(format, a...))
}

// Broken records that something came through that must not.
func (t *Target) Broken(format string, a ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.broken = true
	t.evidence = append(t.evidence, fmt.Sprintf(format, a...))
}

func (t *Target) isBroken() bool { t.mu.Lock(); defer t.mu.Unlock(); return t.broken }
func (t *Target) count() int     { t.mu.Lock(); defer t.mu.Unlock(); return len(t.tried) }

// Client returns an HTTP client that stands at a node and knows the site's host
// name, so that the URL's name resolves to the edge. It follows no redirect and
// reuses no connection of an earlier probe. Its certificate check is the real one.
func (t *Target) Client(node string, opts ...ClientOption) (*http.Client, error) {
	dial, err := t.From(node)
	if err != nil {
		return nil, fmt.Errorf("standing at %s: %w", node, err)
	}
	tr := &http.Transport{
		TLSClientConfig:       &tls.Config{RootCAs: t.Roots, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   32,
		ResponseHeaderTimeout: 8 * time.Second,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return dial(ctx, network, t.resolve(node, address))
		},
	}
	for _, o := range opts {
		o(tr)
	}
	return &http.Client{Transport: tr, Timeout: 15 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, nil
}

// A ClientOption changes a probe's transport.
type ClientOption func(*http.Transport)

// HTTP1 keeps a client from using HTTP/2.
func HTTP1(tr *http.Transport) {
	tr.ForceAttemptHTTP2 = false
	tr.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
}

// EdgeAddr is where a node reaches the edge's HTTPS listener in the site's own
// network: over IPv6 where the node's address is one.
func (t *Target) EdgeAddr(node string, port uint16) string {
	a := t.Plan.VPC.Edge
	from := map[string]netip.Addr{plan.Internet: t.Plan.Network.Visitor, plan.Office: t.Plan.Network.Office, Stranger: t.Plan.Network.Stranger, Crowd: t.Plan.Network.Crowd}[node]
	if from.Is6() && t.Plan.VPC.Edge6.IsValid() {
		a = t.Plan.VPC.Edge6
	}
	return net.JoinHostPort(a.String(), strconv.Itoa(int(port)))
}

// resolve maps the site's host names to the edge; literal addresses stay.
func (t *Target) resolve(node, address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return address
	}
	if t.Site == nil { // a site elsewhere: ordinary names
		return address
	}
	p, _ := strconv.Atoi(port)
	return t.EdgeAddr(node, uint16(p))
}
