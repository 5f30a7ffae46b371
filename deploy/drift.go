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

// A Drifted says what somebody changed past CloudFormation.
type Drifted struct {
	Stack, Region string
	Resources     []string // in words
}

func (e *Drifted) Error() string {
	return fmt.Sprintf("%s in %s was changed by hand: %s; put it back, or take the change into the configuration, or deploy with --ignore-drift", e.Stack, e.Region, strings.Join(e.Resources, "; "))
}

// Is says that drift waits for approval.
func (e *Drifted) Is(target error) bool { return target == ErrApproval }

// undrifted stops where somebody changed a stack's resources past CloudFormation:
// a deployment would overwrite some of it and keep the rest.
func (r *run) undrifted(ctx context.Context, s *Stack, cur *types.Stack) error {
	all, err := r.detect(ctx, s.Region, s.Name, aws.ToString(cur.StackId))
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		// Not to know is not the same as no drift: it is said, and the change set's
		// own comparison follows.
		r.tell(Event{Stack: s.Name, Region: s.Region, State: Note, Text: "drift is unknown: " + err.Error()})
		return nil
	}
	if len(all) == 0 {
		return nil
	}
	e := &Drifted{s.Name, s.Region, all}
	if r.opt.IgnoreDrift {
		r.tell(Event{Stack: s.Name, Region: s.Region, State: Note, Text: "changed by hand, and gone on as told: " + strings.Join(all, "; ")})
		return nil
	}
	return e
}

// detect asks CloudFormation to compare a stack with what is there.
func (c *Client) detect(ctx context.Context, region, name, arn string) ([]string, error) {
	cfn := c.in(region)
	start, err := cfn.DetectStackDrift(ctx, &cloudformation.DetectStackDriftInput{StackName: &arn})
	if err != nil {
		return nil, plain("looking for drift in "+name, err)
	}
	limit := time.Now().Add(c.drift)
	for n := 0; ; n++ {
		d, err := cfn.DescribeStackDriftDetectionStatus(ctx, &cloudformation.DescribeStackDriftDetectionStatusInput{StackDriftDetectionId: start.StackDriftDetectionId})
		if err != nil {
			return nil, plain("looking for drift in "+name, err)
		}
		if d.DetectionStatus == types.StackDriftDetectionStatusDetectionFailed && d.StackDriftStatus != types.StackDriftStatusDrifted {
			return nil, fmt.Errorf("looking for drift in %s: %s", name, words(aws.ToString(d.DetectionStatusReason)))
		}
		if d.DetectionStatus != types.StackDriftDetectionStatusDetectionInProgress {
			if d.StackDriftStatus != types.StackDriftStatusDrifted {
				return nil, nil
			}
			break
		}
		if time.Now().After(limit) {
			return nil, errors.New("looking for drift in " + name + ": CloudFormation did not answer in time")
		}
		if err := wait(ctx, c.pace(n)); err != nil {
			return nil, err
		}
	}
	return c.drifts(ctx, region, name, arn)
}

// drifts reads what the last detection found, in words.
func (c *Client) drifts(ctx context.Context, region, name, arn string) ([]string, error) {
	in := &cloudformation.DescribeStackResourceDriftsInput{StackName: &arn, StackResourceDriftStatusFilters: []types.StackResourceDriftStatus{
		types.StackResourceDriftStatusModified, types.StackResourceDriftStatusDeleted}}
	var all []string
	for {
		out, err := c.in(region).DescribeStackResourceDrifts(ctx, in)
		if err != nil {
			return nil, plain("reading the drift of "+name, err)
		}
		for _, d := range out.StackResourceDrifts {
			s := fmt.Sprintf("%s (%s)", aws.ToString(d.LogicalResourceId), aws.ToString(d.ResourceType))
			if d.StackResourceDriftStatus == types.StackResourceDriftStatusDeleted {
				all = append(all, s+" is deleted")
				continue
			}
			for _, p := range d.PropertyDifferences {
				s += fmt.Sprintf(" %s is %s, not %s", strings.TrimPrefix(aws.ToString(p.PropertyPath), "/"), aws.ToString(p.ActualValue), aws.ToString(p.ExpectedValue))
			}
			all = append(all, s)
		}
		if out.NextToken == nil {
			return all, nil
		}
		in.NextToken = out.NextToken
	}
}
