package deploy

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
)

// prefix is what the names of our change sets begin with: what an earlier run left
// is known by it.
const prefix = "ringwall-"

// A changeSet is one that waits for its execution.
type changeSet struct {
	arn, stackARN string
	create        bool
	changes       []types.ResourceChange
}

// newToken names one operation, in letters that every API takes.
func newToken() string {
	b := make([]byte, 8)
	rand.Read(b)
	return prefix + time.Now().UTC().Format("20060102-150405") + "-" + hex.EncodeToString(b)
}

// propose makes a change set and waits until it is computed. Without any change in
// it the error is ErrNoChange, and the change set is gone. Whatever the error, what
// was made is deleted again.
func (r *run) propose(ctx context.Context, s *Stack, cur *types.Stack, params []types.Parameter) (set *changeSet, err error) {
	cfn := r.in(s.Region)
	name := newToken()
	in := &cloudformation.CreateChangeSetInput{
		StackName:     aws.String(s.Name),
		ChangeSetName: aws.String(name),
		ChangeSetType: types.ChangeSetTypeUpdate,
		Capabilities:  []types.Capability{types.CapabilityCapabilityNamedIam, types.CapabilityCapabilityAutoExpand},
		ClientToken:   aws.String(name),
		Description:   aws.String(r.description()),
		Parameters:    params,
		Tags:          r.tags(s),
	}
	set = &changeSet{}
	if cur == nil || cur.StackStatus == types.StackStatusReviewInProgress {
		set.create = true
		in.ChangeSetType = types.ChangeSetTypeCreate
	}
	if in.TemplateBody, in.TemplateURL, err = r.template(ctx, s); err != nil {
		return nil, err
	}
	out, err := cfn.CreateChangeSet(ctx, in)
	if isCode(err, "AlreadyExistsException") {
		// An answer was lost, and the call was made again.
		var d *cloudformation.DescribeChangeSetOutput
		if d, err = cfn.DescribeChangeSet(ctx, &cloudformation.DescribeChangeSetInput{StackName: &s.Name, ChangeSetName: &name}); err == nil {
			out = &cloudformation.CreateChangeSetOutput{Id: d.ChangeSetId, StackId: d.StackId}
		}
	}
	if says(err, "No updates are to be performed") {
		// CloudFormation says so later, in the change set; others say so at once.
		return nil, errors.Join(ErrNoChange, r.discard(ctx, s, &changeSet{arn: name}))
	}
	if err != nil {
		if ctx.Err() != nil {
			// It may have been made although no answer came.
			r.discard(ctx, s, &changeSet{arn: name, create: set.create})
		}
		return nil, plain("proposing the change of "+s.Name, err)
	}
	set.arn, set.stackARN = aws.ToString(out.Id), aws.ToString(out.StackId)
	if err := r.computed(ctx, s, set); err != nil {
		r.discard(ctx, s, set)
		return nil, err
	}
	return set, nil
}

// computed waits for a change set, and reads its changes.
func (r *run) computed(ctx context.Context, s *Stack, set *changeSet) error {
	cfn := r.in(s.Region)
	for n := 0; ; n++ {
		d, err := cfn.DescribeChangeSet(ctx, &cloudformation.DescribeChangeSetInput{ChangeSetName: &set.arn, IncludePropertyValues: aws.Bool(true)})
		if err != nil {
			return plain("reading the change set of "+s.Name, err)
		}
		switch d.Status {
		case types.ChangeSetStatusFailed:
			why := aws.ToString(d.StatusReason)
			if strings.Contains(why, "didn't contain changes") || strings.Contains(why, "No updates are to be performed") {
				return ErrNoChange
			}
			return &Failure{Stack: s.Name, Region: s.Region, Status: "as it was", Reason: "CloudFormation refused the change: " + words(why),
				Next: next(why, "nothing was changed; mend the template, then deploy again")}
		case types.ChangeSetStatusCreateComplete:
			return r.changes(ctx, s, set, d)
		}
		if err := wait(ctx, r.pace(n)); err != nil {
			return err
		}
	}
}

// changes reads all pages of a change set.
func (r *run) changes(ctx context.Context, s *Stack, set *changeSet, d *cloudformation.DescribeChangeSetOutput) error {
	for {
		for _, c := range d.Changes {
			if c.ResourceChange != nil {
				set.changes = append(set.changes, *c.ResourceChange)
			}
		}
		if d.NextToken == nil {
			return nil
		}
		var err error
		d, err = r.in(s.Region).DescribeChangeSet(ctx, &cloudformation.DescribeChangeSetInput{ChangeSetName: &set.arn, NextToken: d.NextToken, IncludePropertyValues: aws.Bool(true)})
		if err != nil {
			return plain("reading the change set of "+s.Name, err)
		}
	}
}

