package cli

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringwall/ringwall/local"
)

func newLogs() *cobra.Command {
	var flags planFlags
	var follow bool
	c := &cobra.Command{
		Use:   "logs [site] [part]",
		Short: "Print what the parts of a site wrote",
		Long: `Print the logs of a site, or of one part: edge, access, refusals, database, fleet/1,
agent-fleet/1, supervisor. It works while the site is down too.`,
		Example: "  ringwall logs fleet/1\n  ringwall logs -f refusals",
		RunE: func(c *cobra.Command, args []string) error {
			site, rest := splitSite(args)
			p, err := flags.load(site)
			if err != nil {
				return err
			}
			if err := want(rest, 0, 1, "the name of one part, or nothing for all"); err != nil {
				return err
			}
			dir := local.StateOf(p.Dir(), p.Site()).Logs()
			names, err := logFiles(dir, append(rest, "")[0])
			if err != nil {
				return err
			}
			return printLogs(c, dir, names, follow)
		},
	}
	flags.add(c)
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what is written from now on")
	return c
}

// logFiles are the files of a part, or of all parts.
func logFiles(dir, part string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if os.IsNotExist(err) {
		return nil, fmt.Errorf("reading the logs: the site has never run; start it with: ringwall up")
	} else if err != nil {
		return nil, fmt.Errorf("reading the logs: %w", err)
	}
	var all, parts []string
	for _, e := range entries {
		name := strings.TrimSuffix(strings.TrimSuffix(e.Name(), ".log"), ".jsonl")
		if name == e.Name() { // a former log
			continue
		}
		if part == "" || name == strings.ReplaceAll(part, "/", "-") {
			all = append(all, e.Name())
		}
		parts = append(parts, name)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("reading the logs: got part %q, want one of %s", part, strings.Join(parts, ", "))
	}
	slices.Sort(all)
	return all, nil
}

// printLogs prints files, each line with its part where there are several.
func printLogs(c *cobra.Command, dir string, names []string, follow bool) error {
	var readers []*bufio.Reader
	for _, n := range names {
		f, err := os.Open(filepath.Join(dir, n))
		if err != nil {
			return fmt.Errorf("reading the logs: %w", err)
		}
		defer f.Close()
		readers = append(readers, bufio.NewReader(f))
	}
	half := make([]string, len(names)) // of a line that is being written
	for {
		for i, r := range readers {
			for {
				line, err := r.ReadString('\n')
				half[i] += line
				if err != nil && (err != io.EOF || follow || half[i] == "") {
					break
				}
				if len(names) > 1 {
					fmt.Fprintf(c.OutOrStdout(), "%s: ", strings.TrimSuffix(names[i], filepath.Ext(names[i])))
				}
				fmt.Fprintln(c.OutOrStdout(), strings.TrimSuffix(half[i], "\n"))
				half[i] = ""
			}
		}
		if !follow {
			return nil
		}
		select {
		case <-c.Context().Done():
			return nil
		case <-time.After(200 * time.Millisecond):
		}
	}
}
