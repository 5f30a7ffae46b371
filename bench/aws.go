//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ringwall/ringwall/internal/awstools"
	"github.com/ringwall/ringwall/internal/template"
	"github.com/ringwall/ringwall/perimeter/all"
	"github.com/ringwall/ringwall/plan"
	"github.com/ringwall/ringwall/synth"
	"github.com/ringwall/ringwall/verify"
)

// awsSite is a site with all that can be had: a cluster, a golden image, alarms.
const awsSite = `app: wp
preset: wordpress
network: {zone: example.com}
database: {config: cluster, size: 2}
aws: {region: eu-west-1, image: build, alarmEmail: security@example.com}
default: dev
environments: {%s}
`

// A spentOn is what a process took.
type spentOn struct{ wall, cpu time.Duration }

func timed(cmd *exec.Cmd, fine ...int) (spentOn, error) {
	var said strings.Builder
	cmd.Stderr = &said
	began := time.Now()
	err := cmd.Run()
	wall := time.Since(began)
	var e *exec.ExitError
	if errors.As(err, &e) {
		for _, code := range fine {
			if e.ExitCode() == code {
				err = nil
			}
		}
	}
	if err != nil {
		return spentOn{}, fmt.Errorf("running %s: %w: %.500s", strings.Join(cmd.Args, " "), err, said.String())
	}
	return spentOn{wall, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}, nil
}

func medians(all []spentOn) (wall, cpu time.Duration) {
	var w, c []time.Duration
	for _, s := range all {
		w, c = append(w, s.wall), append(c, s.cpu)
	}
	return median(w), median(c)
}

func runAWS(ctx context.Context, s *settings) (*report, error) {
	r := &report{head: []string{"what", "time (median)", "processor time (median)", "runs"},
		how: []string{"Whole processes, from the start to the end, on the templates of one site with everything: WordPress, a database cluster with two readers, a golden image, alarms; " +
			"its six stacks. The runs of all take turns. cfn-lint and cdk-nag (AwsSolutions and NIST 800-53 r5) are those of `make verify-aws`, on the same files, one after the other. " +
			"The last rows are one process that synthesizes and checks many sites of one file. For the record: `cdk synth` of a comparable set of four stacks with 75 resources takes 3.8 s on such a machine."}}
	dir := filepath.Join(s.dir, "aws")
	out := filepath.Join(dir, "templates")
	if err := os.MkdirAll(out, 0o755); err != nil {
		return nil, err
	}
	conf := filepath.Join(dir, plan.FileYAML)
	if err := os.WriteFile(conf, []byte(fmt.Sprintf(awsSite, "dev: {}")), 0o644); err != nil {
		return nil, err
	}
	ours := func(args ...string) *exec.Cmd {
		return exec.CommandContext(ctx, s.bin, append([]string{"-c", conf}, args...)...)
	}
	if _, err := timed(ours("synth", "--out", out)); err != nil {
		return nil, err
	}
	resources, files, err := count(out)
	if err != nil {
		return nil, err
	}
	kinds := []struct {
		name  string
		every int // one round in so many
		run   func() (spentOn, error)
	}{
		{"ringwall version", 1, func() (spentOn, error) { return timed(ours("version")) }},
		{fmt.Sprintf("ringwall synth, %d resources", resources), 1, func() (spentOn, error) { return timed(ours("synth", "--out", out)) }},
		{"ringwall check of the templates", 1, func() (spentOn, error) { return timed(ours("check", out), 1, 3) }},
		{"cfn-lint of the templates", 4, nil},
		{"cdk-nag of the templates", 4, nil},
		{"10 sites synthesized and checked", 2, func() (spentOn, error) { return s.manySites(ctx, dir, 10) }},
		{"100 sites synthesized and checked", 2, func() (spentOn, error) { return s.manySites(ctx, dir, 100) }},
	}
	tools, err := awstools.Find()
	if err != nil {
		r.verdict = append(r.verdict, err.Error())
	} else {
		kinds[3].run = func() (spentOn, error) { return timed(lint(ctx, tools, files)) }
		kinds[4].run = func() (spentOn, error) { return timed(nag(ctx, tools, files)) }
	}
	took := make([][]spentOn, len(kinds))
	for round := range s.rounds {
		for i, k := range kinds {
			if k.run == nil || round%k.every != 0 {
				continue
			}
			sp, err := k.run()
			if err != nil {
				return nil, err
			}
			took[i] = append(took[i], sp)
		}
	}
	wall := make([]time.Duration, len(kinds))
	for i, k := range kinds {
		if len(took[i]) == 0 {
			continue
		}
		w, c := medians(took[i])
		wall[i] = w
		r.rows = append(r.rows, []string{k.name, ms(w), ms(c), strconv.Itoa(len(took[i]))})
	}
	r.verdict = append(r.verdict, met("start of the binary", wall[0].Seconds()*1e3, 20, " ms"),
		met("synth of a full site", wall[1].Seconds()*1e3, 38, " ms"),
		met("check of a full site", wall[2].Seconds()*1e3, 200, " ms"),
		met("100 sites synthesized and checked", wall[6].Seconds(), 3, " s"),
		met("100 sites against 10 (linear is 10)", wall[6].Seconds()/wall[5].Seconds(), 11, "x"))
	if tools != nil {
		r.verdict = append(r.verdict, atLeast("check against cfn-lint plus cdk-nag", (wall[3]+wall[4]).Seconds()/wall[2].Seconds(), 20, " times faster"))
	}
	return r, nil
}

