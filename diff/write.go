package diff

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// WriteText prints the changes, significant ones first, each with the rule that
// scored it.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	if len(r.Changes) == 0 {
		b.WriteString("nothing changes\n")
	}
	last := Level(-1)
	for _, c := range r.Changes {
		if c.Level != last {
			if last >= 0 {
				b.WriteByte('\n')
			}
			fmt.Fprintf(&b, "%s\n", c.Level)
			last = c.Level
		}
		fmt.Fprintf(&b, "  %-24s %s\n", c.Rule, c.where())
		fmt.Fprintf(&b, "  %-24s %s\n", "", c.Words)
		switch {
		case c.Before != "" && c.After != "":
			fmt.Fprintf(&b, "  %-24s from %s\n  %-24s to   %s\n", "", c.Before, "", c.After)
		case c.Before != "":
			fmt.Fprintf(&b, "  %-24s - %s\n", "", c.Before)
		case c.After != "":
			fmt.Fprintf(&b, "  %-24s + %s\n", "", c.After)
		}
	}
	if len(r.Changes) > 0 {
		n := len(r.Significant())
		fmt.Fprintf(&b, "\n%d significant, %d routine\n", n, len(r.Changes)-n)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (c Change) where() string {
	s := c.Stack
	if c.Resource != "" {
		s += "/" + c.Resource
	}
	if c.Type != "" {
		s += " (" + c.Type + ")"
	}
	if c.Place != "" {
		s += " at " + c.Place
	}
	return s
}

// WriteJSON prints one object: the site, the digest of its significant changes, who
// approved them, and every change.
func (r *Report) WriteJSON(w io.Writer, site string, approved *Approval) error {
	out := struct {
		Site        string            `json:"site"`
		Digest      string            `json:"digest"`
		Significant int               `json:"significant"`
		Routine     int               `json:"routine"`
		Approved    *Approval         `json:"approved,omitempty"`
		Impacts     map[string]Impact `json:"impacts"`
		Changes     []Change          `json:"changes"`
	}{Site: site, Digest: r.Digest(), Significant: len(r.Significant()), Approved: approved, Impacts: r.Impacts, Changes: r.Changes}
	out.Routine = len(r.Changes) - out.Significant
	if out.Changes == nil {
		out.Changes = []Change{}
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(out)
}

// WritePolicy prints the table by which changes are scored.
func WritePolicy(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "rule\tlevel\twhen\twhy")
	for _, r := range Policy {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", r.ID, r.Level, r.Doc, r.Why)
	}
	return t.Flush()
}
