//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	coreruleset "github.com/corazawaf/coraza-coreruleset/v4"

	"github.com/ringwall/ringwall/waf"
)

// aloneFigures are what a fresh process found of the engine, in it.
type aloneFigures struct {
	Load, LoadWall, LoadAgain time.Duration // processor time, and time
	Heap, HeapAgain           int64         // bytes
	First                     time.Duration // of the first request after loading, processor time
	Cold                      time.Duration // of one after a collection of all garbage, which takes the engine out of the processor's caches
	Median                    time.Duration
	Allocs                    float64
	Form, Form10              time.Duration // 100 KB and 10 KB
	FormEarly                 time.Duration // the first nine of 100 KB after the load
	Soup                      time.Duration
	Leaves                    time.Duration
	LeavesStatus              int
	One, Two                  float64 // requests per second on one and two processors
}

// runEngineAlone measures the engine in this process and prints its figures.
func runEngineAlone() error {
	var f aloneFigures
	heap := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	compile := func() (*waf.Engine, error) { return waf.Compile(coreruleset.FS, waf.Directives(coreRules)) }
	gets := parsed(variantsOf(0, "www.example.com"))
	empty := heap()
	var e *waf.Engine
	var err error
	began := time.Now()
	f.Load, err = spent(func() error { e, err = compile(); return err })
	if err != nil {
		return err
	}
	f.LoadWall = time.Since(began)
	one := func(r *request) (time.Duration, int) {
		w := httptest.NewRecorder()
		q := r.request()
		h := e.Wrap(nothing)
		d, _ := spent(func() error { h.ServeHTTP(w, q); return nil })
		return d, w.Code
	}
	f.First, _ = one(gets[0])
	f.Heap = heap() - empty
	f.Cold, _ = one(gets[1])
	var all []time.Duration
	for range 3 {
		for _, r := range gets {
			d, _ := one(r)
			all = append(all, d)
		}
	}
	f.Median = median(all)
	before := heap()
	var again *waf.Engine
	f.LoadAgain, err = spent(func() error { again, err = compile(); return err })
	if err != nil {
		return err
	}
	f.HeapAgain = heap() - before
	runtime.KeepAlive(again)
	n := 0
	f.Allocs = testing.AllocsPerRun(2000, func() { play(e, gets[n%len(gets)]); n++ })

	w := newWords(9)
	form := func(bytes int) *request { // of 60 fields, as plain text
		v := url.Values{}
		for i := range 60 {
			v.Set(fmt.Sprintf("%s%d", w.word(), i), w.sentence(bytes/66))
		}
		return parsed([][]byte{w.request("www.example.com", "POST", "/form", "application/x-www-form-urlencoded", v.Encode())})[0]
	}
	repeat := func(times int, make func() *request) (time.Duration, int) {
		var ds []time.Duration
		code := 0
		for range times {
			d, c := one(make())
			ds, code = append(ds, d), c
		}
		return median(ds), code
	}
	f.FormEarly, _ = repeat(9, func() *request { return form(100 << 10) })
	f.Form, _ = repeat(long, func() *request { return form(100 << 10) })
	f.Form10, _ = repeat(long, func() *request { return form(10 << 10) })
	rnd := rand.New(rand.NewPCG(5, 5))
	f.Soup, _ = repeat(long, func() *request {
		b := make([]byte, 35<<10)
		for i := range b {
			b[i] = "!\"#$'()*,-./:;<>?@[\\]^_`{|}~ "[rnd.IntN(29)]
		}
		return parsed([][]byte{w.request("www.example.com", "POST", "/form", "application/x-www-form-urlencoded", "text="+string(b))})[0]
	})
	leaves := parsed([][]byte{w.request("www.example.com", "POST", "/api", "application/json", "["+strings.Repeat(`"a",`, 1<<18)+`"a"]`)})[0]
	f.Leaves, f.LeavesStatus = repeat(9, func() *request { return leaves })
	f.One, f.Two = throughput(e, gets, 1), throughput(e, gets, 2)
	return json.NewEncoder(os.Stdout).Encode(f)
}

// long is how many long texts of a kind are asked about, all different.
const long = 100

var nothing = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})

// spent is the processor time of all threads of this process while f runs.
func spent(f func() error) (time.Duration, error) {
	before, err := cpuTime(os.Getpid())
	if err != nil {
		return 0, err
	}
	if err := f(); err != nil {
		return 0, err
	}
	after, err := cpuTime(os.Getpid())
	return after - before, err
}

// A request is one that can be asked again and again.
type request struct {
	head *http.Request
	body []byte
}

func parsed(raw [][]byte) (out []*request) {
	for _, b := range raw {
		q, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(b)))
		if err != nil {
			panic("reading a request of ours: " + err.Error())
		}
		body, _ := io.ReadAll(q.Body)
		q.RemoteAddr = "192.0.2.1:40000"
		out = append(out, &request{q, body})
	}
	return out
}

func (r *request) request() *http.Request {
	q := r.head.Clone(context.Background())
	q.RequestURI = r.head.RequestURI
	q.Body = io.NopCloser(bytes.NewReader(r.body))
	return q
}

