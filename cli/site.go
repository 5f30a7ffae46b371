package cli

import (
	"fmt"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/ringwall/ringwall/local"
	"github.com/ringwall/ringwall/plan"
)

// shortLived tells the garbage collector that this command ends before its garbage
// matters: half of the time of a synth would go into collecting it.
func shortLived() { debug.SetGCPercent(400) }

// splitSite takes the site's name off the arguments, where the first one is one.
func splitSite(args []string) (site, rest []string) {
	if len(args) == 0 {
		return nil, nil
	}
	if sites, err := plan.Sites(file); err == nil && slices.Contains(sites, args[0]) {
		return args[:1], args[1:]
	}
	return nil, args
}

// connect loads the plan that the arguments name and returns a client of its
// running site, and the arguments that are left.
func connect(flags *planFlags, args []string) (*plan.Plan, *local.Client, []string, error) {
	site, rest := splitSite(args)
	p, err := flags.load(site)
	if err != nil {
		return nil, nil, nil, err
	}
	return p, local.Connect(local.StateOf(p.Dir(), p.Site())), rest, nil
}

// formatOf refuses an --output that is none of the known ones.
func formatOf(got string, known ...string) error {
	if slices.Contains(known, got) {
		return nil
	}
	return usage(fmt.Errorf("reading --output: got %q, want %s", got, strings.Join(known, " or ")))
}

// connectSite is connect for a command that takes a site and nothing else. A name
// that is no site's is an error: it must not mean the default one.
func connectSite(flags *planFlags, args []string) (*plan.Plan, *local.Client, error) {
	p, err := flags.load(args)
	if err != nil {
		return nil, nil, err
	}
	return p, local.Connect(local.StateOf(p.Dir(), p.Site())), nil
}

// want refuses another number of arguments.
func want(rest []string, least, most int, what string) error {
	if len(rest) < least || len(rest) > most {
		return usage(fmt.Errorf("reading the arguments: got %q, want %s", rest, what))
	}
	return nil
}