// count reads the templates of a directory.
func count(dir string) (resources int, files []string, err error) {
	if files, err = filepath.Glob(filepath.Join(dir, "*.json")); err != nil {
		return 0, nil, err
	}
	set, err := template.Load(dir)
	if err != nil {
		return 0, nil, err
	}
	for _, t := range set.Templates {
		resources += len(t.Resources.Fields)
	}
	return resources, files, nil
}

func regionOf(file string) string {
	if strings.Contains(filepath.Base(file), "-"+plan.StackCDN+"-") {
		return plan.EdgeRegion
	}
	return "eu-west-1"
}

func lint(ctx context.Context, tools *awstools.Tools, files []string) *exec.Cmd {
	return exec.CommandContext(ctx, tools.CfnLint, append([]string{"--regions", "eu-west-1", plan.EdgeRegion, "--non-zero-exit-code", "none", "--template"}, files...)...)
}

func nag(ctx context.Context, tools *awstools.Tools, files []string) *exec.Cmd {
	args := []string{filepath.Join(tools.ScriptsHome, "nag.js")}
	for _, f := range files {
		args = append(args, regionOf(f)+"="+f)
	}
	cmd := exec.CommandContext(ctx, "node", args...)
	cmd.Env = append(os.Environ(), "NODE_PATH="+tools.Node)
	return cmd
}

// manySites runs this program in the role that synthesizes and checks every site of
// a file.
func (s *settings) manySites(ctx context.Context, dir string, n int) (spentOn, error) {
	var envs []string
	for i := range n {
		envs = append(envs, fmt.Sprintf("e%d: {vpc: {cidr: 10.%d.0.0/16}}", i, i))
	}
	conf := filepath.Join(dir, fmt.Sprintf("sites-%d.yaml", n))
	text := strings.Replace(fmt.Sprintf(awsSite, strings.Join(envs, ", ")), "default: dev\n", "", 1)
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		return spentOn{}, err
	}
	return timed(exec.CommandContext(ctx, s.self, "@sites", conf))
}

// runSites synthesizes and checks every site of a configuration, one per processor at
// a time.
func runSites() error {
	if len(os.Args) != 3 {
		return errors.New("got no configuration")
	}
	sites, err := plan.Sites(os.Args[2])
	if err != nil {
		return err
	}
	jobs, err := verify.Select(all.Perimeters, nil)
	if err != nil {
		return err
	}
	jobs = verify.Checking(jobs)
	debug.SetGCPercent(400) // as the commands do
	errs := make([]error, len(sites))
	next := make(chan int)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := range next {
				errs[i] = runSite(os.Args[2], sites[i], jobs)
			}
		})
	}
	for i := range sites {
		next <- i
	}
	close(next)
	wg.Wait()
	return errors.Join(errs...)
}

func runSite(file, site string, jobs []verify.Job) error {
	p, err := plan.Load(plan.Options{File: file, Site: site})
	if err != nil {
		return err
	}
	stacks, _, err := synth.Build(p)
	if err != nil {
		return err
	}
	templates, err := stacks.Templates()
	if err != nil {
		return err
	}
	var files []template.File
	for _, t := range templates {
		files = append(files, template.File{Name: t.Name + ".json", Text: t.JSON()})
	}
	set, err := template.New(files)
	if err != nil {
		return err
	}
	if _, results, _ := verify.Check(p, set, jobs); len(results) == 0 {
		return fmt.Errorf("checking %s: nothing was judged", site)
	}
	return nil
}
