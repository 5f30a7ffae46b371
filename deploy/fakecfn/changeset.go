package fakecfn

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"
)

type changeSet struct {
	name, arn, kind string
	status, reason  string
	execution       string
	created         time.Time
	description     string
	body            []byte
	t               *template
	params, tags    map[string]string
	changes         []change
	disableRollback bool
	ready           time.Time
	finalStatus     string
	finalReason     string
	finalAvailable  string
}

type change struct {
	action, logical, physical, typ, replacement string
	policy                                      string
	properties                                  []propertyChange
}

type propertyChange struct {
	name, requires, before, after string
}

var iamTypes = []string{"AWS::IAM::Role", "AWS::IAM::User", "AWS::IAM::Group", "AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", "AWS::IAM::InstanceProfile"}

// body returns the template that a request carries or points to.
func (s *Server) body(q Request, st *stack) ([]byte, *Error) {
	if b := q.Params.Get("TemplateBody"); b != "" {
		if len(b) > 51200 {
			return nil, invalid("1 validation error detected: Value at 'templateBody' failed to satisfy constraint: Member must have length less than or equal to 51200")
		}
		return []byte(b), nil
	}
	if u := q.Params.Get("TemplateURL"); u != "" {
		p, err := url.Parse(u)
		if err != nil {
			return nil, invalid("TemplateURL must be a supported URL.")
		}
		host, path := p.Host, strings.TrimPrefix(p.Path, "/")
		bucket, rest, ok := strings.Cut(host, ".s3.")
		if !ok || rest == "" {
			bucket, path, _ = strings.Cut(path, "/")
		}
		b, ok := s.account.objects[bucket+"/"+path]
		if !ok {
			return nil, invalid("S3 error: The specified key does not exist.")
		}
		if len(b) > 1<<20 {
			return nil, invalid("Template may not exceed 1000000 bytes in size.")
		}
		return b, nil
	}
	if q.Params.Get("UsePreviousTemplate") == "true" && st != nil {
		return st.body, nil
	}
	return nil, invalid("Either Template URL or Template Body must be specified.")
}

func (s *Server) createChangeSet(q Request) (any, *Error) {
	p := q.Params
	name, set, kind := p.Get("StackName"), p.Get("ChangeSetName"), cmp.Or(p.Get("ChangeSetType"), "UPDATE")
	st := s.find(q.Region, name)
	switch {
	case kind == "UPDATE" && st == nil:
		return nil, invalid("Stack [%s] does not exist", name)
	case kind == "CREATE" && st != nil && st.status != "REVIEW_IN_PROGRESS":
		return nil, invalid("Stack [%s] already exists and cannot be created again with the changeSet [%s].", name, set)
	case kind == "UPDATE" && (st.busy() || st.status == "REVIEW_IN_PROGRESS" || !updatable(st.status)):
		return nil, invalid("Stack:%s is in %s state and can not be updated.", st.arn, st.status)
	}
	if st != nil && slices.ContainsFunc(st.sets, func(c *changeSet) bool { return c.name == set }) {
		return nil, &Error{Status: 409, Code: "AlreadyExistsException", Message: fmt.Sprintf("ChangeSet %s already exists", set)}
	}
	body, fail := s.body(q, st)
	if fail != nil {
		return nil, fail
	}
	t, fail := parseTemplate(body)
	if fail != nil {
		return nil, fail
	}
	if !slices.Contains(members(p, "Capabilities"), "CAPABILITY_NAMED_IAM") {
		for _, r := range t.Resources {
			if slices.Contains(iamTypes, r.Type) {
				return nil, &Error{Code: "InsufficientCapabilitiesException", Message: "Requires capabilities : [CAPABILITY_NAMED_IAM]"}
			}
		}
	}
	params, fail := parameters(p, t, st)
	if fail != nil {
		return nil, fail
	}
	if st == nil {
		st = s.newStack(q.Region, name)
		s.event(st, nil, "REVIEW_IN_PROGRESS", "User Initiated")
	}
	c := &changeSet{name: set, kind: kind, created: time.Now(), body: body, t: t, params: params, description: p.Get("Description"),
		arn:  fmt.Sprintf("arn:aws:cloudformation:%s:%s:changeSet/%s/%s", q.Region, Account, set, s.id()),
		tags: pairs(p, "Tags", "Key", "Value"), status: "CREATE_PENDING", execution: "UNAVAILABLE", ready: time.Now().Add(s.opt.ChangeSetLatency)}
	c.finalStatus, c.finalAvailable = "CREATE_COMPLETE", "AVAILABLE"
	if why := s.compare(st, c); why != "" {
		c.finalStatus, c.finalReason, c.finalAvailable = "FAILED", why, "UNAVAILABLE"
	}
	st.sets = append(st.sets, c)
	return struct{ Id, StackId string }{c.arn, st.arn}, nil
}

