package tuning

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"

	"github.com/ringwall/ringwall/perimeter/edge"
	"github.com/ringwall/ringwall/waf/ftw"
)

// Recorded reads the good requests that a site kept, the latest of each shape.
// Without a file there are none.
func Recorded(name string) ([]Case, error) {
	var out []Case
	at := map[string]int{} // by shape
	for _, name := range []string{name + ".1", name} {
		f, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, fmt.Errorf("reading the recorded requests: %w", err)
		}
		defer f.Close()
		br := bufio.NewReader(f)
		for {
			line, err := br.ReadBytes('\n')
			var r edge.Recorded
			if err == nil && json.Unmarshal(line, &r) == nil { // a line that was cut short is none
				c := Case{Kind: Good, Name: r.Method + " " + r.URI, Admin: r.Profile == "admin",
					Request: ftw.Request{Method: r.Method, URI: r.URI, Proto: "HTTP/1.1", Headers: r.Headers, Body: r.Body}}
				if len(r.Body) > 0 {
					set(&c.Request, "Content-Length", strconv.Itoa(len(r.Body)))
				}
				if i, ok := at[r.Shape]; ok {
					out[i] = c
				} else {
					at[r.Shape] = len(out)
					out = append(out, c)
				}
			}
			if err == io.EOF {
				break
			} else if err != nil {
				return nil, fmt.Errorf("reading the recorded requests: %w", err)
			}
		}
	}
	return out, nil
}
