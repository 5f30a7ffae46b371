//go:build linux

package local

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ringwall/ringwall/internal/manifest"
	"github.com/ringwall/ringwall/internal/nodered"
	"github.com/ringwall/ringwall/internal/wordpress"
	"github.com/ringwall/ringwall/perimeter/application"
	"github.com/ringwall/ringwall/perimeter/edge"
	"github.com/ringwall/ringwall/perimeter/files"
	"github.com/ringwall/ringwall/perimeter/people"
	"github.com/ringwall/ringwall/plan"
)

// prepareFiles makes the site's tree at the first up.
func (h *hub) prepareFiles(ctx context.Context) error {
	began := time.Now()
	made, err := files.Install(h.Plan, h.State.Dir, files.Options{UID: int(h.uid(plan.Admin)), Fill: h.fillTree})
	if err != nil {
		return err
	}
	if made {
		h.step(Step{Part: "files", State: "up", Text: "the site's tree is made", Took: time.Since(began)})
	}
	return nil
}

// fillTree puts a packaged app into a new tree.
func (h *hub) fillTree(dir string) error {
	switch h.Plan.Application.Setup {
	case "wordpress":
		return wordpress.Install(wordpress.Source, dir)
	case "node-red":
		return nodered.Fill(dir)
	}
	return nil
}

// treeStatus says how the code differs from what was accepted; empty: it does not.
func (h *hub) treeStatus() string {
	d, err := application.Status(h.Plan, h.State.Dir)
	switch {
	case errors.Is(err, application.ErrNoManifest):
		return ""
	case err != nil:
		return err.Error()
	case d.Empty():
		return ""
	}
	return d.String()
}

// accept makes the code as it is now the code that the site should have.
func (h *hub) accept(context.Context) (string, error) {
	d, err := application.Accept(h.Plan, h.State.Dir)
	if err != nil {
		return "", err
	}
	if d.Empty() {
		return "the code is what was accepted before", nil
	}
	return "accepted: " + d.String(), nil
}

// watchTree rolls fleet when the code or the data that it reads at its start has
// changed. Uploads are served as they come.
func (h *hub) watchTree(ctx context.Context) {
	f := h.Plan.Files
	w := &manifest.Watcher{
		Dir:    h.State.Tree(),
		Keep:   func(name string) bool { return f.Class(name) != plan.Upload },
		Class:  func(name string) int { return int(f.Class(name)) },
		Failed: func(err error) { h.step(Step{Part: "files", State: "note", Text: err.Error()}) },
	}
	w.Run(ctx, nil, func(n manifest.Notice) {
		for class, c := range n.Changes {
			what := "code"
			if plan.FileClass(class) == plan.Data {
				what = "data"
			}
			h.step(Step{Part: "files", State: "note", Text: fmt.Sprintf("%s changed, replacing fleet: %s", what, oneLine(c.String()))})
		}
		purge := ""
		h.front.ask(ctx, order{Purge: &purge})
		if _, err := h.replace(ctx, plan.Fleet); err != nil && ctx.Err() == nil {
			h.step(Step{Part: "files", State: "note", Text: err.Error()})
		}
		h.front.ask(ctx, order{Purge: &purge})
	})
}

// oneLine puts a change's lines on one, and the columns' spaces away.
func oneLine(s string) string {
	var out []string
	for l := range strings.Lines(s) {
		out = append(out, strings.Join(strings.Fields(l), " "))
	}
	return strings.Join(out, ", ")
}

// certificate is the one that the edge shows: a given one, or one that the site's
// own authority signed.
func (h *hub) certificate() (certificate, error) {
	c, err := edge.Issue(h.Plan, h.State.CA())
	if err != nil {
		return certificate{}, err
	}
	h.mu.Lock()
	h.ca = string(c.Roots)
	h.mu.Unlock()
	return certificate{string(c.Cert), string(c.Key)}, nil
}

// roots is the certificate of the site's own authority, as PEM; empty when the
// owner gave a certificate.
func (h *hub) roots() string { h.mu.Lock(); defer h.mu.Unlock(); return h.ca }

func (h *hub) rotateTLS(ctx context.Context) error {
	c, err := h.certificate()
	if err != nil {
		return err
	}
	return h.front.ask(ctx, order{Cert: &c})
}

// secretValues are all values that must appear nowhere but in the secrets
// directory.
func (h *hub) secretValues() []string { return people.Values(h.State.Secrets()) }
