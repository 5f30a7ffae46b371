package edge

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/ringwall/ringwall/internal/proxy"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/waf"
)

// inspect has the rules judge a request, header first and then body. The body is
// read and put back; seen is what the rules saw of it, and done releases what holds it and must be called when the
// request has been served.
func (e *Edge) inspect(rules *engines, r *http.Request, rec *proxy.Record, f profile, path string) (seen []byte, done func(), err error) {
	done = func() {}
	bounds := boundsOf(f)
	if n := strings.Count(r.URL.RawQuery, "&"); n >= bounds.args && !perimeter.Down("edge/waf-args") {
		return nil, done, tooMany("query parameters", n+1, bounds.args)
	}
	tx := rules.get(f).NewTransaction()
	defer func() {
		if e.observe != nil {
			e.observe(rec, tx)
		}
		_ = tx.Close()
	}()
	tx.ProcessConnection(rec.Addr.String(), 0, "", 0)
	tx.ProcessURI(r.RequestURI, r.Method, r.Proto)
	tx.SetServerName(r.Host)
	for name, values := range r.Header {
		for _, v := range values {
			tx.AddRequestHeader(name, v)
		}
	}
	tx.AddRequestHeader("Host", r.Host)
	for _, v := range r.TransferEncoding {
		tx.AddRequestHeader("Transfer-Encoding", v)
	}
	if tx.ProcessRequestHeaders() != nil {
		return nil, done, refusal(tx)
	}
	if r.Body != nil && r.Body != http.NoBody && !rules.skipsBody(r, f, path) {
		var err error
		seen, done, err = readBody(r, bounds)
		if err != nil {
			return nil, done, err
		}
		if len(seen) > heavyBody {
			leave, err := rules.enter(r.Context())
			if err != nil {
				return nil, done, err
			}
			defer leave()
		}
		if it, _, err := tx.WriteRequestBody(seen); it != nil || err != nil {
			return nil, done, refusal(tx)
		}
	}
	it, err := tx.ProcessRequestBody()
	switch {
	case it != nil:
		return nil, done, refusal(tx)
	case err != nil:
		return nil, done, &proxy.Refusal{Status: http.StatusBadRequest, Control: "edge/waf", Reason: "the request's body could not be read", Detail: err.Error()}
	case tx.WouldInterrupt() != nil:
		ref := refusal(tx)
		rec.Refusal = &proxy.Refused{Control: ref.Control, Reason: ref.Reason, Detail: ref.Detail, Rules: ref.Rules, Logged: true, Score: ref.Score, Threshold: ref.Threshold}
	}
	return seen, done, nil
}

// skipsBody says whether the plan excepts the body of a request from inspection:
// on the admin profile, under the named paths, and a picture that the block
// editor sends as the body itself.
func (e *engines) skipsBody(r *http.Request, f profile, path string) bool {
	if f != admin {
		return false
	}
	for _, prefix := range e.p.Edge.WAF.AdminBodySkips {
		if under(path, prefix) {
			return true
		}
	}
	if slices.Contains(e.p.Edge.WAF.AdminPlugins, "wordpress") && (path == "/wp-json/wp/v2/media" || path == "/index.php/wp-json/wp/v2/media") {
		t := strings.ToLower(r.Header.Get("Content-Type"))
		return strings.HasPrefix(t, "image/") || strings.HasPrefix(t, "video/") || strings.HasPrefix(t, "audio/") || strings.HasPrefix(t, "application/pdf")
	}
	return false
}

// under says whether a cleaned path is prefix or lies under it.
func under(path, prefix string) bool {
	prefix = strings.TrimSuffix(strings.TrimSuffix(prefix, "*"), "/")
	return path == prefix || strings.HasPrefix(path, prefix+"/")
}

// maxRules bounds how many matched rules a refusal lists.
const maxRules = 16

