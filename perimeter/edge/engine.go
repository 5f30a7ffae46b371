package edge

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ringwall/ringwall/internal/lazy"
	"github.com/ringwall/ringwall/internal/proxy"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
	"github.com/ringwall/ringwall/waf"
)

// A profile is which of the two rule sets judges a request.
type profile int

const (
	public profile = iota // visitors
	admin                 // viewers from the admin addresses
)

func (f profile) String() string { return [...]string{"public", "admin"}[f] }

// A class is a kind of attack: the control that promises to stop it, the core
// rules that do (first and last id), and what a refused visitor reads.
type class struct {
	control     string
	first, last int
	reason      string
}

var classes = []class{
	{"edge/waf-sqli", 942000, 942999, "the request looks like an SQL injection"},
	{"edge/waf-xss", 941000, 941999, "the request looks like a script injection"},
	{"edge/waf-traversal", 930000, 930999, "the request looks like an attempt to read the server's files"},
	{"edge/waf-command", 932000, 932999, "the request looks like a command injection"},
	{"edge/waf-php", 933000, 933999, "the request looks like a PHP injection"},
	{"edge/waf-rfi", 931000, 931999, "the request looks like a remote file inclusion"},
	{"edge/waf-generic", 934000, 934999, "the request looks like a code injection or an attempt to reach other servers"},
	{"edge/waf-java", 944000, 944999, "the request looks like a Java injection"},
	{"edge/waf-session", 943000, 943999, "the request looks like a session fixation"},
	{"edge/waf-scanner", 913000, 913999, "the request comes from a scanner"},
	{"edge/waf-multipart", 922000, 922999, "the upload's form is malformed"},
	{"edge/waf-protocol", 920000, 921999, "the request breaks the rules of HTTP"},
	{"edge/waf-method", 911000, 911999, "this method is not allowed"},
}

// Bounds on what the engine is given. A rule set judges every argument with every
// rule, so that their number and size decide what a request costs.
const (
	maxURI        = 8 << 10 // as CloudFront
	jsonDepth     = 64
	publicInspect = 128 << 10 // bytes of a body's part that is not files
	adminInspect  = 1 << 20
	publicArgs    = 512
	adminArgs     = 4096
	heavyBody     = 16 << 10 // bytes from which a body's inspection waits its turn: the largest take most of a second
	heavyWait     = 10 * time.Second
)

// threshold is the sum of scores from which a request is refused.
const threshold = 5

// Ids of the rules that we write.
const (
	exclusionID = 1000000
	detectID    = 2000000
)

// engines are the rule engines of a site: what is swapped when its rules change.
type engines struct {
	p     *plan.Plan
	fixed [2]func() (*waf.Engine, error) // by profile; each is built once
	heavy chan struct{}                  // holds one for each heavy body under inspection

	mu    sync.Mutex
	built map[string]*waf.Engine // by profile and by the walls that are down
}

// enter waits until a heavy body may be inspected: they get half of the
// processors at most, so that a flood of them does not stop everybody else.
func (e *engines) enter(ctx context.Context) (leave func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, heavyWait)
	defer cancel()
	select {
	case e.heavy <- struct{}{}:
		return func() { <-e.heavy }, nil
	case <-ctx.Done():
		return nil, &proxy.Refusal{Status: http.StatusServiceUnavailable, Control: "edge/waf-body", Reason: "too many large requests at once", Retry: 10}
	}
}

// newEngines makes the engines of a plan. They are built when they are first
// used; heavy, which may be nil, is that of the engines that they replace.
func newEngines(p *plan.Plan, heavy chan struct{}) *engines {
	if heavy == nil {
		heavy = make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))
	}
	e := &engines{p: p, built: map[string]*waf.Engine{}, heavy: heavy}
	for f := range e.fixed {
		e.fixed[f] = sync.OnceValues(func() (*waf.Engine, error) { return build(p, profile(f), nil) })
	}
	return e
}

// buildAll builds both profiles, so that a rule that cannot be loaded is known.
func (e *engines) buildAll() error {
	var g errgroup.Group
	for _, f := range e.fixed {
		g.Go(func() error { _, err := f(); return err })
	}
	return g.Wait()
}

