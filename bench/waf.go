//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"time"
)

func runWAF(ctx context.Context, s *settings) (*report, error) {
	x, err := newSite(s, "waf", fmt.Sprintf(cpuSite, false, 2, 2), map[string]string{"bench": s.self})
	if err != nil {
		return nil, err
	}
	if _, err := x.up(ctx); err != nil {
		return nil, err
	}
	defer x.down()
	app, err := freeAddr("127.0.0.1")
	if err != nil {
		return nil, err
	}
	stop, err := startApp(s, app)
	if err != nil {
		return nil, err
	}
	defer stop()
	n, err := startNginx(s, app)
	if err != nil {
		return nil, err
	}
	defer n.stop()
	if err := firstAnswer(ctx, n.addr, "/"); err != nil {
		return nil, fmt.Errorf("waiting for nginx: %w\n%s", err, n.log())
	}
	procs, err := x.processes()
	if err != nil {
		return nil, err
	}
	theirs, err := descendants(n.cmd.Process.Pid)
	if err != nil {
		return nil, err
	}
	servers := []struct {
		addr string
		pids []int
	}{{n.addr, theirs}, {x.visitor, pids(procs)}}

	r := &report{head: []string{"request", "nginx req/s", "ringwall req/s", "nginx CPU", "ringwall CPU", "CPU ratio (median)", "refused by nginx", "by ringwall"},
		how: []string{fmt.Sprintf("The same app behind nginx with libmodsecurity and the OWASP rules of Debian's packages, blocking, one worker for each processor, response bodies not inspected, no audit log; and behind all of Ringwall's walls with two fleet instances. %d kept HTTP/1.1 connections over TLS 1.3 on loopback; "+
			"%d variants of each kind of request in turn; %d rounds of %v for each kind and server, the servers in turn. CPU is the processor time of all processes of the server for one request; the app's is not in it. "+
			"The packages' rules are of version 3, Ringwall's of version 4, which has more of them. nginx runs without namespaces, sandboxes and a second hop. For the record; there is no target.", s.conns, variants, s.rounds, s.slice)}}
	for k, kind := range kinds {
		var rps, cost [2][]float64
		var refused, asked [2]int64
		var ratios []float64
		var next [2]int // where in its variants each server is
		for round := range s.rounds {
			for i := range 2 {
				i = (i + round) % 2
				v := servers[i]
				all := variantsOf(k, doorHost(v.addr))
				at := next[i] % len(all)
				t, cpu, err := s.slot(ctx, v.addr, append(all[at:], all[:at]...), v.pids)
				if err != nil {
					return nil, fmt.Errorf("asking %s (%s): %w", v.addr, kind.name, err)
				}
				rps[i] = append(rps[i], float64(t.done)/t.wall.Seconds())
				cost[i] = append(cost[i], float64(cpu)/float64(t.done))
				next[i] += int(t.done)
				refused[i], asked[i] = refused[i]+t.other, asked[i]+t.done
			}
			ratios = append(ratios, cost[1][round]/cost[0][round])
			if s.verbose {
				fmt.Fprintf(os.Stderr, "bench: waf %s round %d: nginx %.0f µs, ringwall %.0f µs\n", kind.name, round+1, cost[0][round]/1e3, cost[1][round]/1e3)
			}
		}
		percent := func(i int) string { return fmt.Sprintf("%.0f %%", 100*float64(refused[i])/float64(asked[i])) }
		r.rows = append(r.rows, []string{kind.name, fmt.Sprintf("%.0f", median(rps[0])), fmt.Sprintf("%.0f", median(rps[1])),
			us(time.Duration(median(cost[0]))), us(time.Duration(median(cost[1]))), fmt.Sprintf("%.2f", median(ratios)), percent(0), percent(1)})
	}
	return r, nil
}

// slot puts load on a server for one slice of time.
func (s *settings) slot(ctx context.Context, addr string, requests [][]byte, pids []int) (t tally, cpu time.Duration, err error) {
	l, err := openLoad(addr, s.conns, requests[0])
	if err != nil {
		return t, 0, err
	}
	defer l.close()
	before, err := cpuTimes(pids)
	if err != nil {
		return t, 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.slice)
	defer cancel()
	if t, err = l.run(ctx, requests, 0, 0); err != nil {
		return t, 0, err
	}
	after, err := cpuTimes(pids)
	return t, after - before, err
}

// startApp runs the app of the benchmarks without any wall.
func startApp(s *settings, addr string) (stop func(), err error) {
	c := exec.Command(s.self, "@app")
	host, port := split(addr)
	c.Env = []string{"HOST=" + host, "PORT=" + port, "BENCH_STDIN=1"}
	in, err := c.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := c.Start(); err != nil {
		return nil, err
	}
	return func() { in.Close(); _ = c.Wait() }, nil
}
