package proxy

import (
	"math"
	"strconv"
	"time"
	"unicode/utf8"
)

// An Event is one line of the access log: the fields of a load balancer's log,
// and what the walls did. It never holds a cookie, an authorization header, a
// body or a password.
type Event struct {
	Time         time.Time `json:"time"`
	ID           string    `json:"request_id"`
	Viewer       string    `json:"viewer"` // address:port
	Target       string    `json:"target,omitempty"`
	RequestTime  float64   `json:"request_processing_time"`  // seconds from the header's end to the target; -1: none
	TargetTime   float64   `json:"target_processing_time"`   // seconds until the target's header; -1: none
	ResponseTime float64   `json:"response_processing_time"` // seconds until the response's end; -1: none
	Status       int       `json:"elb_status_code"`
	TargetStatus int       `json:"target_status_code,omitempty"`
	Received     int64     `json:"received_bytes"` // of the body
	SentBytes    int64     `json:"sent_bytes"`     // of the body
	Method       string    `json:"method"`
	Host         string    `json:"host"`
	URL          string    `json:"url"` // path and query, secrets masked
	Protocol     string    `json:"protocol"`
	UserAgent    string    `json:"user_agent,omitempty"`
	TLSCipher    string    `json:"tls_cipher,omitempty"`
	TLSProtocol  string    `json:"tls_protocol,omitempty"`
	Action       string    `json:"action"` // forward, cache, refuse, fail
	Tier         string    `json:"tier,omitempty"`
	Instance     string    `json:"instance,omitempty"`
	Cache        string    `json:"cache,omitempty"`   // hit, miss, revalidated, coalesced, pass
	Profile      string    `json:"profile,omitempty"` // the WAF's: public or admin
	Class        string    `json:"class,omitempty"`   // of the answer, in the words that the visitor read
	Detail       string    `json:"detail,omitempty"`  // for the owner
	Refusal      *Refused  `json:"refusal,omitempty"`
}

// Refused is the part of an Event that says which wall refused, and why.
type Refused struct {
	Control string `json:"control"`
	Reason  string `json:"reason"`
	Detail  string `json:"detail,omitempty"`
	Rules   []Rule `json:"rules,omitempty"`
	Logged  bool   `json:"detect_only,omitempty"` // the request passed: the WAF only logs

	Score     int `json:"score,omitempty"`     // the sum of the rules' scores
	Threshold int `json:"threshold,omitempty"` // from which sum on the WAF refuses
}

// AppendJSON appends the event as one JSON object without a line end. It writes
// what encoding/json would, at a fraction of the cost; the access log is on the
// path of every request.
func (e *Event) AppendJSON(b []byte) []byte {
	b = append(b, `{"time":"`...)
	b = e.Time.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, '"')
	b = field(b, "request_id", e.ID, true)
	b = field(b, "viewer", e.Viewer, true)
	b = field(b, "target", e.Target, false)
	b = float(b, "request_processing_time", e.RequestTime)
	b = float(b, "target_processing_time", e.TargetTime)
	b = float(b, "response_processing_time", e.ResponseTime)
	b = integer(b, "elb_status_code", int64(e.Status), true)
	b = integer(b, "target_status_code", int64(e.TargetStatus), false)
	b = integer(b, "received_bytes", e.Received, true)
	b = integer(b, "sent_bytes", e.SentBytes, true)
	b = field(b, "method", e.Method, true)
	b = field(b, "host", e.Host, true)
	b = field(b, "url", e.URL, true)
	b = field(b, "protocol", e.Protocol, true)
	b = field(b, "user_agent", e.UserAgent, false)
	b = field(b, "tls_cipher", e.TLSCipher, false)
	b = field(b, "tls_protocol", e.TLSProtocol, false)
	b = field(b, "action", e.Action, true)
	b = field(b, "tier", e.Tier, false)
	b = field(b, "instance", e.Instance, false)
	b = field(b, "cache", e.Cache, false)
	b = field(b, "profile", e.Profile, false)
	b = field(b, "class", e.Class, false)
	b = field(b, "detail", e.Detail, false)
	if r := e.Refusal; r != nil {
		b = append(b, `,"refusal":{"control":`...)
		b = appendString(b, r.Control)
		b = field(b, "reason", r.Reason, true)
		b = field(b, "detail", r.Detail, false)
		for i, rule := range r.Rules {
			if i == 0 {
				b = append(b, `,"rules":[`...)
			} else {
				b = append(b, ',')
			}
			b = append(b, `{"id":`...)
			b = strconv.AppendInt(b, int64(rule.ID), 10)
			b = field(b, "message", rule.Message, true)
			b = field(b, "target", rule.Target, true)
			b = field(b, "value", rule.Value, true)
			b = integer(b, "score", int64(rule.Score), true)
			for j, also := range rule.Also {
				if j == 0 {
					b = append(b, `,"also":[`...)
				} else {
					b = append(b, ',')
				}
				b = appendString(b, also)
			}
			if len(rule.Also) > 0 {
				b = append(b, ']')
			}
			b = append(b, '}')
		}
		if len(r.Rules) > 0 {
			b = append(b, ']')
		}
		if r.Logged {
			b = append(b, `,"detect_only":true`...)
		}
		b = integer(b, "score", int64(r.Score), false)
		b = integer(b, "threshold", int64(r.Threshold), false)
		b = append(b, '}')
	}
	return append(b, '}')
}

func field(b []byte, name, value string, always bool) []byte {
	if value == "" && !always {
		return b
	}
	return appendString(key(b, name), value)
}

func integer(b []byte, name string, v int64, always bool) []byte {
	if v == 0 && !always {
		return b
	}
	return strconv.AppendInt(key(b, name), v, 10)
}

func float(b []byte, name string, v float64) []byte {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		v = -1
	}
	return strconv.AppendFloat(key(b, name), v, 'f', -1, 64)
}

func key(b []byte, name string) []byte {
	b = append(b, ',', '"')
	b = append(b, name...)
	return append(b, '"', ':')
}

// appendString writes a JSON string. Control characters, quotes, what HTML and
// JavaScript treat specially, and invalid UTF-8 are escaped, so that a log line
// stays one line and is safe to show.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= 0x20 && c != 0x7f && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&' {
				i++
				continue
			}
			b = append(b, s[start:i]...)
			if c == '"' || c == '\\' {
				b = append(b, '\\', c)
			} else {
				b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			}
			i++
			start = i
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if (r == utf8.RuneError && n == 1) || r == '\u2028' || r == '\u2029' {
			b = append(b, s[start:i]...)
			if n == 1 {
				b = append(b, `\ufffd`...)
			} else {
				b = append(b, '\\', 'u', '2', '0', '2', hex[r&15])
			}
			i += n
			start = i
			continue
		}
		i += n
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}
