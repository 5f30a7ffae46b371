//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
)

// words makes text that is the same in every run and never the same twice in one.
type words struct{ r *rand.Rand }

func newWords(seed uint64) *words { return &words{rand.New(rand.NewPCG(seed, 7))} }

var syllables = strings.Fields("ba be bi bo bu da de di do du ka ke ki ko ku la le li lo lu ma me mi mo mu na ne ni no nu ra re ri ro ru sa se si so su ta te ti to tu va ve vi vo vu")

func (w *words) word() string {
	var b strings.Builder
	for range 2 + w.r.IntN(3) {
		b.WriteString(syllables[w.r.IntN(len(syllables))])
	}
	return b.String()
}

func (w *words) words(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = w.word()
	}
	return out
}

// sentence is plain text of at least n bytes.
func (w *words) sentence(n int) string {
	var b strings.Builder
	for b.Len() < n {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(w.word())
		if w.r.IntN(12) == 0 {
			b.WriteByte('.')
		}
	}
	return b.String()
}

// attack is an injection of SQL, escaped for a query.
func (w *words) attack() string {
	n := w.r.IntN(1000)
	return url.QueryEscape([]string{
		fmt.Sprintf("%s' OR '%d'='%d", w.word(), n, n),
		fmt.Sprintf("%d UNION SELECT %s,%s FROM %s--", n, w.word(), w.word(), w.word()),
		fmt.Sprintf("%s'; DROP TABLE %s; --", w.word(), w.word()),
		fmt.Sprintf("%d AND SLEEP(%d)", n, 1+n%9),
	}[w.r.IntN(4)])
}

// kinds are the four kinds of request of the WAF's figures, 400 variants of each.
var kinds = []struct {
	name    string
	blocked bool
	make    func(w *words, host string) []byte
}{
	{"GET, 3 arguments", false, func(w *words, host string) []byte {
		return w.request(host, "GET", "/page?id="+fmt.Sprint(w.r.IntN(1e6))+"&q="+w.word()+"+"+w.word()+"&sort="+w.word(), "", "")
	}},
	{"JSON, 1 KB", false, func(w *words, host string) []byte {
		var items []string
		for i := 0; i < 9; i++ {
			items = append(items, fmt.Sprintf(`{"id":%d,"name":"%s","text":"%s","tags":"%s"}`, w.r.IntN(1e6), w.word(), w.sentence(40), w.word()))
		}
		return w.request(host, "POST", "/api/items", "application/json", `{"title":"`+w.sentence(30)+`","items":[`+strings.Join(items, ",")+`]}`)
	}},
	{"form, 2 KB", false, func(w *words, host string) []byte {
		v := url.Values{"text": {w.sentence(1340)}}
		for range 11 {
			v.Set(w.word(), w.sentence(30))
		}
		return w.request(host, "POST", "/form", "application/x-www-form-urlencoded", v.Encode())
	}},
	{"attack in an argument", true, func(w *words, host string) []byte {
		return w.request(host, "GET", "/page?q="+w.attack()+"&sort="+w.word(), "", "")
	}},
}

const variants = 400

// variantsOf writes a kind's requests, all different. A host is a name, as browsers ask for:
// a rule counts numbers against a request.
func variantsOf(kind int, host string) [][]byte {
	w := newWords(uint64(kind) + 1)
	out := make([][]byte, variants)
	for i := range out {
		out[i] = kinds[kind].make(w, host)
	}
	return out
}

func (w *words) request(host, method, uri, contentType, body string) []byte {
	b := fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n"+
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-GB,en;q=0.7\r\nAccept-Encoding: gzip, deflate, br\r\n"+
		"Referer: https://%s/%s\r\nCookie: theme=%s; visit=%d; basket=%s\r\nCache-Control: max-age=0\r\nUpgrade-Insecure-Requests: 1\r\nDnt: 1\r\n",
		method, uri, host, host, w.word(), w.word(), w.r.IntN(1000), w.word())
	if method == "POST" {
		b = fmt.Appendf(b, "Origin: https://%s\r\nContent-Type: %s\r\nContent-Length: %d\r\n", host, contentType, len(body))
	}
	return append(append(b, "\r\n"...), body...)
}
