package difftest

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/waf/ftw"
)

// kinds are requests as in bench/, in 400 variants each.
var kinds = []struct {
	name string
	make func(w *writer) request
}{
	{"GET", func(w *writer) request {
		return w.request("GET", "/page?id="+fmt.Sprint(w.IntN(1e6))+"&q="+w.word()+"+"+w.word()+"&sort="+w.word(), "", "")
	}},
	{"JSON", func(w *writer) request {
		var items []string
		for range 9 {
			items = append(items, fmt.Sprintf(`{"id":%d,"name":"%s","text":"%s","tags":"%s"}`, w.IntN(1e6), w.word(), w.sentence(40), w.word()))
		}
		return w.request("POST", "/api/items", "application/json", `{"title":"`+w.sentence(30)+`","items":[`+strings.Join(items, ",")+`]}`)
	}},
	{"form", func(w *writer) request {
		v := url.Values{"text": {w.sentence(1340)}}
		for range 11 {
			v.Set(w.word(), w.sentence(30))
		}
		return w.request("POST", "/form", "application/x-www-form-urlencoded", v.Encode())
	}},
	{"attack", func(w *writer) request {
		return w.request("GET", "/page?q="+w.attack()+"&sort="+w.word(), "", "")
	}},
}

// A writer makes text.
type writer struct{ *rand.Rand }

func (w *writer) word() string {
	const consonants, vowels = "bdklmnrstv", "aeiou"
	var b strings.Builder
	for range 2 + w.IntN(3) {
		b.WriteByte(consonants[w.IntN(len(consonants))])
		b.WriteByte(vowels[w.IntN(len(vowels))])
	}
	return b.String()
}

func (w *writer) sentence(n int) string {
	var b strings.Builder
	for b.Len() < n {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(w.word())
		if w.IntN(12) == 0 {
			b.WriteByte('.')
		}
	}
	return b.String()
}

func (w *writer) attack() string {
	n := w.IntN(1000)
	return url.QueryEscape([]string{
		fmt.Sprintf("%s' OR '%d'='%d", w.word(), n, n),
		fmt.Sprintf("%d UNION SELECT %s,%s FROM %s--", n, w.word(), w.word(), w.word()),
		fmt.Sprintf("%s'; DROP TABLE %s; --", w.word(), w.word()),
		fmt.Sprintf("%d AND SLEEP(%d)", n, 1+n%9),
	}[w.IntN(4)])
}

func (w *writer) request(method, uri, contentType, body string) request {
	r := request{Request: ftw.Request{Method: method, URI: uri, Proto: "HTTP/1.1", Answer: answer(200, "text/html", ""), Headers: []ftw.Header{
		header("Host", "www.example.com"),
		header("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
		header("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
		header("Accept-Language", "en-GB,en;q=0.7"),
		header("Accept-Encoding", "gzip, deflate, br"),
		header("Referer", "https://www.example.com/"+w.word()),
		header("Cookie", fmt.Sprintf("theme=%s; visit=%d; basket=%s", w.word(), w.IntN(1000), w.word())),
		header("Cache-Control", "max-age=0"),
		header("Upgrade-Insecure-Requests", "1"),
		header("Dnt", "1"),
	}}}
	if method == "POST" {
		r.Headers = append(r.Headers, header("Origin", "https://www.example.com"), header("Content-Type", contentType), header("Content-Length", fmt.Sprint(len(body))))
		r.Body = []byte(body)
	}
	return r
}

func variants(kind int) []request {
	w := &writer{rand.New(rand.NewPCG(uint64(kind), 7))}
	out := make([]request, 400)
	for i := range out {
		out[i] = kinds[kind].make(w)
	}
	return out
}

// serving is how a site has it: responses are not inspected, nothing is audited.
const serving = paranoia1 + "SecResponseBodyAccess Off\n"

func BenchmarkTransaction(b *testing.B) { benchmark(b, newOurs(b, directives(serving))) }
func BenchmarkCoraza(b *testing.B)      { benchmark(b, newTheirs(b, directives(serving))) }

func benchmark(b *testing.B, e engine) {
	for k := range kinds {
		b.Run(kinds[k].name, func(b *testing.B) {
			all := variants(k)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				e.run(&all[i%len(all)])
			}
		})
	}
}
