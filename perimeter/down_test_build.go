//go:build walldown

package perimeter

import "sync/atomic"

var down atomic.Pointer[map[string]bool]

// Down says whether a control's wall was taken down for a test.
func Down(id string) bool {
	m := down.Load()
	return m != nil && (*m)[id]
}

// CanTakeDown says whether this build can take walls down.
const CanTakeDown = true

// SetDown takes the walls of these controls down, and puts all others up.
func SetDown(ids []string) {
	m := map[string]bool{}
	for _, id := range ids {
		m[id] = true
	}
	down.Store(&m)
}
