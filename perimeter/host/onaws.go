package host

import (
	"strings"

	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

// Words of the controls that every system can ask a site on AWS about.
const (
	docSeccomp           = "A fleet app's system calls pass a filter on every thread."
	whySeccomp           = "Without the filter each hole of the kernel is one call away."
	docNewPrivs          = "No program that a fleet app starts has more rights than the app."
	whyNewPrivs          = "One setuid program among thousands turns a user into root."
	docCapabilities      = "A fleet app has none of root's rights, and can get none."
	docAdminCapabilities = "An admin app has none of root's rights, and can get none."
	whyCapabilities      = "Each right is enough for one of the known ways out of a container."
)

// Reasons why a promise of this wall is none of an instance on AWS, or is not tried
// there one by one.
const (
	ownMachine = "an instance on AWS is a machine of its own: no other site's, and no other tier's, processes, sockets or files lie beside the app"
	oneFilter  = "the app's unit has systemd's filter of system calls, and host/seccomp sees that it is on; its calls are not tried one by one"
	noSuchWall = "systemd has no such wall: on AWS security groups and the access point stand in its place"
	unitBounds = "the app's unit has bounds of its own (TasksMax, MemoryMax, LimitNOFILE, LimitFSIZE), which are not filled to try them"
)

// onAWS gives each control what it is on AWS.
func onAWS(list []*perimeter.Control) []*perimeter.Control {
	why := map[string][]string{
		ownMachine: {"no-abstract-sockets", "no-pathname-sockets", "admin-no-pathname-sockets", "private-mounts", "admin-private-mounts", "no-devices",
			"hidden-processes", "admin-hidden-processes", "no-proc-secrets", "agent-out-of-reach"},
		oneFilter:  {"no-nested-namespaces", "no-mount", "no-io-uring", "no-bpf", "no-keyring", "no-file-handles", "no-foreign-calls", "no-chmod", "no-spawn", "no-ptrace", "no-raw"},
		noSuchWall: {"landlock", "no-udp", "no-mptcp"},
		unitBounds: {"limits-processes", "limits-memory", "limits-shared-memory", "limits-files", "limits-file-size", "limits-scratch"},
	}
	about := map[string]*perimeter.AWS{
		"seccomp":               process("find a filter of system calls on the app", "Seccomp", "2"),
		"no-new-privs":          process("find the app without new rights", "NoNewPrivs", "1"),
		"no-capabilities":       process("find the app without root's rights, and without a way to them", "CapEff", "0000000000000000", "CapPrm", "0000000000000000", "CapBnd", "0000000000000000", "CapAmb", "0000000000000000"),
		"admin-no-capabilities": process("find the app without root's rights, and without a way to them", "CapEff", "0000000000000000", "CapPrm", "0000000000000000", "CapBnd", "0000000000000000", "CapAmb", "0000000000000000"),
	}
	for words, ids := range why {
		for _, id := range ids {
			about[id] = perimeter.NotOnAWS(words)
		}
	}
	for _, c := range list {
		c.AWS = about[strings.TrimPrefix(c.ID, "host/")]
	}
	return list
}

// process reads what the kernel says of every process of the app's unit.
func process(what string, want ...string) *perimeter.AWS {
	return &perimeter.AWS{
		Not: func(p *plan.Plan, _ *perimeter.Cloud) string {
			if p.Kind == plan.Static {
				return "the site has no app: the web server alone runs"
			}
			return ""
		},
		Try: func(_ *plan.Plan, _ *perimeter.Cloud, s *perimeter.Script) {
			s.Add(`G=/sys/fs/cgroup/system.slice/ringwall-app.service/cgroup.procs`)
			s.Works("find the app's processes", `grep -q . "$G"`)
			s.Add(`status() { # NAME VALUE: of which process it is another
  looked=0
  while read -r p; do
    [ -r "/proc/$p/status" ] || continue
    looked=1
    awk -v n="$1:" -v v="$2" -v p="$p" '$1 == n && $2 != v { print "process " p ": " $1 " " $2 }' "/proc/$p/status" || return
  done <"$G"
  [ "$looked" = 1 ]
}`)
			for i := 0; i < len(want); i += 2 {
				s.Nothing(what+" ("+want[i]+" "+want[i+1]+")", "status "+want[i]+" "+want[i+1])
			}
		},
	}
}
