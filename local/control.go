//go:build linux

package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/perimeter/people"
	"github.com/ringwall/ringwall/plan"
)

// serveControl answers the site's owner on the control socket.
func (h *hub) serveControl(ctx context.Context, l *net.UnixListener) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) { reply(w, h.status(), nil) })
	mux.HandleFunc("POST /down", func(w http.ResponseWriter, r *http.Request) {
		reply(w, nil, nil)
		select {
		case h.quit <- "its owner asked for it":
		default: // it was asked for before
		}
	})
	// The rest needs a site that is up.
	up := func(pattern string, f func(ctx context.Context, r *http.Request) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := h.mustBeUp(); err != nil {
				reply(w, nil, err)
				return
			}
			v, err := f(ctx, r) // a change that began is finished, also when who asked goes away
			reply(w, v, err)
		})
	}
	up("POST /replace", func(ctx context.Context, r *http.Request) (any, error) {
		return h.replace(ctx, r.FormValue("name"))
	})
	up("POST /rotate", func(ctx context.Context, r *http.Request) (any, error) {
		return h.rotate(ctx, r.FormValue("what"))
	})
	up("POST /accept", func(ctx context.Context, r *http.Request) (any, error) { return h.accept(ctx) })
	up("POST /purge", func(ctx context.Context, r *http.Request) (any, error) {
		prefix := r.FormValue("prefix")
		return nil, h.front.ask(ctx, order{Purge: &prefix})
	})
	up("GET /rules", func(context.Context, *http.Request) (any, error) { return h.current(h.plan).Edge.WAF, nil })
	up("POST /rules", func(ctx context.Context, r *http.Request) (any, error) {
		var w plan.WAF
		if err := json.NewDecoder(io.LimitReader(r.Body, 16<<20)).Decode(&w); err != nil {
			return nil, fmt.Errorf("reading the rules: %w", err)
		}
		return h.reload(ctx, w)
	})
	if perimeter.CanTakeDown {
		up("POST /walls", func(ctx context.Context, r *http.Request) (any, error) {
			return nil, h.takeDown(ctx, strings.Fields(r.FormValue("down")))
		})
	}
	mux.HandleFunc("POST /probe", h.serveProbe)
	mux.HandleFunc("POST /exec", h.serveExec)
	srv := &http.Server{
		Handler:           people.Owner(os.Getuid(), mux), // in a user namespace its root
		ConnContext:       people.WithPeer,
		ReadHeaderTimeout: 5 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	context.AfterFunc(ctx, func() { time.AfterFunc(200*time.Millisecond, func() { srv.Close() }) })
	srv.Serve(l)
}

func (h *hub) mustBeUp() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopping {
		return errors.New("the site is stopping")
	}
	if !h.open {
		return errors.New("the site is still starting; wait until it is up: ringwall status")
	}
	return nil
}

func reply(w http.ResponseWriter, v any, err error) {
	var a answer
	if err != nil {
		a.Error = err.Error()
		w.WriteHeader(http.StatusConflict)
	} else if v != nil {
		a.Value, _ = json.Marshal(v)
	}
	json.NewEncoder(w).Encode(a)
}
