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
	Rules          []RuleFile  // the user's own rules, both profiles, in order

	DetectOnlyProfiles []string // profiles (public, admin) that only log
	DetectOnlyPaths    []string // exact paths, or prefixes that end in *, where both profiles only log
	Record             int      // how many good requests to keep for tuning, one per shape; 0: none
}

// A RuleFile is a file of rules in SecLang, read with the configuration: what
// judges requests must not open the owner's files.
type RuleFile struct {
	File string // absolute path
	Text string
}

// An Exclusion switches one rule off for one target on one path.
type Exclusion struct {
	Rule   int    `json:"rule"`             // rule id
	Path   string `json:"path"`             // exact path, or a prefix that ends in *
	Target string `json:"target,omitempty"` // a variable such as ARGS:content, with * for the number of an item of a list; empty: the rule as a whole
	Reason string `json:"reason"`
}

// Same says whether two exclusions leave out the same, whatever their reasons.
func (x Exclusion) Same(y Exclusion) bool {
	return x.Rule == y.Rule && x.Path == y.Path && x.Target == y.Target
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
