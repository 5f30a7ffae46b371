// Package deploy ships a site's stacks by change sets, over two Regions, and takes
// them away again. It is the only importer of the AWS SDK. What it has to remember
// is in the account, in the stacks themselves: any machine can go on where another
// one stopped.
package deploy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ringwall/ringwall/plan"
)

// Edge is the Region in which CloudFront reads certificates and web ACLs.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cnames-and-https-requirements.html
const Edge = plan.EdgeRegion

// A Stack is one stack as it is to be.
type Stack struct {
	Name, Region string
	Template     []byte            // JSON
	Parameters   map[string]string // by name; what is not here has its default, or its former value
	From         map[string]Output // parameters that another stack's output fills, in any Region
	After        []string          // stacks that must be there first, besides those of From
	Tags         map[string]string
	Protect      bool              // termination protection
	Lookups      map[string]string // how a parameter that nobody gives is found in the account: cfn.Parameter.Lookup
}

// An Output names one output of one stack.
type Output struct{ Stack, Key string }

// A Site is everything that one deployment ships.
type Site struct {
	Name     string // wp-dev
	Account  string // twelve digits; empty: whichever account the credentials are of
	Stacks   []Stack
	Settings []Setting
}

// Options of one run.
type Options struct {
	// Check is asked before anything is changed; an error stops the run.
	Check func(context.Context) error
	// Approve is asked before a change that loses data or replaces what holds it.
	// Nil: such a change is refused with ErrApproval.
	Approve func(context.Context, []Loss) error
	// Progress is told what happens. It may be nil, and is never called concurrently.
	Progress func(Event)
	// Overrides are recorded in each change set's description, and in the metadata of
	// the templates that are shipped with them.
	Overrides []Override
	// IgnoreDrift goes on where somebody changed resources by hand.
	IgnoreDrift bool
	// ContinueRollback takes up a rollback that failed, and Skip are the logical ids
	// of resources that it leaves as they are.
	ContinueRollback bool
	Skip             []string
	// Parallel is how many stacks are worked on at once; 0 means 4.
	Parallel int
}

// An Override lets a finding pass, and says why.
type Override struct{ ID, Reason string }

// A Loss is a change that loses data, or may.
type Loss struct {
	Stack, Resource, Type string
	What                  string // in words
}

// ErrApproval says that a change waits for somebody's approval.
var ErrApproval = errors.New("approval is needed")

// ErrNoChange says that a change set has nothing in it.
var ErrNoChange = errors.New("the stack is already as it should be")

// A Result is what a run did.
type Result struct {
	Changed   []string                     // stacks, in the order in which they were done
	Unchanged []string                     // stacks that needed nothing
	Outputs   map[string]map[string]string // by stack, then key
	Settings  []string                     // account settings that were changed
	Took      time.Duration
}

// run is one Deploy or Destroy.
type run struct {
	*Client
	site Site
	opt  Options
	undo bool // a Destroy

	asking  sync.Mutex // held while somebody is asked
	making  sync.Mutex // held while the bucket for templates is made
	mu      sync.Mutex
	result  Result
	started time.Time

	approved map[string]bool // losses, by stack/resource
	kept     []string        // resources that CloudFormation left behind
}

func (c *Client) newRun(site Site, opt Options) *run {
	r := &run{Client: c, site: site, opt: opt, started: time.Now(), approved: map[string]bool{}}
	r.site.Stacks = slices.Clone(site.Stacks)
	for i := range r.site.Stacks {
		r.site.Stacks[i].Parameters = maps.Clone(r.site.Stacks[i].Parameters)
	}
	r.result.Outputs = map[string]map[string]string{}
	return r
}

func (r *run) tell(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tellLocked(e)
}

func (r *run) tellLocked(e Event) {
	if r.opt.Progress == nil {
		return
	}
	e.At = time.Since(r.started)
	r.opt.Progress(e)
}

// Deploy brings every stack to what it should be. It stops at the first stack that
// fails; those already in hand are brought to their end. When ctx ends, what has not
// been started is cleaned away, what CloudFormation has begun goes on without this
// program, and the error, an *Interrupted, says so: the next Deploy takes it up.
func (c *Client) Deploy(ctx context.Context, site Site, opt Options) (*Result, error) {
	r := c.newRun(site, opt)
	if err := site.validate(); err != nil {
		return nil, err
	}
	if err := r.prepare(ctx); err != nil {
		if ctx.Err() != nil {
			return nil, &Interrupted{Site: site.Name, Cause: context.Cause(ctx)}
		}
		return nil, err
	}
	if err := r.settings(ctx); err != nil {
		return &r.result, err
	}
	err := r.inOrder(ctx, r.waits(), func(ctx context.Context, s *Stack) error { return r.ship(ctx, s) })
	r.result.Took = time.Since(r.started)
	return &r.result, err
}

