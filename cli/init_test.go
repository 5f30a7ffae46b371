package cli

import (
	"bytes"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/plan"
)

func TestInitAsksThreeQuestions(t *testing.T) {
	for _, c := range []struct {
		name  string
		flags []string
		in    string
		asked int
		want  plan.Answers
	}{
		{"all", nil, "shop\nwordpress\n203.0.113.7, 2001:db8::1\n", 3, plan.Answers{App: "shop", Preset: "wordpress", Admins: []string{"203.0.113.7", " 2001:db8::1"}}},
		{"empty answers", nil, "\n\n\n", 3, plan.Answers{App: "dir", Preset: "generic", Admins: []string{"192.0.2.1"}}},
		{"one flag", []string{"--preset=node-red"}, "shop\n\n", 2, plan.Answers{App: "shop", Preset: "node-red", Admins: []string{"192.0.2.1"}}},
		{"all flags", []string{"--app=a", "--preset=generic", "--admins=192.0.2.9"}, "", 0, plan.Answers{App: "a", Preset: "generic", Admins: []string{"192.0.2.9"}}},
	} {
		cmd := newInit()
		if err := cmd.ParseFlags(c.flags); err != nil {
			t.Fatal(err)
		}
		a := plan.Answers{}
		for flag, dst := range map[string]*string{"app": &a.App, "preset": &a.Preset} {
			*dst, _ = cmd.Flags().GetString(flag)
		}
		a.Admins, _ = cmd.Flags().GetStringSlice("admins")
		var out bytes.Buffer
		if err := ask(strings.NewReader(c.in), &out, cmd, &a, "dir"); err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := strings.Count(out.String(), "]: "); got != c.asked {
			t.Errorf("%s: got %d questions, want %d: %s", c.name, got, c.asked, &out)
		}
		if a.App != c.want.App || a.Preset != c.want.Preset || strings.Join(a.Admins, ",") != strings.Join(c.want.Admins, ",") {
			t.Errorf("%s: got %+v, want %+v", c.name, a, c.want)
		}
		if _, err := plan.Starter(a); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if err := ask(strings.NewReader("shop"), &bytes.Buffer{}, newInit(), &plan.Answers{}, "x"); err == nil {
		t.Error("got no error although the answers ended, want one")
	}
}

func TestGuessApp(t *testing.T) {
	for path, want := range map[string]string{
		"/srv/My Notice Board/ringwall.yaml": "my-notice-board", "/ringwall.yaml": "app", "/srv/42/ringwall.yaml": "app",
		"/srv/2nd-site_x/ringwall.yaml": "nd-site-x", "/srv/" + strings.Repeat("ab-", 20) + "/ringwall.yaml": "ab-ab-ab-ab-ab-ab-ab-ab-ab-ab-a",
	} {
		if got := guessApp(path); got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
}
