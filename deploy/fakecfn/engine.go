package fakecfn

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// work runs one operation on a stack, apart from any client.
func (s *Server) work(f func()) {
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		f()
	}()
}

// do is one resource's operation: it takes its time and may fail by a fault. The
// server is locked before and after, not meanwhile.
func (s *Server) do(st *stack, logical, action string) error {
	hook := s.onAction
	s.mu.Unlock()
	if hook != nil {
		hook(st.region, st.name, logical, action)
	}
	err := s.sleep(s.opt.Latency)
	s.mu.Lock()
	if err != nil {
		return err
	}
	for _, f := range s.faults {
		if (f.Region == "" || f.Region == st.region) && (f.Stack == "" || f.Stack == st.name) &&
			(f.Resource == "" || f.Resource == logical) && (f.Action == "" || f.Action == action) && f.Times >= 0 {
			if f.Times > 0 {
				if f.Times--; f.Times == 0 {
					f.Times = -1
				}
			}
			return said("%s", f.Reason)
		}
	}
	return nil
}

// apply executes a change set and says whether it succeeded.
func (s *Server) apply(st *stack, c *changeSet) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	st.applying = true
	defer func() { st.applying = false }()
	create := c.kind == "CREATE"
	var failed []string
	replaced := map[string]*resource{}
	waves, _ := st.t.order()
	for n, wave := range waves {
		var batch []func()
		for _, name := range wave {
			d := st.t.Resources[name]
			sc := s.scope(st, st.t, st.params)
			if on, err := sc.condition(d.Condition); err == nil && !on {
				continue
			}
			v, err := sc.eval(map[string]any(d.Properties))
			if err != nil {
				r := st.resources[name]
				if r == nil {
					r = &resource{logical: name, typ: d.Type, wave: n}
					st.resources[name] = r
				}
				s.event(st, r, "CREATE_FAILED", err.Error())
				failed = append(failed, name)
				continue
			}
			props, _ := v.(map[string]any)
			old := st.resources[name]
			if old != nil && old.typ == d.Type && len(changed(old.props, props)) == 0 {
				old.policy = d.DeletionPolicy
				continue
			}
			verb := "UPDATE"
			r := old
			replace := old != nil && (old.typ != d.Type || slices.ContainsFunc(changed(old.props, props), func(k string) bool {
				return s.opt.Replaces != nil && s.opt.Replaces(d.Type, k) == "Always"
			}))
			switch {
			case old == nil:
				verb = "CREATE"
				r = &resource{logical: name, typ: d.Type, wave: n}
				st.resources[name] = r
				s.event(st, r, "CREATE_IN_PROGRESS", "")
			case replace:
				gone := *old
				replaced[name] = &gone
				r = &resource{logical: name, typ: d.Type, wave: n, physical: old.physical}
				st.resources[name] = r
				s.event(st, r, "UPDATE_IN_PROGRESS", "Requested update requires the creation of a new physical resource; hence creating one.")
			default:
				s.event(st, r, "UPDATE_IN_PROGRESS", "")
			}
			r.policy = d.DeletionPolicy
			batch = append(batch, func() {
				if len(failed) > 0 {
					s.event(st, r, verb+"_FAILED", "Resource "+strings.ToLower(strings.TrimSuffix(verb, "E"))+"ion cancelled")
					return
				}
				action := "Update"
				if verb == "CREATE" {
					action = "Create"
				}
				if err := s.do(st, name, action); err != nil {
					s.event(st, r, verb+"_FAILED", err.Error())
					failed = append(failed, name)
					return
				}
				if verb == "CREATE" || replace {
					r.physical = fmt.Sprintf("%s-%s-%s", st.name, name, s.id()[:8])
				}
				r.props, r.actual, r.gone = props, nil, false
				s.event(st, r, verb+"_COMPLETE", "")
			})
		}
		for _, f := range batch {
			f()
		}
		if st.status == "DELETE_IN_PROGRESS" {
			return false // DeleteStack was called meanwhile, and takes over
		}
		if st.cancelled && len(failed) == 0 {
			failed = []string{"none: the update was cancelled"}
		}
		if len(failed) > 0 || s.ctx.Err() != nil {
			break
		}
	}
	if s.ctx.Err() != nil {
		return false
	}
	outputs, err := s.resolveOutputs(st)
	if len(failed) == 0 && err != nil {
		failed = []string{"Outputs: " + err.Error()}
	}
	if len(failed) > 0 {
		if c.disableRollback {
			s.event(st, nil, map[bool]string{true: "CREATE_FAILED", false: "UPDATE_FAILED"}[create], "The following resource(s) failed: "+fmt.Sprint(failed))
			return false
		}
		if create {
			s.event(st, nil, "ROLLBACK_IN_PROGRESS", fmt.Sprintf("The following resource(s) failed to create: %v. Rollback requested by user.", failed))
			s.rollbackCreate(st)
		} else {
			reason := fmt.Sprintf("The following resource(s) failed to update: %v. ", failed)
			if st.cancelled {
				reason = "Cancelled by user. "
			}
			s.event(st, nil, "UPDATE_ROLLBACK_IN_PROGRESS", reason)
			s.rollbackUpdate(st, nil)
		}
		return false
	}
	st.outputs = outputs
	if create {
		s.event(st, nil, "CREATE_COMPLETE", "")
		return true
	}
	s.event(st, nil, "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "")
	s.cleanup(st, replaced)
	s.event(st, nil, "UPDATE_COMPLETE", "")
	return true
}

