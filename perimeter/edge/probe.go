package edge

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

var controls = slices.Concat([]*perimeter.Control{
	{
		ID:      "edge/tls-version",
		Doc:     "TLS 1.2 and 1.3 only, with ciphers that authenticate and keep past sessions secret.",
		Why:     "Old versions can be broken on the way, and with them every password that passes.",
		Vantage: perimeter.Internet,
		Probe:   probeTLS,
	},
	{
		ID:      "edge/allow-list",
		Doc:     "Only the addresses on the plan's list may ask, whatever a request says of itself.",
		Why:     "A site that is open to one company would be open to everybody.",
		Vantage: perimeter.Internet,
		Applies: func(p *plan.Plan) bool { return !p.Edge.Allowed.Any && p.Network.Stranger.IsValid() },
		AWS:     strangerOnAWS,
		Probe:   probeAllowList,
	},
	{
		ID:      "edge/viewer-header",
		Doc:     "What a visitor says of its own address counts for nothing.",
		Why:     "One header would make any visitor an administrator.",
		Vantage: perimeter.Internet,
		Applies: func(p *plan.Plan) bool { return p.Network.Office.IsValid() },
		Probe:   probeViewerHeader,
	},
	{
		ID:      "edge/secret-header",
		Doc:     "The secret between edge and balancer is ours: a visitor's is dropped, and nobody is told.",
		Why:     "Who knows it speaks to the balancer as if it were the edge.",
		Vantage: perimeter.Internet,
		Probe:   probeSecretHeader,
	},
	{
		ID:      "edge/request-id",
		Doc:     "Every answer has a request id of ours, new each time.",
		Why:     "An attacker who picks the id hides its requests among others in the logs.",
		Vantage: perimeter.Internet,
		Probe:   probeRequestID,
	},
	{
		ID:      "edge/methods",
		Doc:     "Methods that no app needs are refused.",
		Why:     "TRACE shows cookies that scripts must not see; CONNECT makes a proxy of the site.",
		Vantage: perimeter.Internet,
		Probe:   probeMethods,
	},
	{
		ID:      "edge/uri-length",
		Doc:     "An address has a bounded length.",
		Why:     "Endless addresses cost inspection and logs, and some apps cut them where it hurts.",
		Vantage: perimeter.Internet,
		Probe:   probeURILength,
	},
	{
		ID:      "edge/body-limit",
		Doc:     "A body that says it is too large is refused before it is read.",
		Why:     "A few large uploads would fill memory and disks.",
		Vantage: perimeter.Internet,
		AWS:     &perimeter.AWS{Probe: probeBodyOnAWS},
		Probe:   probeBodyLimit,
	},
	{
		ID:      "edge/security-headers",
		Doc:     "Answers and refusals tell the browser how to defend the site.",
		Why:     "Pages could be framed by others, or files run as what they are not.",
		Vantage: perimeter.Internet,
		Probe:   probeSecurityHeaders,
	},
	{
		ID:      "edge/server-headers",
		Doc:     "No answer names the software behind it.",
		Why:     "A version number tells an attacker which holes to try.",
		Vantage: perimeter.Internet,
		Probe:   probeServerHeaders,
	},
	{
		ID:      "edge/smuggling",
		Doc:     "A request whose end two readers could see in different places is refused, or is the last of its connection.",
		Why:     "A second request, hidden in the first, would pass the walls unseen or be answered to the next visitor.",
		Vantage: perimeter.Internet,
		Probe:   probeSmuggling,
	},
}, wafControls, cacheControls)

