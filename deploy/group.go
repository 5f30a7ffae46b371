package deploy

import (
	"context"
	"encoding/xml"
	"fmt"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
)

const vpcType = "AWS::EC2::VPC"

// closeGroups takes the rules out of the default security group of each VPC that a
// stack makes (CIS AWS Foundations 1.5.0, 5.4). AWS makes that group with the VPC and
// lets everything in it talk; CloudFormation cannot change it. It goes with the VPC,
// so that there is nothing to put back.
func (r *run) closeGroups(ctx context.Context, s *Stack, cur *types.Stack) error {
	if t, err := parse(s.Template); err != nil || !makesVPC(t) {
		return err
	}
	have, err := r.resources(ctx, s.Region, aws.ToString(cur.StackId))
	if err != nil {
		return err
	}
	for _, x := range have {
		if aws.ToString(x.ResourceType) != vpcType {
			continue
		}
		vpc := aws.ToString(x.PhysicalResourceId)
		g, err := r.defaultGroup(ctx, s.Region, vpc)
		if err != nil {
			return err
		}
		begun := time.Now()
		for _, side := range []struct {
			action string
			rules  []string
		}{{"RevokeSecurityGroupIngress", g.in}, {"RevokeSecurityGroupEgress", g.out}} {
			if len(side.rules) == 0 {
				continue
			}
			form := url.Values{"Action": {side.action}, "Version": {"2016-11-15"}, "GroupId": {g.id}}
			for i, id := range side.rules {
				form.Set(fmt.Sprintf("SecurityGroupRuleId.%d", i+1), id)
			}
			_, err := r.send(ctx, call{service: "ec2", region: s.Region, form: form})
			// An answer that was lost: the rule is gone already.
			if err != nil && !isCode(err, "InvalidSecurityGroupRuleId.NotFound", "InvalidPermission.NotFound") {
				return plain("closing the default security group of "+vpc, err)
			}
		}
		if len(g.in)+len(g.out) > 0 {
			r.tell(Event{Stack: s.Name, Region: s.Region, Resource: aws.ToString(x.LogicalResourceId) + ".DefaultSecurityGroup", Type: "AWS::EC2::SecurityGroup",
				Verb: "update", State: Done, Text: "closed: its rules are removed", Took: time.Since(begun)})
		}
	}
	return nil
}

func makesVPC(t *template) bool {
	for _, x := range t.Resources {
		if x.Type == vpcType {
			return true
		}
	}
	return false
}

// A defaultGroup is the security group that a VPC came with.
type defaultGroup struct {
	id      string
	in, out []string // ids of its rules
}

func (c *Client) defaultGroup(ctx context.Context, region, vpc string) (*defaultGroup, error) {
	doing := "reading the default security group of " + vpc
	b, err := c.send(ctx, call{service: "ec2", region: region, form: url.Values{"Action": {"DescribeSecurityGroups"}, "Version": {"2016-11-15"},
		"Filter.1.Name": {"vpc-id"}, "Filter.1.Value.1": {vpc}, "Filter.2.Name": {"group-name"}, "Filter.2.Value.1": {"default"}}})
	if err != nil {
		return nil, plain(doing, err)
	}
	var groups struct {
		ID []string `xml:"securityGroupInfo>item>groupId"`
	}
	if err := xml.Unmarshal(b, &groups); err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	if len(groups.ID) != 1 {
		return nil, fmt.Errorf("%s: got %d groups, want one; look at it in the console", doing, len(groups.ID))
	}
	g := &defaultGroup{id: groups.ID[0]}
	b, err = c.send(ctx, call{service: "ec2", region: region, form: url.Values{"Action": {"DescribeSecurityGroupRules"}, "Version": {"2016-11-15"},
		"Filter.1.Name": {"group-id"}, "Filter.1.Value.1": {g.id}, "MaxResults": {"1000"}}})
	if err != nil {
		return nil, plain(doing, err)
	}
	var rules struct {
		Items []struct {
			ID     string `xml:"securityGroupRuleId"`
			Egress bool   `xml:"isEgress"`
		} `xml:"securityGroupRuleSet>item"`
	}
	if err := xml.Unmarshal(b, &rules); err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	for _, x := range rules.Items {
		if x.Egress {
			g.out = append(g.out, x.ID)
		} else {
			g.in = append(g.in, x.ID)
		}
	}
	return g, nil
}

// openGroups are the default groups that closeGroups would close.
func (c *Client) openGroups(ctx context.Context, s *Stack, cur *types.Stack, t *template) ([]Proposed, error) {
	if !makesVPC(t) {
		return nil, nil
	}
	have := map[string]types.StackResourceSummary{}
	if cur != nil && cur.StackStatus != types.StackStatusReviewInProgress {
		var err error
		if have, err = c.resources(ctx, s.Region, aws.ToString(cur.StackId)); err != nil {
			return nil, err
		}
	}
	var all []Proposed
	for id, x := range t.Resources {
		if x.Type != vpcType {
			continue
		}
		if h, ok := have[id]; ok && aws.ToString(h.PhysicalResourceId) != "" {
			g, err := c.defaultGroup(ctx, s.Region, aws.ToString(h.PhysicalResourceId))
			if err != nil {
				return nil, err
			}
			if len(g.in)+len(g.out) == 0 {
				continue
			}
		}
		all = append(all, Proposed{Action: "close", Resource: id + ".DefaultSecurityGroup", Type: "AWS::EC2::SecurityGroup"})
	}
	return all, nil
}
