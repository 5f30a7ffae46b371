package plan

import (
	"net"
	"net/netip"
	"slices"
	"strings"
)

// PublicHosts are the names that the site answers to on AWS, the site's own first:
// without ports, and without those of a developer's machine.
func (p *Plan) PublicHosts() []string {
	out := []string{}
	for _, h := range append([]string{p.Network.Host}, p.Network.Hosts...) {
		if n, _, err := net.SplitHostPort(h); err == nil {
			h = n
		}
		h = strings.ToLower(h)
		if _, err := netip.ParseAddr(strings.Trim(h, "[]")); h != "" && h != "localhost" && err != nil && !slices.Contains(out, h) {
			out = append(out, h)
		}
	}
	return out
}

// InZone says whether a host name belongs to the site's hosted zone.
func (n Network) InZone(host string) bool {
	return host == n.HostedZone || strings.HasSuffix(host, "."+n.HostedZone)
}
