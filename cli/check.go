package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

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
	var region string
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
			sink, err := report.Open(o.formats, c.OutOrStdout(), o.report())
			if err != nil {
				return usage(err)
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
			head.Site = "templates"
			if p != nil {
				head.Site = p.Site()
			} else if len(args) > 0 {
				head.Site = filepath.ToSlash(filepath.Clean(args[0]))
			}
			jobs, results, notes := verify.Check(p, set, jobs)
			head.Notes = notes
			head.Millis = time.Since(head.Started).Milliseconds()
			r := report.Build(head, all.Perimeters, jobs, results)
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
		if _, err := os.Stat(args[0]); err == nil {
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

func isSite(name string) bool {
	sites, err := plan.Sites(file)
	return err == nil && slices.Contains(sites, name)
}
