package deploy

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
)

// watch reports a stack's events until nobody works on it any more, and returns it.
// Only events with the token are reported; without one, those since a time.
func (r *run) watch(ctx context.Context, s *Stack, arn, token string, from time.Time) (*types.Stack, error) {
	seen := map[string]bool{}
	begun := map[string]time.Time{}
	for n := 0; ; n++ {
		cur, err := r.describe(ctx, s.Region, arn)
		if err != nil {
			return nil, err
		}
		if cur == nil {
			return nil, errGone
		}
		// After the status, so that no event before it is missed.
		fresh, err := r.events(ctx, s, arn, token, from, seen)
		if err != nil {
			return nil, err
		}
		for _, e := range fresh {
			r.report(s, e, begun)
		}
		if !busy(cur.StackStatus) {
			return cur, nil
		}
		if err := wait(ctx, r.pace(n)); err != nil {
			return nil, err
		}
	}
}

// events reads those that are not seen yet, oldest first. CloudFormation lists the
// newest first, so reading ends at the first one that is known.
func (r *run) events(ctx context.Context, s *Stack, arn, token string, from time.Time, seen map[string]bool) ([]types.StackEvent, error) {
	var fresh []types.StackEvent
	in := &cloudformation.DescribeStackEventsInput{StackName: &arn}
	for {
		out, err := r.in(s.Region).DescribeStackEvents(ctx, in)
		if err != nil {
			return nil, plain("reading the events of "+s.Name, err)
		}
		for _, e := range out.StackEvents {
			id := aws.ToString(e.EventId)
			if seen[id] {
				slices.Reverse(fresh)
				return fresh, nil
			}
			// A minute's grace: the clocks differ.
			if e.Timestamp != nil && e.Timestamp.Before(from.Add(-time.Minute)) {
				slices.Reverse(fresh)
				return fresh, nil
			}
			if token != "" && e.ClientRequestToken != nil && *e.ClientRequestToken != token {
				slices.Reverse(fresh)
				return fresh, nil
			}
			seen[id] = true
			fresh = append(fresh, e)
		}
		if out.NextToken == nil {
			slices.Reverse(fresh)
			return fresh, nil
		}
		in.NextToken = out.NextToken
	}
}

// report turns CloudFormation's event into one of ours.
func (r *run) report(s *Stack, e types.StackEvent, begun map[string]time.Time) {
	id, status := aws.ToString(e.LogicalResourceId), string(e.ResourceStatus)
	if aws.ToString(e.PhysicalResourceId) == aws.ToString(e.StackId) {
		if strings.Contains(status, "ROLLBACK_IN_PROGRESS") {
			r.tell(Event{Stack: s.Name, Region: s.Region, Verb: "roll back", State: Running, Text: words(aws.ToString(e.ResourceStatusReason))})
		}
		return
	}
	ev := Event{Stack: s.Name, Region: s.Region, Resource: id, Type: aws.ToString(e.ResourceType)}
	ev.Verb, _, _ = strings.Cut(strings.ToLower(status), "_")
	reason := aws.ToString(e.ResourceStatusReason)
	if strings.Contains(reason, "requires the creation of a new physical resource") {
		ev.Verb = "replace"
	}
	switch {
	case strings.HasSuffix(status, "_IN_PROGRESS"):
		ev.State = Running
		if _, ok := begun[id]; !ok || ev.Verb == "delete" {
			begun[id] = aws.ToTime(e.Timestamp)
		}
	case strings.HasSuffix(status, "_SKIPPED"):
		ev.State, ev.Text = Kept, "retained"
		r.mu.Lock()
		r.kept = append(r.kept, fmt.Sprintf("%s (%s %s)", id, ev.Type, aws.ToString(e.PhysicalResourceId)))
		r.mu.Unlock()
	case strings.HasSuffix(status, "_FAILED"):
		ev.State, ev.Text = Failed, words(reason)
		if cancelled(reason) {
			ev.Text = "stopped because another one failed"
		}
	default:
		ev.State = Done
	}
	if t, ok := begun[id]; ok && ev.State != Running {
		ev.Took = aws.ToTime(e.Timestamp).Sub(t)
		delete(begun, id)
	}
	r.tell(ev)
}

// cancelled says whether a resource failed only because another one did.
func cancelled(reason string) bool {
	return strings.HasSuffix(reason, "cancelled") || strings.HasSuffix(reason, "Cancelled") || strings.HasSuffix(reason, "canceled")
}

// failure finds what failed first in an operation, and says it in plain words.
func (r *run) failure(ctx context.Context, s *Stack, end *types.Stack, token string, from time.Time) error {
	f := &Failure{Stack: s.Name, Region: s.Region, Status: string(end.StackStatus), Reason: words(aws.ToString(end.StackStatusReason))}
	all, err := r.events(ctx, s, aws.ToString(end.StackId), token, from, map[string]bool{})
	if err != nil {
		f.Reason += " (its events could not be read: " + err.Error() + ")"
	}
	raw := aws.ToString(end.StackStatusReason)
	for _, e := range all {
		reason := aws.ToString(e.ResourceStatusReason)
		if !strings.HasSuffix(string(e.ResourceStatus), "_FAILED") || cancelled(reason) || aws.ToString(e.PhysicalResourceId) == aws.ToString(e.StackId) {
			continue
		}
		if f.Resource != "" {
			f.Others++
			continue
		}
		raw = reason
		f.Resource, f.Type, f.Reason = aws.ToString(e.LogicalResourceId), aws.ToString(e.ResourceType), words(reason)
	}
	otherwise := "mend it, then deploy again"
	switch end.StackStatus {
	case types.StackStatusRollbackComplete:
		otherwise = "what it had made is taken back; mend it, then deploy again"
	case types.StackStatusUpdateRollbackComplete:
		otherwise = "the stack is as it was before; mend it, then deploy again"
	case types.StackStatusUpdateRollbackFailed:
		otherwise = "mend what stopped the rollback, then run deploy --continue-rollback"
	case types.StackStatusDeleteFailed:
		otherwise = "remove what holds it, then run destroy again"
	}
	f.Next = next(raw, otherwise)
	return f
}
