package edge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

// A smuggle is a request with another one hidden in or behind its body. HOST is
// replaced by the site's name, and HIDDEN by the hidden request.
type smuggle struct{ name, text string }

const smuggleHead = "POST /ringwall-probe HTTP/1.1\r\nHost: HOST\r\nUser-Agent: Mozilla/5.0\r\nAccept: application/json\r\nContent-Type: application/x-www-form-urlencoded\r\n"

// smuggles end where one reader sees the end of a body and another does not.
var smuggles = []smuggle{
	{"a length, and chunks that end before it", smuggleHead + "Content-Length: LENGTH\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHIDDEN"},
	{"chunks, and a length that ends before them", smuggleHead + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\nHIDDEN"},
	{"a length in one reader's eyes and another's", smuggleHead + "Content-Length: 0\r\nContent-Length: LENGTH\r\n\r\nHIDDEN"},
	{"two lengths in one line", smuggleHead + "Content-Length: 0, LENGTH\r\n\r\nHIDDEN"},
	{"a length with a sign", smuggleHead + "Content-Length: +0\r\n\r\nHIDDEN"},
	{"a negative length", smuggleHead + "Content-Length: -1\r\n\r\nHIDDEN"},
	{"a space before the colon of Transfer-Encoding", smuggleHead + "Content-Length: LENGTH\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\nHIDDEN"},
	{"a space before the colon of Content-Length", smuggleHead + "Content-Length : LENGTH\r\n\r\nHIDDEN"},
	{"an encoding that only looks like chunked", smuggleHead + "Content-Length: LENGTH\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\nHIDDEN"},
	{"chunked behind another encoding", smuggleHead + "Content-Length: LENGTH\r\nTransfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\nHIDDEN"},
	{"two encodings", smuggleHead + "Content-Length: LENGTH\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\nHIDDEN"},
	{"chunked in capitals with a tab", smuggleHead + "Content-Length: LENGTH\r\nTransfer-Encoding:\tCHUNKED\r\n\r\n0\r\n\r\nHIDDEN"},
	{"chunked in quotes", smuggleHead + "Content-Length: LENGTH\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\nHIDDEN"},
	{"chunked on a continued line", smuggleHead + "Content-Length: LENGTH\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\nHIDDEN"},
	{"chunked behind a bare line feed", smuggleHead + "Content-Length: LENGTH\r\nX-Probe: a\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHIDDEN"},
	{"chunked behind a bare carriage return", smuggleHead + "Content-Length: 0\r\nX-Probe: a\rTransfer-Encoding: chunked\r\n\r\nHIDDEN"},
	{"a chunk's size with a sign", smuggleHead + "Transfer-Encoding: chunked\r\n\r\n+0\r\n\r\nHIDDEN"},
	{"a chunk's size that overflows", smuggleHead + "Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n\r\nHIDDEN"},
	{"a line feed in a chunk's extension", smuggleHead + "Transfer-Encoding: chunked\r\n\r\n2;\nxx\r\n0\r\n\r\nHIDDEN"},
	{"a chunk that does not end where it says", smuggleHead + "Transfer-Encoding: chunked\r\n\r\n1\r\nxxxx\r\n0\r\n\r\nHIDDEN"},
	{"a trailer that is a header", smuggleHead + "Transfer-Encoding: chunked\r\nTrailer: Content-Length\r\n\r\n0\r\nContent-Length: LENGTH\r\n\r\nHIDDEN"},
	{"chunks in an HTTP/1.0 request", strings.Replace(smuggleHead, "HTTP/1.1", "HTTP/1.0", 1) + "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\nContent-Length: LENGTH\r\n\r\n0\r\n\r\nHIDDEN"},
	{"a zero byte in a header", smuggleHead + "X-Probe: a\x00b\r\nContent-Length: 0\r\n\r\nHIDDEN"},
	{"two names of the site", smuggleHead + "Host: ringwall-probe.invalid\r\nContent-Length: 0\r\n\r\nHIDDEN"},
	{"a line without a colon", smuggleHead + "Content-Length\r\n\r\nHIDDEN"},
	{"a request line with a space too many", "GET /ringwall-probe HTTP/1.1 HTTP/1.1\r\nHost: HOST\r\n\r\nHIDDEN"},
}

func (s smuggle) raw(host string) string {
	hidden := "GET /ringwall-hidden HTTP/1.1\r\nHost: " + host + "\r\nUser-Agent: Mozilla/5.0\r\nAccept: application/json\r\n\r\n"
	out := strings.ReplaceAll(s.text, "HOST", host)
	head, body, _ := strings.Cut(out, "\r\n\r\n")
	body = strings.ReplaceAll(body, "HIDDEN", hidden)
	return strings.ReplaceAll(head, "LENGTH", fmt.Sprint(len(body))) + "\r\n\r\n" + strings.ReplaceAll(body, "LENGTH", fmt.Sprint(len(hidden)))
}

// quiet is how long at least a connection must say nothing before a second answer
// is no longer expected; patience, how long an answer that is expected may take.
const (
	quiet    = 600 * time.Millisecond
	patience = 6 * time.Second
)

// A volley is what came back of raw bytes.
type volley struct {
	answers []*perimeter.Answer
	ended   bool // the connection was closed
	took    time.Duration
}

// fire sends raw bytes on a new connection and reads up to most answers, until it
// ends or, after one, has said nothing for calm.
func fire(ctx context.Context, t *perimeter.Target, raw string, most int, calm time.Duration) (volley, error) {
	for range 8 {
		began := time.Now()
		v, err := fireNow(ctx, t, raw, most, calm)
		v.took = time.Since(began)
		if !slices.ContainsFunc(v.answers, func(a *perimeter.Answer) bool { return a.Status == http.StatusTooManyRequests }) {
			return v, err
		}
		if err := t.Ready(ctx, plan.Internet, 20); err != nil { // another promise's matter
			return volley{}, err
		}
	}
	return volley{}, perimeter.ErrTooOften
}

func fireNow(ctx context.Context, t *perimeter.Target, raw string, most int, calm time.Duration) (v volley, err error) {
	l, err := t.TLS(ctx, plan.Internet)
	if err != nil {
		return v, err
	}
	defer l.Close()
	if err := l.Send(raw); err != nil {
		v.ended = true // it was cut in the middle
		return v, nil
	}
	wait := patience
	for len(v.answers) < most {
		ans, err := l.Next("POST", wait)
		if err != nil {
			ne, ok := errors.AsType[net.Error](err)
			late := ok && ne.Timeout()
			if !late && !errors.Is(err, io.EOF) && !ok && len(v.answers) == 0 {
				return v, fmt.Errorf("reading an answer: %w", err)
			}
			v.ended = !late
			return v, nil
		}
		v.answers = append(v.answers, ans)
		wait = calm
	}
	return v, nil
}

func probeSmuggling(ctx context.Context, t *perimeter.Target) error {
	host := t.Host()
	// Two requests in a row are two answers: the probe can see a second one.
	plain := "GET /ringwall-probe HTTP/1.1\r\nHost: " + host + "\r\nUser-Agent: Mozilla/5.0\r\nAccept: application/json\r\n\r\n"
	pair, err := fire(ctx, t, plain+plain, 2, patience)
	if err != nil {
		return err
	}
	two := pair.answers
	if len(two) > 0 && two[0].TooOften() {
		return fmt.Errorf("sending two plain requests in a row: %w", perimeter.ErrTooOften)
	}
	if len(two) != 2 || two[0].ID == "" || two[1].ID == "" {
		return fmt.Errorf("two plain requests in a row got %d answers, want 2, so that one answer to a smuggled pair would prove nothing", len(two))
	}
	before := two[0]
	calm := min(max(quiet, 4*pair.took), patience)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var trouble error
	slots := make(chan struct{}, 4)
	for _, s := range smuggles {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			t.Tried("%s", s.name)
			v, err := fire(ctx, t, s.raw(host), 4, calm)
			got, ended := v.answers, v.ended
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				trouble = fmt.Errorf("trying %s: %w", s.name, err)
			case len(got) > 0 && got[0].TooOften():
				trouble = fmt.Errorf("trying %s: %w", s.name, perimeter.ErrTooOften)
			case len(got) > 1:
				t.Broken("%s → a second answer, to the hidden request: %s, then %s", s.name, got[0], got[1])
			case len(got) == 0 && ended:
				t.Saw("%s → the connection was closed", s.name)
			case len(got) == 0:
				trouble = fmt.Errorf("trying %s: no answer, and the connection stays open", s.name)
			case ended:
				t.Saw("%s → %s, and the connection was closed", s.name, got[0])
			default:
				t.Saw("%s → %s, and no second answer", s.name, got[0])
			}
		})
	}
	wg.Wait()
	if trouble != nil {
		return trouble
	}
	if err := probeStreams(ctx, t); err != nil {
		return err
	}
	// Nobody who comes after may get another's answer.
	a := t.Asker(plan.Internet)
	defer a.Close()
	for range 6 {
		ans, err := a.Ask(ctx, perimeter.Request{URI: "/ringwall-probe"})
		if err != nil {
			return fmt.Errorf("asking after the attempts: %w", err)
		}
		if ans.Wall != before.Wall || ans.Status != before.Status {
			t.Broken("after the attempts an ordinary request → %s, before them %s", ans, before)
		}
	}
	t.Saw("ordinary requests afterwards are answered as before: %s", before)
	return nil
}