// cleanup deletes what an update left behind.
func (s *Server) cleanup(st *stack, replaced map[string]*resource) {
	for _, r := range replaced {
		if r.policy != "Retain" {
			s.do(st, r.logical, "Delete")
		}
	}
	for _, name := range slices.Backward(s.byWave(st)) {
		r := st.resources[name]
		on := false
		if d, ok := st.t.Resources[name]; ok {
			on, _ = s.scope(st, st.t, st.params).condition(d.Condition)
		}
		if !on {
			s.remove(st, r)
		}
	}
}

// remove deletes one resource, or leaves it where its policy says so.
func (s *Server) remove(st *stack, r *resource) error {
	if strings.HasPrefix(r.policy, "Retain") {
		s.event(st, r, "DELETE_SKIPPED", "")
		delete(st.resources, r.logical)
		return nil
	}
	s.event(st, r, "DELETE_IN_PROGRESS", "")
	err := s.do(st, r.logical, "Delete")
	if err == nil && fmt.Sprint(r.props["DeletionProtection"]) == "true" {
		err = said("Cannot delete protected %s, please disable deletion protection and try again. (Service: Rds, Status Code: 400, Request ID: r-1)", r.physical)
	}
	if err == nil && r.typ == "AWS::S3::Bucket" && s.account.holds(r.physical) {
		err = said("The bucket you tried to delete is not empty (Service: S3, Status Code: 409, Request ID: r-1)")
	}
	if err != nil {
		s.event(st, r, "DELETE_FAILED", err.Error())
		return err
	}
	s.event(st, r, "DELETE_COMPLETE", "")
	delete(st.resources, r.logical)
	return nil
}

