package deploy

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"github.com/ringwall/ringwall/internal/schema"
)

// alsoHold are kinds that the schema does not mark as stateful and whose end is the
// end of data all the same, or of the key to it.
var alsoHold = map[string]bool{
	"AWS::KMS::Key": true, "AWS::SecretsManager::Secret": true, "AWS::Backup::BackupVault": true, "AWS::Logs::LogGroup": true,
	"AWS::EC2::Volume": true, "AWS::Route53::HostedZone": true, "AWS::Cognito::UserPool": true,
}

// holds says whether a kind of resource holds what cannot be made again.
func holds(kind string) bool {
	if alsoHold[kind] {
		return true
	}
	r := schema.Lookup(kind)
	return r != nil && r.Stateful
}

// losses lists what a change set would lose, by CloudFormation's own reckoning.
func losses(s *Stack, set *changeSet) []Loss {
	var all []Loss
	t, err := parse(s.Template)
	if err != nil {
		t = &template{}
	}
	for _, c := range set.changes {
		kind := aws.ToString(c.ResourceType)
		if !holds(kind) {
			continue
		}
		l := Loss{Stack: s.Name, Resource: aws.ToString(c.LogicalResourceId), Type: kind}
		switch {
		case c.Action == types.ChangeActionRemove && (c.PolicyAction == types.PolicyActionRetain || c.PolicyAction == types.PolicyActionSnapshot):
			continue
		case c.Action == types.ChangeActionRemove:
			l.What = "is deleted with what it holds"
		case c.Replacement == types.ReplacementTrue:
			l.What = "is replaced by " + successor(t.Resources[l.Resource]) + because(c)
		case c.Replacement == types.ReplacementConditional:
			l.What = "may be replaced by " + successor(t.Resources[l.Resource]) + because(c)
		default:
			continue
		}
		all = append(all, l)
	}
	return all
}

// successor is what a replacement holds: nothing, or what is in a snapshot.
func successor(r resource) string {
	for _, name := range schema.Restored {
		v := string(r.Properties[name])
		switch {
		case v == "" || v == `""` || v == "null":
		case v[0] == '"':
			return "one with what is in snapshot " + strings.Trim(v, `"`) + ", without what was written after it"
		default:
			return "one with what is in a snapshot, without what was written after it"
		}
	}
	return "an empty one"
}

// because names the properties that force a replacement.
func because(c types.ResourceChange) string {
	var names []string
	for _, d := range c.Details {
		if d.Target != nil && d.Target.RequiresRecreation != types.RequiresRecreationNever && aws.ToString(d.Target.Name) != "" {
			names = append(names, aws.ToString(d.Target.Name))
		}
	}
	if len(names) == 0 {
		return ""
	}
	return ", because " + strings.Join(names, ", ") + " changes"
}

// approve asks before data is lost, once for each loss.
func (r *run) approve(ctx context.Context, all []Loss) error {
	r.mu.Lock()
	all = slices.DeleteFunc(all, func(l Loss) bool { return r.approved[l.Stack+"/"+l.Resource] })
	r.mu.Unlock()
	if len(all) == 0 {
		return nil
	}
	if r.opt.Approve == nil {
		return &NotApproved{all}
	}
	r.asking.Lock() // stacks are done at the same time; a person is asked one thing at a time
	defer r.asking.Unlock()
	if err := r.opt.Approve(ctx, all); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range all {
		r.approved[l.Stack+"/"+l.Resource] = true
	}
	return nil
}

// foresee asks for all losses that the templates show before anything is changed.
// The change sets, which know more, are asked about as they come.
func (r *run) foresee(ctx context.Context) error {
	all, err := r.proposals(ctx, r.site)
	if err != nil {
		return err
	}
	var lost []Loss
	for _, p := range all {
		for _, ch := range p.Changes {
			if ch.Loss != "" {
				lost = append(lost, Loss{p.Stack, ch.Resource, ch.Type, ch.Loss})
			}
		}
	}
	return r.approve(ctx, lost)
}

// NotApproved lists what would be lost. It is ErrApproval.
type NotApproved struct{ Losses []Loss }

func (e *NotApproved) Error() string {
	var all []string
	for _, l := range e.Losses {
		all = append(all, fmt.Sprintf("%s in %s (%s) %s", l.Resource, l.Stack, l.Type, l.What))
	}
	return strings.Join(all, "; ") + "; run it again with --yes if that is meant"
}

// Is says that it waits for approval.
func (e *NotApproved) Is(target error) bool { return target == ErrApproval }
