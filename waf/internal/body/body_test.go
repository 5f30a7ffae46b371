package body

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestLimits(t *testing.T) {
	part := "--xx\r\nContent-Disposition: form-data; name=a\r\n\r\n0123456789\r\n"
	file := "--xx\r\nContent-Disposition: form-data; name=a; filename=b\r\n\r\n0123456789\r\n"
	for _, c := range []struct {
		name string
		body string
		l    Limits
		what string // "" is within the limits
	}{
		{"parts", strings.Repeat(part, 3), Limits{Parts: 3}, ""},
		{"parts", strings.Repeat(part, 4), Limits{Parts: 3}, "parts"},
		{"files", strings.Repeat(file, 2) + strings.Repeat(part, 4), Limits{Files: 2}, ""},
		{"files", strings.Repeat(file, 3), Limits{Files: 2}, "files"},
		{"fields", strings.Repeat(part, 4), Limits{Fields: 40}, ""},
		{"fields", strings.Repeat(part, 4) + file, Limits{Fields: 39}, "bytes in fields"},
		{"files are no fields", strings.Repeat(file, 9), Limits{Fields: 1}, ""},
	} {
		_, err := Multipart([]byte(c.body+"--xx--\r\n"), "multipart/form-data; boundary=xx", c.l, false, func(*Part) {})
		l, _ := errors.AsType[*LimitError](err)
		if c.what == "" && err != nil || c.what != "" && (l == nil || l.What != c.what) {
			t.Errorf("%s: got %v, want a limit of %q", c.name, err, c.what)
		}
	}
	if _, _, err := XML([]byte("<a><b><c>"), Limits{Depth: 2}); err == nil {
		t.Error("XML of three levels: got no error, want one for a depth of two")
	}
	if _, texts, err := XML([]byte("<a><b>x</b><c>y</c></a>"), Limits{Depth: 2}); err != nil || len(texts) != 2 {
		t.Errorf("XML of two levels: got %q, %v", texts, err)
	}
}

// TestBrokenHeaders sees that rules are shown what made the reading end.
func TestBrokenHeaders(t *testing.T) {
	b := "--xx\r\nContent-Disposition: form-data; name=a\r\n\r\nb\r\n--xx\r\n\x0eContent-Disposition: form-data; name=f; filename=1.php\r\nX: y\r\n\r\ndata\r\n--xx--\r\n"
	var got []string
	_, err := Multipart([]byte(b), "multipart/form-data; boundary=xx", Limits{}, false, func(p *Part) {
		if p.Broken {
			got = append(got, p.Headers...)
		}
	})
	if want := []string{"\x0eContent-Disposition: form-data; name=f; filename=1.php", "X: y"}; err == nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q and an error", got, err, want)
	}
}

func TestValidIsJSON(t *testing.T) {
	for _, s := range append(jsonPieces, "", " ", `{"a":1,}`, `[1,]`, `[,]`, `{,}`, `{"a"}`, `{"a":}`, `[1 2]`, `{"a":1 "b":2}`, `[}`, `{]`, `[[]`, `[]]`, `"\u00g0"`, `"\x"`, `1.`, `1e`, `.5`, `-`, `00`, `tru`, "\"\t\"",
		strings.Repeat("[", 9000)+strings.Repeat("]", 9000), strings.Repeat(`{"a":[`, 4000)+"1"+strings.Repeat("]}", 4000)) {
		if got, want := validJSON([]byte(s), 1<<30, &Buffer{}), json.Valid([]byte(s)); got != want {
			t.Errorf("%.40q: got %v, want %v", s, got, want)
		}
	}
}

// TestTimeIsLinear gives bodies made to be read slowly.
func TestTimeIsLinear(t *testing.T) {
	const size = 1 << 20
	for name, b := range map[string][]byte{
		"leaves of one character": []byte("[" + strings.Repeat("1,", size/2) + "1]"),
		"deep and broken":         []byte(strings.Repeat(`{"a":`, size/5)),
		"deep arrays":             []byte(strings.Repeat("[", size)),
		"one open string":         []byte(`["` + strings.Repeat(`\"`, size/2)),
		"deep then long":          []byte(strings.Repeat("[", 1000) + strings.Repeat("1,", size/2)),
		"keys of escapes":         []byte(`{"` + strings.Repeat(`\u0041`, size/6) + `":1}`),
	} {
		var buf Buffer
		began := time.Now()
		_, _ = JSON(b, Limits{Args: 1000, Depth: 1024}, &buf, func(_, _ []byte) {})
		if d := time.Since(began); d > time.Second {
			t.Errorf("%s: %d bytes took %v", name, len(b), d)
		}
	}
}

func TestAllocatesLittle(t *testing.T) {
	doc := []byte(`{"items":[` + strings.Repeat(`{"id":12,"name":"a thing","note":"it\u0027s"},`, 9) + `{"last":null}]}`)
	form := []byte(strings.Repeat("name=a+value%21&", 20))
	var buf Buffer
	n := 0
	count := func(name, value []byte) { n += len(name) + len(value) }
	if a := testing.AllocsPerRun(50, func() { buf.Reset(); _, _ = JSON(doc, Limits{Args: 1000, Depth: 100}, &buf, count) }); a > 0 {
		t.Errorf("JSON: got %v allocations, want none", a)
	}
	if a := testing.AllocsPerRun(50, func() { buf.Reset(); URLEncoded(form, '&', 0, &buf, count) }); a > 0 {
		t.Errorf("form: got %v allocations, want none", a)
	}
}

func TestBuffer(t *testing.T) {
	var buf Buffer
	var all [][]byte
	for i := range 3000 {
		s := bytes.Repeat([]byte{byte(i)}, i%90)
		b := append(buf.take(len(s)+i%7), s...)
		buf.back(len(s)+i%7, b)
		all = append(all, b)
	}
	for i, b := range all {
		if !bytes.Equal(b, bytes.Repeat([]byte{byte(i)}, i%90)) {
			t.Fatalf("slice %d was written over: %q", i, b)
		}
	}
}
