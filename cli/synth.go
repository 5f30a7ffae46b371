package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/ringwall/ringwall/internal/cfn"
	"github.com/ringwall/ringwall/plan"
	"github.com/ringwall/ringwall/synth"
)

func newSynth() *cobra.Command {
	var flags planFlags
	var out, output string
	c := &cobra.Command{
		Use:   "synth [site]",
		Short: "Write the CloudFormation templates of a site",
		Long: `Write the CloudFormation templates of a site, a file for each stack, named after it.

No account is asked. What only the account knows (the hosted zone's id, the ids of
prefix lists) is a parameter of the template; ringwall deploy looks it up.

What the configuration says and AWS no longer has, or what is not safe, is replaced;
each replacement is printed. The same configuration gives the same bytes.`,
		Args: atMost(1),
		RunE: func(c *cobra.Command, args []string) error {
			shortLived()
			if err := formatOf(output, "json", "yaml"); err != nil {
				return err
			}
			if out == "" {
				return usage(errors.New("writing templates: got no directory, want one in --out"))
			}
			p, err := flags.load(args)
			if err != nil {
				return err
			}
			stacks, notes, err := synth.Build(p)
			if err != nil {
				return usage(err)
			}
			templates, err := stacks.Templates()
			if err != nil {
				return err
			}
			for _, n := range notes {
				fmt.Fprintln(c.ErrOrStderr(), n)
			}
			names, err := writeTemplates(out, output, p, templates)
			if err != nil {
				return err
			}
			for _, n := range names {
				fmt.Fprintln(c.OutOrStdout(), n)
			}
			return nil
		},
	}
	flags.add(c)
	c.Flags().StringVar(&out, "out", "", "`directory` that the templates are written to")
	c.Flags().StringVarP(&output, "output", "o", "json", "`format`: json or yaml")
	return c
}

// writeTemplates writes a file for each template and takes away those that a former
// synthesis of this site has left of stacks it has no more. It returns the files'
// names.
func writeTemplates(dir, form string, p *plan.Plan, templates []*cfn.Template) ([]string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("making the directory of the templates: %w", err)
	}
	names := make([]string, len(templates))
	for i, t := range templates {
		names[i] = filepath.Join(dir, t.Name+"."+form)
		data := t.JSON()
		if form == "yaml" {
			data = t.YAML()
		}
		if err := replaceFile(names[i], data); err != nil {
			return nil, fmt.Errorf("writing a template: %w", err)
		}
	}
	for _, role := range plan.StackRoles {
		for _, ext := range []string{"json", "yaml"} {
			name := filepath.Join(dir, synth.StackName(p, role)+"."+ext)
			if slices.Contains(names, name) {
				continue
			}
			if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, fmt.Errorf("removing the template of a former synthesis: %w", err)
			}
		}
	}
	return names, nil
}

// replaceFile gives a file its new content whole, or leaves it. It does not wait for
// the disk: a template can be made again at any time.
func replaceFile(name string, data []byte) error {
	if old, err := os.ReadFile(name); err == nil && bytes.Equal(old, data) {
		return nil
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
