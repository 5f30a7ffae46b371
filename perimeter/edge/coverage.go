package edge

import (
	"fmt"
	"slices"

	"github.com/ringwall/ringwall/plan"
)

// A Note says what one group of AWS managed rules corresponds to here.
type Note struct {
	Group   string
	Covered bool
	Text    string
}

var groups = map[string]Note{
	"AWSManagedRulesCommonRuleSet":          {Covered: true, Text: "core rules 911, 920, 921, 930, 931 and 941"},
	"AWSManagedRulesKnownBadInputsRuleSet":  {Covered: true, Text: "core rules 920, 921, 930 and 944"},
	"AWSManagedRulesSQLiRuleSet":            {Covered: true, Text: "core rules 942"},
	"AWSManagedRulesLinuxRuleSet":           {Covered: true, Text: "core rules 930 and 932"},
	"AWSManagedRulesUnixRuleSet":            {Covered: true, Text: "core rules 932"},
	"AWSManagedRulesWindowsRuleSet":         {Covered: true, Text: "core rules 932 (PowerShell and command shell)"},
	"AWSManagedRulesPHPRuleSet":             {Covered: true, Text: "core rules 933"},
	"AWSManagedRulesWordPressRuleSet":       {Covered: true, Text: "core rules 930, 932 and 933, and the web server's routes for administrators only"},
	"AWSManagedRulesAdminProtectionRuleSet": {Covered: true, Text: "the balancer's choice by address and the web server's routes"},
	"AWSManagedRulesAmazonIpReputationList": {Text: "a list of addresses that only AWS has; the rate limits and the allow list remain"},
	"AWSManagedRulesAnonymousIpList":        {Text: "a list of addresses that only AWS has; the rate limits and the allow list remain"},
	"AWSManagedRulesBotControlRuleSet":      {Text: "core rules 913 know scanners by name; AWS's detection of bots is not here"},
	"AWSManagedRulesATPRuleSet":             {Text: "AWS's protection against account takeover is not here; logins are open to administrators' addresses only"},
	"AWSManagedRulesACFPRuleSet":            {Text: "AWS's protection against fraudulent accounts is not here"},
}

// Coverage says, for each managed rule group that the plan names, what stands in
// for it here. All families of the core rule set are always in force; groups that
// the plan leaves out are noted where that matters on AWS.
func Coverage(p *plan.Plan) []Note {
	var notes []Note
	for _, g := range p.Edge.ManagedRules {
		n, ok := groups[g]
		if !ok {
			n.Text = "an unknown group: nothing stands in for it here"
		}
		n.Group = g
		if !n.Covered {
			n.Text = fmt.Sprintf("no counterpart: %s", n.Text)
		}
		notes = append(notes, n)
	}
	if !slices.Contains(p.Edge.ManagedRules, "AWSManagedRulesSQLiRuleSet") {
		notes = append(notes, Note{Group: "AWSManagedRulesSQLiRuleSet", Covered: true, Text: "the plan does not name it; core rules 942 are in force here all the same"})
	}
	return notes
}
