package deploy

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/ringwall/ringwall/deploy/fakecfn"
)

// What was sent is read back; before that there is nothing, which is no error.
func TestTemplates(t *testing.T) {
	server(t, fakecfn.Options{})
	c, s := client(t), sample(t)
	got, err := c.Templates(t.Context(), s)
	if err != nil || len(got) != 0 {
		t.Fatalf("before: got %d templates, %v, want none", len(got), err)
	}
	mustDeploy(t, c, s)
	if got, err = c.Templates(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	for _, want := range s.Stacks {
		if !sameJSON(t, got[want.Name], want.Template) {
			t.Errorf("%s: got %.80s, want what was sent", want.Name, got[want.Name])
		}
	}
	s.Account = "999999999999"
	if _, err := c.Templates(t.Context(), s); err == nil {
		t.Error("another account: got no error")
	}
}

func sameJSON(t *testing.T, a, b []byte) bool {
	t.Helper()
	var x, y bytes.Buffer
	if err := errors.Join(json.Compact(&x, a), json.Compact(&y, b)); err != nil {
		t.Fatal(err)
	}
	return x.String() == y.String()
}
