package edge

import (
	"fmt"
	"strings"

	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/waf/ftw"
)

// An Attack is one that the probes of the rules send.
type Attack struct {
	Control string // whose probe sends it
	Name    string
	Request ftw.Request
}

// Attacks lists what the probes of every class of attack send.
func Attacks() []Attack {
	var out []Attack
	for _, w := range wafProbes {
		for _, a := range w.attacks() {
			out = append(out, Attack{Control: w.id, Name: a.Name, Request: wire(a.Request)})
		}
	}
	return out
}

// wire is a probe's request as it is sent. The rules see a chunked body as a
// whole.
func wire(r perimeter.Request) ftw.Request {
	out := ftw.Request{Method: orElse(r.Method, "GET"), URI: orElse(r.URI, "/"), Proto: "HTTP/1.1", Body: []byte(r.Body)}
	add := func(name, value string) {
		if _, ok := out.Get(name); !ok {
			out.Headers = append(out.Headers, ftw.Header{Name: name, Value: value})
		}
	}
	for _, h := range r.Header {
		name, value, _ := strings.Cut(h, ":")
		add(name, strings.TrimSpace(value))
	}
	add("Host", orElse(r.Host, "site.test"))
	add("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
	add("Accept", "application/json, */*;q=0.5")
	if r.Body != "" {
		add("Content-Length", fmt.Sprint(len(r.Body)))
	}
	return out
}