func probeTLS(ctx context.Context, t *perimeter.Target) error {
	try := func(version uint16, suites ...uint16) error {
		l, err := t.TLS(ctx, plan.Internet, func(c *tls.Config) {
			c.MinVersion, c.MaxVersion, c.CipherSuites = version, version, suites
			c.NextProtos = nil
		})
		if err == nil {
			l.Close()
		}
		return err
	}
	for _, v := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		if err := try(v); err != nil {
			return fmt.Errorf("opening a session with %s, which is allowed: %w", tls.VersionName(v), err)
		}
	}
	all := slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites())
	var any, weak []uint16
	for _, s := range all {
		if !slices.Contains(s.SupportedVersions, tls.VersionTLS12) {
			continue
		}
		any = append(any, s.ID)
		if strings.Contains(s.Name, "CBC") || strings.HasPrefix(s.Name, "TLS_RSA_") || strings.Contains(s.Name, "RC4") {
			weak = append(weak, s.ID)
		}
	}
	for _, x := range []struct {
		name    string
		version uint16
		suites  []uint16
	}{
		{"TLS 1.0", tls.VersionTLS10, any}, {"TLS 1.1", tls.VersionTLS11, any},
		{"TLS 1.2 with ciphers that do not authenticate, or whose key opens past sessions", tls.VersionTLS12, weak},
	} {
		t.Tried("a session with %s", x.name)
		err := try(x.version, x.suites...)
		_, alert := errors.AsType[tls.AlertError](err)
		_, op := errors.AsType[*net.OpError](err) // crypto/tls wraps the peer's alert in one
		switch {
		case err == nil:
			t.Broken("a session with %s was opened", x.name)
		case ctx.Err() != nil:
			return ctx.Err()
		case alert || op && strings.Contains(err.Error(), "remote error: tls"):
			t.Saw("%s → %v", x.name, err)
		default:
			return fmt.Errorf("opening a session with %s: %w", x.name, err)
		}
	}
	return nil
}

const classAllow = "this site is not open to your address"

func probeAllowList(ctx context.Context, t *perimeter.Target) error {
	ok := t.Asker(plan.Internet)
	defer ok.Close()
	ans, err := ok.Ask(ctx, perimeter.Request{})
	if err != nil {
		return err
	}
	if ans.Wall {
		return fmt.Errorf("an address on the list was answered with %s, so that a refusal would prove nothing", ans)
	}
	visitor := t.Plan.Network.Visitor.String()
	attacks := []perimeter.Attack{{Name: "a request from an address that is not on the list"}}
	for _, h := range []string{"X-Forwarded-For", plan.HeaderViewer, "X-Real-IP", "True-Client-IP"} {
		attacks = append(attacks, perimeter.Attack{Name: "the same, with " + h + " of one that is", Request: perimeter.Request{Header: []string{h + ": " + visitor}}})
	}
	for i := range attacks {
		attacks[i].Status, attacks[i].Class = http.StatusForbidden, classAllow
	}
	return t.Refuses(ctx, t.Asker(perimeter.Stranger), nil, attacks)
}

// viewerHeaders are ways to claim another address.
func viewerHeaders(a string) []string {
	return []string{
		plan.HeaderViewer + ": " + a, "x-ringwall-viewer: " + a, "X_Ringwall_Viewer: " + a, "X-Ringwall_Viewer: " + a,
		"X-Forwarded-For: " + a, "X_Forwarded_For: " + a, "X-Real-IP: " + a, "True-Client-IP: " + a, "Client-IP: " + a,
		"CF-Connecting-IP: " + a, "CloudFront-Viewer-Address: " + a + ":443", "Forwarded: for=" + a, "X-Client-IP: " + a,
		"X-Cluster-Client-IP: " + a, "Fastly-Client-IP: " + a, "X-Originating-IP: " + a, "X-Forwarded-For: 127.0.0.1", plan.HeaderViewer + ": 127.0.0.1",
		"X-Envoy-External-Address: " + a, "Via: 1.1 " + a, "Connection: " + plan.HeaderViewer,
	}
}

func probeViewerHeader(ctx context.Context, t *perimeter.Target) error {
	tier, err := tierJudge(ctx, t)
	if err != nil {
		return err
	}
	a := t.Asker(plan.Internet)
	defer a.Close()
	headers := viewerHeaders(t.Plan.Network.Office.String())
	for i := range len(headers) + 1 {
		h := headers
		name := "all of these at once"
		if i < len(headers) {
			h, name = headers[i:i+1], headers[i]
		}
		t.Tried("%s", name)
		ans, err := a.Ask(ctx, perimeter.Request{URI: fresh(tier.uri), Header: h})
		if err != nil {
			return err
		}
		if err := tier.judge(ans, name); err != nil {
			return err
		}
	}
	return nil
}

