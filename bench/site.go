//go:build linux

package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/ringwall/ringwall/local"
)

// A site is a directory with a configuration, and the supervisor that runs it.
type site struct {
	bin, dir        string
	visitor, office string // the doors' addresses
	cmd             *exec.Cmd
	out             strings.Builder
}

// newSite writes a site of its own; program becomes site/<name>.
func newSite(s *settings, name, yaml string, programs map[string]string) (*site, error) {
	x := &site{bin: s.bin, dir: filepath.Join(s.dir, name)}
	if err := os.MkdirAll(x.dir, 0o755); err != nil {
		return nil, err
	}
	for to, from := range programs {
		if err := copyFile(from, filepath.Join(x.dir, "site", to)); err != nil {
			return nil, err
		}
	}
	if err := os.WriteFile(filepath.Join(x.dir, "ringwall.yaml"), []byte(yaml), 0o644); err != nil {
		return nil, err
	}
	var err error
	if x.visitor, err = freeAddr("127.0.0.1"); err != nil {
		return nil, err
	}
	x.office, err = freeAddr("127.0.0.2")
	return x, err
}

func freeAddr(ip string) (string, error) {
	l, err := net.Listen("tcp", ip+":0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// start starts the supervisor and returns at once; its steps arrive on the channel,
// which is closed at its end.
func (x *site) start() (<-chan local.Step, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	x.out.Reset()
	x.cmd = exec.Command(x.bin, "up", "--progress-on-3")
	x.cmd.Dir = x.dir
	x.cmd.Env = []string{"RINGWALL_NETWORK_DOORS_VISITOR=" + x.visitor, "RINGWALL_NETWORK_DOORS_OFFICE=" + x.office,
		"PATH=" + os.Getenv("PATH"), "HOME=" + x.dir, "LANG=C.UTF-8"}
	x.cmd.Stdout, x.cmd.Stderr = &x.out, &x.out
	x.cmd.ExtraFiles = []*os.File{w}
	err = x.cmd.Start()
	w.Close()
	if err != nil {
		r.Close()
		return nil, fmt.Errorf("starting %s up: %w", x.bin, err)
	}
	steps := make(chan local.Step, 1024)
	go func() {
		defer r.Close()
		defer close(steps)
		for dec := json.NewDecoder(r); ; {
			var st local.Step
			if dec.Decode(&st) != nil {
				return
			}
			steps <- st
		}
	}()
	return steps, nil
}

// up starts the site and waits until it is ready.
func (x *site) up(ctx context.Context) ([]local.Step, error) {
	steps, err := x.start()
	if err != nil {
		return nil, err
	}
	return x.await(ctx, steps)
}

func (x *site) await(ctx context.Context, steps <-chan local.Step) (seen []local.Step, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for {
		select {
		case st, ok := <-steps:
			if !ok || st.State == "failed" && st.Part == "site" {
				x.down()
				return nil, fmt.Errorf("starting the site: it did not come up: %s\n%s", st.Text, x.out.String())
			}
			seen = append(seen, st)
			if st.State == "ready" {
				go func() {
					for range steps {
					}
				}()
				return seen, nil
			}
		case <-ctx.Done():
			x.down()
			return nil, fmt.Errorf("starting the site: %w", ctx.Err())
		}
	}
}

// down stops the supervisor and waits for its end.
func (x *site) down() {
	if x.cmd == nil {
		return
	}
	_ = x.cmd.Process.Signal(syscall.SIGTERM)
	timer := time.AfterFunc(30*time.Second, func() { _ = x.cmd.Process.Kill() })
	_ = x.cmd.Wait()
	timer.Stop()
	x.cmd = nil
}

// processes are Ringwall's own: not the apps, not the database.
func (x *site) processes() ([]proc, error) { return running(x.cmd.Process.Pid, x.bin) }

// clientTLS trusts nobody in particular: it is loopback, and nothing is judged by it.
func clientTLS() *tls.Config { return &tls.Config{InsecureSkipVerify: true, ServerName: "localhost"} }

// firstAnswer asks until a door answers with the status 200.
func firstAnswer(ctx context.Context, addr, path string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tr := &http.Transport{TLSClientConfig: clientTLS()}
	defer tr.CloseIdleConnections()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+strings.Replace(addr, "127.0.0.1", "localhost", 1)+path, nil)
		if err != nil {
			return err
		}
		req.Header.Set("Accept", "*/*")
		resp, err := tr.RoundTrip(req)
		if err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
			err = fmt.Errorf("got status %d, want 200", resp.StatusCode)
		}
		if ctx.Err() != nil {
			return errors.Join(ctx.Err(), err)
		}
		time.Sleep(2 * time.Millisecond)
	}
}
