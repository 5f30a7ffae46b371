//go:build linux

package local

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

func (h *hub) status() Status {
	h.mu.Lock()
	state := "starting"
	if h.open {
		state = "up"
	}
	if h.stopping {
		state = "stopping"
	}
	var instances []*instance // as far as they have come
	for _, i := range h.instances {
		instances = append(instances, &instance{name: i.name, addr: i.addr, began: i.began, app: i.app, agent: i.agent})
	}
	f, db := h.front, h.database
	var lost int64
	for _, l := range h.logs {
		lost += l.Lost()
	}
	h.mu.Unlock()
	s := Status{Site: h.Plan.Site(), State: state, Since: h.began, Up: time.Since(h.began).Seconds(), Enforced: "full", Plan: PlanID(h.current(h.plan)), Notes: slices.Clone(h.Plan.Notes)}
	if h.Skip != 0 {
		s.Enforced = "weak: without " + h.Skip.String()
	}
	for _, d := range h.Plan.Network.Doors {
		s.URLs = append(s.URLs, d.URL())
	}
	if h.Plan.Network.Listen.IsValid() {
		s.URLs = []string{"https://" + h.Plan.Network.Host + "/"}
	}
	var fs frontState
	if f != nil && f.part != nil {
		s.Parts = append(s.Parts, f.part.Status())
		fs = f.status()
		s.Tiers = fs.Tiers
	}
	if db != nil && db.part != nil && db.part.Status().Name != "" {
		s.Parts = append(s.Parts, db.part.Status())
	}
	for _, i := range instances {
		x := InstanceStatus{Name: i.name, Addr: i.addr, Healthy: fs.Healthy[i.name], Since: i.began}
		if i.app != nil {
			x.App = i.app.Status()
		}
		if i.agent != nil {
			x.Agent = i.agent.Status()
		}
		s.Instances = append(s.Instances, x)
	}
	slices.SortFunc(s.Instances, func(a, b InstanceStatus) int { return strings.Compare(a.Name, b.Name) })
	s.Tree = h.treeStatus()
	if lost > 0 {
		s.Notes = append(s.Notes, fmt.Sprintf("log lines were lost (%d bytes): the disk was full or is failing", lost))
	}
	if note := h.diskNote(); note != "" {
		s.Notes = append(s.Notes, note)
	}
	return s
}
