package local

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/ringwall/ringwall/internal/supervise"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

// A Step is one line of a site's progress.
type Step struct {
	Part  string        `json:"part"`  // edge, database, fleet/1; "site" for the whole
	State string        `json:"state"` // starting, up, note, failed, ready, stopped
	Text  string        `json:"text,omitempty"`
	Took  time.Duration `json:"took,omitempty"`
}

// Options of a run.
type Options struct {
	AllowWeak bool
	Approve   bool       // deletions that the plan asks for
	Steps     func(Step) // called for every step, in order
	Down      []string   // controls whose walls are down; test builds only
	Ready     func()     // called once, when the site answers for the first time
}

// ErrApproval means that the plan asks for a deletion that nobody has approved.
var ErrApproval = errors.New("approval needed")

// An answer is what the control socket replies with.
type answer struct {
	Error string          `json:"error,omitempty"`
	Value json.RawMessage `json:"value,omitempty"`
}

// A Client talks to a running site.
type Client struct {
	state State
	http  *http.Client
}

// ErrNotRunning means that no supervisor answers for the site.
var ErrNotRunning = errors.New("the site is not running")

// notRunning is ErrNotRunning with the site's name.
func (s State) notRunning() error { return &stoppedError{filepath.Base(s.Dir)} }

type stoppedError struct{ site string }

func (e *stoppedError) Error() string {
	return fmt.Sprintf("the site %[1]s is not running; start it with: ringwall up %[1]s", e.site)
}

func (e *stoppedError) Unwrap() error { return ErrNotRunning }

// A strangerError means that the site is another user's.
type strangerError struct{ dir string }

func (e *strangerError) Error() string {
	return fmt.Sprintf("asking the site: got permission denied for %s, want its owner; run this as the user who started the site", e.dir)
}

func (e *strangerError) Unwrap() error { return fs.ErrPermission }

// unanswered says why nobody answers: a site of another user may well run.
func (s State) unanswered(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return &strangerError{s.Dir}
	}
	return s.notRunning()
}

// Connect returns a client of the site in this state directory.
func Connect(s State) *Client {
	return &Client{state: s, http: &http.Client{Transport: &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			c, err := dialUnix(s.Control())
			if err != nil {
				return nil, s.unanswered(err)
			}
			return c, nil
		},
	}}}
}

// call asks the site and reads its answer into v, which may be nil.
func (c *Client) call(ctx context.Context, method, path string, v any) error {
	return c.send(ctx, method, path, nil, v)
}

// send is call with a body.
func (c *Client) send(ctx context.Context, method, path string, body io.Reader, v any) error {
	r, err := http.NewRequestWithContext(ctx, method, "http://site"+path, body)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(r)
	if errors.Is(err, ErrNotRunning) {
		return c.state.notRunning()
	}
	if e, ok := errors.AsType[*strangerError](err); ok {
		return e
	}
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
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
	ctx, cancel := context.WithTimeoutCause(ctx, 20*time.Second, errors.New("no answer in 20 s; what the site does now is in its supervisor's output"))
	defer cancel()
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

// Probe runs controls of the running site; an empty list means all.
func (c *Client) Probe(ctx context.Context, controls []string, emit func(perimeter.Result)) error {
	body := strings.NewReader("controls=" + strings.Join(controls, "+"))
	r, err := http.NewRequestWithContext(ctx, "POST", "http://site/probe", body)
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := c.http.Do(r)
	if errors.Is(err, ErrNotRunning) {
		return c.state.notRunning()
	}
	if e, ok := errors.AsType[*strangerError](err); ok {
		return e
	}
	if err != nil {
		return fmt.Errorf("asking the site to probe itself: %w", err)
	}
	defer resp.Body.Close()
	dec := json.NewDecoder(resp.Body)
	if resp.StatusCode != http.StatusOK {
		var a answer
		dec.Decode(&a)
		return errors.New(a.Error)
	}
	for {
		var res perimeter.Result
		if err := dec.Decode(&res); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("reading the probes' results: %w", err)
		}
		emit(res)
	}
}

