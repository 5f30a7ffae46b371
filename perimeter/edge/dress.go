package edge

import (
	"net/http"
	"path"

	"github.com/ringwall/ringwall/internal/cache"
)

// dress is what a cache does that goes by the looks of an address: whatever ends
// like a static file it keeps for a minute, whoever asked and whatever the app
// says. It stands in for our cache where a test takes edge/cache-deception down.
func dress(r *http.Request, next cache.Next) cache.Next {
	switch path.Ext(r.URL.Path) {
	case ".css", ".js", ".png":
		return func(w http.ResponseWriter, r *http.Request) error { return next(&dressed{ResponseWriter: w}, r) }
	}
	return next
}

type dressed struct{ http.ResponseWriter }

func (d *dressed) Unwrap() http.ResponseWriter { return d.ResponseWriter }

func (d *dressed) WriteHeader(status int) {
	if status >= http.StatusOK {
		h := d.Header()
		h.Del("Set-Cookie")
		h.Del("Vary")
		h["Cache-Control"] = []string{"max-age=60"}
	}
	d.ResponseWriter.WriteHeader(status)
}