// classesOfFunction are the refusals of the edge function on AWS, which asks no tier.
var classesOfFunction = []string{classAllow, "the request is ambiguous", "this site does not answer to that name"}

// A tierJudge tells which tier answered: by the site's own access log, or
// elsewhere by an administrators' page, which only fleet refuses.
type judgeOfTier struct {
	t   *perimeter.Target
	uri string
}

const classAdmin = "this part of the site is open to its administrators only"

// tierJudge first sees to it that it can tell an administrator from a visitor.
func tierJudge(ctx context.Context, t *perimeter.Target) (*judgeOfTier, error) {
	j := &judgeOfTier{t: t, uri: orElse(t.Plan.Balancer.HealthPath, "/")}
	if t.Site == nil {
		i := slices.IndexFunc(t.Plan.Webserver.AdminRoutes, func(s string) bool { return strings.HasPrefix(s, "/") })
		if i < 0 {
			return nil, errors.New("the plan has no administrators' pages, and the site's log is elsewhere: nothing tells who answered")
		}
		j.uri = strings.ReplaceAll(t.Plan.Webserver.AdminRoutes[i], "*", "ringwall-probe")
	}
	for node, want := range map[string]string{plan.Internet: plan.Fleet, plan.Office: plan.Admin} {
		if node == plan.Office && t.Site == nil {
			continue
		}
		a := t.Asker(node)
		ans, err := a.Ask(ctx, perimeter.Request{URI: fresh(j.uri)})
		a.Close()
		if err != nil {
			return nil, err
		}
		if got, err := j.tier(ans); err != nil || got != want {
			return nil, fmt.Errorf("without any header %s was answered by %q (%s), want %s, so that a spoofed one would prove nothing: %w", node, got, ans, want, err)
		}
	}
	return j, nil
}

func (j *judgeOfTier) tier(ans *perimeter.Answer) (string, error) {
	if j.t.Site == nil {
		switch {
		case ans.Is(http.StatusForbidden, classAdmin):
			return plan.Fleet, nil
		case ans.Edge != "" && ans.Wall && ans.Status < http.StatusInternalServerError, slices.Contains(classesOfFunction, ans.Class):
			return "", nil // refused before any tier was asked
		}
		return plan.Admin, nil
	}
	return j.t.TierOf(ans.ID)
}

func (j *judgeOfTier) judge(ans *perimeter.Answer, name string) error {
	got, err := j.tier(ans)
	switch {
	case err != nil:
		return err
	case got == plan.Fleet:
		j.t.Saw("%s → answered by fleet (%s)", name, ans)
	case got == "" && ans.Wall && ans.Status < 500:
		j.t.Saw("%s → %s", name, ans)
	default:
		j.t.Broken("%s → answered by %s (%s)", name, got, ans)
	}
	return nil
}

func probeSecretHeader(ctx context.Context, t *perimeter.Target) error {
	a := t.Asker(plan.Internet)
	defer a.Close()
	uri := fresh(orElse(t.Plan.Balancer.HealthPath, "/"))
	ok, err := a.Ask(ctx, perimeter.Request{URI: uri})
	if err != nil {
		return err
	}
	if ok.Wall {
		return fmt.Errorf("without any secret: got %s, so that a refusal would prove nothing", ok)
	}
	wrong := strings.Repeat("0", 64)
	for _, h := range [][]string{
		{plan.HeaderSecret + ": " + wrong},
		{plan.HeaderSecret + ":"},
		{plan.HeaderSecret + ": " + wrong, plan.HeaderSecret + ": " + wrong},
		{"x_ringwall_origin_secret: " + wrong},
		{"Connection: " + plan.HeaderSecret},
	} {
		name := strings.ReplaceAll(strings.Join(h, ", "), wrong, "(wrong)")
		t.Tried("%s", name)
		ans, err := a.Ask(ctx, perimeter.Request{URI: fresh(uri), Header: h})
		if err != nil {
			return err
		}
		if ans.Wall || ans.Status != ok.Status {
			t.Broken("%s → %s; want it dropped, and the answer to be as without it: %s", name, ans, ok)
		} else {
			t.Saw("%s → dropped: %s", name, ans)
		}
		if t.Site == nil {
			continue
		}
		text := ans.Body
		for k, v := range ans.Header {
			text += "\n" + k + ": " + strings.Join(v, ",")
		}
		for _, s := range t.Site.Secrets {
			if s != "" && strings.Contains(text, s) {
				t.Broken("%s → the answer holds one of the site's secrets", name)
			}
		}
	}
	return nil
}

