package access

import (
	_ "embed"
	"encoding/json"
	"sync"

	"github.com/ringwall/ringwall/internal/template"
)

// ManagedDate is the day on which managed.json was copied from AWS's published
// policy documents. A policy that is not in it is unknown.
const ManagedDate = "2026-11-22"

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

// managed returns the statements of one of AWS's own policies.
func managed(name string, pos template.Pos) ([]*Statement, bool) {
	all, ok := managedPolicies()[name]
	if !ok {
		return nil, false
	}
	var out []*Statement
	for _, x := range all {
		s := &Statement{Allow: x.Effect == "Allow", Policy: "AWS's policy " + name, Resources: x.Resource, Pos: pos}
		for _, a := range x.Action {
			s.Actions = append(s.Actions, lower(a))
		}
		for _, a := range x.NotAction {
			s.NotActions = append(s.NotActions, lower(a))
		}
		for op, keys := range x.Condition {
			for k, vs := range keys {
				c := Condition{Operator: lower(op), Key: lower(k), Values: vs}
				s.Conditions = append(s.Conditions, c)
			}
		}
		out = append(out, s)
	}
	return out, true
}