// prepare does what comes before the first change.
func (r *run) prepare(ctx context.Context) error {
	if r.opt.Check != nil {
		if err := r.opt.Check(ctx); err != nil {
			return err
		}
	}
	if err := r.identify(ctx, r.site.Account); err != nil {
		return err
	}
	if err := r.lookups(ctx, &r.site); err != nil {
		return err
	}
	return r.foresee(ctx)
}

// waits says which stacks each stack waits for.
func (r *run) waits() map[string][]string {
	w := map[string][]string{}
	for _, s := range r.site.Stacks {
		w[s.Name] = s.needs()
	}
	return w
}

// needs lists the stacks that one needs, once each.
func (s *Stack) needs() []string {
	all := slices.Clone(s.After)
	for _, o := range s.From {
		all = append(all, o.Stack)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// inOrder does each stack once those it waits for are done. Independent stacks are
// done at the same time. After an error nothing new is begun.
func (r *run) inOrder(ctx context.Context, waits map[string][]string, do func(context.Context, *Stack) error) error {
	done := make(map[string]chan struct{})
	for i := range r.site.Stacks {
		done[r.site.Stacks[i].Name] = make(chan struct{})
	}
	begin, stop := context.WithCancel(ctx)
	defer stop()
	parallel := r.opt.Parallel
	if parallel == 0 {
		parallel = 4
	}
	slots := make(chan struct{}, parallel)
	var wg sync.WaitGroup
	errs := make([]error, len(r.site.Stacks))
	for i := range r.site.Stacks {
		s := &r.site.Stacks[i]
		wg.Go(func() {
			for _, n := range waits[s.Name] {
				select {
				case <-done[n]:
				case <-begin.Done():
					return
				}
			}
			select {
			case slots <- struct{}{}:
				defer func() { <-slots }()
			case <-begin.Done():
				return
			}
			if begin.Err() != nil {
				return
			}
			if errs[i] = do(ctx, s); errs[i] != nil {
				stop()
				return
			}
			close(done[s.Name])
		})
	}
	wg.Wait()
	if ctx.Err() == nil {
		return errors.Join(errs...)
	}
	// One sentence for all that was stopped; what failed by itself is added.
	stopped := &Interrupted{Site: r.site.Name, Undo: r.undo, Cause: context.Cause(ctx)}
	var others []error
	for _, err := range errs {
		if i := (*Interrupted)(nil); errors.As(err, &i) {
			stopped.Left = append(stopped.Left, i.Left...)
		} else if err != nil {
			others = append(others, err)
		}
	}
	return errors.Join(append([]error{stopped}, others...)...)
}

// validate finds what would only fail half-way.
func (site *Site) validate() error {
	byName := map[string]*Stack{}
	for i := range site.Stacks {
		s := &site.Stacks[i]
		if s.Name == "" || s.Region == "" || len(s.Template) == 0 {
			return fmt.Errorf("reading the stacks of %s: stack %q in Region %q with %d bytes of template, want all three", site.Name, s.Name, s.Region, len(s.Template))
		}
		if byName[s.Name] != nil {
			return fmt.Errorf("reading the stacks of %s: %s is there twice", site.Name, s.Name)
		}
		byName[s.Name] = s
	}
	var visit func(name string, path []string) error
	done := map[string]bool{}
	visit = func(name string, path []string) error {
		if slices.Contains(path, name) {
			return fmt.Errorf("ordering the stacks of %s: they wait for each other in a circle: %v; break it by moving one of the shared resources", site.Name, append(path, name))
		}
		if done[name] {
			return nil
		}
		for _, n := range byName[name].needs() {
			if byName[n] == nil {
				return fmt.Errorf("ordering the stacks of %s: %s needs %s, which is not among them", site.Name, name, n)
			}
			if err := visit(n, append(path, name)); err != nil {
				return err
			}
		}
		done[name] = true
		return nil
	}
	for _, s := range site.Stacks {
		if err := visit(s.Name, nil); err != nil {
			return err
		}
	}
	return nil
}
