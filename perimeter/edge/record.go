package edge

import (
	"container/list"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ringwall/ringwall/internal/proxy"
	"github.com/ringwall/ringwall/plan"
	"github.com/ringwall/ringwall/waf/ftw"
)

// A Recorded is a good request as it is kept: it passed the rules, and the app
// answered it with less than 400. Cookies, credentials and fields that sound like
// passwords say masked; everything else that the visitor typed is there.
type Recorded struct {
	Time    time.Time    `json:"time"`
	Profile string       `json:"profile"` // public or admin
	Shape   string       `json:"shape"`   // method, path, names of parameters
	Method  string       `json:"method"`
	URI     string       `json:"uri"`
	Proto   string       `json:"proto"`
	Headers []ftw.Header `json:"headers"`
	Body    []byte       `json:"body,omitempty"`
	Status  int          `json:"status"`

	// Masked are the parts that are not as they were sent, as rules call them:
	// REQUEST_COOKIES:sid, ARGS:password, FILES:photo.
	Masked []string `json:"masked,omitempty"`
	// Unkept says why there are no headers, no query and no body: the request can
	// be counted, and not be judged again.
	Unkept string `json:"unkept,omitempty"`
}

// Mask stands where a recorded request had what may be a secret. It is a plain
// word, so that it does not look like an attack.
const Mask = "masked"

const (
	recordBody  = 16 << 10    // bytes; of requests with a larger body only that they came is kept
	recordPause = time.Minute // how long a shape's latest request stands before a newer one replaces it
)

// A recorder remembers which shapes were kept last.
type recorder struct {
	keep func(*Recorded)

	mu     sync.Mutex
	shapes map[string]*list.Element // of *kept
	order  list.List                // the latest first
}

type kept struct {
	shape string
	at    time.Time
}

// OnGood has keep called for good requests, the latest of each shape, as long as
// the plan says to record any. It is called before the edge serves.
func (e *Edge) OnGood(keep func(*Recorded)) {
	e.recorder = &recorder{keep: keep, shapes: map[string]*list.Element{}}
}

// candidate copies a request that the rules let pass, if it is to be kept when
// the app's answer is good too; nil: it is not. seen is its body as it was judged.
func (rc *recorder) candidate(r *http.Request, rec *proxy.Record, most int, seen []byte, hasBody bool) *Recorded {
	if rc == nil || most <= 0 || rec.Refusal != nil {
		return nil
	}
	m := &masker{}
	out := &Recorded{Time: rec.Start, Profile: rec.Profile, Method: r.Method, URI: r.URL.EscapedPath(), Proto: r.Proto}
	body, why := m.body(r, seen, hasBody)
	if why != "" {
		out.Unkept = why
		out.Shape = strings.Join([]string{rec.Profile, r.Method, out.URI, "not kept"}, " ")
		if !rc.wants(out.Shape, rec.Start, most) {
			return nil
		}
		return out
	}
	query := m.query(r.URL.RawQuery)
	names := slices.Clone(m.names)
	slices.Sort(names)
	out.Shape = strings.Join([]string{rec.Profile, r.Method, out.URI, strings.Join(slices.Compact(names), ",")}, " ")
	if !rc.wants(out.Shape, rec.Start, most) {
		return nil
	}
	out.Body = body
	if query != "" {
		out.URI += "?" + query
	}
	out.Headers = []ftw.Header{{Name: "Host", Value: r.Host}}
	for name, values := range r.Header {
		if stripped(name) || name == plan.HeaderRequest {
			continue
		}
		for _, v := range values {
			out.Headers = append(out.Headers, ftw.Header{Name: name, Value: m.header(name, v)})
		}
	}
	slices.SortFunc(out.Headers, func(a, b ftw.Header) int { return strings.Compare(a.Name, b.Name) })
	slices.Sort(m.masked)
	out.Masked = slices.Compact(m.masked)
	return out
}

// wants says whether a shape is new, or its latest request is old. Beyond the
// most shapes, the one that was not seen for longest is forgotten.
func (rc *recorder) wants(shape string, now time.Time, most int) bool {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	if el := rc.shapes[shape]; el != nil {
		rc.order.MoveToFront(el)
		k := el.Value.(*kept)
		if now.Sub(k.at) < recordPause {
			return false
		}
		k.at = now
		return true
	}
	rc.shapes[shape] = rc.order.PushFront(&kept{shape, now})
	for rc.order.Len() > most {
		last := rc.order.Back()
		rc.order.Remove(last)
		delete(rc.shapes, last.Value.(*kept).shape)
	}
	return true
}

// good keeps a candidate whose answer was good.
func (rc *recorder) good(c *Recorded, status int) {
	if c == nil || status >= http.StatusBadRequest {
		return
	}
	c.Status = status
	rc.keep(c)
}
