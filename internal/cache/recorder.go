package cache

import (
	"bufio"
	"net"
	"net/http"
	"strconv"
	"time"
)

// A recorder passes a response on while it keeps a copy of one that may be
// stored. It has a header of its own, so that what outer handlers set for this
// one request is not stored for others.
type recorder struct {
	w      http.ResponseWriter
	r      *http.Request
	c      *Cache
	key    string
	stale  *entry // sent for validation
	refuse func() // called once, when the answer turns out not to be storable

	header    http.Header
	status    int
	wrote     bool
	validated bool // the app confirmed the stale entry; nothing was written
	keep      bool
	quiet     bool // the client has it already: 304 was written, the body is only stored
	at        time.Time
	ttl       time.Duration
	body      []byte
	length    int64 // announced; -1: unknown
	failed    bool
}

func (rec *recorder) Header() http.Header {
	if rec.header == nil {
		rec.header = http.Header{}
	}
	return rec.header
}

func (rec *recorder) WriteHeader(status int) {
	if rec.wrote {
		return
	}
	if status >= 100 && status < 200 && status != http.StatusSwitchingProtocols {
		h := rec.w.Header()
		for k, v := range rec.Header() {
			h[k] = v
		}
		rec.w.WriteHeader(status)
		for k := range rec.Header() {
			delete(h, k)
		}
		return
	}
	rec.wrote, rec.status, rec.at = true, status, rec.c.o.Now()
	h := rec.Header()
	if rec.stale != nil && status == http.StatusNotModified {
		rec.validated = true
		return
	}
	rec.ttl, rec.keep = rec.c.o.storable(rec.r, status, h, rec.at)
	rec.length = -1
	if v := h.Get("Content-Length"); v != "" {
		if n, err := strconv.ParseInt(v, 10, 64); err == nil {
			rec.length = n
		}
	}
	if rec.length > rec.c.o.MaxEntry {
		rec.keep = false
	}
	if !rec.keep {
		rec.refuse()
	} else if rec.length > 0 {
		rec.body = make([]byte, 0, rec.length)
	}
	out := rec.w.Header()
	for k, v := range h {
		out[k] = v
	}
	if status == http.StatusOK && notModified(rec.r.Header, h) {
		rec.quiet = true
		out.Del("Content-Length")
		rec.w.WriteHeader(http.StatusNotModified)
		return
	}
	rec.w.WriteHeader(status)
}

func (rec *recorder) Write(b []byte) (int, error) {
	if !rec.wrote {
		rec.WriteHeader(http.StatusOK)
	}
	if rec.validated {
		return len(b), nil
	}
	if rec.keep {
		if int64(len(rec.body)+len(b)) > rec.c.o.MaxEntry {
			rec.keep, rec.body = false, nil
			rec.refuse()
		} else {
			rec.body = append(rec.body, b...)
		}
	}
	if rec.quiet {
		return len(b), nil
	}
	n, err := rec.w.Write(b)
	if err != nil {
		rec.failed = true // the fetch is cut with the client, so the copy is incomplete
	}
	return n, err
}

// entry is what to store when the whole body has come; nil: nothing.
func (rec *recorder) entry() *entry {
	if !rec.keep || rec.failed || rec.length >= 0 && rec.length != int64(len(rec.body)) {
		return nil
	}
	h := rec.header.Clone()
	for _, name := range [...]string{"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Age"} {
		delete(h, name)
	}
	e := &entry{key: rec.key, status: rec.status, header: h, body: rec.body, at: rec.at, age: max(0, initialAge(rec.header, rec.at)), ttl: rec.ttl}
	e.setVary(rec.r)
	return e
}

func (rec *recorder) Flush() {
	if !rec.wrote {
		rec.WriteHeader(http.StatusOK)
	}
	if !rec.validated {
		_ = http.NewResponseController(rec.w).Flush()
	}
}

// Hijack refuses: a request that may be upgraded does not come to a recorder.
func (rec *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return nil, nil, http.ErrNotSupported
}
