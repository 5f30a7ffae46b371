//go:build linux

package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
)

func runMemory(ctx context.Context, s *settings) (*report, error) {
	conf, err := boardConfig("tiers: {fleet: {min: 2, max: 2}}, network: {rate: {perMinute: 1000000, burst: 1000000}}")
	if err != nil {
		return nil, err
	}
	x, err := newSite(s, "memory", conf, map[string]string{"board": s.board})
	if err != nil {
		return nil, err
	}
	if _, err := x.up(ctx); err != nil {
		return nil, err
	}
	defer x.down()
	idle, err := sample(x)
	if err != nil {
		return nil, err
	}

	loadCtx, stop := context.WithTimeout(ctx, s.load)
	defer stop()
	type ended struct {
		tally
		err error
	}
	done := make(chan ended, 2)
	for _, door := range []string{x.visitor, x.office} {
		reqs := mixed(doorHost(door))
		l, err := openLoad(door, s.conns, reqs[0])
		if err != nil {
			return nil, err
		}
		defer l.close()
		go func() {
			// Busy, but not so busy that samples have to wait for a processor.
			t, err := l.run(loadCtx, reqs, 0, 100*time.Millisecond)
			done <- ended{t, err}
		}()
	}
	var samples []map[string]int64
	for tick := time.Tick(max(s.load/200, 500*time.Millisecond)); loadCtx.Err() == nil; {
		select {
		case <-tick:
			m, err := sample(x)
			if err != nil {
				return nil, err
			}
			samples = append(samples, m)
			if s.verbose {
				fmt.Fprintf(os.Stderr, "bench: memory %.1f MB\n", mb(total(m)))
			}
		case <-loadCtx.Done():
		}
	}
	var asked, other int64
	for range 2 {
		e := <-done
		if e.err != nil {
			return nil, e.err
		}
		asked, other = asked+e.done, other+e.other
	}
	if len(samples) == 0 {
		return nil, fmt.Errorf("sampling: the load of %v was too short for one sample", s.load)
	}

	r := &report{head: []string{"process", "idle", "under load (median)", "largest", "at the end"},
		how: []string{fmt.Sprintf("The notice board with one admin and two fleet instances, the WAF on, under load for %v: %d requests of visitors and administrators (pages, search, pictures, comments, uploads of 50 KB, attacks; %d were refused or not found). "+
			"The figures are PSS of all Ringwall processes, sampled %d times; apps and database are not in them.", s.load, asked, other, len(samples))}}
	row := func(name string, get func(map[string]int64) int64) {
		var v []int64
		for _, m := range samples {
			v = append(v, get(m))
		}
		r.rows = append(r.rows, []string{name, fmt.Sprintf("%.1f MB", mb(get(idle))), fmt.Sprintf("%.1f MB", mb(median(v))), fmt.Sprintf("%.1f MB", mb(slices.Max(v))), fmt.Sprintf("%.1f MB", mb(v[len(v)-1]))})
	}
	for _, name := range slices.Sorted(maps.Keys(idle)) {
		row(name, func(m map[string]int64) int64 { return m[name] })
	}
	row("all", total)
	var sums []int64
	for _, m := range samples {
		sums = append(sums, total(m))
	}
	r.verdict = []string{met("memory of all processes, the largest sample", mb(slices.Max(sums)), 200, " MB")}
	if n := len(sums) / 4; n > 0 {
		second, last := sums[n:2*n], sums[3*n:]
		growth := float64(median(last)) / float64(median(second))
		r.verdict = append(r.verdict, met("flat: the last quarter of the time against the second", growth, 1.05, "x"))
	}
	return r, nil
}

func mb(n int64) float64 { return float64(n) / 1e6 }

func total(m map[string]int64) (n int64) {
	for _, v := range m {
		n += v
	}
	return n
}

// sample reads the memory of all processes of a site, by kind.
func sample(x *site) (map[string]int64, error) {
	ps, err := x.processes()
	if err != nil {
		return nil, err
	}
	counts, out := map[string]int{}, map[string]int64{}
	for _, p := range ps {
		n, err := pss(p.pid)
		if err != nil {
			return nil, err
		}
		counts[p.name]++
		out[p.name] += n
	}
	named := map[string]int64{}
	for name, n := range out {
		if c := counts[name]; c > 1 {
			name = fmt.Sprintf("%s (%d)", name, c)
		}
		named[name] = n
	}
	return named, nil
}

// mixed is what visitors of the notice board do, good and bad.
func mixed(host string) (out [][]byte) {
	post := func(path, kind, body string) []byte {
		return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: Mozilla/5.0\r\nAccept: text/html\r\nOrigin: https://%s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", path, host, host, kind, len(body), body)
	}
	w := newWords(1)
	for i := range 200 {
		out = append(out, page(host, "/"), page(host, "/posts/1"), page(host, "/search?q="+w.word()+"+"+w.word()), page(host, "/static/style.css"), page(host, "/admin/login"),
			page(host, fmt.Sprintf("/nothing/%d", i)))
		switch i % 4 {
		case 0:
			out = append(out, post("/posts/1/comments", "application/x-www-form-urlencoded", "author="+w.word()+"&body="+strings.Join(w.words(20), "+")))
		case 1:
			out = append(out, page(host, "/?q="+w.attack()))
		case 2:
			out = append(out, post("/posts/1/comments", "application/json", `{"text":"`+strings.Join(w.words(60), " ")+`"}`))
		case 3:
			if i%40 == 3 {
				body := "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.bin\"\r\nContent-Type: image/png\r\n\r\n" + strings.Repeat(w.word(), 50<<10/8) + "\r\n--b--\r\n"
				out = append(out, post("/admin/uploads", "multipart/form-data; boundary=b", body))
			}
		}
	}
	return out
}
