package waf

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
)

// warm runs requests such as sites get through a new engine, so that the first
// real one finds programs and states made.
func (e *Engine) warm() {
	onMatch, store := e.onMatch, e.store
	e.onMatch, e.store = nil, newStore()
	defer func() { e.onMatch, e.store = onMatch, store }()
	w := warmer{rand.New(rand.NewPCG(1, 1))}
	h := e.Wrap(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/html")
		_, _ = rw.Write([]byte("<!doctype html><html><head><title>" + w.phrase(3) + "</title></head><body class='x'><p>" + w.phrase(20) + " &amp; more.</p><script>var a = {\"b\": [1, 2]};</script></body></html>"))
	}))
	for i := range warmRequests {
		if i == warmRequests-6 { // the rest brings what requests need into the caches again
			e.ahead()
		}
		w.play(h, i)
	}
	for range warmLast {
		w.play(h, plainGET)
	}
	e.spare.Store(e.pool.Get().(*Transaction))
}

// ahead has the sets of all patterns make the states next to those that they have.
func (e *Engine) ahead() {
	for n := range e.phases {
		for _, b := range e.phases[n].batches {
			if b == nil {
				continue
			}
			m := b.programs.Load()
			if m == nil {
				continue
			}
			for _, p := range *m {
				if p.all == nil {
					continue
				}
				for a := links; a < numAlphabets; a++ {
					if s := p.all.made[a].set; s != nil {
						s.Ahead(warmNext[a])
					}
				}
			}
		}
	}
}

// warmNext are the characters that texts of an alphabet have most of.
var warmNext = [numAlphabets]string{
	links: letters,
	plain: letters,
	word:  letters,
}

const letters = "abcdefghijklmnopqrstuvwxyz"

const (
	warmRequests = 30
	warmLast     = 20 // of the kind that comes most
	plainGET     = 5  // such a request's number
)

// A warmer makes up requests.
type warmer struct{ r *rand.Rand }

// play has a handler answer a request. Rules that drop connections panic.
func (w warmer) play(h http.Handler, i int) {
	defer func() {
		if x := recover(); x != nil && x != http.ErrAbortHandler {
			panic(x)
		}
	}()
	h.ServeHTTP(&unread{http.Header{}}, w.request(i))
}

func (w warmer) request(i int) *http.Request {
	r := &http.Request{Method: "GET", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Host: "www.example.com", RemoteAddr: "192.0.2.1:40000"}
	contentType, body := "", ""
	switch i % 6 {
	case 1:
		contentType, body = "application/json", w.json()
	case 3:
		contentType, body = "application/x-www-form-urlencoded", w.form(2+w.r.IntN(5))
	}
	query := w.form(w.r.IntN(4))
	switch i % 6 {
	case 2:
		query += "&q=" + w.starts()
	case 4:
		for range 6 {
			query += "&" + w.word() + "=" + w.name()
		}
	}
	r.RequestURI = w.path() + "?" + query
	r.Header = http.Header{
		"User-Agent":                {pick(w, warmAgents)},
		"Accept":                    {pick(w, warmAccept)},
		"Accept-Language":           {pick(w, warmLanguages)},
		"Accept-Encoding":           {pick(w, warmEncodings)},
		"Referer":                   {"https://www.example.com" + w.path()},
		"Cookie":                    {w.cookies()},
		"Cache-Control":             {pick(w, []string{"no-cache", "max-age=0"})},
		"Connection":                {"keep-alive"},
		"Upgrade-Insecure-Requests": {"1"},
		"Sec-Fetch-Site":            {"same-origin"},
	}
	if body != "" {
		r.Method, r.ContentLength, r.Body = "POST", int64(len(body)), io.NopCloser(strings.NewReader(body))
		r.Header["Content-Type"], r.Header["Content-Length"] = []string{contentType}, []string{fmt.Sprint(len(body))}
	}
	return r
}

// unread is an answer that nobody reads.
type unread struct{ h http.Header }

func (u *unread) Header() http.Header         { return u.h }
func (u *unread) Write(b []byte) (int, error) { return len(b), nil }
func (u *unread) WriteHeader(int)             {}

var warmWords = strings.Fields(`the be to of in that have it for not on with he as you do at this but his by from they we say her she will my one all would there their what so up out if
about who get which go me when make can like time no just him know take people into year your good some could them see other than then now look only come its over think also back after
use two how our work first well way even new want because any these give day most us account admin api app article asset author blog book cart category check city code color comment
contact content count country customer data date delivery description detail email event field file filter gallery group home image index info item key language last limit link list locale
login mail main member menu message mobile model month name news next note number offer offset option order page parent part password payment phone photo picture plan plugin post preview
price privacy product profile project public quantity query question rating read redirect register report result review role sale search section service session setting shipping shop size
sort start state status store street style subject summary support tag team template term test text theme thumb title token topic total type update upload user value version video view week
widget width window wood yellow zone zip Quick brown fox jumps lazy dog vexed Jürgen naïve café`)

