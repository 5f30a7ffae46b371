package people

import (
	"strings"

	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

// onAWS gives each control what it is on AWS, where every instance has the secrets
// of its tier in a directory of memory.
func onAWS(list []*perimeter.Control) []*perimeter.Control {
	about := map[string]*perimeter.AWS{
		"control-socket":  perimeter.NotOnAWS("nothing on AWS has a control socket: who may change the site is IAM's to say (people/no-escalation)"),
		"state-directory": perimeter.NotOnAWS("a site on AWS has no state directory: what it must remember is in the account"),
		"secret-files": withSecrets(func(s *perimeter.Script) {
			s.Nothing("look for secrets that others may read", `find "$D" \( -perm /007 -o ! -user root \) -printf '%p is %M of %u\n'`)
		}),
		"no-secrets-in-argv": withSecrets(func(s *perimeter.Script) {
			s.Nothing("look for secrets among the arguments of every process", "holding /proc/[0-9]*/cmdline")
		}),
		"no-secrets-in-environ": withSecrets(func(s *perimeter.Script) {
			s.Nothing("look for secrets in the environment of every process", "holding /proc/[0-9]*/environ")
		}),
		"no-secrets-in-logs": withSecrets(func(s *perimeter.Script) {
			s.Nothing("look for secrets in the logs and in what the first start left", "holding -r /var/log /var/lib/cloud")
		}),
	}
	for _, c := range list {
		c.AWS = about[strings.TrimPrefix(c.ID, "people/")]
	}
	return list
}

// withSecrets has what a tier's secrets are at hand: in the shell's own memory, and
// given on through a pipe.
func withSecrets(try func(*perimeter.Script)) *perimeter.AWS {
	return &perimeter.AWS{
		Not: func(p *plan.Plan, _ *perimeter.Cloud) string {
			for _, t := range p.Tiers {
				if p.HasAppSecret(t) || p.Database.Present() || p.AWS.DBSecret != "" {
					return ""
				}
			}
			return "no instance of the site has a secret"
		},
		Try: func(p *plan.Plan, _ *perimeter.Cloud, s *perimeter.Script) {
			t := p.Tier(s.Tier)
			if !p.HasAppSecret(*t) && !p.Database.Present() && p.AWS.DBSecret == "" {
				s.Nothing("look for a secret, of which this tier has none", "ls -A /run/secrets")
				return
			}
			s.Add("D=/run/secrets")
			s.Add(`V=$(cat "$D"/*.json | jq -r '.. | objects | to_entries[] | select(.key | test("password|secret|seed|_KEY$|_SALT$")) | .value | strings | select(length > 7)')`)
			s.Works("read this tier's secrets", `test -n "$V"`)
			s.Add(`holding() { # FILES...: those that hold one of them
  printf '%s\n' "$V" | grep -slF -f - "$@"
  true # a process may have ended meanwhile
}`)
			try(s)
		},
	}
}
