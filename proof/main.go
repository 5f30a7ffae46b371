// Command proof judges the templates of a matrix of sites with tools that are not
// ours: cfn-lint, cfn-guard with the Control Tower rules, and cdk-nag with the
// AwsSolutions and NIST 800-53 r5 packs. It ends with 1 when a tool finds something
// that exceptions.tsv does not excuse, when an exception excuses nothing, and when a
// tool did not run or missed the faults that were planted for it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/ringwall/ringwall/internal/awstools"
)

const usage = `usage: go run ./proof [flags] [schema|cfn-lint|cfn-guard|cdk-nag]...

flags:
`

// settings are the command line.
type settings struct {
	exceptions string
	keep       string
	dir        string
	region     string
	verbose    bool
}

func main() {
	var s settings
	flag.StringVar(&s.exceptions, "exceptions", "proof/exceptions.tsv", "`file` of the findings that are excused, each with its reason")
	flag.StringVar(&s.keep, "keep", "", "keep the templates in `directory`")
	flag.StringVar(&s.dir, "dir", "", "judge the templates of `directory`, not the matrix")
	flag.StringVar(&s.region, "region", "eu-west-1", "with -dir: the Region of its templates; cdn templates are of us-east-1")
	flag.BoolVar(&s.verbose, "v", false, "print the variants, and the excused findings")
	flag.Usage = func() { fmt.Fprint(os.Stderr, usage); flag.PrintDefaults() }
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, &s, flag.Args(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "proof:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s *settings, only []string, out io.Writer) error {
	chosen, err := choose(only)
	if err != nil {
		return err
	}
	tools, err := awstools.Find()
	if err != nil {
		return err
	}
	all, err := readExceptions(s.exceptions)
	if err != nil {
		return err
	}
	dir := s.keep
	if dir == "" {
		if dir, err = os.MkdirTemp("", "ringwall-proof-"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	} else if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	templates, variants, err := s.templates(dir)
	if err != nil {
		return err
	}
	if len(templates) == 0 {
		return errors.New("NOT RUN: there is no template to judge")
	}
	planted, err := plant(dir)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%d variants, %d different templates\n\n", len(variants), len(templates))
	if s.verbose {
		for _, v := range variants {
			fmt.Fprintln(out, v)
		}
		fmt.Fprintln(out)
	}

	outcomes := make([]outcome, len(chosen))
	var wg sync.WaitGroup
	for i, j := range chosen {
		wg.Go(func() { outcomes[i] = judgeWith(ctx, j, tools, templates, planted) })
	}
	wg.Wait()
	return conclude(out, outcomes, all, len(only) == 0 && s.dir == "", s.verbose)
}

// An outcome is what one tool said.
type outcome struct {
	judge    *judge
	findings []finding
	err      error // it did not run, or missed what was planted
	took     time.Duration
}

// judgeWith runs one tool over the templates and the planted one. What it must find
// in the latter is checked and taken out.
func judgeWith(ctx context.Context, j *judge, tools *awstools.Tools, templates []*template, planted *template) outcome {
	began := time.Now()
	found, err := j.run(ctx, tools, append(templates[:len(templates):len(templates)], planted))
	o := outcome{judge: j, err: err}
	missed := map[string]bool{}
	for _, rule := range j.planted {
		missed[rule] = true
	}
	for _, f := range found {
		if f.template == planted {
			delete(missed, f.rule)
			continue
		}
		o.findings = append(o.findings, f)
	}
	for rule := range missed {
		if err == nil {
			o.err = errors.Join(o.err, fmt.Errorf("NOT RUN: %s says nothing of %s, which %s breaks on purpose", j.name, rule, filepath.Base(planted.file)))
		}
	}
	o.took = time.Since(began)
	return o
}

// conclude prints the table and what is wrong. whole says that every tool judged the
// whole matrix, so that an exception without a finding is one too many.
func conclude(out io.Writer, outcomes []outcome, all []*exception, whole, verbose bool) error {
	var failed bool
	for i := range outcomes {
		o := &outcomes[i]
		if o.err != nil {
			fmt.Fprintf(out, "%s: %v\n", o.judge.name, o.err)
			failed = true
		}
		for _, f := range merge(o.findings) {
			e := excuse(all, f)
			if e == nil {
				fmt.Fprintf(out, "%s\n", f)
				failed = true
			} else if verbose {
				fmt.Fprintf(out, "excused: %s\n  because %s\n", f, e.reason)
			}
		}
	}
	if whole {
		for _, e := range all {
			if e.used == 0 {
				fmt.Fprintf(out, "%s:%d: nothing is excused by it; take it out\n", e.file, e.line)
				failed = true
			}
		}
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\ntool\tfindings\texcused\tseconds\tverdict")
	for _, o := range outcomes {
		merged := merge(o.findings)
		excused := 0
		for _, f := range merged {
			if excuse(all, f) != nil {
				excused++
			}
		}
		verdict := "held"
		switch {
		case o.err != nil:
			verdict = "NOT RUN"
		case excused < len(merged):
			verdict = "broken"
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%.1f\t%s\n", o.judge.name, len(merged), excused, o.took.Seconds(), verdict)
	}
	w.Flush()
	if failed {
		return errors.New("the templates are not proved; what is wrong is above")
	}
	return nil
}
