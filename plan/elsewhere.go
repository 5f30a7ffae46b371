package plan

import (
	"fmt"
	"net/url"
)

// Elsewhere is what may be assumed of a site whose configuration is not at hand:
// its name, and the limits that a site has when nothing else is said.
func Elsewhere(u *url.URL) (*Plan, error) {
	if u.Hostname() == "" {
		return nil, fmt.Errorf("reading the address of a site: got %q, want one with a host name", u)
	}
	d := newDraft()
	l := &loader{alias: map[string]string{}, blocks: map[string][]block{}, merged: layer{}}
	defaultLayer().onto(l.merged)
	for i := range keys() {
		if v, ok := l.merged[keys()[i].name]; ok {
			l.decode(d, &keys()[i], v)
		}
	}
	if len(l.problems) > 0 {
		return nil, l.problems
	}
	d.App, d.Env, d.Kind = u.Hostname(), "elsewhere", Command
	d.Network.Host = u.Host
	d.Network.Hosts = []string{u.Host}
	d.Edge.Allowed = Match{Any: true}
	return &d.Plan, nil
}
