package edge

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ringwall/ringwall/internal/cfn"
	"github.com/ringwall/ringwall/internal/cfn/res"
	"github.com/ringwall/ringwall/plan"
)

// Limits of a web ACL (docs.aws.amazon.com/waf, quotas and pricing).
const (
	maxWCU  = 5000 // capacity units
	stepWCU = 1500 // above it each request costs more
)

// A managedGroup is one of AWS's rule groups.
type managedGroup struct {
	wcu int
	fee bool // it costs extra
	// Rules that judge bodies, with the ends of their labels. An administrator's
	// editor sends what they refuse; they count, and a rule of ours refuses what they
	// counted of everybody else.
	space  string // label namespace of the group
	bodies map[string]string
}

// managedGroups are the groups and their capacity (docs.aws.amazon.com/waf, AWS
// Managed Rules rule groups list).
var managedGroups = map[string]managedGroup{
	"AWSManagedRulesAmazonIpReputationList": {wcu: 25},
	"AWSManagedRulesAnonymousIpList":        {wcu: 50},
	"AWSManagedRulesCommonRuleSet": {wcu: 700, space: "core-rule-set", bodies: map[string]string{
		"SizeRestrictions_BODY": "SizeRestrictions_Body", "CrossSiteScripting_BODY": "CrossSiteScripting_Body",
		"GenericLFI_BODY": "GenericLFI_Body", "GenericRFI_BODY": "GenericRFI_Body", "EC2MetaDataSSRF_BODY": "EC2MetaDataSSRF_Body"}},
	"AWSManagedRulesKnownBadInputsRuleSet":  {wcu: 200},
	"AWSManagedRulesSQLiRuleSet":            {wcu: 200, space: "sql-database", bodies: map[string]string{"SQLi_BODY": "SQLi_Body", "SQLiExtendedPatterns_BODY": "SQLiExtendedPatterns_Body"}},
	"AWSManagedRulesLinuxRuleSet":           {wcu: 200},
	"AWSManagedRulesUnixRuleSet":            {wcu: 100, space: "posix-os", bodies: map[string]string{"UNIXShellCommandsVariables_BODY": "UNIXShellCommandsVariables_Body"}},
	"AWSManagedRulesWindowsRuleSet":         {wcu: 200},
	"AWSManagedRulesPHPRuleSet":             {wcu: 100, space: "php-app", bodies: map[string]string{"PHPHighRiskMethodsVariables_BODY": "PHPHighRiskMethodsVariables_Body"}},
	"AWSManagedRulesWordPressRuleSet":       {wcu: 100},
	"AWSManagedRulesAdminProtectionRuleSet": {wcu: 100},
	"AWSManagedRulesBotControlRuleSet":      {wcu: 50, fee: true},
	"AWSManagedRulesATPRuleSet":             {wcu: 50, fee: true},
	"AWSManagedRulesAntiDDoSRuleSet":        {wcu: 50, fee: true},
}

const (
	groupSQLi   = "AWSManagedRulesSQLiRuleSet"
	groupCommon = "AWSManagedRulesCommonRuleSet"
)

