//go:build linux

package host

import (
	"context"
	"slices"
	"strings"

	"github.com/ringwall/ringwall/internal/sandbox"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

var controls = onAWS(needing(slices.Concat(sockets, calls, processes, visibility, limitControls)))

// layers say which part of the enforcement keeps a promise, where a machine may
// lack it and its owner may do without.
var layers = map[sandbox.Layer][]string{
	sandbox.Seccomp: {"seccomp", "no-udp", "no-mptcp", "no-raw", "no-ptrace", "no-chmod", "no-io-uring", "no-spawn",
		"no-nested-namespaces", "no-mount", "no-bpf", "no-keyring", "no-file-handles", "no-foreign-calls"},
	sandbox.Landlock: {"landlock", "no-abstract-sockets"},
	sandbox.Net:      {"no-abstract-sockets"},
	sandbox.Mounts:   {"no-pathname-sockets", "admin-no-pathname-sockets", "private-mounts", "admin-private-mounts", "no-devices", "limits-scratch"},
	sandbox.PID:      {"hidden-processes", "admin-hidden-processes", "no-proc-secrets", "agent-out-of-reach"},
	// Without one the kernel counts all that the user runs, and only root may empty
	// the bounding set.
	sandbox.User:       {"limits-processes", "no-capabilities", "admin-no-capabilities"},
	sandbox.NoNest:     {"no-nested-namespaces"},
	sandbox.NoNewPrivs: {"no-new-privs"},
	sandbox.Caps:       {"no-capabilities", "admin-no-capabilities"},
	sandbox.Rlimits:    {"limits-processes", "limits-memory", "limits-files", "limits-file-size"},
}

// needing notes for each control the layers that it cannot hold without.
func needing(list []*perimeter.Control) []*perimeter.Control {
	for layer, ids := range layers {
		for _, c := range list {
			if slices.Contains(ids, strings.TrimPrefix(c.ID, "host/")) {
				c.Needs = append(c.Needs, layer.Names()...)
			}
		}
	}
	return list
}

func fleet(id, doc, why string, probe func(context.Context, *perimeter.Target) error) *perimeter.Control {
	return &perimeter.Control{ID: "host/" + id, Doc: doc, Why: why, Vantage: perimeter.InFleet, Probe: probe}
}

func admin(id, doc, why string, probe func(context.Context, *perimeter.Target) error) *perimeter.Control {
	c := fleet(id, doc, why, probe)
	c.Vantage = perimeter.InAdmin
	return c
}

// switched names the control whose wall keeps this promise too.
func switched(wall string, c *perimeter.Control) *perimeter.Control {
	c.Wall = wall
	return c
}

// alone marks a probe that fills a limit, which would disturb the others.
func alone(c *perimeter.Control) *perimeter.Control {
	c.Intrusive = true
	return c
}

func isPHP(p *plan.Plan) bool { return p.Kind == plan.PHP }
