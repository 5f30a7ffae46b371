package waf

import (
	"math/rand/v2"
	"testing"

	"github.com/ringwall/ringwall/waf/internal/transform"
)

// What a plan takes to stay within an alphabet does.
func TestTransformationsKeepAlphabets(t *testing.T) {
	r := rand.New(rand.NewPCG(rand.Uint64(), 1))
	for _, name := range transform.Names() {
		step, _ := transform.Lookup(name)
		if !step.Keeps {
			continue
		}
		for a := links; a < numAlphabets; a++ {
			var bytes []byte
			for c, ok := range alphabets[a] {
				if ok {
					bytes = append(bytes, byte(c))
				}
			}
			for range 2000 {
				src := make([]byte, r.IntN(30))
				few := bytes[r.IntN(len(bytes)):]
				for i := range src {
					src[i] = few[r.IntN(len(few))]
				}
				out, _ := step.Func(nil, src)
				if transform.Scan(out)&lacking[a] != 0 {
					t.Fatalf("%s made %q of %q, which is not within alphabet %d", name, out, src, a)
				}
			}
		}
	}
}
