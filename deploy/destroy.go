package deploy

import (
	"context"
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

// A Doomed is a stack that Destroy would delete.
type Doomed struct {
	Stack, Region, Status string
	Resources             int
	Retained              []string // logical ids that stay, with their physical ids
	Snapshots             []string // of which a snapshot stays
	Protected             []string // what refuses the deletion, in words
}

// Doom says what Destroy would do, in its order. It changes nothing.
func (c *Client) Doom(ctx context.Context, site Site) ([]Doomed, error) {
	if err := site.validate(); err != nil {
		return nil, err
	}
	if err := c.identify(ctx, site.Account); err != nil {
		return nil, err
	}
	var all []Doomed
	for _, s := range c.backwards(site) {
		cur, err := c.describe(ctx, s.Region, s.Name)
		if err != nil {
			return nil, err
		}
		if cur == nil {
			continue
		}
		d, err := c.doom(ctx, s, cur)
		if err != nil {
			return nil, err
		}
		all = append(all, *d)
	}
	return all, nil
}

// backwards orders a site's stacks for their deletion.
func (c *Client) backwards(site Site) []*Stack {
	var out []*Stack
	done := map[string]bool{}
	for len(out) < len(site.Stacks) {
		for i := range site.Stacks {
			s := &site.Stacks[i]
			if !done[s.Name] && !slices.ContainsFunc(s.needs(), func(n string) bool { return !done[n] }) {
				done[s.Name] = true
				out = append(out, s)
			}
		}
	}
	slices.Reverse(out)
	return out
}

// doom reads what the deployed template of a stack says of its end.
func (c *Client) doom(ctx context.Context, s *Stack, cur *types.Stack) (*Doomed, error) {
	d := &Doomed{Stack: s.Name, Region: s.Region, Status: string(cur.StackStatus)}
	if aws.ToBool(cur.EnableTerminationProtection) {
		d.Protected = append(d.Protected, "termination protection of the stack")
	}
	if cur.StackStatus == types.StackStatusReviewInProgress {
		return d, nil
	}
	body, err := c.deployed(ctx, s.Region, aws.ToString(cur.StackId))
	if err != nil {
		return nil, err
	}
	have, err := c.resources(ctx, s.Region, aws.ToString(cur.StackId))
	if err != nil {
		return nil, err
	}
	t, err := parse(body)
	if err != nil {
		return nil, fmt.Errorf("reading the deployed template of %s: %w", s.Name, err)
	}
	for _, id := range slices.Sorted(maps.Keys(have)) {
		x := have[id]
		if x.ResourceStatus == types.ResourceStatusDeleteComplete {
			continue
		}
		d.Resources++
		what := fmt.Sprintf("%s (%s %s)", id, aws.ToString(x.ResourceType), aws.ToString(x.PhysicalResourceId))
		decl := t.Resources[id]
		switch decl.DeletionPolicy {
		case "Retain", "RetainExceptOnCreate":
			d.Retained = append(d.Retained, what)
			continue
		case "Snapshot":
			d.Snapshots = append(d.Snapshots, what)
		}
		for _, k := range []string{"DeletionProtection", "DeletionProtectionEnabled"} {
			if strings.Trim(string(decl.Properties[k]), `"`) == "true" {
				d.Protected = append(d.Protected, "deletion protection of "+what)
			}
		}
	}
	return d, nil
}

// deployed reads a stack's template as it was sent.
func (c *Client) deployed(ctx context.Context, region, stack string) ([]byte, error) {
	out, err := c.in(region).GetTemplate(ctx, &cloudformation.GetTemplateInput{StackName: &stack, TemplateStage: types.TemplateStageOriginal})
	if err != nil {
		return nil, plain("reading the deployed template of "+stack, err)
	}
	return []byte(aws.ToString(out.TemplateBody)), nil
}

// Protected lists what refuses a deletion.
type Protected struct{ What []string }

func (e *Protected) Error() string {
	return "destroying: deletion is protected: " + strings.Join(e.What, "; ") +
		"; nothing was deleted; a stack's termination protection goes with --unprotect, a database's with database.protect: false in the configuration and deploy --override database/restorable --reason WHY, because check asks for that protection; then run destroy again"
}

// DestroyOptions of one run.
type DestroyOptions struct {
	Progress func(Event)
	// Unprotect turns the termination protection of stacks off. The protection of
	// databases and load balancers is part of the configuration, and stays.
	Unprotect bool
	// Abandon are logical ids that CloudFormation leaves as they are when it could not
	// delete them before.
	Abandon  []string
	Parallel int
}

// Destroy deletes a site's stacks in the reverse of the order in which they were
// made, then puts the account's settings back. Before anything is deleted it looks
// for what is protected. The result's Doomed say what stays.
func (c *Client) Destroy(ctx context.Context, site Site, opt DestroyOptions) ([]Doomed, error) {
	r := c.newRun(site, Options{Progress: opt.Progress, Parallel: opt.Parallel})
	r.undo = true
	doomed, err := c.Doom(ctx, site)
	if err != nil {
		return nil, err
	}
	var refuse []string
	for _, d := range doomed {
		for _, p := range d.Protected {
			if !opt.Unprotect || !strings.HasPrefix(p, "termination") {
				refuse = append(refuse, d.Stack+": "+p)
			}
		}
	}
	if len(refuse) > 0 {
		return doomed, &Protected{refuse}
	}
	// The other way round: a stack waits for those that need it.
	waits := map[string][]string{}
	for i := range site.Stacks {
		for _, n := range site.Stacks[i].needs() {
			waits[n] = append(waits[n], site.Stacks[i].Name)
		}
	}
	err = r.inOrder(ctx, waits, func(ctx context.Context, s *Stack) error {
		cur, err := r.settled(ctx, s)
		if err != nil || cur == nil {
			return err
		}
		if aws.ToBool(cur.EnableTerminationProtection) {
			_, err := r.in(s.Region).UpdateTerminationProtection(ctx, &cloudformation.UpdateTerminationProtectionInput{StackName: cur.StackId, EnableTerminationProtection: aws.Bool(false)})
			if err != nil {
				return plain("turning off the termination protection of "+s.Name, err)
			}
		}
		return r.remove(ctx, s, cur, opt.Abandon)
	})
	if err != nil {
		return doomed, err
	}
	if err := r.removeTemplates(ctx); err != nil {
		return doomed, err
	}
	return doomed, r.restore(ctx)
}

// removeTemplates deletes the buckets for templates, in each Region of the site.
func (r *run) removeTemplates(ctx context.Context) error {
	var regions []string
	for _, s := range r.site.Stacks {
		regions = append(regions, s.Region)
	}
	slices.Sort(regions)
	for _, region := range slices.Compact(regions) {
		s := templatesStack(r.site.Name, region)
		cur, err := r.settled(ctx, s)
		if err != nil {
			return err
		}
		if cur == nil {
			continue
		}
		if b := outputs(cur)["Bucket"]; b != "" {
			if err := r.empty(ctx, region, b); err != nil {
				return err
			}
		}
		if err := r.remove(ctx, s, cur, nil); err != nil {
			return err
		}
	}
	return nil
}

// remove deletes one stack and waits for its end.
func (r *run) remove(ctx context.Context, s *Stack, cur *types.Stack, abandon []string) error {
	begun := time.Now()
	r.tell(Event{Stack: s.Name, Region: s.Region, Verb: "delete", State: Running})
	token := newToken()
	in := &cloudformation.DeleteStackInput{StackName: cur.StackId, ClientRequestToken: &token}
	if cur.StackStatus == types.StackStatusDeleteFailed && len(abandon) > 0 {
		have, err := r.resources(ctx, s.Region, aws.ToString(cur.StackId))
		if err != nil {
			return err
		}
		for _, id := range abandon {
			if x, ok := have[id]; ok && x.ResourceStatus == types.ResourceStatusDeleteFailed {
				in.RetainResources = append(in.RetainResources, id)
			}
		}
	}
	fail := func(err error) error {
		state, text := Failed, err.Error()
		if ctx.Err() != nil {
			state, text = Stopped, "CloudFormation goes on deleting it"
		}
		r.tell(Event{Stack: s.Name, Region: s.Region, Verb: "delete", State: state, Text: text, Took: time.Since(begun)})
		return err
	}
	if _, err := r.in(s.Region).DeleteStack(ctx, in); err != nil {
		return fail(plain("deleting "+s.Name, err))
	}
	end, err := r.watch(ctx, s, aws.ToString(cur.StackId), token, begun)
	switch {
	case errors.Is(err, errGone):
	case err != nil && ctx.Err() != nil:
		return fail(r.interrupted(ctx, s, "CloudFormation goes on deleting "+s.Name))
	case err != nil:
		return fail(err)
	case end.StackStatus != types.StackStatusDeleteComplete:
		return fail(r.failure(ctx, s, end, token, begun))
	}
	r.tell(Event{Stack: s.Name, Region: s.Region, Verb: "delete", State: Done, Took: time.Since(begun)})
	return nil
}
