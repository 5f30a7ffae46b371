//go:build linux && walldown

package local_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/ringwall/ringwall/local"
	"github.com/ringwall/ringwall/local/localtest"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/perimeter/all"
	"github.com/ringwall/ringwall/verify"
)

// TestMutations takes every control's wall down on a running site, one after the
// other, and wants its probe to say Broken; with all walls up it wants Held. A probe
// that says the same both ways proves nothing. What one site has nothing for is
// judged on the next; a control that is left at the end fails the test.
// MUTATE="edge host/no-udp" judges these only.
func TestMutations(t *testing.T) {
	tried := map[string]bool{}
	t.Run("board", func(t *testing.T) { mutate(t, boardWith(t, "walldown", strict), tried) })
	t.Run("wordpress", func(t *testing.T) { mutate(t, wordpressWith(t, "walldown"), tried) })
	for _, j := range verify.Probing(verify.Jobs(all.Perimeters)) {
		if !tried[j.Control.ID] && os.Getenv("MUTATE") == "" {
			t.Errorf("%s: no site of this test has anything for it", j.Control.ID)
		}
	}
}

// strict gives the allow list and the uncached paths something to do.
const strict = `
allowed: [192.0.2.0/24, 198.51.100.0/24]
admins: [192.0.2.1]
cache: {uncached: ["/search*"]}
`

func mutate(t *testing.T, s *localtest.Site, tried map[string]bool) {
	s.Up()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	client := local.Connect(local.StateOf(s.Dir, s.Name))
	judge := func(ids ...string) map[string]perimeter.Result {
		out := map[string]perimeter.Result{}
		if err := client.Probe(ctx, ids, func(r perimeter.Result) { out[r.ID] = r }); err != nil {
			t.Fatalf("probing %v: %v", ids, err)
		}
		return out
	}
	began := time.Now()
	up := judge()
	t.Logf("all controls with all walls up: %v", time.Since(began).Round(time.Millisecond))
	only := strings.Fields(os.Getenv("MUTATE"))
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "control\twall up\twall down\tboth ways")
	for _, j := range verify.Probing(verify.Jobs(all.Perimeters)) {
		id := j.Control.ID
		if tried[id] || len(only) > 0 && !contains(only, id) {
			continue
		}
		if _, ran := up[id]; !ran && j.Control.Applies != nil {
			continue // this site has nothing for it
		}
		tried[id] = true
		if err := client.TakeDown(ctx, []string{j.Control.Switch()}); err != nil {
			t.Errorf("taking %s down: %v", id, err)
			continue
		}
		down := judge(id)[id]
		if fresh[id] {
			down = judgeFresh(t, id)
		}
		right := "proved"
		if up[id].Verdict != perimeter.Held || down.Verdict != perimeter.Broken {
			right = "NOT PROVED"
			t.Errorf("%s: with its wall up %v (%s %q), with it down %v (%s %q); want held and broken", id,
				up[id].Verdict, up[id].Error, up[id].Evidence, down.Verdict, down.Error, down.Evidence)
		}
		fmt.Fprintf(w, "%s\t%v\t%v\t%s\n", id, up[id].Verdict, down.Verdict, right)
	}
	if err := client.TakeDown(ctx, nil); err != nil {
		t.Errorf("putting the walls up again: %v", err)
	}
	w.Flush()
	t.Logf("\n%s", table.String())
}

// fresh are the controls whose wall is built once, with the database: taking it
// down needs a new site.
var fresh = map[string]bool{"database/checksums": true}

func judgeFresh(t *testing.T, id string) (down perimeter.Result) {
	s := boardWith(t, "walldown", "")
	s.Up("--down", id)
	err := local.Connect(local.StateOf(s.Dir, s.Name)).Probe(t.Context(), []string{id}, func(r perimeter.Result) { down = r })
	if err != nil {
		t.Fatal(err)
	}
	return down
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s || strings.HasPrefix(s, x+"/") {
			return true
		}
	}
	return false
}
