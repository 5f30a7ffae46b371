package difftest

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What rules of a user's own are made of. Left out is what Coraza does not do, or
// does otherwise for a reason that ARCHITECTURE.md has.
var (
	anyVariables = strings.Fields(`ARGS ARGS_GET ARGS_POST ARGS_NAMES ARGS_GET_NAMES ARGS_POST_NAMES ARGS_COMBINED_SIZE REQUEST_COOKIES REQUEST_COOKIES_NAMES REQUEST_HEADERS REQUEST_HEADERS_NAMES
		REQUEST_URI REQUEST_URI_RAW REQUEST_FILENAME REQUEST_BASENAME REQUEST_LINE REQUEST_METHOD REQUEST_PROTOCOL QUERY_STRING REQUEST_BODY REQUEST_BODY_LENGTH REQBODY_PROCESSOR REQBODY_ERROR
		REMOTE_ADDR REMOTE_PORT SERVER_NAME FILES FILES_NAMES FILES_COMBINED_SIZE MULTIPART_FILENAME MULTIPART_NAME MULTIPART_STRICT_ERROR XML:/* XML://@* TX:a TX:b TX:0 TX:1
		RESPONSE_STATUS RESPONSE_HEADERS RESPONSE_BODY RESPONSE_CONTENT_TYPE HIGHEST_SEVERITY ARGS:q ARGS:id ARGS:a.b REQUEST_HEADERS:user-agent
		REQUEST_HEADERS:Host REQUEST_COOKIES:x ARGS:/^[a-q]/ ARGS_NAMES:/a/ REQUEST_HEADERS:/-/`)
	anyMatched = strings.Fields("MATCHED_VAR MATCHED_VARS MATCHED_VAR_NAME MATCHED_VARS_NAMES")
	anySteps   = strings.Fields(`base64Decode base64DecodeExt base64Encode cmdLine compressWhitespace cssDecode escapeSeqDecode hexDecode hexEncode htmlEntityDecode jsDecode length lowercase md5 none normalisePath
		normalizePathWin removeNulls removeWhitespace replaceComments removeCommentsChar removeComments replaceNulls urlDecode uppercase urlDecodeUni urlEncode utf8toUnicode sha1 trimLeft trimRight trim`)
	anyWords = strings.Fields(`select union script alert a e id etc passwd x 1 0 php html or and http javascript on < ' ; -- ../ %00 = cmd exec localhost GET POST json`)
)

// rules makes a file of rules that are unlike each other.
func (g *generator) rules() string {
	var b strings.Builder
	f := &anyFile{generator: g, b: &b, steps: g.Perm(len(anySteps)), jumps: g.one(2)}
	b.WriteString("SecRequestBodyAccess On\nSecResponseBodyAccess On\nSecResponseBodyMimeType text/plain\nSecRuleEngine " + g.pick("On", "On", "DetectionOnly") + "\n")
	b.WriteString("SecRule ARGS|REQUEST_HEADERS \"@rx a\" \"id:9003,phase:2,log,pass\"\nSecRuleUpdateTargetById 9003 \"!" + g.pick("ARGS:q", "REQUEST_HEADERS:Host", "ARGS:/^i/", "REQUEST_HEADERS") + "\"\n")
	b.WriteString(`SecRule REQUEST_HEADERS:Content-Type "@rx json" "id:9001,phase:1,pass,nolog,ctl:requestBodyProcessor=JSON"` + "\n")
	b.WriteString(`SecRule REQUEST_HEADERS:Content-Type "@rx xml" "id:9002,phase:1,pass,nolog,ctl:requestBodyProcessor=XML"` + "\n")
	for id := 1; id <= 40; id++ {
		if f.jumps && id%10 == 0 && id < 40 {
			fmt.Fprintf(&b, "SecMarker M%d\n", id/10-1)
		}
		first := fmt.Sprintf("id:%d,phase:%d,log,%s", id, 1+g.IntN(5), g.pick("pass", "pass", "pass", "pass", "pass", "pass", "pass", "pass", "deny", "deny,status:418", "drop", "allow", "allow:phase", "allow:request", "block", "redirect:/x"))
		switch g.IntN(14) {
		case 0:
			fmt.Fprintf(&b, "SecAction \"%s%s\"\n", first, g.effects())
			continue
		case 1:
			first += fmt.Sprintf(",skip:%d", 1+g.IntN(3))
		case 2:
			if f.jumps {
				first += fmt.Sprintf(",skipAfter:M%d", g.IntN(4))
			}
		case 3:
			first += ",tag:t1,severity:" + g.pick("2", "3", "5")
		}
		chain := g.one(5)
		if chain {
			first += ",chain"
		}
		f.rule(first)
		if chain {
			if more := g.one(3); more {
				f.rule("chain")
			}
			f.rule("t:none")
		}
	}
	if f.jumps {
		b.WriteString("SecMarker M3\n")
	}
	return b.String()
}

// An anyFile is a file that is written. A transformation begins one chain only:
// Coraza keeps what a chain makes of a value by the value's place among those that
// a rule reads, and so takes it for that of another. After none, another chain
// would begin. Its markers set MATCHED_VAR.
type anyFile struct {
	*generator
	b     *strings.Builder
	steps []int // that began no chain yet
	jumps bool  // there are markers, and no rule reads what was matched
}