func probeRequestID(ctx context.Context, t *perimeter.Target) error {
	a := t.Asker(plan.Internet)
	defer a.Close()
	const mine = "ringwall-probe-my-own-id"
	seen := map[string]bool{}
	for _, r := range []perimeter.Request{
		{Header: []string{plan.HeaderRequest + ": " + mine}},
		{}, {},
		{Header: []string{"x_request_id: " + mine}},
		{Header: []string{plan.HeaderRequest + ": " + mine, plan.HeaderRequest + ": " + mine}},
		{Method: "TRACE", Header: []string{plan.HeaderRequest + ": " + mine}},
	} {
		name := fmt.Sprintf("%s with %q", r.Method, r.Header)
		t.Tried("%s", name)
		ans, err := a.Ask(ctx, r)
		if err != nil {
			return err
		}
		ids := ans.Header.Values(plan.HeaderRequest)
		if ans.Edge != "" { // CloudFront's own page has CloudFront's id
			ids = ans.Header.Values("X-Amz-Cf-Id")
		}
		switch {
		case len(ids) != 1 || len(ids[0]) < 8:
			t.Broken("%s → ids %q, want one", name, ids)
		case ids[0] == mine:
			t.Broken("%s → the visitor's own id", name)
		case seen[ids[0]]:
			t.Broken("%s → the id %s a second time", name, ids[0])
		default:
			seen[ids[0]] = true
			t.Saw("%s → %s", name, ids[0])
		}
	}
	return nil
}

func probeMethods(ctx context.Context, t *perimeter.Target) error {
	var attacks []perimeter.Attack
	for _, m := range []string{"TRACE", "TRACK", "DEBUG", "CONNECT"} {
		r := perimeter.Request{Method: m, Header: []string{"Max-Forwards: 0"}}
		if m == "CONNECT" {
			r = perimeter.Request{Method: m, URI: t.Host()}
			if _, _, err := net.SplitHostPort(r.URI); err != nil {
				r.URI += ":443"
			}
		}
		attacks = append(attacks, perimeter.Attack{Name: m, Request: r, Status: http.StatusMethodNotAllowed, Class: "this method is not allowed"})
	}
	return t.Refuses(ctx, t.Asker(plan.Internet), []perimeter.Request{{}, {Method: "HEAD"}}, attacks)
}

func probeURILength(ctx context.Context, t *perimeter.Target) error {
	long := strings.Repeat("a", maxURI)
	class := "the address is too long"
	return t.Refuses(ctx, t.Asker(plan.Internet), []perimeter.Request{{URI: "/ringwall-probe?q=" + long[:maxURI/8]}}, []perimeter.Attack{
		{Name: "a query of 8 KiB and more", Request: perimeter.Request{URI: "/ringwall-probe?q=" + long}, Status: http.StatusRequestURITooLong, Class: class},
		{Name: "a path of 8 KiB and more", Request: perimeter.Request{URI: "/ringwall-probe/" + long}, Status: http.StatusRequestURITooLong, Class: class},
	})
}

