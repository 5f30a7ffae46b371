package plan

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"go.yaml.in/yaml/v3"
)

// A Suppression is a finding that somebody answers for: the control is told to
// accept it, where it is and until when.
type Suppression struct {
	ID      string    // the control: edge/cache-boundary
	Scope   string    // the resource as stack/ID, with * for any characters; empty: every place of the control
	Reason  string    // why it is accepted
	Owner   string    // who answers for it
	Expires time.Time // the day from which on it no longer holds, in UTC
	Line    int       // of the file
}

// Expired says whether it no longer holds.
func (s Suppression) Expired(now time.Time) bool { return !now.Before(s.Expires) }

// SuppressionsFile is the name under which check looks for suppressions, beside
// the configuration or among the templates.
const SuppressionsFile = "ringwall-accepted.yaml"

var controlID = pattern(`^[a-z]+/[a-z0-9]+(-[a-z0-9]+)*$`)

// ReadSuppressions reads a list of suppressions. Every field but scope is needed,
// so that each has a reason, an owner and an end.
func ReadSuppressions(file string) ([]Suppression, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading what is accepted: %w", err)
	}
	d := yaml.NewDecoder(bytes.NewReader(b))
	var doc yaml.Node
	if err := d.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("reading what is accepted: %s: %w", file, err)
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.SequenceNode {
		return nil, fmt.Errorf("reading what is accepted: %s: want a list of id, scope, reason, owner and expires", file)
	}
	var out []Suppression
	var wrong []error
	bad := func(n *yaml.Node, format string, a ...any) {
		wrong = append(wrong, fmt.Errorf("%s:%d:%d: %s", file, n.Line, n.Column, fmt.Sprintf(format, a...)))
	}
	for _, n := range doc.Content[0].Content {
		s := Suppression{Line: n.Line}
		if n.Kind != yaml.MappingNode {
			bad(n, "got a single value, want id, scope, reason, owner and expires")
			continue
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			k, v := n.Content[i], n.Content[i+1]
			switch k.Value {
			case "id":
				s.ID = v.Value
				if !controlID().MatchString(s.ID) {
					bad(v, "id: got %q, want a control such as edge/cache-boundary", v.Value)
				}
			case "scope":
				s.Scope = v.Value
			case "reason":
				s.Reason = v.Value
			case "owner":
				s.Owner = v.Value
			case "expires":
				t, err := time.Parse("2006-01-02", v.Value)
				if err != nil {
					bad(v, "expires: got %q, want a day such as 2027-01-31", v.Value)
				}
				s.Expires = t
			default:
				bad(k, "%q is no part of it; want id, scope, reason, owner and expires", k.Value)
			}
		}
		for _, x := range []struct {
			name  string
			empty bool
		}{{"id", s.ID == ""}, {"reason", s.Reason == ""}, {"owner", s.Owner == ""}, {"expires", s.Expires.IsZero()}} {
			if x.empty {
				bad(n, "it has no %s", x.name)
			}
		}
		out = append(out, s)
	}
	if len(wrong) > 0 {
		return nil, fmt.Errorf("reading what is accepted:\n%w", errors.Join(wrong...))
	}
	return out, nil
}
