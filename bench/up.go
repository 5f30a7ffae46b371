//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/ringwall/ringwall/local"
)

func runUp(ctx context.Context, s *settings) (*report, error) {
	r := &report{head: []string{"site", "first answer (median)", "fastest", "slowest", "sandboxes", "processor time of their set-up", "with at least one in set-up", "ringwall version"},
		how: []string{fmt.Sprintf("`ringwall up` of a built site whose database is initialised, %d times after a first run that is not counted: from the start of the process to the "+
			"first 200 over TLS at the visitor's door, asked every 2 ms. A sandbox's set-up is from the request for it until all its walls stand; programs of sandboxes that are set up together start together after it, so the last column is what set-up takes of the start. `ringwall version`, a plain start and end of the same program between the starts, says how busy the machine is: 5 to 10 ms where it is not.", s.upRounds())}}
	board, err := boardConfig("")
	if err != nil {
		return nil, err
	}
	x, err := newSite(s, "up", board, map[string]string{"board": s.board})
	if err != nil {
		return nil, err
	}
	if err := s.timeUp(ctx, r, x, "board", 2); err != nil {
		return nil, err
	}
	if s.smoke {
		return r, nil
	}
	conf, err := os.ReadFile("examples/wordpress/ringwall.yaml")
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat("/usr/share/wordpress/wp-settings.php"); err != nil {
		r.verdict = append(r.verdict, "WordPress: NOT RUN, it is not installed; run: make setup SET=bench")
		return r, nil
	}
	if x, err = newSite(s, "wordpress", string(conf), nil); err != nil {
		return nil, err
	}
	return r, s.timeUp(ctx, r, x, "WordPress", 8)
}

func (s *settings) upRounds() int {
	if s.smoke {
		return 1
	}
	return max(s.rounds, 7)
}

// timeUp starts a site often and adds its row.
func (s *settings) timeUp(ctx context.Context, r *report, x *site, name string, target float64) error {
	if _, err := x.up(ctx); err != nil { // initialises the database
		return err
	}
	x.down()
	var took, sum, wall, plain []time.Duration
	boxes := ""
	for range s.upRounds() {
		began := time.Now()
		if err := exec.CommandContext(ctx, s.bin, "version").Run(); err != nil {
			return err
		}
		plain = append(plain, time.Since(began))
		steps, err := x.oneUp(ctx, &took)
		if err != nil {
			return err
		}
		for _, st := range steps {
			if st.Part != "sandboxes" {
				continue
			}
			var one string
			if _, err := fmt.Sscanf(st.Text, "%s set up with %s", &boxes, &one); err != nil {
				return fmt.Errorf("reading the step %q: %w", st.Text, err)
			}
			d, err := time.ParseDuration(one)
			if err != nil {
				return err
			}
			sum, wall = append(sum, d), append(wall, st.Took)
		}
	}
	lo, hi := took[0], took[0]
	for _, d := range took {
		lo, hi = min(lo, d), max(hi, d)
	}
	r.rows = append(r.rows, []string{name, ms(median(took)), ms(lo), ms(hi), boxes, ms(median(sum)), ms(median(wall)), ms(median(plain))})
	r.verdict = append(r.verdict, met(name+", up to the first answer", median(took).Seconds(), target, " s"),
		met(name+", sandbox set-up", median(wall).Seconds()*1e3, 60, " ms"))
	return nil
}

// oneUp adds the time of one start.
func (x *site) oneUp(ctx context.Context, took *[]time.Duration) ([]local.Step, error) {
	began := time.Now()
	ch, err := x.start()
	if err != nil {
		return nil, err
	}
	answered := make(chan error, 1)
	go func() {
		err := firstAnswer(ctx, x.visitor, "/")
		*took = append(*took, time.Since(began))
		answered <- err
	}()
	steps, err := x.await(ctx, ch)
	if err != nil {
		return nil, err
	}
	defer x.down()
	return steps, <-answered
}

// boardConfig is the example's configuration with settings of the environment added.
func boardConfig(more string) (string, error) {
	b, err := os.ReadFile("examples/board/ringwall.yaml")
	if err != nil {
		return "", err
	}
	out := strings.Replace(string(b), "  dev: {}", "  dev: {"+more+"}", 1)
	if more != "" && out == string(b) {
		return "", fmt.Errorf("reading examples/board/ringwall.yaml: it has no line \"dev: {}\"")
	}
	return out, nil
}