func probeBodyLimit(ctx context.Context, t *perimeter.Target) error {
	limit := t.Plan.Edge.MaxBody
	if limit <= 0 {
		return errors.New("the plan sets no bound")
	}
	a := t.Asker(plan.Internet)
	form := "Content-Type: application/x-www-form-urlencoded"
	defer a.Close()
	ok, err := a.Ask(ctx, perimeter.Request{Method: "POST", URI: "/ringwall-probe", Body: "q=hello", Header: []string{form}})
	if err != nil {
		return err
	}
	if ok.Wall {
		return fmt.Errorf("a small form was answered with %s, so that a refusal would prove nothing", ok)
	}
	for _, n := range []int64{limit + 1, limit * 64, 1 << 60} {
		if err := t.Ready(ctx, plan.Internet, 2); err != nil {
			return err
		}
		// None of the body is sent: the answer must not wait for it.
		name := fmt.Sprintf("a form that says it has %d bytes", n)
		t.Tried("%s", name)
		l, err := t.TLS(ctx, plan.Internet)
		if err != nil {
			return err
		}
		err = l.Send(fmt.Sprintf("POST /ringwall-probe HTTP/1.1\r\nHost: %s\r\nUser-Agent: Mozilla/5.0\r\nAccept: application/json\r\n%s\r\nContent-Length: %d\r\n\r\n", t.Host(), form, n))
		var ans *perimeter.Answer
		if err == nil {
			ans, err = l.Next("POST", 4*time.Second)
		}
		l.Close()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil && t.Refusal(ans, http.StatusRequestEntityTooLarge, "the request's body is too large"):
			t.Saw("%s → %s", name, ans)
		case err == nil && ans.TooOften():
			return fmt.Errorf("sending %s: %w", name, perimeter.ErrTooOften)
		case err == nil:
			t.Broken("%s → %s", name, ans)
		default:
			if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
				t.Broken("%s → the site waits for it", name)
			} else {
				return fmt.Errorf("announcing a large body: %w", err)
			}
		}
	}
	return nil
}

func probeSecurityHeaders(ctx context.Context, t *perimeter.Target) error {
	a := t.Asker(plan.Internet)
	defer a.Close()
	for _, r := range []perimeter.Request{{}, {URI: "/ringwall-probe-missing"}, {Method: "TRACE"}} {
		t.Tried("%s %s", orElse(r.Method, "GET"), orElse(r.URI, "/"))
		ans, err := a.Ask(ctx, r)
		if err != nil {
			return err
		}
		if ans.Edge != "" {
			t.Saw("%s: CloudFront's own page, with nothing of the site in it", ans)
			continue
		}
		var lack []string
		need := func(name string, ok bool) {
			if !ok {
				lack = append(lack, name)
			}
		}
		need("X-Content-Type-Options: nosniff", ans.Header.Get("X-Content-Type-Options") == "nosniff")
		need("Referrer-Policy", ans.Header.Get("Referrer-Policy") != "")
		need("X-Frame-Options or frame-ancestors", ans.Header.Get("X-Frame-Options") != "" || strings.Contains(ans.Header.Get("Content-Security-Policy"), "frame-ancestors"))
		need("Strict-Transport-Security", !pins(t.Host()) || ans.Header.Get("Strict-Transport-Security") != "")
		if len(lack) > 0 {
			t.Broken("%s → without %s", ans, strings.Join(lack, ", "))
		} else {
			t.Saw("%s → all there", ans)
		}
	}
	return nil
}

func orElse(s, or string) string {
	if s == "" {
		return or
	}
	return s
}

func probeServerHeaders(ctx context.Context, t *perimeter.Target) error {
	a := t.Asker(plan.Internet)
	defer a.Close()
	for _, r := range []perimeter.Request{{}, {URI: "/ringwall-probe-missing"}, {Method: "HEAD"}, {Method: "OPTIONS"}, {Method: "TRACE"}} {
		t.Tried("%s %s", orElse(r.Method, "GET"), orElse(r.URI, "/"))
		ans, err := a.Ask(ctx, r)
		if err != nil {
			return err
		}
		found := false
		for _, name := range []string{"Server", "X-Powered-By", "X-AspNet-Version", "X-AspNetMvc-Version", "X-Generator"} {
			if v := ans.Header.Get(name); v != "" && !(t.Cloud != nil && name == "Server" && v == "CloudFront") { // which is no software behind the edge
				found = true
				t.Broken("%s → %s: %s", ans, name, v)
			}
		}
		if !found {
			t.Saw("%s → names nothing", ans)
		}
	}
	return nil
}
