package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/perimeter/people"
)

// serveControl answers the site's owner on the control socket.
func (h *hub) serveControl(ctx context.Context, l *net.UnixListener) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) { reply(w, h.status(), nil) })
	mux.HandleFunc("POST /down", func(w http.ResponseWriter, r *http.Request) {
		reply(w, nil, nil)
		h.quit <- "its owner asked for it"
	})
	// The rest needs a site that is up.
	up := func(pattern string, f func(ctx context.Context, r *http.Request) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := h.mustBeUp(); err != nil {
				reply(w, nil, err)
				return
			}
			v, err := f(r.Context(), r)
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
	if perimeter.CanTakeDown {
		up("POST /walls", func(ctx context.Context, r *http.Request) (any, error) {
			return nil, h.takeDown(ctx, strings.Fields(r.FormValue("down")))
		})
	}
	mux.HandleFunc("POST /probe", h.serveProbe)
	mux.HandleFunc("POST /exec", h.serveExec)
	srv := &http.Server{
		Handler:           people.Owner(0, mux), // the owner is this user namespace's root
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

// An answer is what the control socket replies with.
type answer struct {
	Error string          `json:"error,omitempty"`
	Value json.RawMessage `json:"value,omitempty"`
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

// A Client talks to a running site.
type Client struct {
	state State
	http  *http.Client
}

// ErrNotRunning means that no supervisor answers for the site.
var ErrNotRunning = errors.New("the site is not running; start it with: ringwall up")

// Connect returns a client of the site in this state directory.
func Connect(s State) *Client {
	return &Client{state: s, http: &http.Client{Transport: &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			c, err := dialUnix(s.Control())
			if err != nil {
				return nil, ErrNotRunning
			}
			return c, nil
		},
	}}}
}

// call asks the site and reads its answer into v, which may be nil.
func (c *Client) call(ctx context.Context, method, path string, v any) error {
	r, err := http.NewRequestWithContext(ctx, method, "http://site"+path, nil)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(r)
	if errors.Is(err, ErrNotRunning) {
		return ErrNotRunning
	}
	if err != nil {
		return fmt.Errorf("asking the site: %w", err)
	}
	defer resp.Body.Close()
	var a answer
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil {
		return fmt.Errorf("reading the site's answer (%s): %w", resp.Status, err)
	}
	if a.Error != "" {
		return errors.New(a.Error)
	}
	if v == nil || a.Value == nil {
		return nil
	}
	return json.Unmarshal(a.Value, v)
}

// Status asks how the site is.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	return s, c.call(ctx, "GET", "/status", &s)
}

// Down stops the site and returns when nothing of it is left.
func (c *Client) Down(ctx context.Context) error {
	if err := c.call(ctx, "POST", "/down", nil); err != nil {
		return err
	}
	for {
		l, err := c.state.Lock()
		if err == nil {
			l.Release()
			return nil
		}
		if !errors.Is(err, ErrRunning) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the site to stop: %w", ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}
