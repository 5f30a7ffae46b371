package body

import (
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"sort"
	"strings"
	"testing"

	"github.com/corazawaf/coraza/v3"
	"github.com/corazawaf/coraza/v3/collection"
	"github.com/corazawaf/coraza/v3/experimental/plugins/plugintypes"
)

// A view is what rules see of a body, each line a variable with its value.
type view struct {
	lines  []string
	failed bool
}

func (v *view) add(variable, name, value string) {
	v.lines = append(v.lines, fmt.Sprintf("%s:%q=%q", variable, name, value))
}

const (
	testArgs  = 40
	testDepth = 6
)

func newCoraza(t testing.TB) coraza.WAF {
	t.Helper()
	dir, err := os.MkdirTemp("", "ringwall-body-test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	w, err := coraza.NewWAF(coraza.NewWAFConfig().WithDirectives(fmt.Sprintf(`
SecRuleEngine On
SecRequestBodyAccess On
SecArgumentsLimit %d
SecRequestBodyJsonDepthLimit %d
SecUploadDir %s
SecRule REQUEST_HEADERS:X-Kind "@streq JSON" "id:1,phase:1,pass,nolog,ctl:requestBodyProcessor=JSON"
SecRule REQUEST_HEADERS:X-Kind "@streq XML" "id:2,phase:1,pass,nolog,ctl:requestBodyProcessor=XML"
`, testArgs, testDepth, dir)))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// theirs is Coraza's view of a body.
func theirs(t testing.TB, w coraza.WAF, kind, contentType string, b []byte) view {
	t.Helper()
	tx := w.NewTransaction()
	defer tx.Close()
	tx.ProcessURI("/", "POST", "HTTP/1.1")
	tx.AddRequestHeader("Content-Type", contentType)
	tx.AddRequestHeader("X-Kind", kind)
	tx.ProcessRequestHeaders()
	if _, _, err := tx.WriteRequestBody(b); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ProcessRequestBody(); err != nil {
		t.Fatal(err)
	}
	vars := tx.(plugintypes.TransactionState).Variables()
	var v view
	for _, c := range []collection.Collection{vars.ArgsPost(), vars.RequestXML(), vars.Files(), vars.FilesNames(), vars.FilesSizes(), vars.MultipartFilename(),
		vars.MultipartFilenameCharset(), vars.MultipartFilenameLanguage(), vars.MultipartName(), vars.MultipartPartHeaders(), vars.FilesCombinedSize()} {
		for _, m := range c.FindAll() {
			v.add(m.Variable().Name(), m.Key(), m.Value())
		}
	}
	for name, s := range map[string]collection.Single{"strict": vars.MultipartStrictError(), "duplicate": vars.MultipartDuplicatePartHeader(),
		"quoting": vars.MultipartInvalidQuoting(), "limit": vars.ArgumentsLimitReached()} {
		if s.Get() == "1" {
			v.lines = append(v.lines, name)
		}
	}
	v.failed = vars.RequestBodyProcessorError().Get() == "1"
	sort.Strings(v.lines)
	return v
}

// ours is this package's view of a body.
func ours(kind, contentType string, b []byte) view {
	var v view
	var buf Buffer
	var total int64
	field := func(name, value []byte) { v.add("ARGS_POST", string(name), string(value)) }
	var err error
	truncated := false
	switch kind {
	case "JSON":
		truncated, err = JSON(b, Limits{Args: testArgs, Depth: testDepth}, &buf, field)
	case "XML":
		var attributes, texts []string
		attributes, texts, err = XML(b, Limits{})
		for _, a := range attributes {
			v.add("REQUEST_XML", "//@*", a)
		}
		for _, x := range texts {
			v.add("REQUEST_XML", "/*", x)
		}
	case "FORM":
		truncated = URLEncoded(b, '&', testArgs, &buf, field)
	default:
		var flags Flags
		sizes := map[string]int64{}
		flags, err = Multipart(b, contentType, Limits{}, false, func(p *Part) {
			if p.Broken {
				return // Coraza shows nothing of it
			}
			v.add("MULTIPART_NAME", p.Name, p.Name)
			for _, h := range p.Headers {
				v.add("MULTIPART_PART_HEADERS", p.Name, h)
			}
			for _, f := range p.Filenames {
				v.add("MULTIPART_FILENAME", p.Name, f)
			}
			if p.Extended {
				v.add("MULTIPART_FILENAME_CHARSET", p.Name, p.Charset)
				v.add("MULTIPART_FILENAME_LANGUAGE", p.Name, p.Language)
			}
			if !p.Complete {
				return
			}
			if !p.IsFile() {
				total += int64(len(p.Value))
				field([]byte(p.Name), p.Value)
				return
			}
			total += p.Size
			for _, f := range p.Filenames {
				v.add("FILES", "", f)
				sizes[f] = p.Size
			}
			v.add("FILES_NAMES", "", p.Name)
		})
		for f, n := range sizes {
			v.add("FILES_SIZES", f, fmt.Sprint(n))
		}
		for name, on := range map[string]bool{"strict": flags.StrictError, "duplicate": flags.DuplicatePartHeader, "quoting": flags.InvalidQuoting} {
			if on {
				v.lines = append(v.lines, name)
			}
		}
	}
	if truncated {
		v.lines = append(v.lines, "limit")
	}
	v.add("FILES_COMBINED_SIZE", "", fmt.Sprint(total))
	v.failed = err != nil
	sort.Strings(v.lines)
	return v
}

// compare sees that both views are one.
func compare(t *testing.T, w coraza.WAF, kind, contentType string, b []byte) {
	t.Helper()
	if len(b) == 0 {
		return // Coraza does not call a parser for it
	}
	if kind == "FORM" && sameButForCase(b) {
		return // Coraza keeps one of them, any
	}
	want, got := theirs(t, w, kind, contentType, b), ours(kind, contentType, b)
	if !reflect.DeepEqual(lowerNames(got.lines), lowerNames(want.lines)) || got.failed != want.failed {
		t.Fatalf("%s %q of %q:\ngot  failed %v\n%s\nwant failed %v\n%s", kind, contentType, b, got.failed, strings.Join(got.lines, "\n"), want.failed, strings.Join(want.lines, "\n"))
	}
}

// sameButForCase says whether a form has names that differ in case only.
func sameButForCase(b []byte) bool {
	seen := map[string]string{}
	found := false
	URLEncoded(b, '&', 0, &Buffer{}, func(name, _ []byte) {
		k := strings.ToLower(string(name))
		if before, ok := seen[k]; ok && before != string(name) {
			found = true
		}
		seen[k] = string(name)
	})
	return found
}

// lowerNames undoes that Coraza gives some names as they were first written.
func lowerNames(lines []string) []string {
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = strings.ToLower(l)
	}
	sort.Strings(out)
	return out
}

var jsonPieces = []string{"{", "}", "[", "]", ",", ":", `"a"`, `"b.c"`, `"\u0041\n\""`, `"\ud83d\ude00"`, `"\ud83d"`, `"\ud83dx\u0041"`, "1", "-0.5e+3", "01", "true", "false", "null", "nul", " ", "\n",
	`"`, `\`, `{"a":1}`, `[1,2]`, `{"k":[{"x":"y"},[]]}`, "é", "\xff", "\x01", `"é\/"`, `{}`, "[[", "]]", "-", "NaN", "+1"}

var multipartPieces = []string{"--xx\r\n", "--xx--\r\n", "--xx", "\r\n", "\n", "Content-Disposition: form-data; name=\"a\"\r\n\r\n", "Content-Disposition: form-data; name=\"f\"; filename=\"x.php\"\r\n\r\n",
	"Content-Disposition: form-data; name=f; filename=\"d.txt\"; filename*=utf-8'en'%e2%82%ac.php\r\n\r\n", "Content-Disposition: form-data; name=f; filename*=\"iso-8859-1''a%zz.jsp\"\r\n\r\n",
	"Content-Disposition: form-data; name=f; filename*=nonsense; filename=q\r\n\r\n", "Content-Disposition: form-data; name=f; filename*0=a; filename*1=b.php\r\n\r\n",
	"Content-Disposition: form-data; name=f; filename=a; filename=b\r\n\r\n", "Content-Disposition: form-data; name=f; filename*0*=utf-8''a; filename=\"c\\\"d\"\r\n\r\n", "Content-Disposition: ;;\r\n\r\n",
	"Content-Type: text/plain\r\n", "Content-Type: text/html\r\n", "Content-Transfer-Encoding: quoted-printable\r\n", "=41=zz", "data", "X-A : b\r\n", " folded\r\n", "\x00", "é"}

var xmlPieces = []string{"<a>", "</a>", "<b c='d' e=\"f&lt;\">", "</b>", "text", " ", "&amp;", "&nbsp;", "&bogus;", "<!-- c -->", "<![CDATA[x<y]]>", "<?xml version='1.0'?>", "<?xml version='1.0' encoding='latin1'?>", "<br>", "<a", "<", ">", "\xff", "<n:a n:b='c'/>", "<!DOCTYPE x [<!ENTITY y 'z'>]>", "&y;"}

var formPieces = []string{"a", "=", "&", "%41", "%4", "+", "%zz", "b=c", "&&", "é", "\x00", ";", "a=1&a=2"}

func random(r *rand.Rand, pieces []string, most int) []byte {
	var b []byte
	for range r.IntN(most) {
		b = append(b, pieces[r.IntN(len(pieces))]...)
	}
	return b
}

func TestSameAsCoraza(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	w := newCoraza(t)
	for range 4000 {
		compare(t, w, "JSON", "application/json", random(r, jsonPieces, 12))
		compare(t, w, "XML", "text/xml", random(r, xmlPieces, 10))
		compare(t, w, "FORM", "application/x-www-form-urlencoded", random(r, formPieces, 12))
		compare(t, w, "", "multipart/form-data; boundary=xx", append([]byte("--xx\r\n"), random(r, multipartPieces, 10)...))
	}
	for _, ct := range []string{"multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=xx; boundary=yy", "multipart/form-data; boundary=\"xx\""} {
		compare(t, w, "", ct, []byte("--xx\r\nContent-Disposition: form-data; name=a\r\n\r\nb\r\n--xx--\r\n"))
	}
	for _, s := range []string{`"text"`, ` 12 `, "null", "true", "[]", "{}", `[[[[[[1]]]]]]`, `[[[[[[[1]]]]]]]`, `{"a":` + strings.Repeat("[", 20) + "1",
		"[" + strings.Repeat("1,", 39) + "1]", "[" + strings.Repeat("1,", 40) + "1]", "[" + strings.Repeat("[1],", 45) + "1]", "[" + strings.Repeat("{},", 45) + "[2]]", "[" + strings.Repeat("[{}],", 45) + "1]",
		`{"` + strings.Repeat("x", 300) + `":[` + strings.Repeat("{},", 30) + `[` + strings.Repeat("1,", 30) + `1]]}`} {
		compare(t, w, "JSON", "application/json", []byte(s))
	}
}

func FuzzSameAsCoraza(f *testing.F) {
	w := newCoraza(f)
	for i, pieces := range [][]string{jsonPieces, xmlPieces, formPieces, multipartPieces} {
		for _, p := range pieces {
			f.Add(uint8(i), []byte(p))
		}
	}
	f.Add(uint8(0), []byte(`{"a":[1,{"b":"\u0041"},null],"c":{"d":true}}`))
	f.Add(uint8(1), []byte(`<?xml version="1.0"?><a b="c">d<!-- --><e/>&lt;</a>`))
	f.Add(uint8(3), []byte("--xx\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\nhello\r\n--xx--\r\n"))
	f.Fuzz(func(t *testing.T, kind uint8, b []byte) {
		switch kind % 4 {
		case 0:
			compare(t, w, "JSON", "application/json", b)
		case 1:
			compare(t, w, "XML", "text/xml", b)
		case 2:
			compare(t, w, "FORM", "application/x-www-form-urlencoded", b)
		case 3:
			compare(t, w, "", "multipart/form-data; boundary=xx", b)
		}
	})
}
