package deploy

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"github.com/ringwall/ringwall/internal/schema"
)

// A Proposal is what a deployment would do to one stack, as far as reading tells.
type Proposal struct {
	Stack, Region string
	Status        string // as it is now; empty: it is not there
	Changes       []Proposed
	Parameters    []string // in words
	Outputs       bool     // the outputs change
	Drifted       bool     // the last look that somebody took at drift found some
	Template      []byte   // as it is deployed; nil: it is not there
}

// Empty says that there is nothing to do.
func (p *Proposal) Empty() bool {
	return p.Status != "" && len(p.Changes) == 0 && len(p.Parameters) == 0 && !p.Outputs
}

// A Proposed is the change of one resource.
type Proposed struct {
	Action         string // add, change, replace, perhaps replace, remove
	Resource, Type string
	Properties     []string // that change
	Loss           string   // in words; empty: nothing is lost
}

// Propose compares a site with what is deployed. It only reads.
func (c *Client) Propose(ctx context.Context, site Site) ([]Proposal, []SettingChange, error) {
	if err := site.validate(); err != nil {
		return nil, nil, err
	}
	if err := c.identify(ctx, site.Account); err != nil {
		return nil, nil, err
	}
	site = c.newRun(site, Options{}).site
	if err := c.lookups(ctx, &site); err != nil {
		return nil, nil, err
	}
	settings, err := c.ReadSettings(ctx, site.Settings)
	if err != nil {
		return nil, nil, err
	}
	all, err := c.proposals(ctx, site)
	return all, settings, err
}

func (c *Client) proposals(ctx context.Context, site Site) ([]Proposal, error) {
	var all []Proposal
	out := map[Output]string{}
	for _, s := range slices.Backward(c.backwards(site)) {
		p, cur, err := c.propose(ctx, s, out)
		if err != nil {
			return nil, err
		}
		for k, v := range outputs(cur) {
			out[Output{s.Name, k}] = v
		}
		all = append(all, *p)
	}
	return all, nil
}

func (c *Client) propose(ctx context.Context, s *Stack, out map[Output]string) (*Proposal, *types.Stack, error) {
	p := &Proposal{Stack: s.Name, Region: s.Region}
	cur, err := c.describe(ctx, s.Region, s.Name)
	if err != nil {
		return nil, nil, err
	}
	fresh, err := parse(s.Template)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the template of %s: %w", s.Name, err)
	}
	former := &template{}
	if cur != nil && cur.StackStatus != types.StackStatusReviewInProgress {
		p.Status = string(cur.StackStatus)
		p.Drifted = cur.DriftInformation != nil && cur.DriftInformation.StackDriftStatus == types.StackDriftStatusDrifted
		if p.Template, err = c.deployed(ctx, s.Region, aws.ToString(cur.StackId)); err != nil {
			return nil, nil, err
		}
		if former, err = parse(p.Template); err != nil {
			return nil, nil, fmt.Errorf("reading the deployed template of %s: %w", s.Name, err)
		}
	}
	p.Changes = compare(former, fresh)
	open, err := c.openGroups(ctx, s, cur, fresh)
	if err != nil {
		return nil, nil, err
	}
	p.Changes = append(p.Changes, open...)
	if p.Status == "" {
		return p, cur, nil
	}
	p.Outputs = !bytes.Equal(former.Outputs, fresh.Outputs)
	for _, q := range cur.Parameters {
		k, was := aws.ToString(q.ParameterKey), aws.ToString(q.ParameterValue)
		want, ok := s.Parameters[k]
		if o, from := s.From[k]; from {
			want, ok = out[o], out[o] != ""
		}
		if ok && want != was && was != "****" {
			p.Parameters = append(p.Parameters, fmt.Sprintf("%s: %s → %s", k, was, want))
		}
	}
	return p, cur, nil
}

// A template is what is compared of one.
type template struct {
	Parameters map[string]parameter
	Resources  map[string]resource
	Outputs    json.RawMessage
}

type parameter struct {
	Type, Description string
	Default           json.RawMessage
}

type resource struct {
	Type           string
	Properties     map[string]json.RawMessage
	DeletionPolicy string
}

func parse(b []byte) (*template, error) {
	t := &template{}
	return t, json.Unmarshal(compact(b), t)
}

// declared are a stack's parameters.
func declared(s *Stack) (map[string]parameter, error) {
	t, err := parse(s.Template)
	if err != nil {
		return nil, fmt.Errorf("reading the template of %s: %w", s.Name, err)
	}
	return t.Parameters, nil
}

// compare lists the differences of two templates' resources, with what the resource
// schema says of each.
func compare(a, b *template) []Proposed {
	var all []Proposed
	for _, id := range slices.Sorted(maps.Keys(b.Resources)) {
		now := b.Resources[id]
		was, ok := a.Resources[id]
		ch := Proposed{Action: "change", Resource: id, Type: now.Type}
		switch {
		case !ok:
			ch.Action = "add"
		case was.Type != now.Type:
			ch.Action = "replace"
			if holds(was.Type) {
				ch.Loss = "is replaced by another kind of thing"
			}
		default:
			keys := map[string]bool{}
			for k := range was.Properties {
				keys[k] = !same(was.Properties[k], now.Properties[k])
			}
			for k := range now.Properties {
				keys[k] = !same(was.Properties[k], now.Properties[k])
			}
			replace := schema.No
			var why []string // the properties that replace it
			for _, k := range slices.Sorted(maps.Keys(keys)) {
				if keys[k] {
					ch.Properties = append(ch.Properties, k)
					how := replaces(now.Type, k)
					if how != schema.No {
						why = append(why, k)
					}
					replace = max(replace, how)
				}
			}
			if len(ch.Properties) == 0 {
				continue
			}
			because := ", because " + strings.Join(why, ", ") + " changes"
			switch replace {
			case schema.Yes:
				ch.Action = "replace"
				if holds(now.Type) {
					ch.Loss = "is replaced by " + successor(now) + because
				}
			case schema.Maybe:
				ch.Action = "perhaps replace"
				if holds(now.Type) {
					ch.Loss = "may be replaced by " + successor(now) + because
				}
			}
		}
		all = append(all, ch)
	}
	for _, id := range slices.Sorted(maps.Keys(a.Resources)) {
		if _, ok := b.Resources[id]; ok {
			continue
		}
		was := a.Resources[id]
		ch := Proposed{Action: "remove", Resource: id, Type: was.Type}
		if holds(was.Type) && !strings.HasPrefix(was.DeletionPolicy, "Retain") && was.DeletionPolicy != "Snapshot" {
			ch.Loss = "is deleted with what it holds"
		}
		all = append(all, ch)
	}
	return all
}

func same(a, b json.RawMessage) bool {
	if bytes.Equal(a, b) {
		return true
	}
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return false
	}
	m, _ := json.Marshal(x)
	n, _ := json.Marshal(y)
	return bytes.Equal(m, n)
}

// replaces says what the change of a property means; of a kind that the schema does
// not know, the worst is supposed only for what holds data.
func replaces(kind, property string) schema.Replace {
	r := schema.Lookup(kind)
	if r == nil || r.Properties[property] == nil {
		if holds(kind) {
			return schema.Maybe
		}
		return schema.No
	}
	return r.Properties[property].Replace
}