// discard deletes a change set that was not executed, and the empty shell of a stack
// that it made. It works after ctx has ended.
func (r *run) discard(ctx context.Context, s *Stack, set *changeSet) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	cfn := r.in(s.Region)
	in := &cloudformation.DeleteChangeSetInput{ChangeSetName: &set.arn}
	if !strings.HasPrefix(set.arn, "arn:") {
		in.StackName = &s.Name
	}
	_, err := cfn.DeleteChangeSet(ctx, in)
	if err != nil && !isCode(err, "ChangeSetNotFound", "ChangeSetNotFoundException") && !says(err, "does not exist") {
		return plain("deleting the change set of "+s.Name, err)
	}
	if !set.create {
		return nil
	}
	cur, err := r.describe(ctx, s.Region, s.Name)
	if err != nil || cur == nil || cur.StackStatus != types.StackStatusReviewInProgress {
		return err
	}
	if left, err := r.sets(ctx, s.Region, aws.ToString(cur.StackId)); err != nil || len(left) > 0 {
		return err // somebody else's change set waits there
	}
	_, err = cfn.DeleteStack(ctx, &cloudformation.DeleteStackInput{StackName: cur.StackId})
	return plain("deleting the empty stack "+s.Name, err)
}

// sets lists the change sets of a stack.
func (r *run) sets(ctx context.Context, region, stack string) ([]types.ChangeSetSummary, error) {
	var all []types.ChangeSetSummary
	in := &cloudformation.ListChangeSetsInput{StackName: &stack}
	for {
		out, err := r.in(region).ListChangeSets(ctx, in)
		if err != nil {
			return nil, plain("listing the change sets of "+stack, err)
		}
		all = append(all, out.Summaries...)
		if out.NextToken == nil {
			return all, nil
		}
		in.NextToken = out.NextToken
	}
}

// sweep deletes change sets that an earlier run of ours left.
func (r *run) sweep(ctx context.Context, s *Stack, cur *types.Stack) error {
	all, err := r.sets(ctx, s.Region, aws.ToString(cur.StackId))
	if err != nil {
		return err
	}
	for _, c := range all {
		waits := c.ExecutionStatus == types.ExecutionStatusAvailable || c.ExecutionStatus == types.ExecutionStatusUnavailable
		if strings.HasPrefix(aws.ToString(c.ChangeSetName), prefix) && waits {
			if _, err := r.in(s.Region).DeleteChangeSet(ctx, &cloudformation.DeleteChangeSetInput{ChangeSetName: c.ChangeSetId}); err != nil {
				return plain("deleting a change set that an earlier run left in "+s.Name, err)
			}
		}
	}
	return nil
}

// execute starts a change set. The token marks the events of its execution.
func (r *run) execute(ctx context.Context, s *Stack, set *changeSet, token string) error {
	cfn := r.in(s.Region)
	in := &cloudformation.ExecuteChangeSetInput{ChangeSetName: &set.arn, ClientRequestToken: &token,
		// What a failed operation made goes with it, or the next one finds it in its way.
		RetainExceptOnCreate: aws.Bool(true)}
	_, err := cfn.ExecuteChangeSet(ctx, in)
	if err == nil {
		return nil
	}
	if isCode(err, "InvalidChangeSetStatus", "InvalidChangeSetStatusException") || ctx.Err() != nil {
		// An answer was lost: has it begun all the same?
		look, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
		defer cancel()
		d, e := cfn.DescribeChangeSet(look, &cloudformation.DescribeChangeSetInput{ChangeSetName: &set.arn})
		if e == nil && (d.ExecutionStatus == types.ExecutionStatusExecuteInProgress || d.ExecutionStatus == types.ExecutionStatusExecuteComplete) {
			return nil
		}
	}
	return plain("executing the change set of "+s.Name, err)
}

// description is what the change set says of itself in the console.
func (r *run) description() string {
	d := "ringwall deploy of " + r.site.Name
	for _, o := range r.opt.Overrides {
		d += fmt.Sprintf("; override %s: %s", o.ID, o.Reason)
	}
	return d[:min(len(d), 1024)]
}

// SiteTag marks the stacks of a site; the value is the site's name.
const SiteTag = "ringwall:site"