func (g *anyFile) rule(actions string) {
	var targets []string
	for range 1 + g.IntN(3) {
		v := anyVariables[g.IntN(len(anyVariables))]
		if !g.jumps && g.one(12) {
			v = anyMatched[g.IntN(len(anyMatched))]
			if slices.Contains(targets, v) { // it has changed by then, and Coraza keeps what it was
				continue
			}
		}
		name, _, keyed := strings.Cut(v, ":")
		switch {
		case g.one(10):
			v = "&" + v
		case g.one(8) && !keyed && (name == "ARGS" || name == "REQUEST_HEADERS" || name == "REQUEST_COOKIES"):
			v += "|!" + v + ":" + g.pick("id", "user-agent", "/a/", "x")
		}
		if targets = append(targets, v); v[0] == '&' {
			targets = targets[len(targets)-1:] // Coraza takes it for the value of another
			break
		}
	}
	for i := range g.IntN(4) {
		step := g.IntN(len(anySteps))
		if i == 0 {
			if len(g.steps) == 0 {
				break
			}
			step, g.steps = g.steps[0], g.steps[1:]
		}
		if anySteps[step] == "none" {
			if i == 0 {
				actions += ",t:none"
			}
			break
		}
		actions += ",t:" + anySteps[step]
	}
	if g.one(4) {
		actions += ",capture"
	}
	if g.one(8) {
		actions += ",multiMatch"
	}
	fmt.Fprintf(g.b, "SecRule %s \"%s%s\" \"%s%s\"\n", strings.Join(targets, "|"), g.pick("", "", "", "!"), g.operator(), actions, g.effects())
}

func (g *generator) operator() string {
	w := func() string { return anyWords[g.IntN(len(anyWords))] }
	n := g.pick("0", "1", "5", "100", "%{tx.a}", "%{tx.b}")
	q := regexp.QuoteMeta
	return g.pick("@rx "+q(w()), "@rx (?i)"+q(w()), "@rx ^"+q(w()), "@rx "+q(w())+"$", `@rx (\w+)`+q(w()), `@rx ^(\d+)$`, `@rx [^a-z0-9]`, `@rx `+q(w())+`.*`+q(w()), `@rx \b`+q(w())+`\b`, `@rx (`+q(w())+`|`+q(w())+`)`, `@rx ^$`, `@rx \x00|\xff`,
		"@pm "+w()+" "+w()+" "+w(), "@contains "+w(), "@contains %{tx.0}", "@beginsWith "+w(), "@endsWith "+w(), "@streq "+w(), "@streq %{tx.1}", "@within "+w()+" "+w()+" GET,POST localhost", "@strmatch "+w(),
		"@eq "+n, "@gt "+n, "@lt "+n, "@ge "+n, "@le "+n, "@validateByteRange 32-126,9", "@validateByteRange 1-255", "@validateUrlEncoding", "@validateUtf8Encoding", "@detectSQLi", "@detectXSS", "@ipMatch 127.0.0.0/8,::1", "@unconditionalMatch", "@noMatch")
}

func (g *generator) effects() string {
	if !g.one(3) {
		return ""
	}
	return "," + g.pick("setvar:tx.a=+1", "setvar:tx.b=%{MATCHED_VAR}", "setvar:tx.a=-2", "setvar:'tx.a=+%{tx.b}'", "setvar:tx.%{MATCHED_VAR_NAME}=1", "setvar:tx.b=%{tx.0}", "ctl:ruleRemoveById=7", "ctl:ruleRemoveById=20-30", "ctl:ruleRemoveByTag=t1",
		"ctl:ruleRemoveTargetById=1-40;ARGS:q", "ctl:ruleRemoveTargetByTag=t1;ARGS", "ctl:ruleEngine=DetectionOnly", "msg:'%{MATCHED_VAR_NAME} %{tx.a}',logdata:'%{MATCHED_VAR}'")
}

// stubborn is how many times more than usual Coraza is asked once more.
const stubborn = 50

// TestAnyRules compares verdicts under rules that nobody would write. WAF_RULES is
// the number of files and WAF_SEED repeats a run.
func TestAnyRules(t *testing.T) {
	usual := uint64(150)
	if slow {
		usual = 5
	}
	n, seed := number(t, "WAF_RULES", usual), number(t, "WAF_SEED", rand.Uint64()>>16)
	t.Logf("%d files of rules; to repeat: WAF_SEED=%d WAF_RULES=%d", n, seed, n)
	from := stages(t)
	asked, matched, unstable, different := 0, 0, 0, 0
	for i := range n {
		g := newGenerator(seed+i, from)
		text := g.rules()
		a, b := newTheirs(t, text), newOurs(t, text)
		shown := false
		for range 20 {
			r := g.next()
			if g.one(2) {
				r = g.odd()
			}
			want, got := a.judge(&r), b.judge(&r)
			asked++
			if len(want.Rules) > 0 {
				matched++
			}
			bad, stable := differs(a, &r, want, got)
			for range stubborn { // the last of a thousand values may matter, and is left to chance
				if !bad {
					break
				}
				bad, stable = differs(a, &r, want, got)
			}
			if !stable {
				unstable++
			}
			if bad && losesValues(&r) {
				continue
			}
			if bad {
				if different++; !shown {
					shown = true
					var lines []string
					for line := range strings.Lines(text) {
						for _, id := range append(slices.Clone(want.Rules), got.Rules...) {
							if slices.Contains(want.Rules, id) != slices.Contains(got.Rules, id) && strings.Contains(line, fmt.Sprintf("\"id:%d,", id)) {
								lines = append(lines, line)
							}
						}
					}
					t.Errorf("seed %d:\n%s\ngot  %v\n     %q\nwant %v\n     %q\n%s", seed+i, r.String(), got, got.matches, want, want.matches, strings.Join(lines, ""))
				}
			}
		}
	}
	t.Logf("%d requests: %d matched a rule, %d differ, on %d Coraza is not of one mind", asked, matched, different, unstable)
}
