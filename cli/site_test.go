package cli

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// A site's name with a slip in it stops, changes and judges no other site.
func TestUnknownSite(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "site"), 0o700); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "ringwall.yaml")
	if err := os.WriteFile(name, []byte("app: shop\ncommand: [/usr/bin/true]\nfiles: {source: site}\ndefault: dev\nenvironments: {dev: {}, prod: {}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	former := file
	file = name
	defer func() { file = former }()
	for what, make := range map[string]func() *cobra.Command{
		"down": newDown, "status": newStatus, "accept": newAccept, "probe": newProbe, "waf check": newWAFCheck, "waf reload": newWAFReload,
	} {
		for site, want := range map[string]string{
			"shop-prdo": `got "shop-prdo", want a site of`,
			"shop-prod": "the site shop-prod is not running",
		} {
			c := make()
			c.SilenceErrors, c.SilenceUsage = true, true
			c.SetOut(io.Discard)
			c.SetErr(io.Discard)
			c.SetArgs([]string{site})
			if err := c.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("ringwall %s %s: got %v, want an error with %q", what, site, err, want)
			}
		}
	}
}

// What is no beginning of an address purges nothing, and must not look as if it had.
func TestPurgeWantsAddress(t *testing.T) {
	c := newPurge()
	c.SilenceErrors, c.SilenceUsage = true, true
	name := filepath.Join(t.TempDir(), "ringwall.yaml")
	text := "app: shop\ncommand: [/usr/bin/true]\nfiles: {source: .}\ndefault: dev\nenvironments: {dev: {}}\n"
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	former := file
	file = name
	defer func() { file = former }()
	c.SetArgs([]string{"shop-dve"})
	if err := c.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), "want the beginning of an address") {
		t.Errorf("got %v, want an error that says what an address looks like", err)
	}
}
