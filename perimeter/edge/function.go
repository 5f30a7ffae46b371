package edge

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/ringwall/ringwall/internal/lazy"
	"github.com/ringwall/ringwall/plan"
)

// maxFunction is the size in bytes of a CloudFront function, above which
// CloudFront refuses it (quotas on CloudFront Functions).
const maxFunction = 10 << 10

//go:embed function.js
var functionJS string

//go:embed function_response.js
var responseJS string

// Functions are the two CloudFront functions of a site, for cloudfront-js-2.0.
type Functions struct {
	Request     string // at viewer-request, on every behaviour
	Response    string // at viewer-response, on every behaviour
	KeepsOthers bool   // Request refuses viewers that are not allowed; otherwise only the web ACL does
}

// NewFunctions writes the functions. Request decides who is an administrator by
// the blocks of the plan, since no rule of a balancer can: behind CloudFront a
// source-address condition sees CloudFront, and a header condition compares text,
// so that a block would become one literal address. The decision is a header of
// its own, which Request sets on every request whatever the viewer sent, and
// which the balancer believes because it comes with the origin secret.
func NewFunctions(p *plan.Plan) (Functions, error) {
	f := Functions{Response: withoutComments(responseJS), KeepsOthers: !p.Edge.Allowed.Any}
	var err error
	if f.Request, err = render(p, f.KeepsOthers); err != nil {
		return f, err
	}
	if len(f.Request) > maxFunction && f.KeepsOthers {
		f.KeepsOthers = false // the web ACL's address sets hold ten thousand blocks
		if f.Request, err = render(p, false); err != nil {
			return f, err
		}
	}
	if len(f.Request) > maxFunction {
		return f, fmt.Errorf("writing the edge function: got %d bytes with %d blocks of administrators, want %d at most; name fewer, larger blocks in admins",
			len(f.Request), len(p.Balancer.Admins.Prefixes), maxFunction)
	}
	return f, nil
}

func render(p *plan.Plan, allowed bool) (string, error) {
	admins := p.Balancer.Admins
	if admins.Any {
		return "", fmt.Errorf("writing the edge function: admins is everybody: want the administrators' addresses")
	}
	values := map[string]any{
		"ADMINS": numbered(admins), "ALLOWED": nil, "HOSTS": p.PublicHosts(),
		"UNCACHED": nonNil(p.Edge.Cache.Uncached), "COOKIES": nonNil(p.Edge.Cache.ForwardedCookies),
		"SINGLE": lower(slices.DeleteFunc(slices.Clone(singletons), func(s string) bool { return s == "Host" || s == "Content-Length" })),
	}
	if allowed {
		values["ALLOWED"] = numbered(p.Edge.Allowed)
	}
	if p.Edge.Cache.Off {
		values["UNCACHED"] = []string{"*"}
	}
	var names []string
	for n := range ours {
		names = append(names, strings.ToLower(n))
	}
	slices.Sort(names)
	list := []string{"@OURS@", strings.Join(names, "|"), "@PREFIXES@", strings.ToLower(strings.Join(ourPrefixes[:], "|"))}
	for k, v := range values {
		b, err := json.Marshal(v)
		if err != nil {
			return "", fmt.Errorf("writing the edge function: %w", err)
		}
		list = append(list, "@"+k+"@", string(b))
	}
	return strings.NewReplacer(list...).Replace(withoutComments(functionJS)), nil
}

var (
	jsComment = lazy.Regexp(`(?m)^\s*//.*\n`)
	jsGap     = lazy.Regexp(`\n\n+`)
)

// withoutComments makes room: comments count for CloudFront's limit.
func withoutComments(s string) string {
	s = jsComment().ReplaceAllString(s, "")
	return jsGap().ReplaceAllString(s, "\n")
}

// numbered writes each block as [family, bits, groups of 16 bits].
func numbered(m plan.Match) [][]int {
	out := [][]int{}
	for _, p := range m.Prefixes {
		addr, bits := p.Addr(), p.Bits()
		if addr.Is4In6() && bits >= 96 {
			addr, bits = addr.Unmap(), bits-96
		}
		b, family := addr.AsSlice(), 6
		if addr.Is4() {
			family = 4
		}
		one := []int{family, bits}
		for i := 0; i < len(b) && i*8 < bits; i += 2 {
			one = append(one, int(b[i])<<8|int(b[i+1]))
		}
		out = append(out, one)
	}
	return out
}

func lower(list []string) []string {
	for i := range list {
		list[i] = strings.ToLower(list[i])
	}
	return list
}

func nonNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
