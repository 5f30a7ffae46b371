package deploy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
)

// describe reads a stack by name or ARN; nil: there is none.
func (c *Client) describe(ctx context.Context, region, name string) (*types.Stack, error) {
	out, err := c.in(region).DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &name})
	if isCode(err, "ValidationError") && says(err, "does not exist") {
		return nil, nil
	}
	if err != nil {
		return nil, plain("reading the state of "+name, err)
	}
	if len(out.Stacks) == 0 || !strings.HasPrefix(name, "arn:") && out.Stacks[0].StackStatus == types.StackStatusDeleteComplete {
		return nil, nil
	}
	return &out.Stacks[0], nil
}

// busy says whether CloudFormation works on a stack.
func busy(s types.StackStatus) bool {
	return strings.HasSuffix(string(s), "_IN_PROGRESS") && s != types.StackStatusReviewInProgress
}

// settled waits until nobody works on a stack, and returns it; nil: there is none.
func (r *run) settled(ctx context.Context, s *Stack) (*types.Stack, error) {
	cur, err := r.describe(ctx, s.Region, s.Name)
	if err != nil || cur == nil || !busy(cur.StackStatus) {
		return cur, err
	}
	r.tell(Event{Stack: s.Name, Region: s.Region, State: Waiting, Text: "an earlier operation is in hand: " + string(cur.StackStatus)})
	cur, err = r.watch(ctx, s, aws.ToString(cur.StackId), "", time.Now())
	if err != nil {
		if ctx.Err() != nil {
			return nil, r.interrupted(ctx, s, "CloudFormation goes on with an earlier operation on "+s.Name)
		}
		return nil, err
	}
	if cur.StackStatus == types.StackStatusDeleteComplete {
		return nil, nil
	}
	return cur, nil
}

func (r *run) interrupted(ctx context.Context, s *Stack, left string) error {
	e := &Interrupted{Site: r.site.Name, Undo: r.undo, Cause: context.Cause(ctx)}
	if left != "" {
		e.Left = []string{left}
	}
	return e
}

// ready brings a stack to a state from which a change set can start.
func (r *run) ready(ctx context.Context, s *Stack) (*types.Stack, error) {
	for range 3 {
		cur, err := r.settled(ctx, s)
		if err != nil || cur == nil {
			return nil, err
		}
		reason := words(aws.ToString(cur.StackStatusReason))
		state := func(next string) error {
			return &StateError{Stack: s.Name, Region: s.Region, Status: string(cur.StackStatus), Reason: reason, Next: next}
		}
		switch cur.StackStatus {
		case types.StackStatusCreateComplete, types.StackStatusUpdateComplete, types.StackStatusUpdateRollbackComplete,
			types.StackStatusImportComplete, types.StackStatusImportRollbackComplete, types.StackStatusReviewInProgress:
			return cur, r.sweep(ctx, s, cur)
		case types.StackStatusRollbackComplete, types.StackStatusRollbackFailed:
			// Its creation failed and was taken back: it never worked, and holds nothing
			// that a site has used. CloudFormation only lets it be deleted.
			if aws.ToBool(cur.EnableTerminationProtection) {
				return nil, state("its creation failed and termination protection keeps it: turn that off in the console, then deploy again")
			}
			r.tell(Event{Stack: s.Name, Region: s.Region, State: Note, Text: "an earlier creation failed; its remains are deleted first"})
			if err := r.remove(ctx, s, cur, nil); err != nil {
				return nil, err
			}
		case types.StackStatusUpdateRollbackFailed, types.StackStatusUpdateFailed:
			if !r.opt.ContinueRollback {
				return nil, state("mend what stopped the rollback, then run deploy --continue-rollback (with --skip RESOURCE for what cannot be mended)")
			}
			if err := r.continueRollback(ctx, s, cur); err != nil {
				return nil, err
			}
		case types.StackStatusDeleteFailed:
			return nil, state("it was being deleted: run ringwall destroy again, which says what keeps it")
		case types.StackStatusCreateFailed:
			return nil, state("its creation failed with rollback turned off: look at it, then run ringwall destroy, and deploy again")
		default:
			return nil, state("this program does not know that state: look at it in the console")
		}
	}
	return nil, fmt.Errorf("waiting for %s in %s: others keep changing it; try again when they are done", s.Name, s.Region)
}

// continueRollback takes up a rollback that failed.
func (r *run) continueRollback(ctx context.Context, s *Stack, cur *types.Stack) error {
	token, from := newToken(), time.Now()
	var err error
	if cur.StackStatus == types.StackStatusUpdateFailed {
		_, err = r.in(s.Region).RollbackStack(ctx, &cloudformation.RollbackStackInput{StackName: cur.StackId, ClientRequestToken: &token})
	} else {
		in := &cloudformation.ContinueUpdateRollbackInput{StackName: cur.StackId, ClientRequestToken: &token}
		have, e := r.resources(ctx, s.Region, aws.ToString(cur.StackId))
		if e != nil {
			return e
		}
		for _, id := range r.opt.Skip {
			if _, ok := have[id]; ok {
				in.ResourcesToSkip = append(in.ResourcesToSkip, id)
			}
		}
		_, err = r.in(s.Region).ContinueUpdateRollback(ctx, in)
	}
	if err != nil {
		return plain("continuing the rollback of "+s.Name, err)
	}
	r.tell(Event{Stack: s.Name, Region: s.Region, Verb: "roll back", State: Running})
	end, err := r.watch(ctx, s, aws.ToString(cur.StackId), token, from)
	if err != nil {
		if ctx.Err() != nil {
			return r.interrupted(ctx, s, "CloudFormation goes on rolling "+s.Name+" back")
		}
		return err
	}
	if end.StackStatus != types.StackStatusUpdateRollbackComplete {
		return r.failure(ctx, s, end, token, from)
	}
	return nil
}