func (s *Server) byWave(st *stack) []string {
	return slices.SortedFunc(maps.Keys(st.resources), func(a, b string) int {
		if d := st.resources[a].wave - st.resources[b].wave; d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
}

func (s *Server) rollbackCreate(st *stack) {
	var failed []string
	for _, name := range slices.Backward(s.byWave(st)) {
		r := st.resources[name]
		if r.physical == "" {
			delete(st.resources, name)
			continue
		}
		// RetainExceptOnCreate: what is new goes, whatever its policy.
		r.policy = "Delete"
		if err := s.remove(st, r); err != nil {
			failed = append(failed, name)
		}
	}
	if len(failed) > 0 {
		s.event(st, nil, "ROLLBACK_FAILED", fmt.Sprintf("The following resource(s) failed to delete: %v. ", failed))
		return
	}
	st.outputs = nil
	s.event(st, nil, "ROLLBACK_COMPLETE", "")
}

// rollbackUpdate restores the version before an update; skip names resources to leave.
func (s *Server) rollbackUpdate(st *stack, skip []string) {
	b := st.before
	var failed []string
	for _, name := range s.byWave(st) {
		r, old := st.resources[name], b.resources[name]
		if old == nil || slices.Contains(skip, name) || r.physical == old.physical && len(changed(r.props, old.props)) == 0 && !strings.HasSuffix(r.status, "FAILED") {
			continue
		}
		s.event(st, r, "UPDATE_IN_PROGRESS", "")
		if err := s.do(st, name, "Rollback"); err != nil {
			s.event(st, r, "UPDATE_FAILED", err.Error())
			failed = append(failed, name)
			continue
		}
		c := *old
		st.resources[name] = &c
		s.event(st, &c, "UPDATE_COMPLETE", "")
	}
	if len(failed) > 0 {
		s.event(st, nil, "UPDATE_ROLLBACK_FAILED", fmt.Sprintf("The following resource(s) failed to update: %v. ", failed))
		return
	}
	s.event(st, nil, "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", "")
	for _, name := range slices.Backward(s.byWave(st)) {
		if b.resources[name] == nil {
			if r := st.resources[name]; r.physical == "" {
				delete(st.resources, name)
			} else {
				r.policy = "Delete"
				s.remove(st, r)
			}
		}
	}
	st.body, st.t, st.params, st.tags, st.outputs = b.body, b.t, b.params, b.tags, b.outputs
	st.before = nil
	s.event(st, nil, "UPDATE_ROLLBACK_COMPLETE", "")
}

func (s *Server) resolveOutputs(st *stack) ([]output, error) {
	sc := s.scope(st, st.t, st.params)
	var all []output
	for _, k := range slices.Sorted(maps.Keys(st.t.Outputs)) {
		d := st.t.Outputs[k]
		if on, err := sc.condition(d.Condition); err != nil || !on {
			continue
		}
		v, err := sc.eval(d.Value)
		if err != nil {
			return nil, err
		}
		o := output{key: k, value: text(v)}
		if d.Export.Name != nil {
			n, err := sc.eval(d.Export.Name)
			if err != nil {
				return nil, err
			}
			o.export = text(n)
			if v, ok := s.export(st.region, o.export); ok && !slices.ContainsFunc(st.outputs, func(p output) bool { return p.export == o.export && p.value == v }) {
				return nil, said("Export with name %s is already exported by stack", o.export)
			}
		}
		all = append(all, o)
	}
	return all, nil
}

// erase deletes a stack.
func (s *Server) erase(st *stack, retain []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for st.applying && s.ctx.Err() == nil {
		s.mu.Unlock()
		time.Sleep(time.Millisecond)
		s.mu.Lock()
	}
	for _, o := range st.outputs {
		if o.export != "" {
			if by := s.importer(st.region, o.export); by != "" && by != st.name {
				s.event(st, nil, "DELETE_FAILED", fmt.Sprintf("Delete canceled. Cannot delete export %s as it is in use by %s.", o.export, by))
				return
			}
		}
	}
	var failed []string
	for _, name := range slices.Backward(s.byWave(st)) {
		if slices.Contains(retain, name) {
			st.resources[name].policy = "Retain"
		}
		if err := s.remove(st, st.resources[name]); err != nil {
			failed = append(failed, name)
		}
		if s.ctx.Err() != nil {
			return
		}
	}
	if len(failed) > 0 {
		s.event(st, nil, "DELETE_FAILED", fmt.Sprintf("The following resource(s) failed to delete: %v. ", failed))
		return
	}
	st.outputs, st.sets = nil, nil
	st.updated = time.Now()
	s.event(st, nil, "DELETE_COMPLETE", "")
}

// said is an error in CloudFormation's own words.
func said(format string, args ...any) error { return sentence(fmt.Sprintf(format, args...)) }

type sentence string

func (s sentence) Error() string { return string(s) }
