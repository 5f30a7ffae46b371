package waf_test

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"

	coreruleset "github.com/corazawaf/coraza-coreruleset/v4"

	"github.com/ringwall/ringwall/waf"
)

// core is the core rule set as a site runs it.
const core = `Include @coraza.conf-recommended
SecRuleEngine On
SecResponseBodyAccess Off
Include @crs-setup.conf.example
Include @owasp_crs/*.conf
`

// A sample is one request of a benchmark.
type sample struct {
	method, uri, kind, body string
}

var words = strings.Fields("order copper house garden blue running shoes price update chair lamp garden summer user name page list kitchen table red large delivery status open closed report monthly summary team photo gallery event calendar shipping card message reading group forest river mountain bridge window")

func phrase(r *rand.Rand, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(words[r.IntN(len(words))])
	}
	return b.String()
}

// samples makes requests of one kind that all differ.
func samples(kind string, n int) []sample {
	r := rand.New(rand.NewPCG(7, uint64(len(kind))))
	var out []sample
	for i := range n {
		switch kind {
		case "get":
			out = append(out, sample{"GET", fmt.Sprintf("/%s/%s-%d?q=%s&page=%d&sort=%s_asc", words[r.IntN(len(words))], words[r.IntN(len(words))], i,
				url.QueryEscape(phrase(r, 3)), r.IntN(90), words[r.IntN(len(words))]), "", ""})
		case "json":
			var items []string
			for range 9 {
				items = append(items, fmt.Sprintf(`{"id":%d,"name":%q,"note":%q,"price":%d.%02d}`, r.IntN(100000), phrase(r, 2), phrase(r, 8), r.IntN(900), r.IntN(100)))
			}
			out = append(out, sample{"POST", fmt.Sprintf("/api/orders/%d", i), "application/json", `{"order":` + fmt.Sprint(i) + `,"items":[` + strings.Join(items, ",") + "]}"})
		case "form":
			v := url.Values{}
			for k := range 11 {
				v.Set(fmt.Sprintf("field_%d", k), phrase(r, 6))
			}
			v.Set("message", phrase(r, 200))
			out = append(out, sample{"POST", fmt.Sprintf("/contact/%d", i), "application/x-www-form-urlencoded", v.Encode()})
		case "attack":
			a := []string{"1' OR '1'='1", "-1 UNION SELECT user,pass FROM users", "1; DROP TABLE x--", "' or 1=1#", "1' AND SLEEP(5)--"}
			out = append(out, sample{"GET", fmt.Sprintf("/item?id=%s&n=%d", url.QueryEscape(a[r.IntN(len(a))]+phrase(r, 1)), i), "", ""})
		}
	}
	return out
}

func (s *sample) run(tx *waf.Transaction) *waf.Interruption {
	tx.ProcessConnection("192.0.2.7", 40000, "192.0.2.1", 443)
	tx.ProcessURI(s.uri, s.method, "HTTP/1.1")
	tx.SetServerName("www.example.com")
	for _, h := range [...][2]string{
		{"Host", "www.example.com"}, {"User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"},
		{"Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}, {"Accept-Language", "en-GB,en;q=0.7"},
		{"Accept-Encoding", "gzip, deflate, br"}, {"Referer", "https://www.example.com/blog/a-page"}, {"Connection", "keep-alive"},
		{"Cookie", "session=8f14e45fceea167a5a36dedd4bea2543; theme=dark; _ga=GA1.2.1.2"},
		{"Sec-Fetch-Mode", "navigate"}, {"Sec-Fetch-Site", "same-origin"}, {"Upgrade-Insecure-Requests", "1"},
	} {
		tx.AddRequestHeader(h[0], h[1])
	}
	if s.body != "" {
		tx.AddRequestHeader("Content-Type", s.kind)
		tx.AddRequestHeader("Content-Length", fmt.Sprint(len(s.body)))
	}
	if it := tx.ProcessRequestHeaders(); it != nil {
		return it
	}
	if s.body != "" {
		if it, _, _ := tx.WriteRequestBody([]byte(s.body)); it != nil {
			return it
		}
	}
	if it, _ := tx.ProcessRequestBody(); it != nil {
		return it
	}
	tx.AddResponseHeader("Content-Type", "text/html")
	if it := tx.ProcessResponseHeaders(200, "HTTP/1.1"); it != nil {
		return it
	}
	it, _ := tx.ProcessResponseBody()
	return it
}

func coreEngine(t testing.TB) *waf.Engine {
	t.Helper()
	e, err := waf.Compile(coreruleset.FS, waf.Directives(core))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func BenchmarkTransaction(b *testing.B) {
	e := coreEngine(b)
	for _, kind := range []string{"get", "json", "form", "attack"} {
		b.Run(kind, func(b *testing.B) {
			all := samples(kind, 400)
			b.ReportAllocs()
			blocked := 0
			for i := 0; b.Loop(); i++ {
				tx := e.NewTransaction()
				if all[i%len(all)].run(tx) != nil {
					blocked++
				}
				tx.ProcessLogging()
				_ = tx.Close()
			}
			b.ReportMetric(float64(blocked)/float64(b.N), "blocked/op")
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		coreEngine(b)
	}
}