// get returns the engine of a profile. In a test build it leaves out the classes
// whose walls are down. It is called after buildAll, or build's error is known.
func (e *engines) get(f profile) *waf.Engine {
	w, _ := e.fixed[f]()
	if !perimeter.CanTakeDown {
		return w
	}
	var without []class
	key := f.String()
	for _, c := range classes {
		if perimeter.Down(c.control) {
			without = append(without, c)
			key += " " + c.control
		}
	}
	if len(without) == 0 {
		return w
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if w := e.built[key]; w != nil {
		return w
	}
	less, err := build(e.p, f, without)
	if err != nil {
		return w
	}
	e.built[key] = less
	return less
}

// build compiles one profile. The core rule set's request rules are all in it,
// whatever groups the plan names.
func build(p *plan.Plan, f profile, without []class) (*waf.Engine, error) {
	directives, err := directives(p, f, without)
	if err != nil {
		return nil, err
	}
	w, err := waf.Compile(ruleFiles(p), waf.Directives(directives))
	if err != nil {
		return nil, fmt.Errorf("building the %s rule profile: %w", f, err)
	}
	if err := checkOwn(p, w); err != nil {
		return nil, err
	}
	if len(without) == 0 {
		if err := applies(p.Edge.WAF.Exclusions, w); err != nil {
			return nil, err
		}
	}
	return w, nil
}

func directives(p *plan.Plan, f profile, without []class) (string, error) {
	var b strings.Builder
	b.WriteString("Include @coraza.conf-recommended\n")
	mode := "On"
	if detects(p, f) {
		mode = "DetectionOnly"
	}
	paranoia := min(max(p.Edge.WAF.Paranoia, 1), 4)
	methods := "GET HEAD POST OPTIONS"
	if f == admin {
		methods += " PUT PATCH DELETE"
	}
	settings := fmt.Sprintf(`SecRuleEngine %s
SecRequestBodyAccess On
SecRequestBodyLimit %d
SecRequestBodyNoFilesLimit %d
SecRequestBodyJsonDepthLimit %d
SecArgumentsLimit %d
SecResponseBodyAccess Off
SecAuditEngine Off
`, mode, 4*adminInspect, 4*adminInspect, jsonDepth, boundsOf(f).args)
	b.WriteString(settings)
	fmt.Fprintf(&b, `SecDefaultAction "phase:1,log,noauditlog,pass"
SecDefaultAction "phase:2,log,noauditlog,pass"
SecAction "id:900000,phase:1,pass,t:none,nolog,setvar:tx.crs_setup_version=4250,setvar:tx.blocking_paranoia_level=%d,setvar:tx.detection_paranoia_level=%d"
SecAction "id:900110,phase:1,pass,t:none,nolog,setvar:tx.inbound_anomaly_score_threshold=%d,setvar:tx.early_blocking=1"
SecAction "id:900200,phase:1,pass,t:none,nolog,setvar:'tx.allowed_methods=%s'"
`, paranoia, paranoia, threshold, methods)
	if f == admin {
		for _, name := range p.Edge.WAF.AdminPlugins {
			rules, ok := adminRules[name]
			if !ok {
				return "", fmt.Errorf("building the admin rule profile: got exclusion set %q, want wordpress or node-red", name)
			}
			b.WriteString(rules)
		}
	}
	for i, x := range p.Edge.WAF.Exclusions {
		rule, err := exclusion(i, x)
		if err != nil {
			return "", err
		}
		b.WriteString(rule)
	}
	for i, path := range p.Edge.WAF.DetectOnlyPaths {
		rule, err := onPath(detectID+i, path, "ctl:ruleEngine=DetectionOnly")
		if err != nil {
			return "", fmt.Errorf("reading waf.detectOnlyPaths: %w", err)
		}
		b.WriteString(rule)
	}
	b.WriteString("Include @owasp_crs/REQUEST-9[0-3]*.conf\nInclude @owasp_crs/REQUEST-94[0-8]*.conf\n")
	// The user's own rules can update and remove those above, and add to the score
	// that those below judge. The settings of the engine are not theirs.
	for _, file := range p.Edge.WAF.Rules {
		fmt.Fprintf(&b, "Include \"%s\"\n", ruleName(p, file.File))
	}
	b.WriteString(settings)
	b.WriteString("Include @owasp_crs/REQUEST-949*.conf\n")
	for _, c := range without {
		fmt.Fprintf(&b, "SecRuleRemoveById %d-%d\n", c.first, c.last)
	}
	return b.String(), nil
}

// detects says whether a profile logs everywhere and refuses nowhere.
func detects(p *plan.Plan, f profile) bool {
	return p.Edge.WAF.DetectOnly || slices.Contains(p.Edge.WAF.DetectOnlyProfiles, f.String())
}

var (
	exclusionTarget = lazy.Regexp(`^[A-Z_]+(:[A-Za-z0-9_.\-\[\]*]+)?$`)
	exclusionItem   = lazy.Regexp(`(^|[.\[])\*([.\]]|$)`)
	exclusionPath   = lazy.Regexp(`^/[A-Za-z0-9._~!$&()+,;=:@%/\-]*\*?$`)
)

// exclusion writes one of the user's exclusions as a rule.
func exclusion(i int, x plan.Exclusion) (string, error) {
	doing := fmt.Sprintf("reading WAF exclusion %d", i+1)
	switch {
	case (x.Rule < 900000 || x.Rule > 999999) && (x.Rule < 1 || x.Rule > MaxOwnID):
		return "", fmt.Errorf("%s: got rule %d, want the id of a core rule, such as 942100, or of one of your own", doing, x.Rule)
	case x.Target != "" && !exclusionTarget().MatchString(x.Target):
		return "", fmt.Errorf("%s: got target %q, want a variable such as ARGS:content", doing, x.Target)
	}
	target, ok := itemsOf(x.Target)
	if !ok {
		return "", fmt.Errorf("%s: got target %q, want * only for the number of an item, such as ARGS:json.items.*.name", doing, x.Target)
	}
	ctl := "ctl:ruleRemoveById=" + strconv.Itoa(x.Rule)
	if x.Target != "" {
		ctl = "ctl:ruleRemoveTargetById=" + strconv.Itoa(x.Rule) + ";" + target
	}
	rule, err := onPath(exclusionID+i, x.Path, ctl)
	if err != nil {
		return "", fmt.Errorf("%s: %w", doing, err)
	}
	return rule, nil
}

// itemsOf writes a target in which * stands for the number of any item of a list
// as rules do; ok is false where it stands for something else.
func itemsOf(target string) (rule string, ok bool) {
	variable, key, _ := strings.Cut(target, ":")
	if !strings.Contains(key, "*") {
		return target, true
	}
	var b strings.Builder
	for rest := key; rest != ""; {
		at := exclusionItem().FindStringSubmatchIndex(rest)
		if at == nil {
			b.WriteString(regexp.QuoteMeta(rest))
			break
		}
		b.WriteString(regexp.QuoteMeta(rest[:at[3]]) + `\d+`)
		rest = rest[at[4]:]
	}
	if strings.Contains(b.String(), `\*`) {
		return "", false
	}
	return variable + ":/^" + b.String() + "$/", true
}

// applies says what keeps an exclusion from having any effect: its rule is not
// there, or does not read what it names.
func applies(list []plan.Exclusion, w *waf.Engine) error {
	rules := map[int]*waf.Rule{}
	for _, r := range w.Rules() {
		rules[r.ID] = r
	}
	for i, x := range list {
		r := rules[x.Rule]
		variable, _, _ := strings.Cut(x.Target, ":")
		switch {
		case r == nil:
			return fmt.Errorf("reading WAF exclusion %d: got rule %d, which is not one of those that judge requests", i+1, x.Rule)
		case variable != "" && !slices.Contains(r.Variables, variable):
			return fmt.Errorf("reading WAF exclusion %d: got target %s, and rule %d reads %s", i+1, x.Target, x.Rule, strings.Join(r.Variables, ", "))
		}
	}
	return nil
}

// onPath writes a rule that does something for requests to a path. The path is
// compared with the request's decoded and cleaned one, so that
// /excluded/../other does not profit from it.
func onPath(id int, path, action string) (string, error) {
	op, plain := "@streq", path
	if p, ok := strings.CutSuffix(path, "*"); ok {
		op, plain = "@beginsWith", p
	}
	if path == "/" {
		op, plain = "@rx", "^//?$" // normalizePath writes the root as two slashes
	}
	if !exclusionPath().MatchString(path) {
		return "", fmt.Errorf("got path %q, want an absolute path, with * at its end at most", path)
	}
	return fmt.Sprintf("SecRule REQUEST_FILENAME \"%s\" \"id:%d,phase:1,pass,nolog,t:none,t:urlDecodeUni,t:normalizePath,%s\"\n",
		op+" "+plain, id, action), nil
}

// Excludable says whether an exclusion can be written down: nil, or why not.
func Excludable(x plan.Exclusion) error {
	_, err := exclusion(0, x)
	return err
}
