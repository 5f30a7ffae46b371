package cache

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// directives is a parsed Cache-Control header. A directive that is malformed
// counts as the one that stores less.
type directives struct {
	noStore, noCache, private, public, mustRevalidate, onlyIfCached bool

	maxAge, sMaxAge, minFresh, maxStale time.Duration // -1: absent
}

const maxSeconds = 1 << 31 // RFC 9111, section 1.2.2

// parseControl reads all Cache-Control headers of a message. Without any, Pragma:
// no-cache of a request counts as Cache-Control: no-cache.
func parseControl(h http.Header, request bool) directives {
	d := directives{maxAge: -1, sMaxAge: -1, minFresh: -1, maxStale: -1}
	values := h["Cache-Control"]
	if len(values) == 0 {
		if request && strings.Contains(strings.ToLower(strings.Join(h["Pragma"], ",")), "no-cache") {
			d.noCache = true
		}
		return d
	}
	for _, v := range values {
		for v != "" {
			var name, arg string
			var has bool
			name, arg, has, v = nextDirective(v)
			switch strings.ToLower(name) {
			case "no-store":
				d.noStore = true
			case "no-cache": // with field names it is taken as if without
				d.noCache = true
			case "private":
				d.private = true
			case "public":
				d.public = true
			case "must-revalidate", "proxy-revalidate":
				d.mustRevalidate = true
			case "only-if-cached":
				d.onlyIfCached = true
			case "max-age":
				d.maxAge = smaller(d.maxAge, seconds(arg))
			case "s-maxage":
				d.sMaxAge = smaller(d.sMaxAge, seconds(arg))
			case "min-fresh":
				d.minFresh = max(d.minFresh, seconds(arg))
			case "max-stale":
				if has {
					d.maxStale = seconds(arg)
				}
			}
		}
	}
	return d
}

// smaller joins two occurrences of one directive: the stricter one counts.
func smaller(have, got time.Duration) time.Duration {
	if have < 0 {
		return got
	}
	return min(have, got)
}

// seconds reads delta-seconds; what is no number is zero, which is stale.
func seconds(s string) time.Duration {
	if s == "" {
		return 0
	}
	n := int64(0)
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0
		}
		if n = n*10 + int64(c-'0'); n > maxSeconds {
			n = maxSeconds
		}
	}
	return time.Duration(n) * time.Second
}

// nextDirective takes the first directive off a header value. Quoted arguments
// may hold commas.
func nextDirective(s string) (name, arg string, has bool, rest string) {
	s = strings.TrimLeft(s, " \t,")
	i := strings.IndexAny(s, "=,")
	if i < 0 {
		return strings.TrimSpace(s), "", false, ""
	}
	name = strings.TrimSpace(s[:i])
	if s[i] == ',' {
		return name, "", false, s[i+1:]
	}
	s = strings.TrimLeft(s[i+1:], " \t")
	if strings.HasPrefix(s, `"`) {
		var b strings.Builder
		j := 1
		for ; j < len(s) && s[j] != '"'; j++ {
			if s[j] == '\\' && j+1 < len(s) {
				j++
			}
			b.WriteByte(s[j])
		}
		s = s[min(j+1, len(s)):]
		_, rest, _ = strings.Cut(s, ",")
		return name, b.String(), true, rest
	}
	arg, rest, _ = strings.Cut(s, ",")
	return name, strings.TrimSpace(arg), true, rest
}

// lifetime says how long a response may be served from the store, and whether
// the response itself said so.
func (o *Options) lifetime(status int, h http.Header, cc directives, now time.Time) (ttl time.Duration, explicit bool) {
	switch {
	case cc.sMaxAge >= 0:
		ttl, explicit = cc.sMaxAge, true
	case cc.maxAge >= 0:
		ttl, explicit = cc.maxAge, true
	case len(h["Expires"]) > 0:
		explicit = true
		date := now
		if t, err := http.ParseTime(h.Get("Date")); err == nil {
			date = t
		}
		if t, err := http.ParseTime(h.Get("Expires")); err == nil {
			ttl = t.Sub(date)
		}
	default:
		ttl = o.DefaultTTL
		if status >= 400 {
			ttl = min(ttl, errorTTL)
		}
	}
	ttl = max(ttl, o.MinTTL, 0)
	if o.MaxTTL > 0 {
		ttl = min(ttl, o.MaxTTL)
	}
	return ttl, explicit
}

// errorTTL bounds how long an error that did not say so is kept.
const errorTTL = 10 * time.Second

// byDefault are the statuses that may be kept without the response saying so
// (RFC 9110, section 15.1, without partial content).
func byDefault(status int) bool {
	switch status {
	case 200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501:
		return true
	}
	return false
}

// storable says whether a response to a request without cookies and
// authorization may be kept for others, and for how long.
func (o *Options) storable(r *http.Request, status int, h http.Header, now time.Time) (time.Duration, bool) {
	if status < 200 || status == 206 || status == 304 || status >= 500 && status != 501 {
		return 0, false
	}
	cc := parseControl(h, false)
	if cc.noStore || cc.private || cc.noCache {
		return 0, false
	}
	if len(h["Cache-Control"]) == 0 && strings.Contains(strings.ToLower(strings.Join(h["Pragma"], ",")), "no-cache") {
		return 0, false
	}
	if len(h["Set-Cookie"]) > 0 || len(h["Set-Cookie2"]) > 0 || len(h["Content-Range"]) > 0 || len(h["Trailer"]) > 0 {
		return 0, false
	}
	for _, name := range varyNames(h) {
		if name == "*" {
			return 0, false
		}
	}
	if parseControl(r.Header, true).noStore {
		return 0, false
	}
	ttl, explicit := o.lifetime(status, h, cc, now)
	if !explicit && !byDefault(status) {
		return 0, false
	}
	if initialAge(h, now) >= ttl {
		return 0, false
	}
	return ttl, true
}

// varyNames lists the request headers that a response depends on.
func varyNames(h http.Header) []string {
	var names []string
	for _, v := range h["Vary"] {
		for f := range strings.SplitSeq(v, ",") {
			if f = strings.TrimSpace(f); f != "" {
				names = append(names, http.CanonicalHeaderKey(f))
			}
		}
	}
	return names
}

// initialAge is how old a response is when it arrives (RFC 9111, section 4.2.3,
// without the network's delay).
func initialAge(h http.Header, now time.Time) time.Duration {
	age := time.Duration(0)
	if v := h.Get("Age"); v != "" {
		if n, err := strconv.ParseUint(strings.TrimSpace(v), 10, 63); err == nil {
			age = time.Duration(min(n, maxSeconds)) * time.Second
		} else {
			age = math.MaxInt64
		}
	}
	if t, err := http.ParseTime(h.Get("Date")); err == nil {
		age = max(age, now.Sub(t))
	}
	return age
}
