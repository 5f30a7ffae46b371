package fakecfn

import (
	"maps"
	"slices"
	"time"
)

type xmlParam struct{ ParameterKey, ParameterValue string }

type xmlOutput struct {
	OutputKey, OutputValue string
	ExportName             string `xml:",omitempty"`
}

type xmlStack struct {
	StackId, StackName, StackStatus string
	StackStatusReason               string `xml:",omitempty"`
	CreationTime                    string
	LastUpdatedTime                 string `xml:",omitempty"`
	EnableTerminationProtection     bool
	DriftInformation                struct{ StackDriftStatus string }
	Parameters                      []xmlParam  `xml:"Parameters>member"`
	Outputs                         []xmlOutput `xml:"Outputs>member"`
	Tags                            []xmlTag    `xml:"Tags>member"`
}

func (s *Server) describeStacks(q Request) (any, *Error) {
	var all []*stack
	if q.Params.Has("StackName") {
		st, fail := s.mustFind(q)
		if fail != nil {
			return nil, fail
		}
		all = []*stack{st}
	} else {
		for _, st := range s.stacks {
			if st.region == q.Region && st.live() {
				all = append(all, st)
			}
		}
	}
	all, next := page(all, q.Params.Get("NextToken"))
	var out []xmlStack
	for _, st := range all {
		x := xmlStack{StackId: st.arn, StackName: st.name, StackStatus: st.status, StackStatusReason: st.reason,
			CreationTime: stamp(st.created), EnableTerminationProtection: st.protected}
		if !st.updated.IsZero() {
			x.LastUpdatedTime = stamp(st.updated)
		}
		x.DriftInformation.StackDriftStatus = "NOT_CHECKED"
		if len(st.detections) > 0 {
			x.DriftInformation.StackDriftStatus = map[bool]string{true: "DRIFTED", false: "IN_SYNC"}[st.drifted]
		}
		for _, k := range slices.Sorted(maps.Keys(st.params)) {
			v := st.params[k]
			if st.t != nil && st.t.Parameters[k].NoEcho {
				v = "****"
			}
			x.Parameters = append(x.Parameters, xmlParam{k, v})
		}
		for _, o := range st.outputs {
			x.Outputs = append(x.Outputs, xmlOutput{o.key, o.value, o.export})
		}
		for _, k := range slices.Sorted(maps.Keys(st.tags)) {
			x.Tags = append(x.Tags, xmlTag{k, st.tags[k]})
		}
		out = append(out, x)
	}
	return struct {
		Stacks    []xmlStack `xml:"Stacks>member"`
		NextToken string     `xml:",omitempty"`
	}{out, next}, nil
}

func (s *Server) describeStackEvents(q Request) (any, *Error) {
	st, fail := s.mustFind(q)
	if fail != nil {
		return nil, fail
	}
	type xmlEvent struct {
		StackId, EventId, StackName, LogicalResourceId, PhysicalResourceId, ResourceType string
		Timestamp, ResourceStatus                                                        string
		ResourceStatusReason                                                             string `xml:",omitempty"`
		ClientRequestToken                                                               string `xml:",omitempty"`
	}
	var all []xmlEvent
	for _, e := range slices.Backward(st.events) {
		all = append(all, xmlEvent{st.arn, e.id, st.name, e.logical, e.physical, e.typ, stamp(e.at), e.status, e.reason, e.token})
	}
	all, next := page(all, q.Params.Get("NextToken"))
	return struct {
		StackEvents []xmlEvent `xml:"StackEvents>member"`
		NextToken   string     `xml:",omitempty"`
	}{all, next}, nil
}

