package plan

import "time"

// Edge holds the settings of perimeter 2.
type Edge struct {
	Allowed      Match    // viewers that may ask at all
	ManagedRules []string // the sample's names of AWS managed rule groups
	WAF          WAF
	MaxBody      int64  // bytes; larger requests are refused with 413
	MaxUpload    int64  // bytes; the same limit for viewers from the admin addresses
	CertFile     string // with KeyFile: a given certificate; empty: a local CA signs one
	KeyFile      string
	Cache        Cache
}

// WAF settings of the two rule profiles: the public one, and the one for viewers
// from the admin addresses.
type WAF struct {
	Off            bool        // only for benchmarks; every WAF control is then Unknown
	Paranoia       int         // 1 to 4
	DetectOnly     bool        // log what would be refused
	AdminPlugins   []string    // exclusion sets of the admin profile: wordpress, node-red
	AdminBodySkips []string    // path prefixes whose body the admin profile does not inspect
	Exclusions     []Exclusion // the user's own, both profiles
}

// An Exclusion switches one rule off for one target on one path.
type Exclusion struct {
	Rule   int    // rule id
	Path   string // exact path, or a prefix that ends in *
	Target string // a variable such as ARGS:content; empty: the rule as a whole
	Reason string
}

// Cache settings (RFC 9111). Nothing that depends on a cookie, an authorization
// header or the tier is ever stored.
type Cache struct {
	Off                        bool
	MinTTL, DefaultTTL, MaxTTL time.Duration // MinTTL never overrides no-store or private
	Uncached                   []string      // path patterns with * (the whole request URI), never stored
	ForwardedCookies           []string      // cookie name patterns that reach the app; the rest is dropped for visitors
	MaxBytes                   int64         // of all entries
	MaxEntry                   int64
}