// play runs a request without a body through a transaction.
func play(e *waf.Engine, r *request) {
	tx := e.NewTransaction()
	if it, _ := tx.ProcessRequest(r.head); it == nil {
		tx.ProcessResponseHeaders(200, "HTTP/1.1")
		_, _ = tx.ProcessResponseBody()
	}
	tx.ProcessLogging()
	_ = tx.Close()
}

// throughput is requests per second on n processors: the best of several short
// runs, as others use the machine too.
func throughput(e *waf.Engine, all []*request, n int) float64 {
	old := runtime.GOMAXPROCS(n)
	defer runtime.GOMAXPROCS(old)
	best := 0.0
	for range 15 {
		var done atomic.Int64
		var wg sync.WaitGroup
		began := time.Now()
		for g := range n {
			wg.Go(func() {
				for i := 0; time.Since(began) < 100*time.Millisecond; i++ {
					play(e, all[(i+g*len(all)/n)%len(all)])
					done.Add(1)
				}
			})
		}
		wg.Wait()
		best = max(best, float64(done.Load())/time.Since(began).Seconds())
	}
	return best
}

// figure writes a number with three digits or so.
func figure(v float64) string {
	if v >= 100 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

func runAlone(ctx context.Context, s *settings) (*report, error) {
	runs := min(max(s.rounds, 1), 5)
	var all []aloneFigures
	for range runs {
		c := exec.CommandContext(ctx, s.self, "@engine")
		c.Stderr = os.Stderr
		out, err := c.Output()
		if err != nil {
			return nil, fmt.Errorf("measuring the engine in a process of its own: %w", err)
		}
		var f aloneFigures
		if err := json.Unmarshal(out, &f); err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	of := func(get func(*aloneFigures) float64) float64 {
		var v []float64
		for i := range all {
			v = append(v, get(&all[i]))
		}
		slices.Sort(v)
		return v[len(v)/2]
	}
	r := &report{head: []string{"what", "figure"}, how: []string{fmt.Sprintf("The engine with the OWASP rules %s in a process of its own, %d times; the medians. Times are processor time, so that other load on the machine counts little; "+
		"requests go through Engine.Wrap to a handler that does nothing. Forms and punctuation: the median of %d, all different.", crsVersion(), runs, long)}}
	add := func(what, unit string, scale float64, get func(*aloneFigures) float64) float64 {
		v := of(get) / scale
		r.rows = append(r.rows, []string{what, strings.TrimSpace(figure(v) + " " + unit)})
		return v
	}
	const milli, mega = 1e6, 1 << 20
	load := add("load, warmed", "ms", milli, func(f *aloneFigures) float64 { return float64(f.Load) })
	add("load, warmed, on the clock", "ms", milli, func(f *aloneFigures) float64 { return float64(f.LoadWall) })
	heap := add("heap of the first engine", "MB", mega, func(f *aloneFigures) float64 { return float64(f.Heap) })
	add("load of a second engine", "ms", milli, func(f *aloneFigures) float64 { return float64(f.LoadAgain) })
	add("heap of a second engine", "MB", mega, func(f *aloneFigures) float64 { return float64(f.HeapAgain) })
	add("GET, median", "µs", 1e3, func(f *aloneFigures) float64 { return float64(f.Median) })
	first := add("first GET after the load, against the median", "x", 1, func(f *aloneFigures) float64 { return float64(f.First) / float64(f.Median) })
	add("a GET after a forced collection of garbage, against the median", "x", 1, func(f *aloneFigures) float64 { return float64(f.Cold) / float64(f.Median) })
	allocs := add("allocations of a clean GET", "", 1, func(f *aloneFigures) float64 { return f.Allocs })
	add("form of 100 KB, the first nine after the load", "ms", milli, func(f *aloneFigures) float64 { return float64(f.FormEarly) })
	form := add("form of 100 KB", "ms", milli, func(f *aloneFigures) float64 { return float64(f.Form) })
	linear := add("form of 100 KB against one of 10 KB", "x", 1, func(f *aloneFigures) float64 { return float64(f.Form) / float64(f.Form10) })
	soup := add("35 KB of random punctuation", "ms", milli, func(f *aloneFigures) float64 { return float64(f.Soup) })
	leaves := add(fmt.Sprintf("1 MB of JSON of one-character leaves, answered %d", all[0].LeavesStatus), "ms", milli, func(f *aloneFigures) float64 { return float64(f.Leaves) })
	scale := add("requests on two processors against one", "x", 1, func(f *aloneFigures) float64 { return f.Two / f.One })
	r.verdict = []string{met("load", load, 300, " ms"), met("heap", heap, 40, " MB"), met("first request against the median", first, 3, "x"), met("allocations of a clean GET", allocs, 40, ""),
		met("form of 100 KB", form, 3, " ms"), met("form of 100 KB against one of 10 KB", linear, 11, "x"), met("35 KB of punctuation", soup, 10, " ms"), met("1 MB of JSON leaves", leaves, 50, " ms"),
		atLeast("two processors against one", scale, 1.8, "x")}
	return r, nil
}