func (s *Server) listStackResources(q Request) (any, *Error) {
	st, fail := s.mustFind(q)
	if fail != nil {
		return nil, fail
	}
	type xmlResource struct {
		LogicalResourceId, PhysicalResourceId, ResourceType, ResourceStatus, LastUpdatedTimestamp string
	}
	var all []xmlResource
	for _, k := range slices.Sorted(maps.Keys(st.resources)) {
		r := st.resources[k]
		all = append(all, xmlResource{r.logical, r.physical, r.typ, r.status, stamp(st.created)})
	}
	all, next := page(all, q.Params.Get("NextToken"))
	return struct {
		StackResourceSummaries []xmlResource `xml:"StackResourceSummaries>member"`
		NextToken              string        `xml:",omitempty"`
	}{all, next}, nil
}

func (s *Server) getTemplate(q Request) (any, *Error) {
	st, fail := s.mustFind(q)
	if fail != nil {
		return nil, fail
	}
	if st.status == "REVIEW_IN_PROGRESS" {
		return nil, invalid("Template does not exist for stack %s in state REVIEW_IN_PROGRESS", st.name)
	}
	return struct{ TemplateBody string }{string(st.body)}, nil
}

func (s *Server) deleteStack(q Request) (any, *Error) {
	st := s.find(q.Region, q.Params.Get("StackName"))
	if st == nil || !st.live() {
		return nil, nil // deleting what is not there succeeds
	}
	if st.protected {
		return nil, invalid("Stack [%s] cannot be deleted while TerminationProtection is enabled", st.name)
	}
	if st.status == "DELETE_IN_PROGRESS" {
		return nil, nil
	}
	retain := members(q.Params, "RetainResources")
	if len(retain) > 0 && st.status != "DELETE_FAILED" {
		return nil, invalid("Invalid operation on stack [%s]. RetainResources can only be specified for a stack in DELETE_FAILED", st.arn)
	}
	if st.busy() && st.status != "CREATE_IN_PROGRESS" {
		return nil, invalid("Stack [%s] is in %s state and cannot be deleted", st.name, st.status)
	}
	st.token = q.Params.Get("ClientRequestToken")
	s.event(st, nil, "DELETE_IN_PROGRESS", "User Initiated")
	s.work(func() { s.erase(st, retain) })
	return nil, nil
}

func (s *Server) cancelUpdateStack(q Request) (any, *Error) {
	st, fail := s.mustFind(q)
	if fail != nil {
		return nil, fail
	}
	if st.status != "UPDATE_IN_PROGRESS" {
		return nil, invalid("CancelUpdateStack cannot be called from current stack status")
	}
	st.cancelled = true
	return nil, nil
}

func (s *Server) continueUpdateRollback(q Request) (any, *Error) {
	st, fail := s.mustFind(q)
	if fail != nil {
		return nil, fail
	}
	if st.status != "UPDATE_ROLLBACK_FAILED" {
		return nil, invalid("Stack:%s is in %s state and can not continue rollback", st.arn, st.status)
	}
	st.token = q.Params.Get("ClientRequestToken")
	if st.before == nil {
		st.before = st.clone()
	}
	skip := members(q.Params, "ResourcesToSkip")
	s.event(st, nil, "UPDATE_ROLLBACK_IN_PROGRESS", "User Initiated")
	s.work(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.rollbackUpdate(st, skip)
	})
	return struct{}{}, nil
}

func (s *Server) rollbackStack(q Request) (any, *Error) {
	st, fail := s.mustFind(q)
	if fail != nil {
		return nil, fail
	}
	st.token = q.Params.Get("ClientRequestToken")
	switch st.status {
	case "UPDATE_FAILED":
		s.event(st, nil, "UPDATE_ROLLBACK_IN_PROGRESS", "User Initiated")
		s.work(func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.rollbackUpdate(st, nil)
		})
	case "CREATE_FAILED":
		s.event(st, nil, "ROLLBACK_IN_PROGRESS", "User Initiated")
		s.work(func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.rollbackCreate(st)
		})
	default:
		return nil, invalid("Stack:%s is in %s state and can not be rolled back", st.arn, st.status)
	}
	return struct{ StackId string }{st.arn}, nil
}

