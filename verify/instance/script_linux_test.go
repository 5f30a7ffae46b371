package instance

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/perimeter/all"
	"github.com/ringwall/ringwall/plan"
	"github.com/ringwall/ringwall/verify"
)

// The whole script of each tier is clean for shellcheck, as sh has it, whatever the
// plan's names are.
func TestScripts(t *testing.T) {
	bin, err := exec.LookPath("shellcheck")
	if err != nil {
		t.Fatalf("NOT RUN: %v; scripts/setup test installs it", err)
	}
	l := newLab(t)
	l.plan.Files.Mount = `/mnt/it's "here"; $(false)`
	l.plan.Database.Port = 3306
	_, inside, _ := verify.ForAWS(l.plan, l.cloud, verify.Jobs(all.Perimeters), false)
	for _, tier := range []string{plan.Fleet, plan.Admin} {
		s := &perimeter.Script{Tier: tier}
		for _, j := range inside {
			for _, of := range j.Control.TiersOnAWS(l.plan) {
				if of != tier {
					continue
				}
				s.Begin(j.Control.ID)
				if a := j.Control.AWS; a.Try != nil {
					a.Try(l.plan, l.cloud, s)
				} else {
					r := a.Rounds(l.plan)
					r.Query(plan.Secret{Username: "x"}, `SELECT 'it''s' FROM "x"`, true)
					r.Write(s)
				}
			}
		}
		c := exec.CommandContext(t.Context(), bin, "--shell=sh", "--severity=style", "-")
		c.Stdin = strings.NewReader(s.Text())
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("the script of %s: %v\n%s", tier, err, out)
		}
		if n := len(s.Text()); n > 60000 {
			t.Errorf("the script of %s has %d bytes, want fewer than Systems Manager takes", tier, n)
		}
		t.Logf("%s: %d controls, %d bytes", tier, len(s.IDs()), len(s.Text()))
	}
}

// What an instance prints is believed as far as it goes: a part that is cut short, or
// has words that no script of ours prints, is unknown.
func TestRead(t *testing.T) {
	for printed, want := range map[string]perimeter.Verdict{
		"":                                 perimeter.Unknown,
		"held\ta/b\ttried\tno\n":           perimeter.Unknown, // no end
		"end\ta/b\t\t\n":                   perimeter.Unknown, // nothing tried
		"works\ta/b\tx\t\nend\ta/b\t\t\n":  perimeter.Unknown,
		"held\ta/b\tx\tno\nend\ta/b\t\t\n": perimeter.Held,
		"held\ta/b\tx\tno\nunclear\ta/b\ty\t?\nend\ta/b\t\t\n":                   perimeter.Unknown,
		"HELD\ta/b\tx\tno\nend\ta/b\t\t\n":                                       perimeter.Unknown,
		"broken\ta/b\tx\tit was done\n":                                          perimeter.Broken, // with or without an end
		"held\ta/c\tx\tno\nend\ta/c\t\t\n":                                       perimeter.Unknown,
		"junk\nheld\ta/b\tx\tno\nend\ta/b\t\t\nbroken\ta/b\tafter the end\tno\n": perimeter.Held,
	} {
		s := &perimeter.Script{}
		s.Begin("a/b")
		s.End()
		if got := s.Read(printed); len(got) != 1 || got[0].Verdict != want {
			t.Errorf("%q: got %+v, want %v", printed, got, want)
		}
	}
}
