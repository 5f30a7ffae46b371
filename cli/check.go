package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringwall/ringwall/internal/cis"
	"github.com/ringwall/ringwall/internal/template"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/perimeter/all"
	"github.com/ringwall/ringwall/plan"
	"github.com/ringwall/ringwall/report"
	"github.com/ringwall/ringwall/synth"
	"github.com/ringwall/ringwall/verify"
)

func newCheck() *cobra.Command {
	var flags planFlags
	var o probeOptions
	var region, accepted, benchmark string
	var parameters []string
	c := &cobra.Command{
		Use:   "check [site | DIR]",
		Short: "Prove CloudFormation templates, ours or anyone's, before anything is built",
		Long: `Prove the CloudFormation templates of a site, or those of a directory (JSON or YAML,
whoever wrote them): who reaches whom, who may do what, what is encrypted, kept and logged.
Nothing is deployed and no account is asked.

A promise that is broken is shown with its file, line and resource, and where it is a path,
with every hop. Parameters are judged with their default values and with every other value
that is permitted; what cannot be resolved makes a promise unknown, and unknown is never green.

Exit codes: 0 every promise is kept, 1 one could not be judged, 2 the templates cannot be
read, 3 one is broken.`,
		Example: "  ringwall check wp-dev\n  ringwall check examples/sample-aws\n  ringwall check DIR --only files,vpc -o text -o sarif=check.sarif",
		Args:    atMost(1),
		RunE: func(c *cobra.Command, args []string) error {
			shortLived()
			sink, err := report.Open(o.formats, c.OutOrStdout(), o.report())
			if err != nil {
				return usage(err)
			}
			if !slices.Contains(cis.Versions, benchmark) {
				return usage(fmt.Errorf("reading --benchmark: got %q, want one of %v", benchmark, cis.Versions))
			}
			jobs, err := verify.Select(all.Perimeters, o.only)
			if err != nil {
				return usage(err)
			}
			if jobs = verify.Checking(jobs); len(jobs) == 0 {
				return usage(fmt.Errorf("choosing controls: %q can only be tried on a site that runs; try: ringwall probe", o.only))
			}
			head := report.Report{Tool: "ringwall " + version(), Started: time.Now()}
			p, set, err := checked(&flags, args, region)
			if err != nil {
				return err
			}
			for _, kv := range parameters {
				k, v, ok := strings.Cut(kv, "=")
				if !ok || !set.Give(k, v) {
					return usage(fmt.Errorf("reading --parameter %q: want NAME=VALUE with the name of a parameter of one of the templates", kv))
				}
			}
			head.Site = "templates"
			if p != nil {
				head.Site = p.Site()
			} else if len(args) > 0 {
				head.Site = filepath.ToSlash(filepath.Clean(args[0]))
			}
			jobs, results, notes := verify.Check(p, set, jobs)
			suppressions, err := acceptances(accepted, p, args)
			if err != nil {
				return usage(err)
			}
			var more []string
			results, more = verify.Accept(results, suppressions, time.Now())
			head.Notes = append(append(notes, more...), undecided(benchmark), beyond)
			head.Millis = time.Since(head.Started).Milliseconds()
			r := report.Build(head, all.Perimeters, jobs, results)
			for i := range r.Controls {
				r.Controls[i].Meets = cis.Rename(r.Controls[i].Meets, benchmark)
			}
			if err := sink.Write(r); err != nil {
				return err
			}
			return verdictError(r.Verdict)
		},
	}
	flags.add(c)
	f := c.Flags()
	f.StringSliceVar(&o.only, "only", nil, "judge these `perimeters or controls` only: edge, 7, files/fleet-cannot-write")
	f.StringArrayVarP(&o.formats, "output", "o", nil, "`format[=file]`: text, json, html or sarif (repeatable)")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "every control, with what was looked at")
	f.StringVar(&o.color, "color", "auto", "auto, always or never")
	f.StringVar(&accepted, "accepted", "", "`file` of findings that somebody answers for (default: "+plan.SuppressionsFile+" beside the templates or the configuration)")
	f.StringVar(&benchmark, "benchmark", cis.Base, "`version` of CIS AWS Foundations whose ids are shown")
	f.StringArrayVar(&parameters, "parameter", nil, "judge with this value of a template's parameter only, `NAME=VALUE` (repeatable)")
	f.StringVar(&region, "region", "", "with DIR: the `Region` of stacks that do not say theirs")
	return c
}

// verdictError is the exit code of a verdict.
func verdictError(v perimeter.Verdict) error {
	switch v {
	case perimeter.Held:
		return nil
	case perimeter.Broken:
		return &exitError{ExitBroken, nil}
	}
	return &exitError{ExitFailed, nil}
}

// checked reads the templates that the arguments name: a site's, written as synth
// writes them, or those of a directory.
func checked(flags *planFlags, args []string, region string) (*plan.Plan, *template.Set, error) {
	if len(args) == 1 && !isSite(args[0]) {
		_, err := os.Stat(args[0])
		if err != nil && strings.ContainsRune(args[0], filepath.Separator) { // no site is called so
			return nil, nil, usage(fmt.Errorf("reading templates: %w; want a site, or a file or directory of templates", err))
		}
		if err == nil {
			set, err := template.Load(args[0])
			if err != nil {
				return nil, nil, usage(err)
			}
			set.Region = region
			return nil, set, nil
		}
	}
	p, err := flags.load(args)
	if err != nil {
		return nil, nil, err
	}
	return templatesOf(p)
}

// templatesOf synthesizes a site and reads what was written.
func templatesOf(p *plan.Plan) (*plan.Plan, *template.Set, error) {
	stacks, _, err := synth.Build(p)
	if err != nil {
		return nil, nil, usage(err)
	}
	ts, err := stacks.Templates()
	if err != nil {
		return nil, nil, err
	}
	var files []template.File
	for _, t := range ts {
		files = append(files, template.File{Name: t.Name + ".json", Text: t.JSON()})
	}
	set, err := template.New(files)
	if err != nil {
		return nil, nil, fmt.Errorf("reading what synth wrote: %w", err)
	}
	return p, set, nil
}

// acceptances reads what somebody answers for, where there is such a file.
func acceptances(name string, p *plan.Plan, args []string) ([]plan.Suppression, error) {
	if name != "" {
		return plan.ReadSuppressions(name)
	}
	dir := "."
	if p != nil {
		dir = p.Dir()
	} else if len(args) > 0 {
		dir = args[0]
		if st, err := os.Stat(dir); err == nil && !st.IsDir() {
			dir = filepath.Dir(dir)
		}
	}
	name = filepath.Join(dir, plan.SuppressionsFile)
	if _, err := os.Stat(name); err != nil {
		return nil, nil
	}
	return plan.ReadSuppressions(name)
}

// undecided says which recommendations no template can answer.
func undecided(version string) string {
	var account, person []string
	for _, r := range cis.All() {
		id := r.In[version]
		switch {
		case id == "":
		case r.By == cis.ByAccount:
			account = append(account, id)
		case r.By == cis.ByPerson:
			person = append(person, id)
		}
	}
	return fmt.Sprintf("CIS AWS Foundations %s: only a live account can answer %s, and only a person %s (ringwall explain cis)", version, strings.Join(account, " "), strings.Join(person, " "))
}

// beyond is what bounds rights and is in no template, or in no template alone.
const beyond = "rights: what an organization's policies (SCP, RCP) refuse is unknown where these templates have them, and not counted where they do not; nor are session policies. All of these only take rights away"

func isSite(name string) bool {
	sites, err := plan.Sites(file)
	return err == nil && slices.Contains(sites, name)
}