func (s *Server) updateTerminationProtection(q Request) (any, *Error) {
	st, fail := s.mustFind(q)
	if fail != nil {
		return nil, fail
	}
	st.protected = q.Params.Get("EnableTerminationProtection") == "true"
	return struct{ StackId string }{st.arn}, nil
}

func (s *Server) detectStackDrift(q Request) (any, *Error) {
	st, fail := s.mustFind(q)
	if fail != nil {
		return nil, fail
	}
	if !updatable(st.status) {
		return nil, invalid("Drift detection cannot be performed on stack [%s] while it is in %s state", st.name, st.status)
	}
	id := s.id()
	st.drifts = nil
	for _, k := range slices.Sorted(maps.Keys(st.resources)) {
		r := st.resources[k]
		d := drift{resource: k, status: "IN_SYNC"}
		if r.gone {
			d.status = "DELETED"
		}
		for _, p := range slices.Sorted(maps.Keys(r.actual)) {
			d.status = "MODIFIED"
			d.diffs = append(d.diffs, propertyDiff{"/" + p, text(r.props[p]), text(r.actual[p])})
		}
		st.drifts = append(st.drifts, d)
	}
	st.drifted = slices.ContainsFunc(st.drifts, func(d drift) bool { return d.status != "IN_SYNC" })
	st.detections[id] = "DETECTION_COMPLETE"
	return struct{ StackDriftDetectionId string }{id}, nil
}

func (s *Server) describeDetection(q Request) (any, *Error) {
	id := q.Params.Get("StackDriftDetectionId")
	for _, st := range s.stacks {
		if status, ok := st.detections[id]; ok {
			n := 0
			for _, d := range st.drifts {
				if d.status != "IN_SYNC" {
					n++
				}
			}
			return struct {
				StackId, StackDriftDetectionId, StackDriftStatus, DetectionStatus string
				DriftedStackResourceCount                                         int
				Timestamp                                                         string
			}{st.arn, id, map[bool]string{true: "DRIFTED", false: "IN_SYNC"}[st.drifted], status, n, stamp(time.Now())}, nil
		}
	}
	return nil, invalid("The Drift Detection %s does not exist", id)
}

func (s *Server) describeDrifts(q Request) (any, *Error) {
	st, fail := s.mustFind(q)
	if fail != nil {
		return nil, fail
	}
	want := members(q.Params, "StackResourceDriftStatusFilters")
	type diff struct{ PropertyPath, ExpectedValue, ActualValue, DifferenceType string }
	type xmlDrift struct {
		StackId, LogicalResourceId, PhysicalResourceId, ResourceType, StackResourceDriftStatus, Timestamp string
		PropertyDifferences                                                                               []diff `xml:"PropertyDifferences>member"`
	}
	var all []xmlDrift
	for _, d := range st.drifts {
		r := st.resources[d.resource]
		if r == nil || len(want) > 0 && !slices.Contains(want, d.status) {
			continue
		}
		x := xmlDrift{StackId: st.arn, LogicalResourceId: d.resource, PhysicalResourceId: r.physical, ResourceType: r.typ, StackResourceDriftStatus: d.status, Timestamp: stamp(time.Now())}
		for _, p := range d.diffs {
			x.PropertyDifferences = append(x.PropertyDifferences, diff{p.path, p.want, p.got, "NOT_EQUAL"})
		}
		all = append(all, x)
	}
	all, next := page(all, q.Params.Get("NextToken"))
	return struct {
		StackResourceDrifts []xmlDrift `xml:"StackResourceDrifts>member"`
		NextToken           string     `xml:",omitempty"`
	}{all, next}, nil
}

func (s *Server) listExports(q Request) (any, *Error) {
	type export struct{ ExportingStackId, Name, Value string }
	var all []export
	for _, st := range s.stacks {
		if st.region != q.Region || !st.live() {
			continue
		}
		for _, o := range st.outputs {
			if o.export != "" {
				all = append(all, export{st.arn, o.export, o.value})
			}
		}
	}
	return struct {
		Exports []export `xml:"Exports>member"`
	}{all}, nil
}
