//go:build linux

package local

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/ringwall/ringwall/internal/proxy"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/perimeter/webserver"
	"github.com/ringwall/ringwall/plan"
)

// runAgent is an instance's web server: the second and last hop.
func runAgent() error {
	var cfg agentConfig
	if err := unpack(&cfg); err != nil {
		return err
	}
	perimeter.SetDown(cfg.Down)
	l, err := net.FileListener(inherited(0, "listener"))
	if err != nil {
		return fmt.Errorf("taking the listener over: %w", err)
	}
	refusals := newEventLog(inherited(1, "refusals"), 0)
	if cfg.Trials != nil {
		go try(cfg.Trials, dial, inherited(2, "proof"))
	}
	p := cfg.Plan
	h, err := webserver.New(p, cfg.Tier, webserver.App{
		Root:   p.Files.Mount,
		Temp:   os.TempDir(),
		Dial:   dialApp(cfg),
		Report: func(line string) { fmt.Fprintln(os.Stderr, line) },
	})
	if err != nil {
		return err
	}
	srv := &http.Server{
		Handler: proxy.ReplyInner(h, func(e *proxy.Event) {
			if e.Refusal != nil {
				e.Instance, e.Tier = cfg.Name, cfg.Tier
				refusals.write(e)
			}
		}),
		ReadHeaderTimeout: p.Network.HeaderTimeout,
		IdleTimeout:       2 * time.Minute, // longer than the balancer's, which so never meets a closing connection
		MaxHeaderBytes:    p.Network.MaxHeaderBytes + 8192,
	}
	return serveUntilTerm(p.Balancer.DrainTimeout, func() error { return srv.Serve(l) }, srv.Shutdown)
}

// serveUntilTerm serves until SIGTERM, and then finishes what is open.
func serveUntilTerm(limit time.Duration, serve func() error, shutdown func(context.Context) error) error {
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM, syscall.SIGINT)
	ended := make(chan error, 1)
	go func() { ended <- serve() }()
	select {
	case err := <-ended:
		return err
	case <-term:
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// dialApp reaches the app of this instance: over its socket in /run/app, or over
// the address that it was told to listen on.
func dialApp(cfg agentConfig) func(context.Context) (net.Conn, error) {
	var d net.Dialer
	d.SetMultipathTCP(false)
	if cfg.Plan.Kind == plan.PHP {
		return func(ctx context.Context) (net.Conn, error) { return d.DialContext(ctx, "unix", cfg.Run+"/php.sock") }
	}
	socket := cfg.Run + "/app.sock"
	return func(ctx context.Context) (net.Conn, error) {
		if c, err := d.DialContext(ctx, "unix", socket); err == nil {
			return c, nil
		}
		c, err := d.DialContext(ctx, "tcp", cfg.App.String())
		if plain := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), cfg.App.Port()); err != nil && cfg.App != plain {
			return d.DialContext(ctx, "tcp", plain.String()) // it knows no other address
		}
		return c, err
	}
}
