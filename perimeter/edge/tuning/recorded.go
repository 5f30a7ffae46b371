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

// Recorded is what a site kept of good requests, the latest of each shape.
type Recorded struct {
	Good   []Case
	Unkept []Unkept
}

// An Unkept is a good request of which too little was kept to judge it again.
type Unkept struct{ Name, Why string }

// ReadRecorded reads the good requests that a site kept. Without a file there are none.
func ReadRecorded(name string) (Recorded, error) {
	latest := map[string]edge.Recorded{}
	var shapes []string // in order of their first request
	for _, name := range []string{name + ".1", name} {
		f, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return Recorded{}, fmt.Errorf("reading the recorded requests: %w", err)
		}
		defer f.Close()
		br := bufio.NewReader(f)
		for {
			line, err := br.ReadBytes('\n')
			var r edge.Recorded
			if err == nil && json.Unmarshal(line, &r) == nil { // a line that was cut short is none
				if _, ok := latest[r.Shape]; !ok {
					shapes = append(shapes, r.Shape)
				}
				latest[r.Shape] = r
			}
			if err == io.EOF {
				break
			} else if err != nil {
				return Recorded{}, fmt.Errorf("reading the recorded requests: %w", err)
			}
		}
	}
	var out Recorded
	for _, shape := range shapes {
		r := latest[shape]
		name := r.Method + " " + r.URI
		if r.Unkept != "" {
			out.Unkept = append(out.Unkept, Unkept{name, r.Unkept})
			continue
		}
		c := Case{Kind: Good, Name: name, Admin: r.Profile == "admin", Masked: r.Masked,
			Request: ftw.Request{Method: r.Method, URI: r.URI, Proto: "HTTP/1.1", Headers: r.Headers, Body: r.Body}}
		if len(r.Body) > 0 {
			set(&c.Request, "Content-Length", strconv.Itoa(len(r.Body)))
		}
		out.Good = append(out.Good, c)
	}
	return out, nil
}
