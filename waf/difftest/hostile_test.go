package difftest

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/waf/ftw"
)

// guarded is how the edge runs the rules: bodies up to 4 MiB are judged, and the
// rest is up to the budget. A rule of a site's own keeps what visitors send.
const guarded = "SecRequestBodyNoFilesLimit 4194304\nSecArgumentsLimit 4096\n" +
	`SecAction "id:1,phase:2,pass,nolog,initcol:ip=%{ARGS.who},setvar:ip.last=%{ARGS.what}"` + "\n"

// hostile are requests made to cost much, to never end, or to be kept; n is their
// size. No two of a kind are the same.
var hostile = map[string]func(g *generator, n int) request{
	"punctuation": func(g *generator, n int) request { return g.form("q", g.of("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", n)) },
	"words":       func(g *generator, n int) request { return g.form("q", g.sentence(n)) },
	"bytes": func(g *generator, n int) request {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(g.IntN(256))
		}
		return g.body("text/plain", string(b))
	},
	"zeros":         func(g *generator, n int) request { return g.form("q", strings.Repeat("\x00", n)+g.word()) },
	"one letter":    func(g *generator, n int) request { return g.form("q", g.word()+strings.Repeat("a", n)) },
	"encoded often": func(g *generator, n int) request { return g.body(formType, "q="+strings.Repeat("%2525", n/5)+g.word()) },
	"escapes": func(g *generator, n int) request {
		return g.form("q", g.many(n, `\u0041`, `\x3c`, `%u2019`, "&#x3c;", "&lt", `\`, "&#", "%"))
	},
	"comments": func(g *generator, n int) request {
		return g.form("q", g.many(n, "/*", "*/", "/**/", "<!--", "-->", "--", "#"))
	},
	"paths": func(g *generator, n int) request { return g.form("q", g.many(n, "../", "..\\", "/./", "//", "a")) },
	"commands": func(g *generator, n int) request {
		return g.form("q", g.many(n, "$(", "`", ";", "|", "^", "\"", "'", "cat ", "{", ",", " "))
	},
	"SQL": func(g *generator, n int) request {
		return g.form("q", g.many(n, "1 ", "or ", "'", "(", "select ", "union ", "@", "--", ",", "0x"))
	},
	"script": func(g *generator, n int) request {
		return g.form("q", g.many(n, "<a ", "<script", "on", "=", "'", ">", "javascript:", "&", "x"))
	},
	"base64": func(g *generator, n int) request {
		return g.form("q", g.of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef0123456789+/", n))
	},
	"many names": func(g *generator, n int) request {
		var b strings.Builder
		for b.Len() < n {
			fmt.Fprintf(&b, "%s%d=%d&", g.word(), g.IntN(1e9), g.IntN(10))
		}
		return g.body(formType, b.String())
	},
	"leaves": func(g *generator, n int) request {
		return g.body("application/json", "["+strings.Repeat(`"`+g.of("abcdefgh", 1)+`",`, n/4)+`"`+g.word()+`"]`)
	},
	"deep": func(g *generator, n int) request {
		return g.body("application/json", strings.Repeat(`{"`+g.word()+`":[`, n/12))
	},
	"keys": func(g *generator, n int) request { return g.body("application/json", `{"`+g.of("abc.\\\"", n)+`":1}`) },
	"elements": func(g *generator, n int) request {
		return g.body("text/xml", strings.Repeat("<a b='"+g.word()+"'>", n/14)+g.word())
	},
	"entities": func(g *generator, n int) request {
		return g.body("text/xml", "<!DOCTYPE a [<!ENTITY b '"+g.word()+"'>]><a>"+strings.Repeat("&b;", n/3)+"</a>")
	},
	"parts": func(g *generator, n int) request {
		return g.body("multipart/form-data; boundary=xx", strings.Repeat("--xx\r\nContent-Disposition: form-data; name=\""+g.word()+"\"\r\n\r\n"+g.word()+"\r\n", n/70))
	},
	"boundaries": func(g *generator, n int) request {
		return g.body("multipart/form-data; boundary=xx", g.word()+strings.Repeat("--xx\r\n", n/6))
	},
	"part's head": func(g *generator, n int) request {
		return g.body("multipart/form-data; boundary=xx", "--xx\r\nContent-Disposition: form-data; name=\""+g.many(n, "a", ";", "\\\"", "=", "filename*0=")+"\r\n\r\n")
	},
	"cookies": func(g *generator, n int) request {
		r := g.body(formType, "")
		r.Headers = append(r.Headers, header("Cookie", g.many(min(n, 16<<10), "a=b;", ";", "=", g.word(), "$x=\"")))
		return r
	},
	"headers": func(g *generator, n int) request {
		r := g.body(formType, "")
		for i := range min(n/100, 500) {
			r.Headers = append(r.Headers, header(fmt.Sprintf("X-%s-%d", g.word(), i), g.of("abc'\"<;", 60)))
		}
		return r
	},
	"kept": func(g *generator, n int) request {
		return g.body(formType, fmt.Sprintf("who=%s%d&what=%s", g.word(), g.IntN(1e9), strings.Repeat(g.word(), n/8)))
	},
}

const formType = "application/x-www-form-urlencoded"

// of is a text of n of these characters; many is one of these pieces.
func (g *generator) of(chars string, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = chars[g.IntN(len(chars))]
	}
	return string(b)
}

func (g *generator) many(n int, pieces ...string) string {
	var b strings.Builder
	for b.Len() < n {
		b.WriteString(g.pick(pieces...))
	}
	return b.String()
}

func (g *generator) body(contentType, body string) request {
	return g.request("POST", "/"+g.word(), contentType, body)
}

func (g *generator) form(name, value string) request {
	const hex = "0123456789ABCDEF"
	b := []byte(name + "=")
	for _, c := range []byte(value) {
		b = append(b, '%', hex[c>>4], hex[c&15])
	}
	return g.body(formType, string(b))
}

// TestHostile sends what is made to cost much: each request is judged or refused
// in some seconds at most, a minute on a busy machine, and once the engine has seen some of each kind, its memory
// grows no more, however many come.
func TestHostile(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	e := newOurs(t, directives(paranoia1+guarded))
	g := newGenerator(seed, nil)
	sizes, before, after := []int{2 << 10, 30 << 10, 200 << 10}, 6, 9
	if slow {
		sizes, before, after = sizes[:1], 1, 2
	}
	statuses := map[int]int{}
	play := func(rounds int) {
		for i := range rounds {
			for kind, made := range hostile {
				r := made(g, sizes[i%len(sizes)])
				began := time.Now()
				tx := e()
				statuses[ftw.Run(tx, &r.Request).Status]++
				_ = tx.Close()
				if took := time.Since(began); took > time.Minute {
					t.Errorf("%s, %d bytes: judged in %v", kind, len(r.Body), took)
				}
			}
		}
	}
	play(before)
	base := heap()
	play(after)
	grown := heap() - base
	t.Logf("%d rounds of %d kinds: statuses %v; %d KiB in use, and %d KiB more after %d more rounds", before, len(hostile), statuses, base>>10, grown>>10, after)
	if limit := int64(24 << 20); grown > limit {
		t.Errorf("memory in use grows by %d bytes, want %d or less", grown, limit)
	}
	runtime.KeepAlive(e)
}

// heap is how many bytes are in use, without what can be collected.
func heap() int64 {
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
