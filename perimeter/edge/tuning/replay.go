package tuning

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/ringwall/ringwall/internal/proxy"
	"github.com/ringwall/ringwall/perimeter/edge"
	"github.com/ringwall/ringwall/waf/ftw"
)

// A Replay is a refused request made again from the log. The log keeps no body, no
// secret and few headers; of these the replay has what the rules saw, as far as
// the log quotes it.
type Replay struct {
	Case
	Lacks []string // what the log does not keep, in words; nothing: the replay is the request but for its headers

	rules []int // that matched the request
}

// Again makes the request of a refusal again.
func Again(e *proxy.Event) Replay {
	out := Replay{Case: Case{Name: e.ID, Admin: e.Profile == "admin", Request: ftw.Request{Method: e.Method, URI: e.URL, Proto: "HTTP/1.1", Headers: []ftw.Header{
		{Name: "Host", Value: e.Host}, {Name: "User-Agent", Value: e.UserAgent}, {Name: "Accept", Value: "*/*"}}}}}
	r := &out.Request
	if strings.Contains(r.URI, proxy.Mask) {
		r.URI = strings.ReplaceAll(r.URI, proxy.Mask, edge.Mask)
		out.Lacks = append(out.Lacks, "the masked values of its address")
	}
	if strings.HasSuffix(r.URI, "…") {
		out.Lacks = append(out.Lacks, "the end of its address")
	}
	if e.Received > 0 {
		out.Lacks = append(out.Lacks, fmt.Sprintf("its body (%d bytes)", e.Received))
	}
	_, query, _ := strings.Cut(r.URI, "?")
	inQuery, _ := url.ParseQuery(query) // what is malformed is left out
	fields, tree := url.Values{}, map[string]any{}
	for _, rule := range e.Refusal.Rules {
		out.rules = append(out.rules, rule.ID)
		variable, name, _ := strings.Cut(rule.Target, ":")
		inAddress := strings.HasPrefix(variable, "ARGS") && inQuery.Has(name) || slices.Contains(addressParts, variable)
		if (rule.Value == proxy.Mask || strings.HasSuffix(rule.Value, "…")) && !inAddress {
			out.lack("the value of " + rule.Target)
			continue
		}
		switch variable {
		case "ARGS", "ARGS_POST":
			if keys := strings.Split(name, "."); keys[0] == "json" && len(keys) > 1 {
				plant(tree, keys[1:], rule.Value)
			} else if !inQuery.Has(name) {
				fields.Set(name, rule.Value)
			}
		case "ARGS_NAMES", "ARGS_POST_NAMES":
			if !inQuery.Has(rule.Value) && !fields.Has(rule.Value) {
				fields.Set(rule.Value, "")
			}
		case "REQUEST_HEADERS":
			if name != "" && !strings.EqualFold(name, "Host") && !strings.ContainsAny(rule.Value, "\r\n\x00") {
				set(r, name, rule.Value)
			}
		}
	}
	if e.Received > 0 {
		switch {
		case len(tree) > 0:
			r.Body = marshal(tree)
			set(r, "Content-Type", "application/json")
		case len(fields) > 0:
			r.Body = []byte(fields.Encode())
			set(r, "Content-Type", "application/x-www-form-urlencoded")
		}
		set(r, "Content-Length", strconv.Itoa(len(r.Body)))
	}
	return out
}

// addressParts are the variables that are made from the request's address, which
// the log has.
var addressParts = []string{"REQUEST_LINE", "REQUEST_URI", "REQUEST_URI_RAW", "REQUEST_FILENAME", "REQUEST_BASENAME", "QUERY_STRING"}

func (r *Replay) lack(what string) {
	if !slices.Contains(r.Lacks, what) {
		r.Lacks = append(r.Lacks, what)
	}
}

// Like says whether a ruling on the replay is for the same rules as the refusal:
// then what the log lacks made no difference.
func (r *Replay) Like(was *edge.Ruling) bool {
	var ids []int
	for _, m := range was.Refusal.Rules {
		ids = append(ids, m.ID)
	}
	want := slices.Clone(r.rules)
	slices.Sort(ids)
	slices.Sort(want)
	return slices.Equal(ids, want)
}
