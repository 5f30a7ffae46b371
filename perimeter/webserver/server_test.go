package webserver

import (
	"errors"
	"io"
	"net/http"

	"github.com/ringwall/ringwall/internal/proxy"
)

func status(err error) int {
	if err == nil {
		return 0
	}
	if r, ok := errors.AsType[*proxy.Refusal](err); ok {
		return r.Status
	}
	return -1
}

func copyTo(w io.Writer, r io.Reader) (int64, error) { return io.Copy(w, r) }

// adapt answers refusals in the shortest way.
func adapt(h proxy.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := h.ServeHTTP(w, r)
		if ref, ok := errors.AsType[*proxy.Refusal](err); ok {
			w.Header().Set("X-Control", ref.Control)
			http.Error(w, ref.Error()+": "+ref.Detail, ref.Status)
		} else if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
}
