package people

import (
	"context"
	"errors"

	"github.com/ringwall/ringwall/perimeter"
)

var controls = onAWS([]*perimeter.Control{
	machine("control-socket", "The socket that stops, changes and opens the site answers its owner alone.",
		"Every account of the machine could stop the site, or open a shell in it.", controlSocket),
	machine("state-directory", "No other account of the machine can enter the directory that the site lives in.",
		"Logs, dumps and the database's files tell what the site keeps from everybody.", stateDirectory),
	machine("secret-files", "Every password and key lies in a file that its owner alone can read.",
		"A file that others can read is read, by a backup or a neighbour.", secretFiles),
	machine("no-secrets-in-argv", "No process of the site has a secret among its arguments.",
		"Arguments are shown to every account of the machine, and end up in logs.", func(ctx context.Context, t *perimeter.Target) error {
			return processes(ctx, t, "cmdline")
		}),
	machine("no-secrets-in-environ", "No process of the site has a secret in its environment.",
		"Environments are inherited by every child, and printed by debug pages and crash reports.", func(ctx context.Context, t *perimeter.Target) error {
			return processes(ctx, t, "environ")
		}),
	machine("no-secrets-in-logs", "No log, transcript or state of the site holds a secret.",
		"Logs are copied, sent and kept where no password should be.", noSecretsInLogs),
})

func machine(name, doc, why string, probe func(context.Context, *perimeter.Target) error) *perimeter.Control {
	return &perimeter.Control{ID: "people/" + name, Doc: doc, Why: why, Vantage: perimeter.Machine,
		Probe: func(ctx context.Context, t *perimeter.Target) error {
			if t.Site == nil || t.Site.State == "" {
				return errors.New("this probe looks at the site's files and must run on its machine")
			}
			return probe(ctx, t)
		}}
}