// resources lists a stack's resources, by logical id. (DescribeStackResources would
// leave out what comes after the first hundred.)
func (c *Client) resources(ctx context.Context, region, stack string) (map[string]types.StackResourceSummary, error) {
	all := map[string]types.StackResourceSummary{}
	in := &cloudformation.ListStackResourcesInput{StackName: &stack}
	for {
		out, err := c.in(region).ListStackResources(ctx, in)
		if err != nil {
			return nil, plain("reading the resources of "+stack, err)
		}
		for _, x := range out.StackResourceSummaries {
			all[aws.ToString(x.LogicalResourceId)] = x
		}
		if out.NextToken == nil {
			return all, nil
		}
		in.NextToken = out.NextToken
	}
}

// ship brings one stack to what it should be.
func (r *run) ship(ctx context.Context, s *Stack) error {
	begun := time.Now()
	fail := func(err error) error {
		state, text := Failed, err.Error()
		if ctx.Err() != nil {
			i, ok := errors.AsType[*Interrupted](err)
			if !ok {
				err = r.interrupted(ctx, s, "")
			}
			state, text = Stopped, ""
			if ok {
				text = strings.Join(i.Left, "; ")
			}
		}
		r.tell(Event{Stack: s.Name, Region: s.Region, State: state, Text: text, Took: time.Since(begun)})
		return err
	}
	r.tell(Event{Stack: s.Name, Region: s.Region, State: Running, Text: "comparing"})
	cur, err := r.ready(ctx, s)
	if err != nil {
		return fail(err)
	}
	if cur != nil && cur.StackStatus != types.StackStatusReviewInProgress {
		if err := r.undrifted(ctx, s, cur); err != nil {
			return fail(err)
		}
	}
	params, err := r.parameters(ctx, s, cur)
	if err != nil {
		return fail(err)
	}
	set, err := r.propose(ctx, s, cur, params)
	if errors.Is(err, ErrNoChange) {
		if err := errors.Join(r.protect(ctx, s, cur), r.closeGroups(ctx, s, cur)); err != nil {
			return fail(err)
		}
		r.keep(s, cur, false)
		r.tell(Event{Stack: s.Name, Region: s.Region, State: Same, Took: time.Since(begun)})
		return nil
	}
	if err != nil {
		return fail(err)
	}
	if err := r.approve(ctx, losses(s, set)); err != nil {
		return fail(errors.Join(err, r.discard(ctx, s, set)))
	}
	if ctx.Err() != nil {
		return fail(errors.Join(r.interrupted(ctx, s, ""), r.discard(ctx, s, set)))
	}
	verb, ing := "update", "updating"
	if set.create {
		verb, ing = "create", "creating"
	}
	token, from := newToken(), time.Now()
	if err := r.execute(ctx, s, set, token); err != nil {
		return fail(errors.Join(err, r.discard(ctx, s, set)))
	}
	r.tell(Event{Stack: s.Name, Region: s.Region, Verb: verb, State: Running, Text: count(len(set.changes), "change")})
	end, err := r.watch(ctx, s, set.stackARN, token, from)
	if err != nil {
		if ctx.Err() != nil {
			return fail(r.interrupted(ctx, s, fmt.Sprintf("CloudFormation goes on %s %s", ing, s.Name)))
		}
		return fail(fmt.Errorf("%w (CloudFormation goes on %s %s)", err, ing, s.Name))
	}
	if end.StackStatus != types.StackStatusCreateComplete && end.StackStatus != types.StackStatusUpdateComplete {
		return fail(r.failure(ctx, s, end, token, from))
	}
	if err := errors.Join(r.protect(ctx, s, end), r.closeGroups(ctx, s, end)); err != nil {
		return fail(err)
	}
	r.keep(s, end, true)
	r.tell(Event{Stack: s.Name, Region: s.Region, Verb: verb, State: Done, Took: time.Since(begun)})
	return nil
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// keep remembers what a stack put out.
func (r *run) keep(s *Stack, cur *types.Stack, changed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[string]string{}
	if cur != nil {
		for _, o := range cur.Outputs {
			out[aws.ToString(o.OutputKey)] = aws.ToString(o.OutputValue)
		}
	}
	r.result.Outputs[s.Name] = out
	if changed {
		r.result.Changed = append(r.result.Changed, s.Name)
	} else {
		r.result.Unchanged = append(r.result.Unchanged, s.Name)
	}
}

// protect turns termination protection on where the stack asks for it.
func (r *run) protect(ctx context.Context, s *Stack, cur *types.Stack) error {
	if cur == nil || !s.Protect || aws.ToBool(cur.EnableTerminationProtection) {
		return nil
	}
	_, err := r.in(s.Region).UpdateTerminationProtection(ctx, &cloudformation.UpdateTerminationProtectionInput{
		StackName: cur.StackId, EnableTerminationProtection: aws.Bool(true)})
	return plain("protecting "+s.Name+" from deletion", err)
}