// alive says whether a supervisor answers on the control socket.
func (s State) alive() bool {
	c, err := dialUnix(s.Control())
	if err == nil {
		c.Close()
	}
	return err == nil
}

func dialUnix(path string) (net.Conn, error) {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return net.Dial("unix", filepath.Join("/proc/self/fd", strconv.Itoa(int(dir.Fd())), filepath.Base(path)))
}

// A Check is one thing that a site needs of this machine.
type Check struct {
	Name     string `json:"name"`
	OK       bool   `json:"ok"`
	Required bool   `json:"required"` // without it the enforcement is not full, or the site does not run
	Layer    bool   `json:"layer"`    // a part of the enforcement: --allow-weak starts without it
	Detail   string `json:"detail"`
	Fix      string `json:"fix,omitempty"`
}

// A Status is a running site as its owner sees it.
type Status struct {
	Site      string               `json:"site"`
	State     string               `json:"state"` // starting, up, stopping
	Since     time.Time            `json:"since"`
	Up        float64              `json:"up_seconds"`  // whatever the clock did meanwhile
	Enforced  string               `json:"enforcement"` // full, or weak with what is missing
	URLs      []string             `json:"urls"`
	Parts     []supervise.Status   `json:"parts"`
	Instances []InstanceStatus     `json:"instances"`
	Tiers     map[string]tierState `json:"tiers"`
	Tree      string               `json:"tree"` // how the code differs from what was accepted; empty: it does not
	Plan      string               `json:"plan"` // of what the site runs: see PlanID
	Notes     []string             `json:"notes,omitempty"`
}

// An InstanceStatus is one instance.
type InstanceStatus struct {
	Name    string           `json:"name"`
	Addr    netip.AddrPort   `json:"addr"`
	Healthy bool             `json:"healthy"`
	Since   time.Time        `json:"since"`
	App     supervise.Status `json:"app"`
	Agent   supervise.Status `json:"agent"`
}

// A tierState is how busy a tier is.
type tierState struct {
	InFlight int   `json:"in_flight"`
	P50      int64 `json:"p50_us"` // to the first byte, of the last seconds
}

// Replace puts new instances in the place of a tier's, of one, or of all, and
// returns their names.
func (c *Client) Replace(ctx context.Context, name string) (made []string, err error) {
	return made, c.call(ctx, "POST", "/replace?name="+url.QueryEscape(name), &made)
}

// Rotate renews origin-secret, database or tls, and says what is so now.
func (c *Client) Rotate(ctx context.Context, what string) (text string, err error) {
	return text, c.call(ctx, "POST", "/rotate?what="+url.QueryEscape(what), &text)
}

// Accept takes the code as it is for right.
func (c *Client) Accept(ctx context.Context) (text string, err error) {
	return text, c.call(ctx, "POST", "/accept", &text)
}

// Purge forgets cached answers whose URL has a prefix; all of them when it is empty.
func (c *Client) Purge(ctx context.Context, prefix string) error {
	return c.call(ctx, "POST", "/purge?prefix="+url.QueryEscape(prefix), nil)
}

// Rules asks which rules are in force.
func (c *Client) Rules(ctx context.Context) (w plan.WAF, err error) {
	return w, c.call(ctx, "GET", "/rules", &w)
}

// Reload puts other rules in force. On an error the old ones go on.
func (c *Client) Reload(ctx context.Context, w plan.WAF) (text string, err error) {
	b, err := json.Marshal(w)
	if err != nil {
		return "", err
	}
	return text, c.send(ctx, "POST", "/rules", bytes.NewReader(b), &text)
}

// PlanID names what a plan says: two plans that say the same have the same one.
func PlanID(p *plan.Plan) string {
	q := *p
	q.Origins, q.Notes = nil, nil
	b, err := json.Marshal(q)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%x", sha256.Sum256(b))[:16]
}

// Changed says that the configuration no longer says what the site runs; empty: it does.
func (s Status) Changed(p *plan.Plan) string {
	if s.Plan == PlanID(p) {
		return ""
	}
	return "the configuration says something else than the site that runs: it was changed, or another --set or environment is in force; to take it: ringwall down, ringwall up"
}
