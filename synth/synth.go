// Package synth runs the eleven walls and gives the CloudFormation stacks of a
// site. It asks no account and no network: the same plan gives the same bytes.
package synth

import (
	"fmt"
	"strings"

	"github.com/ringwall/ringwall/internal/cfn"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/perimeter/all"
	"github.com/ringwall/ringwall/plan"
)

// A Note says what synthesis replaced or decided on its own account.
type Note = cfn.Note

// Build gives a site's stacks and what the user should know of them. Their
// templates are checked: Templates of the result returns no error.
func Build(p *plan.Plan) (*cfn.Stacks, []Note, error) {
	return BuildWith(p, all.Perimeters)
}

// BuildWith is Build with walls of the caller's choice, for tests of one of them.
func BuildWith(p *plan.Plan, walls []*perimeter.Perimeter) (*cfn.Stacks, []Note, error) {
	s, err := New(p)
	if err != nil {
		return nil, nil, err
	}
	for _, w := range walls {
		if w.Synth == nil {
			continue
		}
		s.As(w.Name)
		if err := w.Synth(p, s); err != nil {
			return nil, nil, fmt.Errorf("synthesizing %s of %s: %w", w.Name, p.Site(), err)
		}
	}
	if _, err := s.Templates(); err != nil {
		return nil, nil, fmt.Errorf("synthesizing %s: %w", p.Site(), err)
	}
	return s, s.Notes(), nil
}

// New declares the stacks of a site, with nothing in them.
func New(p *plan.Plan) (*cfn.Stacks, error) {
	if p.AWS.Region == "" {
		return nil, fmt.Errorf("synthesizing %s: got no Region, want one in aws.region (awsRegion in parameters.properties), such as eu-central-1", p.Site())
	}
	for _, prefix := range []string{"cn-", "us-gov-", "us-iso"} {
		if strings.HasPrefix(p.AWS.Region, prefix) {
			return nil, fmt.Errorf("synthesizing %s: got Region %s, whose accounts have no part of AWS in %s, where CloudFront and its rules are made; want a Region of AWS's standard part, such as eu-central-1", p.Site(), p.AWS.Region, plan.EdgeRegion)
		}
	}
	s := cfn.New(p.AWS.Region)
	tag := func(k, v string) { s.Tags = append(s.Tags, cfn.Tag{Key: cfn.S(k), Value: cfn.S(v)}) }
	tag("app", p.App)
	tag("environment", p.Env)
	tag("ringwall:site", p.Site())
	for _, st := range []struct{ role, region, about string }{
		{plan.StackBaseline, "", "evidence, keys and backups"},
		{plan.StackNetwork, "", "network, roles and files"},
		{plan.StackDatabase, "", "database, its users and their secrets"},
		{plan.StackImage, "", "golden image of the instances"},
		{plan.StackCompute, "", "balancer and instances"},
		{plan.StackCDN, plan.EdgeRegion, "edge: CloudFront, WAF and DNS"},
	} {
		s.Declare(st.role, StackName(p, st.role), st.region, fmt.Sprintf("%s: %s. Written by ringwall synth.", p.Site(), st.about))
	}
	return s, nil
}

// StackName is the name of a site's stack: wp-dev-network-stack.
func StackName(p *plan.Plan, role string) string { return p.Site() + "-" + role + "-stack" }
