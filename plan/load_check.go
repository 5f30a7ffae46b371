package plan

import (
	"net"
	"net/netip"
	"path"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// A demand is what a text should have been.
type demand struct{ want, hint string }

// pattern is compiled when it is asked for: every command starts here.
func pattern(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}

func matching(expr, want string) func(string) *demand {
	re := pattern(expr)
	return func(s string) *demand {
		if re().MatchString(s) {
			return nil
		}
		return &demand{want: want}
	}
}

const label = `[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?`

var (
	isName    = matching(`^[a-z][a-z0-9-]{0,30}$`, "small letters, digits and dashes, a letter first, 31 at most")
	isHost    = matching(`^(`+label+`(\.`+label+`)*)?$`, "a host name such as www or example.com")
	isDBName  = matching(`^[A-Za-z_][A-Za-z0-9_]{0,62}$`, "letters, digits and _, no digit first, 63 at most")
	isRegion  = matching(`^([a-z]{2,4}(-[a-z]+)+-\d+)?$`, "a region such as eu-central-1")
	isAccount = matching(`^(\d{12})?$`, "twelve digits")
	isEmail   = matching(`^([^@\s]+@[^@\s]+\.[^@\s]+)?$`, "an address such as security@example.com")
	isRooted  = matching(`^/[^\x00-\x20?#]*$`, "a path that starts with /")
)

func isSmallBlock(s string) *demand {
	p, err := netip.ParsePrefix(s)
	if s != "" && (err != nil || !p.Addr().Is4() || p.Bits() < 16 || p != p.Masked()) {
		return &demand{want: "an IPv4 block such as 10.1.2.0/24, /16 or smaller"}
	}
	return nil
}

func isHostPort(s string) *demand {
	host := s
	if h, p, err := net.SplitHostPort(s); err == nil {
		if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 {
			return &demand{want: "a host name with a port from 1 to 65535"}
		}
		host = h
	}
	if host == "" || isHost(host) != nil {
		return &demand{want: "a host name such as www.example.com or localhost:8443"}
	}
	return nil
}

func isAbsolute(s string) *demand {
	if !path.IsAbs(s) || path.Clean(s) != s || s == "/" {
		return &demand{want: "an absolute path below / without . and .."}
	}
	for _, taken := range []string{"/bin", "/dev", "/etc", "/lib", "/lib64", "/proc", "/run", "/sbin", "/sys", "/tmp", "/usr"} {
		if s == taken || taken != "/usr" && strings.HasPrefix(s, taken+"/") {
			return &demand{want: "a path that the system does not use itself", hint: "/srv/site is free"}
		}
	}
	return nil
}

func isInTree(s string) *demand {
	if s == "" || path.IsAbs(s) || path.Clean(s) != strings.TrimSuffix(s, "/") || s == "." || s == ".." || strings.HasPrefix(s, "../") || strings.ContainsAny(s, "*\x00") {
		return &demand{want: "a path inside the tree, relative, without . and .. and *"}
	}
	return nil
}

// managedRules are the rule groups that AWS manages, by the names the sample uses.
var managedRules = []string{
	"AWSManagedRulesAmazonIpReputationList", "AWSManagedRulesKnownBadInputsRuleSet", "AWSManagedRulesCommonRuleSet",
	"AWSManagedRulesAnonymousIpList", "AWSManagedRulesLinuxRuleSet", "AWSManagedRulesUnixRuleSet", "AWSManagedRulesWindowsRuleSet",
	"AWSManagedRulesPHPRuleSet", "AWSManagedRulesWordPressRuleSet", "AWSManagedRulesSQLiRuleSet", "AWSManagedRulesAdminProtectionRuleSet",
	"AWSManagedRulesBotControlRuleSet", "AWSManagedRulesATPRuleSet", "AWSManagedRulesACFPRuleSet", "AWSManagedRulesAntiDDoSRuleSet",
}

func isManagedRule(s string) *demand {
	for _, name := range managedRules {
		if s == name {
			return nil
		}
	}
	return &demand{want: "the name of an AWS managed rule group", hint: didYouMean(s, managedRules)}
}

// isRoute takes what the route table does: the path as it is after decoding, with
// * for any characters, and what a query says.
func isRoute(s string) *demand {
	route, query, asks := strings.Cut(s, "?")
	key, _, _ := strings.Cut(query, "=")
	if asks && (key == "" || strings.ContainsAny(key, "*&")) || !asks && isPublic(s) != nil || route != "" && isPublic(route) != nil || plainText(query) != nil {
		return &demand{want: "an exact path, /dir/*, *.ext, /dir/*.ext or ?key=value"}
	}
	return nil
}

// isPublic is isRoute for an exception, which has no query.
func isPublic(s string) *demand {
	if s == "" || s == "*" || s[0] != '/' && s[0] != '*' || strings.ContainsAny(s, `?#%\;`) || plainText(s) != nil {
		return &demand{want: "an exact path, /dir/*, *.ext or /dir/*.ext"}
	}
	return nil
}

var plainText = matching(`^[^\x00-\x20\x7f]*$`, "a text without spaces")
