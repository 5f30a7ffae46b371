package network

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

// maxFlood bounds what a probe sends. A plan that allows more cannot be judged.
const maxFlood = 2000

// knock is a request that costs the site next to nothing: the edge refuses its
// method before anything else.
var knock = perimeter.Request{Method: http.MethodTrace, URI: "/"}

// flooder is where floods come from: an address of their own, or for a site
// elsewhere this machine's only one, which then cannot also be another visitor.
func flooder(t *perimeter.Target) string {
	if t.Site == nil {
		return plan.Internet
	}
	return perimeter.Crowd
}

func probeConnections(ctx context.Context, t *perimeter.Target) error {
	most := t.Plan.Network.MaxConnsPerIP
	if most <= 0 || most > maxFlood {
		return fmt.Errorf("the plan allows %d connections of one address; a probe opens at most %d", most, maxFlood)
	}
	if total := t.Plan.Network.MaxConns; total > 0 && total < most+8 {
		return fmt.Errorf("the plan allows %d connections in all and %d of one address: nobody else would get in during the probe", total, most)
	}
	const more = 5
	from := flooder(t)
	address := t.HTTPSAddress(from)
	var mu sync.Mutex
	var lines []*perimeter.Line
	defer func() {
		for _, l := range lines {
			l.Close()
		}
	}()
	t.Tried("%d connections from one address, %d more than the bound", most+more, more)
	open := func() error {
		l, err := t.Plain(ctx, from, address)
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			lines = append(lines, l)
		}
		return err
	}
	var next, failed, cut atomic.Int32
	var first error
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for next.Add(1) <= int32(most+more) && ctx.Err() == nil {
				switch err := open(); {
				case errors.Is(err, syscall.ECONNRESET): // cut before it was ours
					cut.Add(1)
				case err != nil && failed.Add(1) == 1:
					first = err
				}
			}
		})
	}
	wg.Wait()
	if failed.Load() > more {
		return fmt.Errorf("opening connections: %d failed: %w", failed.Load(), first)
	}
	// A connection over the bound is closed as soon as it is accepted.
	patience := 1500 * time.Millisecond
	if h := t.Plan.Network.HeaderTimeout; h > 0 { // silence is cut too, but later
		patience = min(patience, h/2)
	}
	deadline := time.Now().Add(patience)
	for _, l := range lines {
		wg.Go(func() {
			l.SetReadDeadline(deadline)
			if _, err := l.Read(make([]byte, 1)); closed(err) {
				cut.Add(1)
			}
		})
	}
	var ans *perimeter.Answer
	var err error
	others := from != plan.Internet
	if others {
		t.Tried("a visitor's request meanwhile")
		a := t.Asker(plan.Internet).Flood()
		defer a.Close()
		ans, err = a.Ask(ctx, knock)
	}
	wg.Wait()
	over := int(cut.Load() + failed.Load())
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case over == 0:
		t.Broken("all %d connections of one address stay open; want %d at most", most+more, most)
	case over < more:
		t.Broken("%d of %d connections of one address stay open; want %d at most", most+more-over, most+more, most)
	case over > more+most/2:
		return fmt.Errorf("%d of %d connections were cut: more than the bound explains", over, most+more)
	default:
		t.Saw("%d of %d were closed at once", over, most+more)
	}
	switch {
	case !others:
	case err != nil:
		t.Broken("meanwhile a visitor could not connect: %v", err)
	default:
		t.Saw("meanwhile a visitor → %s", ans)
	}
	return nil
}

func probeRate(ctx context.Context, t *perimeter.Target) error {
	r := t.Plan.Network.Rate
	most := max(r.Burst, 1)
	if r.PerMinute <= 0 || most > maxFlood || r.PerMinute > 60*maxFlood {
		return fmt.Errorf("the plan allows %d requests a minute and %d at once; a probe sends at most %d", r.PerMinute, most, maxFlood)
	}
	var asked, refused atomic.Int32
	var mu sync.Mutex
	var evidence *perimeter.Answer
	var trouble error
	limit := int32(2*most + r.PerMinute/20 + 20) // what comes back in three seconds, too
	t.Tried("requests from one address until it is refused, %d at most, with %d allowed at once", limit, most)
	var wg sync.WaitGroup
	// The connections of a probe before this one may still be closing.
	for try := 0; ; try++ {
		a := t.Asker(flooder(t)).Flood()
		_, err := a.Ask(ctx, knock)
		a.Close()
		if err == nil {
			break
		}
		if try == 15 || ctx.Err() != nil {
			return fmt.Errorf("asking for the first time: %w", err)
		}
		time.Sleep(200 * time.Millisecond)
	}
	for range 4 {
		wg.Go(func() {
			a := t.Asker(flooder(t)).Flood()
			defer a.Close()
			for refused.Load() == 0 && ctx.Err() == nil && asked.Add(1) <= limit {
				ans, err := a.Ask(ctx, knock)
				mu.Lock()
				if err != nil {
					trouble = err
				} else if t.Refusal(ans, http.StatusTooManyRequests, classRate) {
					refused.Add(1)
					evidence = ans
				}
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case evidence == nil && trouble != nil:
		return fmt.Errorf("asking again and again: %w", trouble)
	case evidence == nil:
		t.Broken("%d requests from one address, and none was refused", min(asked.Load(), limit))
	case t.Site != nil && asked.Load() < int32(most/2): // elsewhere the other probes have this machine's address too
		return fmt.Errorf("refused after %d requests, with %d allowed at once: something else used this address", asked.Load(), most)
	default:
		if s, err := strconv.Atoi(evidence.Header.Get("Retry-After")); err != nil || s < 1 {
			t.Broken("the refusal says Retry-After %q, want seconds", evidence.Header.Get("Retry-After"))
		}
		t.Saw("after about %d requests → %s, again in %s s", asked.Load(), evidence, evidence.Header.Get("Retry-After"))
	}
	if t.Site == nil {
		return nil
	}
	t.Tried("a visitor's request meanwhile")
	a := t.Asker(plan.Internet)
	defer a.Close()
	ans, err := a.Ask(ctx, knock)
	switch {
	case err != nil:
		t.Broken("meanwhile a visitor got no answer: %v", err)
	case ans.Status == http.StatusTooManyRequests:
		return errors.New("the visitor's own address is over its rate, from other requests")
	default:
		t.Saw("meanwhile a visitor → %s", ans)
	}
	return nil
}
