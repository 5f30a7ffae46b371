package fakecfn

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

type stack struct {
	name, arn, region string
	status, reason    string
	created, updated  time.Time
	body              []byte
	t                 *template
	params, tags      map[string]string
	resources         map[string]*resource
	outputs           []output
	events            []event // oldest first
	sets              []*changeSet
	protected         bool
	cancelled         bool     // CancelUpdateStack was called
	applying          bool     // a change set is being executed
	before            *version // what a rollback goes back to
	detections        map[string]string
	drifted           bool // a detection has found drift
	drifts            []drift
	token             string // of the operation in hand
}

// A version is what a rollback restores.
type version struct {
	body         []byte
	t            *template
	params, tags map[string]string
	resources    map[string]*resource
	outputs      []output
}

type resource struct {
	logical, physical, typ string
	status, reason         string
	props                  map[string]any
	policy                 string // DeletionPolicy
	wave                   int
	actual                 map[string]any // properties that somebody changed by hand
	gone                   bool           // somebody deleted it by hand
}

type output struct {
	key, value, export string
}

type event struct {
	id                           string
	at                           time.Time
	logical, physical, typ       string
	status, reason, token, stack string
}

type drift struct {
	resource, status string
	diffs            []propertyDiff
}

type propertyDiff struct {
	path, want, got string
}

func (st *stack) live() bool { return st.status != "DELETE_COMPLETE" }

func (st *stack) busy() bool {
	return strings.HasSuffix(st.status, "_IN_PROGRESS") && st.status != "REVIEW_IN_PROGRESS"
}

func (st *stack) clone() *version {
	v := &version{st.body, st.t, maps.Clone(st.params), maps.Clone(st.tags), map[string]*resource{}, slices.Clone(st.outputs)}
	for k, r := range st.resources {
		c := *r
		v.resources[k] = &c
	}
	return v
}

// find returns a live stack by its name, or any by its ARN.
func (s *Server) find(region, id string) *stack {
	for _, st := range s.stacks {
		if st.region == region && (st.arn == id || st.name == id && st.live()) {
			return st
		}
	}
	return nil
}

func (s *Server) mustFind(q Request) (*stack, *Error) {
	name := q.Params.Get("StackName")
	if st := s.find(q.Region, name); st != nil {
		return st, nil
	}
	return nil, invalid("Stack with id %s does not exist", name)
}

func (s *Server) newStack(region, name string) *stack {
	st := &stack{name: name, region: region, created: time.Now(), resources: map[string]*resource{},
		arn: fmt.Sprintf("arn:aws:cloudformation:%s:%s:stack/%s/%s", region, Account, name, s.id()), detections: map[string]string{}}
	s.stacks = append(s.stacks, st)
	return st
}

func (s *Server) event(st *stack, r *resource, status, reason string) {
	e := event{id: s.id(), at: time.Now(), status: status, reason: reason, token: st.token, stack: st.arn}
	if r == nil {
		st.status, st.reason = status, reason
		e.logical, e.physical, e.typ = st.name, st.arn, "AWS::CloudFormation::Stack"
	} else {
		r.status, r.reason = status, reason
		e.logical, e.physical, e.typ = r.logical, r.physical, r.typ
	}
	st.events = append(st.events, e)
}

func (s *Server) scope(st *stack, t *template, params map[string]string) *scope {
	ids := map[string]string{}
	for k, r := range st.resources {
		ids[k] = r.physical
	}
	return &scope{t: t, stack: st, params: params, ids: ids, exports: func(name string) (string, bool) {
		return s.export(st.region, name)
	}}
}

func (s *Server) export(region, name string) (string, bool) {
	for _, st := range s.stacks {
		if st.region == region && st.live() {
			for _, o := range st.outputs {
				if o.export == name {
					return o.value, true
				}
			}
		}
	}
	return "", false
}

// importer returns the name of a live stack that uses an export.
func (s *Server) importer(region, name string) string {
	for _, st := range s.stacks {
		if st.region != region || !st.live() || st.t == nil {
			continue
		}
		used := false
		sc := s.scope(st, st.t, st.params)
		sc.exports = func(n string) (string, bool) {
			used = used || n == name
			return "", true
		}
		for _, r := range st.t.Resources {
			sc.eval(map[string]any(r.Properties))
		}
		if used {
			return st.name
		}
	}
	return ""
}

// A StackState is what a test may ask about a stack.
type StackState struct {
	Name, Region, Status, ARN string
	Resources                 map[string]string // physical ids by logical id
	Outputs                   map[string]string
	Params, Tags              map[string]string
	ChangeSets                int
}

// Stacks returns the live stacks, by name.
func (s *Server) Stacks() map[string]StackState {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string]StackState{}
	for _, st := range s.stacks {
		if !st.live() {
			continue
		}
		v := StackState{Name: st.name, Region: st.region, Status: st.status, ARN: st.arn, Resources: map[string]string{},
			Outputs: map[string]string{}, Params: maps.Clone(st.params), Tags: maps.Clone(st.tags), ChangeSets: len(st.sets)}
		for k, r := range st.resources {
			v.Resources[k] = r.physical
		}
		for _, o := range st.outputs {
			v.Outputs[o.key] = o.value
		}
		all[st.name] = v
	}
	return all
}

// SetStatus puts a stack in a state that is hard to reach otherwise.
func (s *Server) SetStatus(region, name, status, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.find(region, name)
	if st == nil {
		panic("fakecfn: no stack " + name)
	}
	s.event(st, nil, status, reason)
}

// Drift changes a property of a resource by hand; a nil value deletes the resource.
func (s *Server) Drift(region, name, logical, property string, value any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.find(region, name).resources[logical]
	if value == nil {
		r.gone = true
		return
	}
	if r.actual == nil {
		r.actual = map[string]any{}
	}
	r.actual[property] = value
}

// Wait returns when no stack is being worked on.
func (s *Server) Wait() {
	for {
		s.mu.Lock()
		busy := slices.ContainsFunc(s.stacks, (*stack).busy)
		s.mu.Unlock()
		if !busy || s.ctx.Err() != nil {
			return
		}
		time.Sleep(time.Millisecond)
	}
}
