package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
	"github.com/jackc/pgx/v5"
)

// channel is where instances tell each other of changes, through the database:
// they have no other way to each other.
const channel = "board"

// heartbeat keeps the proxies between from taking a quiet stream for a dead one.
const heartbeat = 15 * time.Second

// An event is a change that everybody may know of.
type event struct {
	Type  string `json:"type"` // hello, post, comment or resync
	Post  int64  `json:"post,omitempty"`
	ID    int64  `json:"id,omitempty"` // of the comment
	Title string `json:"title,omitempty"`
}

// notify tells every instance, once the transaction is committed.
func notify(ctx context.Context, tx pgx.Tx, e event) error {
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "SELECT pg_notify($1, $2)", channel, string(b))
	return err
}

// listen passes the database's notifications on until ctx ends.
func (s *store) listen(ctx context.Context, h *hub) {
	for first := true; ctx.Err() == nil; first = false {
		err := s.listenOnce(ctx, h, first)
		if ctx.Err() == nil {
			slog.Debug("live updates wait for the database", "error", err)
			sleep(ctx, 250*time.Millisecond)
		}
	}
}

func (s *store) listenOnce(ctx context.Context, h *hub, first bool) error {
	pc, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	conn := pc.Hijack() // listens for its whole life
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
		return err
	}
	if !first {
		h.publish(event{Type: "resync"}) // something may have been missed
	}
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		var e event
		if err := json.Unmarshal([]byte(n.Payload), &e); err != nil {
			continue // fleet may notify: what is no event of ours is dropped
		}
		switch e.Type {
		case "post", "comment":
			h.publish(e)
		}
	}
}

// A hub hands events to those who follow them. A follower that does not keep up
// is let go; it connects again and reads the pages.
type hub struct {
	mu     sync.Mutex
	subs   map[chan event]bool
	closed bool
}

func (h *hub) subscribe() chan event {
	h.mu.Lock()
	defer h.mu.Unlock()
	ch := make(chan event, 32)
	if h.closed {
		close(ch)
		return ch
	}
	if h.subs == nil {
		h.subs = map[chan event]bool{}
	}
	h.subs[ch] = true
	return ch
}

func (h *hub) unsubscribe(ch chan event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.subs[ch] {
		delete(h.subs, ch)
		close(ch)
	}
}

func (h *hub) publish(e event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for ch := range h.subs {
		select {
		case ch <- e:
		default:
			delete(h.subs, ch)
			close(ch)
		}
	}
}

// close ends every stream, so that a shutdown waits for none.
func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for ch := range h.subs {
		delete(h.subs, ch)
		close(ch)
	}
}

// live is the WebSocket of /live and /admin/live.
func (s *server) live(w http.ResponseWriter, r *http.Request) error {
	c, err := websocket.Accept(w, r, nil) // refuses another site's Origin
	if err != nil {
		return nil // it has answered
	}
	defer c.CloseNow()
	c.SetReadLimit(1 << 10)
	ctx := c.CloseRead(r.Context()) // followers have nothing to say
	ch := s.hub.subscribe()
	defer s.hub.unsubscribe(ch)
	if wsjson.Write(ctx, c, event{Type: "hello"}) != nil {
		return nil
	}
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-ch:
			if !ok {
				c.Close(websocket.StatusGoingAway, "connect again")
				return nil
			}
			err = within(ctx, func(ctx context.Context) error { return wsjson.Write(ctx, c, e) })
		case <-tick.C:
			err = within(ctx, c.Ping)
		}
		if err != nil {
			return nil
		}
	}
}

func within(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return f(ctx)
}

// events is the same as a stream of server-sent events.
func (s *server) events(w http.ResponseWriter, r *http.Request) error {
	rc := http.NewResponseController(w)
	if err := rc.SetWriteDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	ch := s.hub.subscribe()
	defer s.hub.unsubscribe(ch)
	fmt.Fprint(w, "event: hello\ndata: {\"type\":\"hello\"}\n\n")
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for {
		if err := rc.Flush(); err != nil {
			return nil
		}
		select {
		case <-r.Context().Done():
			return nil
		case e, ok := <-ch:
			if !ok {
				return nil
			}
			b, _ := json.Marshal(e)
			fmt.Fprintf(w, "event: %s\ndata: %s\n\n", e.Type, b)
		case <-tick.C:
			fmt.Fprint(w, ": still here\n\n")
		}
	}
}
