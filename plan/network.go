package plan

import (
	"net/netip"
	"time"
)

// Network holds the settings of perimeter 1: names, listeners and floods.
type Network struct {
	Host       string         // the site's public host name: <subdomain or site>.<hosted zone>
	HostedZone string         // example.com
	Subdomain  string         // empty: the site's name
	Hosts      []string       // every host[:port] that is answered, Host first; the rest gets 421
	Doors      []Door         // loopback listeners of a developer's machine; none when Listen is set
	Listen     netip.AddrPort // a public address to serve HTTPS on; zero: doors
	ListenHTTP netip.AddrPort // where HTTP is redirected to HTTPS; zero: not served
	Visitor    netip.Addr     // the address a visitor's door stands for: in Edge.Allowed, not in Balancer.Admins
	Office     netip.Addr     // the address the administrator's door stands for: in both
	Stranger   netip.Addr     // an address outside Edge.Allowed; invalid when everybody is allowed
	Crowd      netip.Addr     // an address that probes flood from; it is none of the others

	Rate           Rate
	MaxConns       int           // open connections, all together
	MaxConnsPerIP  int           // open connections of one address
	HeaderTimeout  time.Duration // from the first byte to the end of the header
	BodyTimeout    time.Duration // the longest a body may take per MinBodyRate window
	MinBodyRate    int64         // bytes a second under which a body is cut
	IdleTimeout    time.Duration
	MaxHeaderBytes int
}

// A Door is a loopback listener that stands for an address of the plan.
type Door struct {
	Listen netip.AddrPort
	Host   string     // host:port in the door's URL
	Viewer netip.Addr // whom every connection through this door counts as
}

// URL is what a user opens.
func (d Door) URL() string { return "https://" + d.Host + "/" }

// Rate bounds the requests of one viewer address.
type Rate struct {
	PerMinute int // sustained
	Burst     int
}
