package deploy

import (
	"fmt"

	"github.com/ringwall/ringwall/internal/cfn"
	"github.com/ringwall/ringwall/plan"
)

// SiteOf gives what is to be shipped for a plan and the stacks synthesized from it.
// Stacks with data, and what the site cannot do without, are protected from
// deletion where the plan protects its database.
func SiteOf(p *plan.Plan, stacks *cfn.Stacks) (Site, error) {
	templates, err := stacks.Templates()
	if err != nil {
		return Site{}, err
	}
	site := Site{Name: p.Site(), Account: p.AWS.Account, Settings: Settings(p.AWS.Region)}
	for _, t := range templates {
		s := Stack{Name: t.Name, Region: t.Region, Template: t.CompactJSON(), After: t.Needs, Lookups: t.Lookups,
			Parameters: map[string]string{}, From: map[string]Output{}, Protect: p.Database.Protect && t.Role == plan.StackDatabase}
		for _, in := range t.Inputs {
			s.From[in.Parameter] = Output{in.Stack, in.Output}
		}
		site.Stacks = append(site.Stacks, s)
	}
	if len(site.Stacks) == 0 {
		return site, fmt.Errorf("reading the stacks of %s: there is none", site.Name)
	}
	return site, nil
}

// Give sets a parameter of every stack that has one of that name; false: none has.
func (site *Site) Give(name, value string) bool {
	found := false
	for i := range site.Stacks {
		s := &site.Stacks[i]
		have, err := declared(s)
		if err != nil {
			continue // the run itself reports it
		}
		if _, ok := have[name]; ok {
			if s.Parameters == nil {
				s.Parameters = map[string]string{}
			}
			s.Parameters[name] = value
			found = true
		}
	}
	return found
}
