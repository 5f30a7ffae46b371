package access

import (
	_ "embed"
	"encoding/json"
	"sync"

	"github.com/ringwall/ringwall/internal/template"
)

// ManagedDate is the day of the documents in managed.json, which are AWS's own as
// github.com/zoph-io/MAMIP keeps them. Of long policies, actions that only read,
// and that no check asks about, are left out. A policy that is not in it is unknown.
const ManagedDate = "2026-03-07"

//go:embed managed.json
var managedJSON []byte

type managedStatement struct {
	Effect    string
	Action    []string
	NotAction []string
	Resource  []string
	Condition map[string]map[string][]string
}

var managedPolicies = sync.OnceValue(func() map[string][]managedStatement {
	var all map[string][]managedStatement
	if err := json.Unmarshal(managedJSON, &all); err != nil {
		return nil
	}
	return all
})

// ManagedName is what statements of one of AWS's own policies call their policy.
func ManagedName(name string) string { return "AWS's policy " + name }

// managed returns the statements of one of AWS's own policies.
func managed(name string, pos template.Pos) ([]*Statement, bool) {
	all, ok := managedPolicies()[name]
	if !ok {
		return nil, false
	}
	var out []*Statement
	for _, x := range all {
		s := &Statement{Allow: x.Effect == "Allow", Policy: ManagedName(name), Resources: x.Resource, Pos: pos}
		for _, a := range x.Action {
			s.Actions = append(s.Actions, lower(a))
		}
		for _, a := range x.NotAction {
			s.NotActions = append(s.NotActions, lower(a))
		}
		for op, keys := range x.Condition {
			for k, vs := range keys {
				s.Conditions = append(s.Conditions, newCondition(op, k, vs))
			}
		}
		out = append(out, s)
	}
	return out, true
}