// refusal describes a transaction that was interrupted, or would be where the
// rules only log: the class of the attack, and each rule that matched with where
// it matched.
func refusal(tx *waf.Transaction) *proxy.Refusal {
	ref := &proxy.Refusal{Status: http.StatusForbidden, Control: "edge/waf", Reason: "the request looks like an attack"}
	it := cmp.Or(tx.Interruption(), tx.WouldInterrupt())
	if it == nil {
		it = &waf.Interruption{RuleID: -1}
	}
	if it.Status >= 400 {
		ref.Status = it.Status
	}
	switch {
	case it.RuleID == 0:
		ref.Control, ref.Reason, ref.Detail = "edge/waf-body", "the request is more than can be inspected", "over the limit of "+it.Data
	case it.RuleID > 0 && it.RuleID <= MaxOwnID:
		ref.Reason, ref.Detail = "a rule of this site refuses the request", fmt.Sprintf("rule %d of the site's own", it.RuleID)
	case sums(it.RuleID):
		ref.Threshold = threshold
	}
	scores := make([]int, len(classes))
	for _, m := range tx.MatchedRules() {
		id := m.Rule.ID
		if m.Message == "" && id != it.RuleID || sums(id) {
			continue
		}
		s := score(m.Rule.Severity)
		if s == 0 && id != it.RuleID {
			continue
		}
		if ref.Threshold > 0 {
			ref.Score += s
		}
		for i, c := range classes {
			if id >= c.first && id <= c.last {
				scores[i] += s
			}
		}
		if len(ref.Rules) < maxRules {
			ref.Rules = append(ref.Rules, rule(m, s))
		}
	}
	best := 0
	for i, s := range scores {
		if s > best && (it.RuleID < 1 || it.RuleID > MaxOwnID) {
			best = s
			ref.Control, ref.Reason = classes[i].control, classes[i].reason
		}
	}
	if ref.Status == http.StatusBadRequest {
		ref.Reason = "the request's body is malformed"
	}
	return ref
}

// sums says whether a rule is one of those that judge the sum of the scores.
func sums(id int) bool { return id == 949110 || id == 949111 }

// score is what the core rule set adds to the anomaly score for a severity.
func score(s waf.Severity) int {
	switch s {
	case waf.SeverityCritical:
		return 5
	case waf.SeverityError:
		return 4
	case waf.SeverityWarning:
		return 3
	case waf.SeverityNotice:
		return 2
	}
	return 0
}

func rule(m waf.MatchedRule, score int) proxy.Rule {
	r := proxy.Rule{ID: m.Rule.ID, Message: m.Message, Score: score}
	for _, d := range m.Matches {
		if d.Variable == "TX" || d.Variable == "MATCHED_VAR" {
			continue
		}
		target := d.Variable
		if d.Key != "" {
			target += ":" + excerpt(d.Key, 256) // names of JSON are long, and an exclusion has to have the whole
		}
		switch {
		case r.Target == "":
			r.Target, r.Value = target, excerpt(d.Value, 80)
			if hides(d.Variable, d.Key, d.Value) {
				r.Value = proxy.Mask
			}
		case d.Chain == 0 && target != r.Target && !slices.Contains(r.Also, target) && len(r.Also) < maxRules:
			r.Also = append(r.Also, target)
		}
	}
	return r
}

// hides says whether what a rule matched may hold a secret.
func hides(variable, key, value string) bool {
	switch variable {
	case "REQUEST_COOKIES", "REQUEST_COOKIES_NAMES":
		return true
	case "REQUEST_LINE", "REQUEST_URI", "REQUEST_URI_RAW", "QUERY_STRING", "REQUEST_BODY", "FULL_REQUEST":
		return proxy.Secret(value)
	case "ARGS_NAMES", "ARGS_GET_NAMES", "ARGS_POST_NAMES", "REQUEST_HEADERS_NAMES":
		return false
	}
	return proxy.Secret(key)
}

// excerpt shortens what a visitor sent for the log.
func excerpt(s string, n int) string {
	if len(s) > n {
		s = s[:n] + "…"
	}
	return strings.ToValidUTF8(s, "\ufffd")
}

func tooMany(what string, got, want int) error {
	return &proxy.Refusal{Status: http.StatusRequestEntityTooLarge, Control: "edge/waf-args", Reason: "the request has too many parameters",
		Detail: fmt.Sprintf("%s: got %d, want %d or fewer", what, got, want)}
}
