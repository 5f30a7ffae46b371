//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// cpuSite has every wall but the WAF, and one fleet instance, as the bare hops
// have one app. The limits on a single visitor are out of the load's way.
const cpuSite = `app: bench
command: ["{files}/bench", "@app"]
files: {source: site}
routes: {docroot: "-", admin: [/admin/*]}
balancer: {healthPath: /healthz}
network: {rate: {perMinute: 1000000, burst: 1000000}}
waf: {disabled: %v}
tiers: {fleet: {min: %d, max: %d}}
default: dev
environments: {dev: {}}
`

// A bare is the two bare hops in a network like a site's.
type bare struct {
	addr string
	cmd  *exec.Cmd
	in   io.Closer
	hops []int
}

func startBare(ctx context.Context, s *settings, pool bool) (*bare, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := &bare{addr: l.Addr().String(), cmd: exec.Command(s.self, "@bare")}
	b.cmd.Stderr = os.Stderr
	b.cmd.Env = os.Environ()
	if pool {
		b.cmd.Env = append(b.cmd.Env, "BENCH_POOL=1")
	}
	b.cmd.ExtraFiles = []*os.File{f}
	id := func(n int) []syscall.SysProcIDMap {
		m := []syscall.SysProcIDMap{{ContainerID: 0, HostID: n, Size: 1}}
		if os.Getuid() == 0 {
			m = append(m, syscall.SysProcIDMap{ContainerID: 1, HostID: 0x70000100, Size: 1}) // of the app
		}
		return m
	}
	if os.Getuid() == 0 {
		b.cmd.Env = append(b.cmd.Env, "BENCH_ROOT=1")
	}
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET | syscall.CLONE_NEWNS,
		UidMappings: id(os.Getuid()), GidMappings: id(os.Getgid()), GidMappingsEnableSetgroups: os.Getuid() == 0}
	if b.in, err = b.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := b.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := b.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the bare hops in namespaces of their own: %w", err)
	}
	if err := json.NewDecoder(out).Decode(&b.hops); err != nil {
		b.stop()
		return nil, fmt.Errorf("starting the bare hops: %w", err)
	}
	if err := firstAnswer(ctx, b.addr, "/"); err != nil {
		b.stop()
		return nil, fmt.Errorf("waiting for the bare hops: %w", err)
	}
	return b, nil
}

func (b *bare) stop() {
	b.in.Close()
	timer := time.AfterFunc(5*time.Second, func() { _ = b.cmd.Process.Kill() })
	defer timer.Stop()
	_ = b.cmd.Wait()
}

// page is a visitor's request as a browser writes it.
func page(host, path string) []byte {
	return []byte("GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n" +
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n" +
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n" +
		"Accept-Language: en-GB,en;q=0.7\r\nAccept-Encoding: gzip, deflate, br\r\n" +
		"Referer: https://" + host + "/\r\nCookie: theme=dark; visit=3\r\n\r\n")
}

func doorHost(addr string) string { return strings.Replace(addr, "127.0.0.1", "localhost", 1) }