// tags are the stack's own and ours.
func (r *run) tags(s *Stack) []types.Tag {
	all := maps.Clone(s.Tags)
	if all == nil {
		all = map[string]string{}
	}
	all[SiteTag] = r.site.Name
	var out []types.Tag
	for _, k := range slices.Sorted(maps.Keys(all)) {
		out = append(out, types.Tag{Key: aws.String(k), Value: aws.String(all[k])})
	}
	return out
}

// parameters are what a change set is made with: what is set, what other stacks put
// out, and the former value of what is not said. A value that was only the default
// of its time gives way to the default of today.
func (r *run) parameters(ctx context.Context, s *Stack, cur *types.Stack) ([]types.Parameter, error) {
	have, err := declared(s)
	if err != nil || len(have) == 0 {
		return nil, err
	}
	former, err := r.given(ctx, s, cur)
	if err != nil {
		return nil, err
	}
	var out []types.Parameter
	var missing []string
	for _, k := range slices.Sorted(maps.Keys(have)) {
		p := types.Parameter{ParameterKey: aws.String(k)}
		if o, ok := s.From[k]; ok {
			v, ok := r.output(o)
			if !ok {
				return nil, fmt.Errorf("filling parameter %s of %s: stack %s has no output %s", k, s.Name, o.Stack, o.Key)
			}
			p.ParameterValue = &v
		} else if v, ok := s.Parameters[k]; ok {
			p.ParameterValue = &v
		} else if _, ok := former[k]; ok {
			p.UsePreviousValue = aws.Bool(true)
		} else if have[k].Default != nil {
			continue
		} else {
			missing = append(missing, fmt.Sprintf("%s (%s)", k, have[k].Description))
			continue
		}
		out = append(out, p)
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("filling the parameters of %s: got no value for %s; give each as --parameter NAME=VALUE", s.Name, strings.Join(missing, ", "))
	}
	return out, nil
}

// given are the parameters of a deployed stack that somebody gave a value.
func (c *Client) given(ctx context.Context, s *Stack, cur *types.Stack) (map[string]string, error) {
	if cur == nil || len(cur.Parameters) == 0 || cur.StackStatus == types.StackStatusReviewInProgress {
		return nil, nil
	}
	b, err := c.deployed(ctx, s.Region, aws.ToString(cur.StackId))
	if err != nil {
		return nil, err
	}
	t, err := parse(b)
	if err != nil {
		return nil, fmt.Errorf("reading the deployed template of %s: %w", s.Name, err)
	}
	all := map[string]string{}
	for _, p := range cur.Parameters {
		k, v := aws.ToString(p.ParameterKey), aws.ToString(p.ParameterValue)
		if strings.Trim(string(t.Parameters[k].Default), `"`) != v {
			all[k] = v
		}
	}
	return all, nil
}

// Kept are the parameters that an earlier run was given and that this one is not, with
// the values that they still have. One that CloudFormation does not show (NoEcho) is
// left out.
func (c *Client) Kept(ctx context.Context, site Site) (map[string]string, error) {
	all := map[string]string{}
	for i := range site.Stacks {
		s := &site.Stacks[i]
		have, err := declared(s)
		if err != nil {
			return nil, err
		}
		maps.DeleteFunc(have, func(k string, _ parameter) bool {
			_, from := s.From[k]
			_, given := s.Parameters[k]
			return from || given || s.Lookups[k] != ""
		})
		if len(have) == 0 {
			continue
		}
		cur, err := c.describe(ctx, s.Region, s.Name)
		if err != nil {
			return nil, err
		}
		former, err := c.given(ctx, s, cur)
		if err != nil {
			return nil, err
		}
		for k, v := range former {
			if _, ok := have[k]; ok && strings.Trim(v, "*") != "" {
				all[k] = v
			}
		}
	}
	return all, nil
}

// output is a value that a stack of this run put out.
func (r *run) output(o Output) (string, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	v, ok := r.result.Outputs[o.Stack][o.Key]
	return v, ok
}

// compact takes the white space out of a template: 51,200 bytes go a longer way.
func compact(b []byte) []byte {
	var out bytes.Buffer
	if json.Compact(&out, b) != nil {
		return b
	}
	return out.Bytes()
}

// pace is the wait before look number n: quick at first.
func (c *Client) pace(n int) time.Duration {
	return min(c.poll, c.poll/8<<min(n, 3))
}

var errGone = errors.New("the stack is gone")
