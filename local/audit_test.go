//go:build linux

package local

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// transcript makes one; events are, once it is closed, the texts of each kind.
func transcript(t *testing.T, secrets ...string) (a *auditLog, events func() map[string]string) {
	name := filepath.Join(t.TempDir(), "audit.jsonl")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	a = &auditLog{f: f, enc: json.NewEncoder(f), secrets: secrets, rest: map[string]string{}}
	return a, func() map[string]string {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for l := range strings.Lines(string(b)) {
			var e struct{ Event, Text string }
			if err := json.Unmarshal([]byte(l), &e); err != nil {
				t.Fatal(err)
			}
			got[e.Event] += e.Text
		}
		return got
	}
}

// A transcript holds everything but the site's secrets, in however many pieces
// these come.
func TestAuditHoldsNoSecret(t *testing.T) {
	const secret = "s3cret-of-the-database"
	a, events := transcript(t, secret)
	a.line("began", "fleet/1 echo "+secret)
	a.line("output", `{"password":"`+secret[:7])
	a.line("output", secret[7:9])
	a.line("input", "cat s3")
	a.line("output", secret[9:]+`"} and s3cret-of-`)
	a.line("input", "crets\n")
	a.line("output", "another, "+secret+secret+" s3cret")
	a.line("ended", "exit code 0")
	a.close()
	got := events()
	for event, want := range map[string]string{
		"began":  "fleet/1 echo [secret]",
		"input":  "cat s3crets\n",
		"output": `{"password":"[secret]"} and s3cret-of-another, [secret][secret] s3cret`,
		"ended":  "exit code 0",
	} {
		if got[event] != want {
			t.Errorf("%s: got %q, want %q", event, got[event], want)
		}
	}
}

// A program that prints without end fills no disk. What was typed stays, and the
// transcript says what it lacks.
func TestAuditIsBounded(t *testing.T) {
	a, events := transcript(t)
	piece := strings.Repeat("y\n", 8<<10)
	for range 2 * maxTranscript / len(piece) {
		a.line("output", piece)
	}
	a.line("output", "z")
	a.line("input", "rm -r /srv\n")
	a.line("ended", "exit code 0")
	a.close()
	got := events()
	if n := len(got["output"]); n != maxTranscript {
		t.Errorf("got %d bytes of output, want the first %d", n, maxTranscript)
	}
	if got["input"] != "rm -r /srv\n" || got["ended"] != "exit code 0" {
		t.Errorf("got input %q and end %q, want both whole", got["input"], got["ended"])
	}
	if want := "16777217 bytes of output, after the first 16777216"; got["left out"] != want {
		t.Errorf("got %q left out, want %q", got["left out"], want)
	}
}