func runCPU(ctx context.Context, s *settings) (*report, error) {
	x, err := newSite(s, "cpu", fmt.Sprintf(cpuSite, true, 1, 1), map[string]string{"bench": s.self})
	if err != nil {
		return nil, err
	}
	if _, err := x.up(ctx); err != nil {
		return nil, err
	}
	defer x.down()
	procs, err := x.processes()
	if err != nil {
		return nil, err
	}
	type server struct {
		addr  string
		parts map[string][]int
	}
	servers := []server{{x.visitor, byPart(procs)}}
	for _, pool := range []bool{false, true} {
		b, err := startBare(ctx, s, pool)
		if err != nil {
			return nil, err
		}
		defer b.stop()
		servers = append(servers, server{b.addr, map[string][]int{"hops": b.hops}})
	}
	r := &report{head: []string{"page", "all walls, WAF off", "front, agent, hub", "two bare hops", "ratio (median)", "with kept buffers", "ratio (median)"},
		how: []string{fmt.Sprintf("%d kept HTTP/1.1 connections over TLS 1.3 on loopback; %d rounds of %d requests each, the servers in turn. Counted is the processor time of the proxies: "+
			"for Ringwall all its processes (supervisor, hub with the logs, front, agents), for its peers two httputil.ReverseProxy with the standard library's settings and kept connections; "+
			"the second peer also has a pool of buffers, which the standard library leaves to its user. All stand in the same kind of network: a namespace for the edge and one for the "+
			"instance, joined by veth pairs through a firewall, with the app in the same sandbox. Client and app are not counted. The peers have no sandbox, no log and no rules.", s.conns, s.rounds, s.n)}}
	for _, p := range []struct{ name, path string }{{"0.2 KB", "/small"}, {"10 KB", "/page"}} {
		costs, ratios := make([][]time.Duration, len(servers)), make([][]float64, len(servers))
		parts := map[string][]time.Duration{}
		for round := range s.rounds {
			for k := range servers {
				k = (k + round) % len(servers)
				cost, each, err := s.measure(ctx, servers[k].addr, p.path, servers[k].parts)
				if err != nil {
					return nil, err
				}
				costs[k] = append(costs[k], cost)
				for name, d := range each {
					parts[name] = append(parts[name], d)
				}
			}
			for k := range servers {
				ratios[k] = append(ratios[k], float64(costs[0][round])/float64(costs[k][round]))
			}
			if s.verbose {
				fmt.Fprintf(os.Stderr, "bench: cpu %s round %d: %v walls, %v bare, %v with kept buffers\n", p.name, round+1, costs[0][round], costs[1][round], costs[2][round])
			}
		}
		var of []string
		for _, name := range []string{"front", "agent", "hub"} {
			of = append(of, fmt.Sprintf("%.0f", median(parts[name]).Seconds()*1e6))
		}
		r.rows = append(r.rows, []string{p.name, us(median(costs[0])), strings.Join(of, ", ") + " µs",
			us(median(costs[1])), fmt.Sprintf("%.2f", median(ratios[1])), us(median(costs[2])), fmt.Sprintf("%.2f", median(ratios[2]))})
		r.verdict = append(r.verdict, met("processor time of a "+p.name+" page against two bare hops", median(ratios[1]), 1.3, "x"))
	}
	return r, nil
}

// byPart groups processes: front, agent, and the rest.
func byPart(ps []proc) map[string][]int {
	out := map[string][]int{}
	for _, p := range ps {
		name := p.name
		if name != "front" && name != "agent" {
			name = "hub"
		}
		out[name] = append(out[name], p.pid)
	}
	return out
}

// measure asks one server n times and returns the processor time of one request,
// in all and by part.
func (s *settings) measure(ctx context.Context, addr, path string, parts map[string][]int) (time.Duration, map[string]time.Duration, error) {
	req := page(doorHost(addr), path)
	l, err := openLoad(addr, s.conns, req)
	if err != nil {
		return 0, nil, err
	}
	defer l.close()
	before := map[string]time.Duration{}
	for k, v := range parts {
		if before[k], err = cpuTimes(v); err != nil {
			return 0, nil, err
		}
	}
	t, err := l.run(ctx, [][]byte{req}, int64(s.n), 0)
	if err != nil {
		return 0, nil, err
	}
	if t.other > 0 || t.done < int64(s.n) {
		return 0, nil, fmt.Errorf("asking %s for %s: %d of %d answers, %d of them not 200", addr, path, t.done, s.n, t.other)
	}
	var sum time.Duration
	each := map[string]time.Duration{}
	for k, v := range parts {
		after, err := cpuTimes(v)
		if err != nil {
			return 0, nil, err
		}
		each[k] = (after - before[k]) / time.Duration(t.done)
		sum += each[k]
	}
	return sum, each, nil
}
