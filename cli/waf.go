package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringwall/ringwall/internal/proxy"
	"github.com/ringwall/ringwall/local"
	"github.com/ringwall/ringwall/plan"
)

func newWAF() *cobra.Command {
	c := &cobra.Command{
		Use:   "waf",
		Short: "Understand, test and change the rules that judge requests",
		Long: `Understand, test and change the rules that judge requests. The usual way from a good
request that was refused to rules that let it pass:

  ringwall waf explain <request id>   why it was refused
  ringwall waf tune <request id>      the narrowest exclusion, as a patch, and what else it lets pass
  ringwall waf check                  what the file's rules would change against those that run
  ringwall waf reload                 put them in force without a failed request`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage(fmt.Errorf("running ringwall waf: there is no command %q; ringwall waf --help lists them", args[0]))
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newWAFExplain(), newWAFTune(), newWAFTest(), newWAFCheck(), newWAFReload(), newWAFReport())
	return c
}

// events calls f for each event in the site's log of refusals, from the oldest on.
func events(s local.State, f func(*proxy.Event)) {
	for _, name := range []string{s.Refusals() + ".1", s.Refusals()} {
		file, err := os.Open(name)
		if err != nil {
			continue
		}
		dec := json.NewDecoder(file)
		for {
			var e proxy.Event
			if dec.Decode(&e) != nil {
				break
			}
			if e.Refusal != nil {
				f(&e)
			}
		}
		file.Close()
	}
}

// findRefusal finds a refusal, or what would have been one, in the site's logs.
func findRefusal(p *plan.Plan, id string) (*proxy.Event, error) {
	s := local.StateOf(p.Dir(), p.Site())
	var found *proxy.Event
	// The edge answers first and logs then.
	for tries := 0; found == nil && tries < 10; tries++ {
		if tries > 0 {
			time.Sleep(50 * time.Millisecond)
		}
		events(s, func(e *proxy.Event) {
			if e.ID == id {
				found = e
			}
		})
	}
	if found == nil {
		return nil, fmt.Errorf("looking for request %s in %s: it is not there; the log keeps the latest refusals only, and a request that was let through is in: ringwall logs access", id, s.Refusals())
	}
	return found, nil
}

// requestArg reads the site, if it is named, and one request id.
func requestArg(flags *planFlags, args []string) (*plan.Plan, *proxy.Event, error) {
	site, rest := splitSite(args)
	if len(rest) == 2 && requestID().MatchString(rest[1]) {
		site, rest = rest[:1], rest[1:] // no site that there is: loading it says which there are
	}
	if len(rest) != 1 || !requestID().MatchString(rest[0]) {
		return nil, nil, usage(fmt.Errorf("reading the arguments: got %q, want a request id, as a refused page shows it", rest))
	}
	p, err := flags.load(site)
	if err != nil {
		return nil, nil, err
	}
	e, err := findRefusal(p, rest[0])
	return p, e, err
}
