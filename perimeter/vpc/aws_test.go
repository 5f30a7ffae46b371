package vpc

import (
	"net/netip"
	"testing"
)

// TestSubnets: the parts of a block are within it, apart from each other, and as
// large as AWS wants them (a /28 at least).
func TestSubnets(t *testing.T) {
	for _, c := range []struct {
		block string
		zones int
		first string
		last  string
	}{
		{"10.0.0.0/16", 2, "10.0.0.0/19", "10.0.160.0/19"},
		{"10.0.0.0/16", 3, "10.0.0.0/20", "10.0.128.0/20"},
		{"172.20.4.0/22", 2, "172.20.4.0/25", "172.20.6.128/25"},
		{"192.168.252.0/22", 3, "192.168.252.0/26", "192.168.254.0/26"},
	} {
		block := netip.MustParsePrefix(c.block)
		list := Subnets(block, c.zones)
		if len(list) != 3*c.zones || list[0].String() != c.first || list[len(list)-1].String() != c.last {
			t.Errorf("%s in %d zones: %v, want %d from %s to %s", c.block, c.zones, list, 3*c.zones, c.first, c.last)
		}
		for i, p := range list {
			if !block.Contains(p.Addr()) || p.Bits() > 28 || p != p.Masked() {
				t.Errorf("%s: the part %s", c.block, p)
			}
			for _, q := range list[:i] {
				if p.Overlaps(q) {
					t.Errorf("%s: %s and %s overlap", c.block, p, q)
				}
			}
		}
	}
}
