package tuning

import (
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/ringwall/ringwall/plan"
	"github.com/ringwall/ringwall/waf/ftw"
)

// A place is a part of requests to a path.
type place struct {
	path   string // as in an exclusion
	target string // a variable such as ARGS:content; empty: all of the request
}

func (p place) String() string {
	if p.target == "" {
		return p.path
	}
	return p.path + " in " + p.target
}

// places are where one of two settings makes an exception and the other does not.
func places(a, b plan.WAF) (out []place) {
	add := func(p place) {
		if !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	for _, pair := range [][2]plan.WAF{{a, b}, {b, a}} {
		for _, x := range pair[1].Exclusions {
			if !slices.ContainsFunc(pair[0].Exclusions, x.Same) {
				add(place{x.Path, x.Target})
			}
		}
		for _, path := range pair[1].DetectOnlyPaths {
			if !slices.Contains(pair[0].DetectOnlyPaths, path) {
				add(place{path, ""})
			}
		}
	}
	return out
}

// move sends the same attack to a place: to its path, with what it carries in
// the part that the place names. It returns false for a request that carries
// nothing that could be moved there.
func (p place) move(r ftw.Request) (ftw.Request, bool) {
	path := p.path
	if prefix, ok := strings.CutSuffix(path, "*"); ok {
		path = prefix + "ringwall-probe"
	}
	_, query, _ := strings.Cut(r.URI, "?")
	query, _, _ = strings.Cut(query, "#")
	r.Headers = slices.Clone(r.Headers)
	variable, name, _ := strings.Cut(strings.ReplaceAll(p.target, "*", "0"), ":")
	args := values(query)
	contentType, _ := r.Get("Content-Type")
	form := strings.HasPrefix(strings.ToLower(contentType), "application/x-www-form-urlencoded")
	if form {
		args = append(args, values(string(r.Body))...)
	}
	uri := (&url.URL{Path: path}).EscapedPath()
	switch {
	case variable == "ARGS" && strings.HasPrefix(name, "json."), variable == "ARGS_POST" && strings.HasPrefix(name, "json."):
		if len(args) == 0 {
			return r, false
		}
		r.Method, r.URI, r.Body = "POST", uri, nested(strings.Split(name, ".")[1:], longest(args))
		set(&r, "Content-Type", "application/json")
	case (variable == "ARGS" || variable == "ARGS_GET" || variable == "ARGS_POST") && name != "":
		if len(args) == 0 {
			return r, false
		}
		r.URI = uri
		if variable == "ARGS_POST" || form && variable != "ARGS_GET" {
			r.Method, r.Body = "POST", []byte(renamed(args, name))
			set(&r, "Content-Type", "application/x-www-form-urlencoded")
		} else {
			r.URI += "?" + renamed(args, name)
		}
	case variable == "REQUEST_COOKIES" && name != "":
		if len(args) == 0 {
			return r, false
		}
		r.URI = uri
		set(&r, "Cookie", name+"="+url.QueryEscape(longest(args)))
	case variable == "REQUEST_HEADERS" && name != "":
		v := longest(args)
		if v == "" || strings.ContainsAny(v, "\r\n\x00") {
			return r, false
		}
		r.URI = uri
		set(&r, name, v)
	default:
		r.URI = uri
		if query != "" {
			r.URI += "?" + query
		}
	}
	if len(r.Body) > 0 {
		set(&r, "Content-Length", strconv.Itoa(len(r.Body)))
	}
	return r, true
}

// set gives a request a header once.
func set(r *ftw.Request, name, value string) {
	r.Headers = slices.DeleteFunc(r.Headers, func(h ftw.Header) bool { return strings.EqualFold(h.Name, name) })
	r.Headers = append(r.Headers, ftw.Header{Name: name, Value: value})
}

// values are what the parameters of a query or form say, decoded where they can be.
func values(query string) (out []string) {
	for pair := range strings.SplitSeq(query, "&") {
		name, v, ok := strings.Cut(pair, "=")
		if !ok {
			v = name
		}
		if plain, err := url.QueryUnescape(v); err == nil {
			v = plain
		}
		if v != "" {
			out = append(out, v)
		}
	}
	return out
}

func renamed(args []string, name string) string {
	var out []string
	for _, v := range args {
		out = append(out, url.QueryEscape(name)+"="+url.QueryEscape(v))
	}
	return strings.Join(out, "&")
}

func longest(args []string) (out string) {
	for _, v := range args {
		if len(v) > len(out) {
			out = v
		}
	}
	return out
}

// nested is a JSON text with a value at a path of keys. The rules name an item of
// a list as they name a key, so that keys will do for both.
func nested(keys []string, v string) []byte {
	tree := map[string]any{}
	plant(tree, keys, v)
	return marshal(tree)
}

// plant sets a value at a path of keys. Where another value is in the way, it stays.
func plant(tree map[string]any, keys []string, v string) {
	for _, k := range keys[:len(keys)-1] {
		if tree[k] == nil {
			tree[k] = map[string]any{}
		}
		below, ok := tree[k].(map[string]any)
		if !ok {
			return
		}
		tree = below
	}
	if last := keys[len(keys)-1]; tree[last] == nil {
		tree[last] = strings.ToValidUTF8(v, "\ufffd")
	}
}

func marshal(tree map[string]any) []byte {
	b, err := json.Marshal(tree)
	if err != nil {
		panic("writing a map of strings as JSON: " + err.Error())
	}
	return b
}