// ruleGroups are the managed groups of a site, in order: those of the plan, and what
// none must lack. Reputation comes first: it is cheap, and what it refuses is not
// looked at again.
func ruleGroups(p *plan.Plan) ([]string, []cfn.Note, error) {
	chosen := len(p.Edge.ManagedRules) > 0 && p.Origins["edge.managedRules"].Source != "default"
	list := slices.Clone(p.Edge.ManagedRules)
	var notes []cfn.Note
	if !chosen {
		list = []string{"AWSManagedRulesAmazonIpReputationList", "AWSManagedRulesKnownBadInputsRuleSet", groupCommon, "AWSManagedRulesLinuxRuleSet"}
		switch p.Kind {
		case plan.PHP:
			list = append(list, "AWSManagedRulesUnixRuleSet", "AWSManagedRulesPHPRuleSet")
		case plan.Command:
			list = append(list, "AWSManagedRulesUnixRuleSet")
		}
		if p.Preset == plan.PresetWordPress {
			list = append(list, "AWSManagedRulesWordPressRuleSet")
		}
	}
	must := func(name, why string) {
		if !slices.Contains(list, name) {
			list = append(list, name)
			if chosen {
				notes = append(notes, cfn.Note{Key: "edge.managedRules", Now: name, Why: why})
			}
		}
	}
	must("AWSManagedRulesKnownBadInputsRuleSet", "added: requests that are known to be attacks")
	must(groupCommon, "added: without it cross-site scripting passes")
	if p.Database.Present() || p.AWS.DBSecret != "" {
		must(groupSQLi, "added: there is a database, and no other group looks for SQL")
	}
	known := slices.Sorted(maps.Keys(managedGroups))
	for _, n := range list {
		if n == "AWSManagedRulesACFPRuleSet" {
			return nil, nil, fmt.Errorf("edge.managedRules: got %s, which must know the paths of a sign-up page that a plan does not have; leave it out", n)
		}
		if _, ok := managedGroups[n]; !ok {
			return nil, nil, fmt.Errorf("edge.managedRules: got %q, which is no group of AWS's; want some of %s", n, strings.Join(known, ", "))
		}
	}
	slices.Sort(list)
	list = slices.Compact(list)
	slices.SortStableFunc(list, func(a, b string) int { return managedGroups[a].wcu - managedGroups[b].wcu })
	return list, notes, nil
}

// statement is a managed group as a rule's statement.
func (w *webACL) group(name string) *res.WAFv2WebACL_ManagedRuleGroupStatement {
	g := &res.WAFv2WebACL_ManagedRuleGroupStatement{VendorName: cfn.S("AWS"), Name: cfn.S(name)}
	for _, rule := range slices.Sorted(maps.Keys(managedGroups[name].bodies)) {
		g.RuleActionOverrides = append(g.RuleActionOverrides, &res.WAFv2WebACL_RuleActionOverride{Name: cfn.S(rule), ActionToUse: &res.WAFv2WebACL_RuleAction{Count: &res.WAFv2WebACL_CountAction{}}})
	}
	config := func(c *res.WAFv2WebACL_ManagedRuleGroupConfig) {
		g.ManagedRuleGroupConfigs = []*res.WAFv2WebACL_ManagedRuleGroupConfig{c}
	}
	switch name {
	case "AWSManagedRulesAdminProtectionRuleSet":
		g.ScopeDownStatement = not(w.admins())
		w.wcu += w.adminSets
	case "AWSManagedRulesBotControlRuleSet":
		config(&res.WAFv2WebACL_ManagedRuleGroupConfig{AWSManagedRulesBotControlRuleSet: &res.WAFv2WebACL_AWSManagedRulesBotControlRuleSet{InspectionLevel: cfn.S("COMMON")}})
	case "AWSManagedRulesATPRuleSet":
		path := w.p.Application.LoginPath
		if path == "" {
			path = "/login"
		}
		config(&res.WAFv2WebACL_ManagedRuleGroupConfig{AWSManagedRulesATPRuleSet: &res.WAFv2WebACL_AWSManagedRulesATPRuleSet{LoginPath: cfn.S(path)}})
	case "AWSManagedRulesAntiDDoSRuleSet":
		config(&res.WAFv2WebACL_ManagedRuleGroupConfig{AWSManagedRulesAntiDDoSRuleSet: &res.WAFv2WebACL_AWSManagedRulesAntiDDoSRuleSet{
			SensitivityToBlock:     cfn.S("LOW"),
			ClientSideActionConfig: &res.WAFv2WebACL_ClientSideActionConfig{Challenge: &res.WAFv2WebACL_ClientSideAction{UsageOfAction: cfn.S("ENABLED"), Sensitivity: cfn.S("HIGH")}},
		}})
	}
	return g
}

// labels are those that body rules of the site's groups put on what they counted.
func labels(groups []string) (out []string) {
	for _, n := range groups {
		g := managedGroups[n]
		for _, rule := range slices.Sorted(maps.Keys(g.bodies)) {
			out = append(out, "awswaf:managed:aws:"+g.space+":"+g.bodies[rule])
		}
	}
	return out
}