func updatable(status string) bool {
	switch status {
	case "CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE", "IMPORT_ROLLBACK_COMPLETE":
		return true
	}
	return false
}

// parameters resolves a request's parameters against a template's declarations.
func parameters(p url.Values, t *template, st *stack) (map[string]string, *Error) {
	given := pairs(p, "Parameters", "ParameterKey", "ParameterValue")
	for i := 1; ; i++ {
		k := fmt.Sprintf("Parameters.member.%d.", i)
		if !p.Has(k + "ParameterKey") {
			break
		}
		if p.Get(k+"UsePreviousValue") == "true" && st != nil {
			given[p.Get(k+"ParameterKey")] = st.params[p.Get(k+"ParameterKey")]
		}
	}
	for k := range given {
		if _, ok := t.Parameters[k]; !ok {
			return nil, invalid("Parameters: [%s] do not exist in the template", k)
		}
	}
	out := map[string]string{}
	var missing []string
	for k, d := range t.Parameters {
		v, ok := given[k]
		if !ok && d.Default != nil {
			v, ok = fmt.Sprint(d.Default), true
		}
		if !ok {
			missing = append(missing, k)
			continue
		}
		if len(d.AllowedValues) > 0 && !slices.ContainsFunc(d.AllowedValues, func(a any) bool { return fmt.Sprint(a) == v }) {
			return nil, invalid("Parameter '%s' must be one of AllowedValues", k)
		}
		out[k] = v
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return nil, invalid("Parameters: [%s] must have values", strings.Join(missing, ", "))
	}
	return out, nil
}

