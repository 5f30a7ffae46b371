package deploy

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
)

// Cancel takes back what CloudFormation has in hand for a site, and waits for it:
// an update goes back to what was before, a creation is deleted, a change set that
// waits is dropped. Stacks that nobody works on stay as they are. It returns what it
// did, in words.
func (c *Client) Cancel(ctx context.Context, site Site, progress func(Event)) ([]string, error) {
	r := c.newRun(site, Options{Progress: progress})
	if err := c.identify(ctx, site.Account); err != nil {
		return nil, err
	}
	var did []string
	for _, s := range c.backwards(site) {
		what, err := r.cancel(ctx, s)
		if what != "" {
			did = append(did, what)
		}
		if err != nil {
			return did, err
		}
	}
	return did, nil
}

func (r *run) cancel(ctx context.Context, s *Stack) (string, error) {
	cur, err := r.describe(ctx, s.Region, s.Name)
	if err != nil || cur == nil {
		return "", err
	}
	begun := time.Now()
	switch cur.StackStatus {
	case types.StackStatusReviewInProgress:
		if err := r.sweep(ctx, s, cur); err != nil {
			return "", err
		}
		_, err := r.in(s.Region).DeleteStack(ctx, &cloudformation.DeleteStackInput{StackName: cur.StackId})
		return s.Name + ": a change set that waited was dropped", plain("deleting the empty stack "+s.Name, err)
	case types.StackStatusCreateInProgress:
		err := r.remove(ctx, s, cur, nil)
		what := s.Name + ": its creation was taken back"
		if len(r.kept) > 0 {
			what += "; kept, and in the way of the next creation where it has a name of its own: " + strings.Join(r.kept, ", ")
			r.kept = nil
		}
		return what, err
	case types.StackStatusUpdateInProgress:
		_, err := r.in(s.Region).CancelUpdateStack(ctx, &cloudformation.CancelUpdateStackInput{StackName: cur.StackId})
		if err != nil && !says(err, "cannot be called from current stack status") {
			return "", plain("cancelling the update of "+s.Name, err)
		}
	default:
		if !busy(cur.StackStatus) {
			return "", nil
		}
	}
	r.tell(Event{Stack: s.Name, Region: s.Region, Verb: "roll back", State: Running})
	end, err := r.watch(ctx, s, aws.ToString(cur.StackId), "", begun)
	if err != nil {
		if ctx.Err() != nil {
			return "", r.interrupted(ctx, s, "CloudFormation goes on with "+s.Name)
		}
		return "", err
	}
	what := fmt.Sprintf("%s: %s", s.Name, end.StackStatus)
	switch end.StackStatus {
	case types.StackStatusUpdateRollbackComplete:
		what = s.Name + ": the update was rolled back"
	case types.StackStatusUpdateComplete:
		what = s.Name + ": the update had already ended"
	}
	return what, nil
}
