//go:build !walldown

package perimeter

// Down says whether a control's wall was taken down for a test. In a released
// binary no wall can be: this is the constant false.
func Down(string) bool { return false }

// CanTakeDown says whether this build can take walls down.
const CanTakeDown = false

// SetDown refuses: this build has no switch.
func SetDown([]string) {}