// compare fills a change set; it returns why there is none.
func (s *Server) compare(st *stack, c *changeSet) string {
	sc := s.scope(st, c.t, c.params)
	waves, _ := c.t.order()
	keep := map[string]bool{}
	for _, wave := range waves {
		for _, name := range wave {
			d := c.t.Resources[name]
			if on, err := sc.condition(d.Condition); err != nil {
				return err.Error()
			} else if !on {
				continue
			}
			keep[name] = true
			props, err := sc.eval(map[string]any(d.Properties))
			if err != nil && !strings.HasPrefix(err.Error(), "No export") {
				return err.Error()
			}
			now, _ := props.(map[string]any)
			old := st.resources[name]
			ch := change{action: "Modify", logical: name, typ: d.Type, replacement: "False"}
			switch {
			case old == nil:
				ch.action, ch.replacement = "Add", ""
			case old.typ != d.Type:
				ch.physical, ch.replacement = old.physical, "True"
			default:
				ch.physical = old.physical
				for _, k := range changed(old.props, now) {
					req := "Never"
					if s.opt.Replaces != nil {
						req = s.opt.Replaces(d.Type, k)
					}
					ch.properties = append(ch.properties, propertyChange{k, req, text(old.props[k]), text(now[k])})
					if req == "Always" {
						ch.replacement = "True"
					} else if req == "Conditionally" && ch.replacement == "False" {
						ch.replacement = "Conditional"
					}
				}
				if len(ch.properties) == 0 {
					continue
				}
			}
			c.changes = append(c.changes, ch)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(st.resources)) {
		if r := st.resources[name]; !keep[name] {
			ch := change{action: "Remove", logical: name, physical: r.physical, typ: r.typ, policy: "Delete"}
			if strings.HasPrefix(r.policy, "Retain") {
				ch.policy = "Retain"
			} else if r.policy == "Snapshot" {
				ch.policy = r.policy
			}
			c.changes = append(c.changes, ch)
		}
	}
	if len(c.changes) == 0 && c.kind == "UPDATE" && sameOutputs(st.t, c.t) && maps.Equal(st.tags, c.tags) {
		return "The submitted information didn't contain changes. Submit different information to create a change set."
	}
	return ""
}

func sameOutputs(a, b *template) bool {
	if a == nil {
		return false
	}
	x, _ := json.Marshal(a.Outputs)
	y, _ := json.Marshal(b.Outputs)
	return string(x) == string(y)
}

// changed lists the top-level properties that differ.
func changed(a, b map[string]any) []string {
	found := map[string]bool{}
	for k, v := range a {
		if !reflect.DeepEqual(v, b[k]) {
			found[k] = true
		}
	}
	for k, v := range b {
		if !reflect.DeepEqual(v, a[k]) {
			found[k] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// set finds a change set by ARN, or by name with its stack.
func (s *Server) set(q Request) (*stack, *changeSet, *Error) {
	id, name := q.Params.Get("ChangeSetName"), q.Params.Get("StackName")
	for _, st := range s.stacks {
		if st.region != q.Region {
			continue
		}
		for _, c := range st.sets {
			if c.arn == id || c.name == id && (st.name == name || st.arn == name) {
				if c.status == "CREATE_PENDING" && !time.Now().Before(c.ready) {
					c.status, c.reason, c.execution = c.finalStatus, c.finalReason, c.finalAvailable
				}
				return st, c, nil
			}
		}
	}
	return nil, nil, &Error{Status: 404, Code: "ChangeSetNotFound", Message: fmt.Sprintf("ChangeSet [%s] does not exist", id)}
}

type xmlTag struct{ Key, Value string }

type xmlDetail struct {
	Target struct {
		Attribute, Name, RequiresRecreation, Path string
		BeforeValue, AfterValue                   string `xml:",omitempty"`
	}
	Evaluation   string
	ChangeSource string
}

type xmlChange struct {
	Type           string
	ResourceChange struct {
		Action, LogicalResourceId, PhysicalResourceId, ResourceType string
		Replacement, PolicyAction                                   string      `xml:",omitempty"`
		Scope                                                       []string    `xml:"Scope>member,omitempty"`
		Details                                                     []xmlDetail `xml:"Details>member"`
	}
}

// pageSize is small, so that clients have to follow NextToken.
const pageSize = 5

func page[T any](all []T, token string) ([]T, string) {
	from := 0
	fmt.Sscanf(token, "page-%d", &from)
	from = min(from, len(all))
	if to := from + pageSize; to < len(all) {
		return all[from:to], fmt.Sprintf("page-%d", to)
	}
	return all[from:], ""
}

func (s *Server) describeChangeSet(q Request) (any, *Error) {
	st, c, fail := s.set(q)
	if fail != nil {
		return nil, fail
	}
	var changes []xmlChange
	for _, ch := range c.changes {
		var x xmlChange
		x.Type = "Resource"
		r := &x.ResourceChange
		r.Action, r.LogicalResourceId, r.PhysicalResourceId, r.ResourceType = ch.action, ch.logical, ch.physical, ch.typ
		r.Replacement, r.PolicyAction = ch.replacement, ch.policy
		for _, p := range ch.properties {
			var d xmlDetail
			d.Target.Attribute, d.Target.Name, d.Target.RequiresRecreation = "Properties", p.name, p.requires
			d.Target.Path, d.Target.BeforeValue, d.Target.AfterValue = "/Properties/"+p.name, p.before, p.after
			d.Evaluation, d.ChangeSource = "Static", "DirectModification"
			r.Details = append(r.Details, d)
		}
		changes = append(changes, x)
	}
	if c.status != "CREATE_COMPLETE" {
		changes = nil
	}
	changes, next := page(changes, q.Params.Get("NextToken"))
	return struct {
		ChangeSetName, ChangeSetId, StackId, StackName, Description string
		CreationTime                                                string
		ExecutionStatus, Status, StatusReason                       string
		Changes                                                     []xmlChange `xml:"Changes>member"`
		NextToken                                                   string      `xml:",omitempty"`
	}{c.name, c.arn, st.arn, st.name, c.description, stamp(c.created), c.execution, c.status, c.reason, changes, next}, nil
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }

func (s *Server) executeChangeSet(q Request) (any, *Error) {
	st, c, fail := s.set(q)
	if fail != nil {
		return nil, fail
	}
	if c.execution != "AVAILABLE" {
		return nil, &Error{Code: "InvalidChangeSetStatus", Message: fmt.Sprintf("ChangeSet [%s] cannot be executed in its current execution status of [%s]", c.arn, c.execution)}
	}
	if st.busy() {
		return nil, invalid("Stack:%s is in %s state and can not be updated.", st.arn, st.status)
	}
	c.execution = "EXECUTE_IN_PROGRESS"
	// The execution of one change set deletes all others of its stack.
	st.sets = []*changeSet{c}
	c.disableRollback = q.Params.Get("DisableRollback") == "true"
	st.token = cmp.Or(q.Params.Get("ClientRequestToken"), s.id())
	create := c.kind == "CREATE"
	st.before = nil
	if !create {
		st.before = st.clone()
	}
	st.body, st.t, st.params, st.tags, st.cancelled = c.body, c.t, c.params, c.tags, false
	if create {
		s.event(st, nil, "CREATE_IN_PROGRESS", "User Initiated")
	} else {
		st.updated = time.Now()
		s.event(st, nil, "UPDATE_IN_PROGRESS", "User Initiated")
	}
	s.work(func() {
		ok := s.apply(st, c)
		s.mu.Lock()
		defer s.mu.Unlock()
		c.execution = "EXECUTE_COMPLETE"
		if !ok {
			c.execution = "EXECUTE_FAILED"
		}
	})
	return struct{}{}, nil
}

func (s *Server) deleteChangeSet(q Request) (any, *Error) {
	st, c, fail := s.set(q)
	if fail != nil {
		if fail.Code == "ChangeSetNotFound" {
			return struct{}{}, nil
		}
		return nil, fail
	}
	if c.execution == "EXECUTE_IN_PROGRESS" {
		return nil, &Error{Code: "InvalidChangeSetStatus", Message: "The change set is being executed"}
	}
	st.sets = slices.DeleteFunc(st.sets, func(x *changeSet) bool { return x == c })
	return struct{}{}, nil
}

func (s *Server) listChangeSets(q Request) (any, *Error) {
	st, fail := s.mustFind(q)
	if fail != nil {
		return nil, fail
	}
	type summary struct {
		StackId, StackName, ChangeSetId, ChangeSetName, ExecutionStatus, Status, CreationTime string
	}
	var all []summary
	for _, c := range st.sets {
		all = append(all, summary{st.arn, st.name, c.arn, c.name, c.execution, c.status, stamp(c.created)})
	}
	all, next := page(all, q.Params.Get("NextToken"))
	return struct {
		Summaries []summary `xml:"Summaries>member"`
		NextToken string    `xml:",omitempty"`
	}{all, next}, nil
}
