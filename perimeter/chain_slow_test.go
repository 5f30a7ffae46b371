package perimeter_test

import (
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// A client that does not finish its TLS handshake is cut.
func TestChainSlowHandshake(t *testing.T) {
	p := newPlan()
	p.Network.HeaderTimeout = 200 * time.Millisecond
	f := start(t, p, echo())
	c, err := net.Dial("tcp", f.doors[visitor])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = c.Write([]byte{22, 3, 1})
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	began := time.Now()
	_, _ = io.Copy(io.Discard, c)
	if d := time.Since(began); d > 4*time.Second {
		t.Errorf("cut after %v", d)
	}
}

// A slow body is cut in both versions of HTTP, and others on the same HTTP/2
// connection are not.
func TestChainSlowBody(t *testing.T) {
	p := newPlan()
	p.Network.BodyTimeout = 300 * time.Millisecond
	f := start(t, p, echo())
	for _, h2 := range []bool{false, true} {
		client := f.client(visitor, h2)
		pr, pw := io.Pipe()
		go func() { _, _ = io.WriteString(pw, "a=") }()
		req, _ := http.NewRequestWithContext(t.Context(), "POST", "https://wp-dev.example.test/slow", pr)
		req.Header.Set("User-Agent", "Mozilla/5.0")
		req.Header.Set("Accept", "*/*")
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		began := time.Now()
		resp, err := client.Do(req)
		if err != nil {
			t.Fatalf("h2 %v: %v", h2, err)
		}
		resp.Body.Close()
		_ = pw.Close()
		if resp.StatusCode != 408 || time.Since(began) > 5*time.Second {
			t.Errorf("h2 %v: got %d after %v, want 408", h2, resp.StatusCode, time.Since(began))
		}
		if a := f.do(visitor, h2, "GET", "/", ""); a.StatusCode != 200 {
			t.Errorf("h2 %v: the next request got %d", h2, a.StatusCode)
		}
	}
}
