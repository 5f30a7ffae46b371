// Board is a small notice board that is administered over the web: the app that
// Ringwall starts when it is given none. It holds no defence that is a wall's
// task, so that probes of the walls are honest.
//
// It is told everything by its environment: PORT and HOST to listen on,
// RINGWALL_TIER, DATABASE_SECRET and ADMIN_SECRET (files). Its one argument is
// the directory that holds uploads/.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Getenv, nil); err != nil {
		slog.Error("board stopped", "error", err)
		os.Exit(1)
	}
}

// run serves until ctx ends, then finishes the requests at hand. It calls ready,
// if not nil, with the address once it listens.
func run(ctx context.Context, args []string, getenv func(string) string, ready func(net.Addr)) error {
	if len(args) != 1 {
		return fmt.Errorf("reading the command line: got %d arguments, want one: the directory that holds uploads", len(args))
	}
	secret := getenv("DATABASE_SECRET")
	if secret == "" {
		return errors.New("DATABASE_SECRET is empty: set it to the file with the database's credentials")
	}
	tier := cmp.Or(getenv("RINGWALL_TIER"), "admin")
	store, err := openStore(secret)
	if err != nil {
		return err
	}
	defer store.close()

	s, err := newServer(store, tier, args[0])
	if err != nil {
		return err
	}
	defer s.uploads.Close()

	// Without Multipath TCP: a sandbox that filters TCP need not know a second kind.
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	addr := net.JoinHostPort(cmp.Or(getenv("HOST"), "127.0.0.1"), cmp.Or(getenv("PORT"), "9000"))
	ln, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("listening on %s: %w", addr, err)
	}

	// What is started here ends with background, before the store closes.
	background, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	done := make(chan struct{}, 2)
	go func() { s.prepare(background, getenv("ADMIN_SECRET")); done <- struct{}{} }()
	go func() { store.listen(background, s.hub); done <- struct{}{} }()

	srv := &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       time.Minute,
		WriteTimeout:      time.Minute,
		IdleTimeout:       90 * time.Second,
		MaxHeaderBytes:    64 << 10,
	}
	srv.RegisterOnShutdown(s.hub.close)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	slog.Info("board listens", "address", ln.Addr().String(), "tier", tier)
	if ready != nil {
		ready(ln.Addr())
	}

	select {
	case err = <-served:
	case <-ctx.Done():
		grace, stop := context.WithTimeout(background, 10*time.Second)
		defer stop()
		err = srv.Shutdown(grace)
	}
	cancel()
	<-done
	<-done
	if err != nil {
		return fmt.Errorf("serving on %s: %w", addr, err)
	}
	return nil
}

// prepare makes the tables and the administrator on the admin tier, waits for
// the tables on others, and marks the server ready. It tries until ctx ends.
func (s *server) prepare(ctx context.Context, adminSecret string) {
	last := ""
	for ctx.Err() == nil {
		err := s.tryPrepare(ctx, cmp.Or(adminSecret, "/run/secrets/admin.json"))
		if err == nil {
			s.ready.Store(true)
			slog.Info("board is ready", "tier", s.tier)
			return
		}
		if err.Error() != last {
			slog.Warn("board waits", "for", err)
			last = err.Error()
		}
		sleep(ctx, 200*time.Millisecond)
	}
}

func (s *server) tryPrepare(ctx context.Context, adminSecret string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if s.tier != "admin" {
		_, err := s.store.posts(ctx, "", false, 1)
		return err
	}
	if err := s.store.migrate(ctx); err != nil {
		return err
	}
	a, err := readAdmin(adminSecret)
	if errors.Is(err, os.ErrNotExist) {
		slog.Warn("no administrator was given: nobody new can log in", "file", adminSecret)
		return nil
	} else if err != nil {
		return err
	}
	return s.store.setAdmin(ctx, a.Username, a.Password)
}

// admin is who may log in, as `ringwall up` writes it.
type admin struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

func readAdmin(file string) (a admin, err error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return a, fmt.Errorf("reading the administrator's credentials: %w", err)
	}
	if err := json.Unmarshal(b, &a); err != nil {
		// The JSON package's errors may quote the input.
		return a, fmt.Errorf("reading the administrator's credentials: %s is not JSON, want username and password", filepath.Base(file))
	}
	if a.Username == "" || len(a.Password) < 12 || len(a.Password) > 72 {
		return a, fmt.Errorf("reading the administrator's credentials: %s must have a username and a password of 12 to 72 bytes", filepath.Base(file))
	}
	return a, nil
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
