package bundle

import (
	"fmt"

	"github.com/ringwall/ringwall/internal/cfn"
	"github.com/ringwall/ringwall/internal/cfn/res"
)

// Publish makes parameters of a bundle's pieces: <prefix>/<key>/<n>, with n from 0.
// A bundle with other files has another key, so that instances that still run find
// what they began with.
func (b Bundle) Publish(st *cfn.Stack, id, prefix, about string) {
	for n, part := range b.Parts {
		st.Add(fmt.Sprintf("%s%d", id, n), &res.SSMParameter{
			Name: cfn.S(fmt.Sprintf("%s/%s/%d", prefix, b.Key(), n)), Type: cfn.S("String"), Tier: cfn.S("Standard"),
			Value: cfn.S(part), Description: cfn.S(fmt.Sprintf("%s, piece %d of %d; SHA-256 of the whole %s", about, n+1, len(b.Parts), b.Sum)),
		})
	}
}
