package host

import "strings"

// groupID is the logical id of a tier's auto scaling group.
func groupID(tier string) string { return title(tier) + "Instances" }

func title(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
