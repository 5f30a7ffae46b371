//go:build linux

package local_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringwall/ringwall/local/localtest"
)

// The wall clock of a running site jumps: forward, past the end of every
// certificate that was made before, and back, to before their beginning. Visitors,
// whose clocks jump with it, come in all the while.
func TestClockJump(t *testing.T) {
	s := boardWith(t, "", "\nnetwork: {rate: {perMinute: 300, burst: 100}}\n")
	s.Bin = localtest.BuildJumping(t, "cmd/ringwall")
	defer localtest.Jump(t, s.Bin, 0)
	r := s.Up()
	var by atomic.Int64
	client := func() *http.Client {
		tr := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: s.Roots(),
			Time: func() time.Time { return time.Now().Add(time.Duration(by.Load())) }}}
		return &http.Client{Transport: tr, Timeout: 10 * time.Second}
	}
	get := func(url string) (*http.Response, error) {
		resp, err := client().Get(url)
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		return resp, err
	}
	good := func(when string) {
		t.Helper()
		resp, err := get(s.Visitor + "/")
		if err != nil || resp.StatusCode != 200 {
			t.Errorf("%s: got %v, %v, want 200", when, resp, err)
			return
		}
		// What is kept is as old as it was.
		if age, _ := strconv.Atoi(resp.Header.Get("Age")); age < 0 || age > 600 {
			t.Errorf("%s: the page says that it is %d s old", when, age)
		}
	}
	began := time.Now()
	step := func(what string) { t.Logf("%6d ms: %s", time.Since(began).Milliseconds(), what) }
	good("before")
	stream := follow(t, s, client())

	for _, j := range []struct {
		name string
		by   time.Duration
	}{
		{"400 days forward", 400 * 24 * time.Hour},
		{"400 days back", -400 * 24 * time.Hour},
		{"to the right time", 0},
	} {
		step(j.name)
		localtest.Jump(t, s.Bin, j.by)
		if j.by == 0 {
			time.Sleep(50 * time.Millisecond)
		}
		by.Store(int64(j.by))
		// The doors stay open, with a certificate that is good at this time.
		took := localtest.Eventually(t, testLimit, "the certificate is good "+j.name, func() bool {
			resp, err := get(s.Visitor + "/")
			if err != nil && !isCertificate(err) {
				t.Errorf("%s: the door does not answer: %v", j.name, err)
			}
			return err == nil && resp.StatusCode == 200
		})
		t.Logf("a good certificate after %v", took.Round(time.Millisecond))
		good(j.name)
		step("status")
		s.OK("status")
		step("a fault")
		// Health checks and back-off: an app that ends is started again as soon as ever.
		st := status(t, s)
		kill(t, hostPID(t, r, st.Instances[0].App.PID), 9)
		localtest.Eventually(t, testLimit, "the app is well again", func() bool {
			now := status(t, s)
			for _, i := range now.Instances {
				if !i.Healthy {
					return false
				}
			}
			return len(now.Instances) == len(st.Instances) && now.Instances[0].App.Restarts > st.Instances[0].App.Restarts
		})
		good(j.name + ", after a restart")

		// A door that is knocked at too often closes for a moment, not for days.
		step("a flood")
		limited := 0
		for n := 0; n < 400 && limited == 0; n++ {
			if resp, err := get(s.Visitor + "/?n=" + strconv.Itoa(n)); err == nil && resp.StatusCode == http.StatusTooManyRequests {
				limited++
				if wait, _ := strconv.Atoi(resp.Header.Get("Retry-After")); wait > 60 {
					t.Errorf("%s: a visitor is told to wait for %d s", j.name, wait)
				}
			}
		}
		if limited == 0 {
			t.Errorf("%s: 400 requests in a row met no limit", j.name)
		}
		localtest.Eventually(t, testLimit, "the visitor may come in again", func() bool {
			resp, err := get(s.Visitor + "/")
			return err == nil && resp.StatusCode == 200
		})
		step("a rotation")
		s.OK("rotate", "origin-secret")
		good(j.name + ", after a rotation")
	}
	if full() { // longer than a write may stall
		stream.alive(t, 40*time.Second)
	}
	if out := s.OK("status"); strings.Contains(out, "for -") {
		t.Errorf("status: got %s, want a time that did not jump", out)
	}
	s.OK("down")
}

func isCertificate(err error) bool {
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	return errors.As(err, &invalid) || errors.As(err, &unknown)
}

// A follower reads a stream of the board's events.
type follower struct {
	beats atomic.Int64
	ended atomic.Value // error
}

func follow(t *testing.T, s *localtest.Site, c *http.Client) *follower {
	t.Helper()
	c.Timeout = 0
	resp, err := c.Get(s.Visitor + "/events")
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("following the board: got %v, %v", resp, err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	f := &follower{}
	go func() {
		lines := bufio.NewScanner(resp.Body)
		for lines.Scan() {
			if lines.Text() != "" {
				f.beats.Add(1)
			}
		}
		f.ended.Store(fmt.Errorf("the stream ended: %v", lines.Err()))
	}()
	return f
}

// alive wants the stream to go on for a time.
func (f *follower) alive(t *testing.T, limit time.Duration) {
	t.Helper()
	before := f.beats.Load()
	time.Sleep(limit)
	if err, _ := f.ended.Load().(error); err != nil {
		t.Error(err)
	} else if f.beats.Load() == before {
		t.Error("the stream is open and silent")
	}
}
