//go:build linux

// Command bench measures Ringwall side by side with its peers on one machine and
// prints the figures. Only ratios of one run mean something: absolute times move
// with whatever else the machine does.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

const usage = `usage: go run ./bench [flags] [up|cpu|memory|waf|engine|alone|aws|all]...

  up      time until a built site answers, and the sandboxes' part of it
  cpu     processor time of a request through all walls, against two bare hops
  memory  memory of all Ringwall processes under load
  waf     requests and processor time next to nginx with ModSecurity
  engine  the rule engine in a bare proxy, next to Coraza and ModSecurity with the same rules
  alone   the rule engine by itself: loading, memory, large bodies, two processors
  aws     synth and check of templates, next to cfn-lint and cdk-nag

flags:
`

// settings say how long and how often to measure.
type settings struct {
	rounds  int
	n       int           // requests of one round in cpu
	load    time.Duration // of memory
	slice   time.Duration // of one kind and server in a round of waf and engine
	conns   int
	smoke   bool
	dir     string // for everything that is made
	bin     string // ringwall
	self    string // this program, without cgo
	board   string
	verbose bool
}

// A report is what one benchmark found.
type report struct {
	title   string
	how     []string // what was run
	head    []string
	rows    [][]string
	verdict []string // targets, met or not
}

// A bench is one benchmark; the title is its report's.
type bench struct {
	name, title string
	run         func(context.Context, *settings) (*report, error)
}

// benches are filled in by init, because reports refer to them.
var benches []bench

func init() {
	benches = []bench{
		{"up", "From up to the first answer", runUp},
		{"cpu", "Processor time of a request", runCPU},
		{"memory", "Memory", runMemory},
		{"waf", "Next to nginx with ModSecurity", runWAF},
		{"engine", "The rule engine next to its peers", runEngine},
		{"alone", "The rule engine alone", runAlone},
		{"aws", "Templates for AWS", runAWS},
	}
}

func main() {
	if len(os.Args) > 1 {
		if role := roles[os.Args[1]]; role != nil {
			if err := role(); err != nil {
				fmt.Fprintf(os.Stderr, "bench %s: %v\n", os.Args[1], err)
				os.Exit(1)
			}
			return
		}
	}
	s := settings{conns: 8}
	var write bool
	var minutes float64
	flag.IntVar(&s.rounds, "rounds", 9, "rounds of each measurement; the median counts")
	flag.IntVar(&s.n, "n", 4000, "requests of one round of cpu")
	flag.Float64Var(&minutes, "minutes", 10, "how long memory puts load on the site")
	flag.DurationVar(&s.slice, "slice", 3*time.Second, "how long waf asks one server for one kind of request, each round")
	flag.BoolVar(&s.smoke, "smoke", false, "the shortest run that uses every part; its figures mean nothing")
	flag.BoolVar(&s.verbose, "v", false, "print every round")
	flag.BoolVar(&write, "write", false, "write bench/RESULTS.md")
	flag.Usage = func() { fmt.Fprint(os.Stderr, usage); flag.PrintDefaults() }
	flag.Parse()
	s.load = time.Duration(minutes * float64(time.Minute))
	if s.smoke {
		s.rounds, s.n, s.load, s.slice = 1, 40, 2*time.Second, 200*time.Millisecond
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, &s, flag.Args(), write); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s *settings, names []string, write bool) (err error) {
	known := []string{"all"}
	for _, b := range benches {
		known = append(known, b.name)
	}
	for _, n := range names {
		if !slices.Contains(known, n) {
			return fmt.Errorf("got %q, want %s", n, strings.Join(known, ", "))
		}
	}
	if s.dir, err = os.MkdirTemp("", "ringwall-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(s.dir)
	if err := os.Chmod(s.dir, 0o755); err != nil { // nginx's workers and the apps are other users
		return err
	}
	if err := s.build(ctx); err != nil {
		return err
	}
	for _, b := range benches {
		if len(names) > 0 && !slices.Contains(names, b.name) && !slices.Contains(names, "all") {
			continue
		}
		fmt.Fprintf(os.Stderr, "bench: %s …\n", b.name)
		r, err := b.run(ctx, s)
		if err != nil {
			return fmt.Errorf("%s: %w", b.name, err)
		}
		r.title = b.title
		r.print(os.Stdout)
		if write {
			if err := writeResults("bench/RESULTS.md", []*report{r}); err != nil {
				return err
			}
		}
	}
	return nil
}