func pick(w warmer, of []string) string { return of[w.r.IntN(len(of))] }

var warmAccept = []string{
	"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
	"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
	"application/json, text/plain, */*",
	"*/*",
}

var warmLanguages = []string{"en-GB,en;q=0.9,de;q=0.8", "en-US,en;q=0.5", "de", "fr-FR,fr;q=0.8,en-US;q=0.6"}

var warmEncodings = []string{"gzip, deflate, br, zstd", "gzip, deflate, br", "gzip"}

var warmAgents = []string{
	"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:143.0) Gecko/20100101 Firefox/143.0",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1",
	"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15",
}

func (w warmer) word() string   { return warmWords[w.r.IntN(len(warmWords))] }
func (w warmer) number() string { return fmt.Sprint(w.r.IntN(1 << (4 + w.r.IntN(28)))) }

// name is a word that no dictionary has.
func (w warmer) name() string {
	const consonants, vowels = "bcdfghjklmnpqrstvwxyz", "aeiou"
	var b strings.Builder
	for range 1 + w.r.IntN(4) {
		b.WriteByte(consonants[w.r.IntN(len(consonants))])
		b.WriteByte(vowels[w.r.IntN(len(vowels))])
		if w.r.IntN(6) == 0 {
			b.WriteByte(consonants[w.r.IntN(len(consonants))])
		}
	}
	return b.String()
}

func (w warmer) cookies() string {
	switch w.r.IntN(3) {
	case 0:
		return "session=" + w.token() + "; " + w.word() + "=" + w.value() + "; _ga=GA1.2." + w.number()
	case 1:
		return w.word() + "=" + w.token()
	}
	return w.word() + "=" + w.name() + "; " + w.word() + "=" + w.number() + "; " + w.word() + "=" + w.name()
}

func (w warmer) token() string {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	n := 16
	if w.r.IntN(2) == 0 {
		n = 62 // as in hexadecimal numbers, more or less
	}
	b := make([]byte, 24)
	for i := range b {
		b[i] = digits[len(digits)-n+w.r.IntN(n)]
	}
	return string(b)
}

func (w warmer) phrase(n int) string {
	var b strings.Builder
	for i := range n {
		switch k := w.r.IntN(20); {
		case i == 0:
		case k == 0:
			b.WriteString(", ")
		case k == 1:
			b.WriteString(". ")
		case k == 2:
			b.WriteString(" - ")
		case k == 3:
			b.WriteString("\r\n")
		default:
			b.WriteByte(' ')
		}
		s := w.word()
		switch w.r.IntN(12) {
		case 0:
			s = strings.ToUpper(s[:1]) + s[1:]
		case 1:
			s += "'s"
		case 2:
			s = w.number()
		case 3:
			s = "(" + s + ")"
		}
		b.WriteString(s)
	}
	return b.String()
}

// starts is beginnings of words, such as few texts are long enough to have all of.
func (w warmer) starts() string {
	var b strings.Builder
	for range 60 {
		b.WriteString(w.name() + "+")
	}
	return b.String()
}

// value is what an argument may hold.
func (w warmer) value() string {
	switch w.r.IntN(12) {
	case 0:
		return w.token()
	case 1:
		return fmt.Sprintf("20%02d-%02d-%02dT%02d:%02d:00Z", w.r.IntN(40), 1+w.r.IntN(12), 1+w.r.IntN(28), w.r.IntN(24), w.r.IntN(60))
	case 2:
		return w.word() + "." + w.word() + "@example.com"
	case 3:
		return "https://www.example.com" + w.path()
	case 4:
		return w.word() + "_" + w.word()
	case 5:
		return fmt.Sprintf("%d.%02d", w.r.IntN(1000), w.r.IntN(100))
	case 6, 7:
		return w.number()
	case 8:
		return w.phrase(20)
	}
	return w.phrase(1 + w.r.IntN(4))
}

func (w warmer) path() string {
	var b strings.Builder
	for range 1 + w.r.IntN(3) {
		b.WriteString("/" + pick(w, []string{w.word(), w.name()}))
	}
	switch w.r.IntN(4) {
	case 0:
		b.WriteString("-" + w.word() + "-" + w.number())
	case 1:
		b.WriteString("." + [...]string{"html", "php", "js", "css", "png"}[w.r.IntN(5)])
	}
	return b.String()
}

func (w warmer) form(n int) string {
	v := url.Values{}
	for range n {
		name := w.word()
		switch w.r.IntN(6) {
		case 0:
			name += "[]"
		case 1:
			name += "_" + w.number()
		}
		v.Add(name, w.value())
	}
	return v.Encode()
}

func (w warmer) json() string {
	var items []string
	for range 1 + w.r.IntN(5) {
		items = append(items, fmt.Sprintf(`{"id":%s,%q:%q,%q:%q,"ok":true,"at":null}`, w.number(), w.word(), w.value(), w.word(), w.value()))
	}
	return `{"items":[` + strings.Join(items, ",") + `]}`
}
