package difftest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/ringwall/ringwall/waf/ftw"
)

// odd makes a request that readers take apart differently: each has an attack or
// a plain value in a notation that a standard does not know, or knows and few use.
func (g *generator) odd() request {
	r := g.request("GET", g.oddURI(), "", "")
	switch g.IntN(9) {
	case 0, 1:
		b, ct := g.oddParts()
		g.post(&r, ct, b)
	case 2, 3:
		g.post(&r, g.oddType("json"), g.oddJSON())
	case 4:
		g.post(&r, g.oddType("xml"), g.oddXML())
	case 5:
		g.post(&r, g.oddType("form"), []byte(g.oddForm()))
	case 6:
		g.post(&r, g.oddType(""), g.pickBytes(g.oddJSON(), g.oddXML(), []byte(g.oddForm()), []byte(g.value())))
	}
	for range g.IntN(3) {
		g.oddHeader(&r)
	}
	if g.one(12) {
		r.Answer = g.oddAnswer()
	}
	return r
}

func (g *generator) pickBytes(list ...[]byte) []byte { return list[g.IntN(len(list))] }

// inLine is a text as it can stand in a header.
func inLine(s string) string { return strings.NewReplacer("\r", "", "\n", "", "\x00", "").Replace(s) }

func (g *generator) oddURI() string {
	path := g.pick("/", "/a;b=c/d", "/a;jsessionid=1?x", "//host/a", "/a//b", "/a/./b", "/a/../../b", "/%2e%2e/%2e%2e/x", "/%252e%252e/x", "/..;/x", "/a\\b", "/a%5cb", "/a%00b",
		"/%c0%ae%c0%ae/", "/%e0%80%ae/x", "/%u002e%u002e/", "/é", "/%ff%fe", "/a%0d%0ab", "/index.php/"+g.word(), "/a.php/.", "/A.PHP", "/a.php%20", "/a.php::$DATA", "/"+strings.Repeat("a/", g.IntN(60)),
		"http://www.example.com/a", "http://u:p@h/", "/a b", "/%", "/%4", "/%zz", "/~", "*", "/a#b", "/"+strings.Repeat("../", g.IntN(9))+"etc/passwd", "/.", "/..", "/.%00.", "?a=b", "")
	switch g.IntN(4) {
	case 0:
		return path
	case 1:
		return path + "?" + g.query()
	}
	return path + "?" + g.oddForm()
}

// oddForm is a query or a form.
func (g *generator) oddForm() string {
	var b strings.Builder
	for i := range 1 + g.IntN(5) {
		if i > 0 {
			b.WriteString(g.pick("&", "&", "&", "&&", ";", "&amp;", "&;", "%26"))
		}
		name, value := url.QueryEscape(g.name()), url.QueryEscape(g.value())
		switch g.IntN(14) {
		case 0:
			value = g.oddEscapes(g.attackFrom())
		case 1:
			value = url.QueryEscape(value)
		case 2:
			name = g.pick("a[b][c]", "a[]", "a[", "a]", "[]", "a%5b%5d", "a.b", "a b", "%00a", "a%00", " a", "+a", "é", "%e9", "a%zz", "GLOBALS", "_SESSION[x]", strings.Repeat("n", 90+g.IntN(30)))
		case 3:
			name, value = "", value+"="+value
		case 4:
			value = strings.Repeat("%20", g.IntN(30)) + value
		case 5:
			value = strings.Repeat("a", 390+g.IntN(30)) + value
		case 6:
			name = g.oddEscapes(g.attackFrom())
		case 7:
			b.WriteString(name)
			continue
		case 8:
			value = "%" + value + "%"
		case 9:
			if g.one(4) {
				b.WriteString(strings.Repeat("a=1&", 250+g.IntN(10)))
			}
		case 10:
			if g.one(6) {
				b.WriteString(strings.Repeat("a=1&", 995+g.IntN(10)))
			}
		}
		b.WriteString(name + "=" + value)
	}
	return b.String()
}

// oddEscapes writes a text with escapes of several kinds.
func (g *generator) oddEscapes(s string) string {
	var b strings.Builder
	for i := range min(len(s), 300) {
		c := s[i]
		switch g.IntN(12) {
		case 0:
			fmt.Fprintf(&b, "%%%02x", c)
		case 1:
			fmt.Fprintf(&b, "%%25%02X", c)
		case 2:
			fmt.Fprintf(&b, "%%u00%02x", c)
		case 3:
			fmt.Fprintf(&b, "%%uff%02x", c-0x20) // full width
		case 4:
			fmt.Fprintf(&b, "%%c%x%%%02x", c>>6, c&0x3f|0x80) // overlong
		case 5:
			fmt.Fprintf(&b, "%%e0%%%02x%%%02x", c>>6|0x80, c&0x3f|0x80)
		case 6:
			fmt.Fprintf(&b, "%%26%%23x%x;", c)
		case 7:
			fmt.Fprintf(&b, "%s", url.QueryEscape(string(rune(0xfee0)+rune(c))))
		default:
			b.WriteString(url.QueryEscape(s[i : i+1]))
		}
		if g.one(60) {
			b.WriteString(g.pick("%00", "%0a", "%0d", "%09", "%0b", "%0c", "%a0", "%c2%a0", "%e2%80%8b", "%ef%bb%bf", "+"))
		}
	}
	return b.String()
}

// oddType is a content type for a kind of body, or for any.
func (g *generator) oddType(kind string) string {
	t := g.pick("application/json", "application/x-www-form-urlencoded", "text/xml", "text/plain", "", "*/*", "text/json", "application/octet-stream")
	switch kind {
	case "json":
		t = g.pick("application/json", "application/json", "APPLICATION/JSON", "application/vnd.api+json", " application/json", "application/json ", "application/jsonp", "application/x-json", "application/ld+json; profile=x")
	case "xml":
		t = g.pick("text/xml", "application/xml", "TEXT/XML", "application/soap+xml", "application/atom+xml", "image/svg+xml", "text/html")
	case "form":
		t = g.pick("application/x-www-form-urlencoded", "application/x-www-form-urlencoded", "Application/X-WWW-Form-Urlencoded", " application/x-www-form-urlencoded", "application/x-www-form-urlencoded2", "x-www-form-urlencoded")
	}
	return t + g.pick("", "", "", "", ";", "; charset=utf-8", ";charset=UTF-8", "; charset=utf-7", "; charset=ibm037", "; charset=\"utf-16\"", "; charset=utf-8; charset=utf-7", ", text/plain", "; boundary=x", ";a=b", "\t", "; charset='utf-8'")
}

func (g *generator) oddJSON() []byte {
	s := jsonText(g.value())
	doc := g.pick(
		`{"a":`+s+`,"a":"x"}`, `{"a":"x","a":`+s+`}`, `{"a":{"b":`+s+`},"a.b":1}`, `["x",`+s+`,[`+s+`]]`, s, `[]`, `{}`, `null`, `true`, `-0`, `1e999`, `[1,2,3,`+s+`]`,
		`{"":`+s+`}`, `{"a":`+s+`,}`, `{"a":`+s+`}{"b":1}`, `{"a":`+s+`}x`, `{'a':'b'}`, `{a:`+s+`}`, `{"a":NaN,"b":`+s+`}`, `/* c */{"a":`+s+`}`, `{"a":`+s+`//x`+"\n}", `{"a":01,"b":`+s+`}`,
		`{"a":12345678901234567890123,"b":1.0E+2,"c":`+s+`}`, `{"a":"\ud83d","b":"\udc00\ud83d","c":`+s+`}`, `{"a":"\u0000","b":`+s+`}`, "{\"a\":\"\x01\",\"b\":"+s+"}", "{\"a\":\"\xff\xfe\",\"b\":"+s+"}",
		`{`+s+`:1}`, `{`+s+`:`+s+`}`, `{"\u0061":`+s+`,"a":2}`, `{"a":[{"b":[{"c":`+s+`}]}]}`, `{"a":`+s, `{"a":"x`, `[[[[[[[[`+s+`]]]]]]]]`, strings.Repeat(`{"a":`, g.IntN(40))+s+strings.Repeat("}", g.IntN(40)),
		strings.Repeat("[", 1022+g.IntN(5))+s+strings.Repeat("]", 1024), `[`+strings.Repeat("1,", 990+g.IntN(20))+s+`]`, "\u2028"+s, " \n\t"+s+"\r\n", `{"json":{"0":`+s+`}}`, `{"__proto__":{"x":`+s+`}}`, `{"$where":`+s+`}`)
	switch g.IntN(12) {
	case 0:
		return append([]byte("\xef\xbb\xbf"), doc...)
	case 1:
		return inUTF16(doc, binary.BigEndian, g.one(2))
	case 2:
		return inUTF16(doc, binary.LittleEndian, g.one(2))
	case 3:
		var b strings.Builder
		for _, c := range doc {
			if c > ' ' && c != '"' && c != '{' && c != '}' && c != '[' && c != ']' && c != ':' && c != ',' && c < 0x10000 && g.one(3) && c != '\\' {
				fmt.Fprintf(&b, `\u%04x`, c)
			} else {
				b.WriteRune(c)
			}
		}
		return []byte(b.String())
	}
	return []byte(doc)
}

// jsonText is a string of JSON; bytes that are not UTF-8 stay.
func jsonText(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ':
			fmt.Fprintf(&b, `\u%04x`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

func inUTF16(s string, order binary.AppendByteOrder, mark bool) []byte {
	if mark {
		s = "\ufeff" + s
	}
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = order.AppendUint16(b, u)
	}
	return b
}

func (g *generator) oddXML() []byte {
	v := g.value()
	plain := strings.NewReplacer("<", "&lt;", "&", "&amp;", `"`, "&quot;").Replace(v)
	doc := g.pick(
		`<a b="`+plain+`">`+plain+`</a>`, `<a b='`+plain+`'/>`, `<a b=`+plain+`>x</a>`, `<a><![CDATA[`+v+`]]></a>`, `<!-- `+v+` --><a/>`, `<a><!--`+v+`--></a>`, `<?x `+v+`?><a/>`,
		`<!DOCTYPE a [<!ENTITY b "`+plain+`">]><a>&b;</a>`, `<!DOCTYPE a SYSTEM "`+plain+`"><a/>`, `<!DOCTYPE a [<!ENTITY % p SYSTEM "http://x/">%p;]><a/>`, `<a>&undefined;`+plain+`</a>`, `<a>&#60;script&#62;`+plain+`</a>`, `<a>&#x3c;`+plain+`&#0;</a>`,
		`<x:a xmlns:x="`+plain+`" x:b="`+plain+`"/>`, `<a>`+plain, `<a><b>`+plain+`</a></b>`, `<A>`+plain+`</a>`, `<br>`+plain+`<p>`+plain, `<a b b="`+plain+`"/>`, `<a b="`+plain+`" b="2"/>`, plain, `<`+plain+`/>`, `<a `+plain+`="1"/>`,
		`<?xml version="1.0" encoding="utf-16"?><a>`+plain+`</a>`, `<?xml version="1.0" encoding="iso-8859-1"?><a>`+plain+`</a>`, `<?xml version="1.1"?><a>`+plain+`</a>`, `<a/><b>`+plain+`</b>`, `<a/>`+plain, "<a\n\tb\r=\n\""+plain+"\"\n>"+plain+"</a\n>", `<a b="<c>">`+plain+`</a>`, `<a>]]>`+plain+`</a>`, `<a>`+v+`</a>`, `<a b="`+v+`"/>`, "<a>\x00"+plain+"</a>")
	switch g.IntN(10) {
	case 0:
		return append([]byte("\xef\xbb\xbf"), doc...)
	case 1:
		return inUTF16(doc, binary.BigEndian, true)
	}
	return []byte(doc)
}

// oddParts is a multipart body with its content type.
func (g *generator) oddParts() ([]byte, string) {
	boundary := g.pick("xx", "----WebKitFormBoundary7MA4YWxkTrZu0gW", "a b", "=", "a'b", "--", "a/b", strings.Repeat("b", 68+g.IntN(6)), "é", "x;y", "")
	line := g.pick("\r\n", "\r\n", "\r\n", "\r\n", "\n", "\r")
	var b bytes.Buffer
	if g.one(6) {
		b.WriteString(g.pick("preamble", g.value(), "--"+boundary+"x", line) + line)
	}
	for range 1 + g.IntN(4) {
		b.WriteString("--" + boundary + g.pick("", "", "", "", "", " ", "\t", "x", "-") + line)
		name, value := strings.NewReplacer("\r", "", "\n", "", `"`, `\"`).Replace(g.name()), g.value()
		disposition := g.pick(
			`form-data; name="`+name+`"`, `form-data; name="`+name+`"`, `form-data; name=`+name, `form-data; name='`+name+`'`, `form-data;name="`+name+`"`, `FORM-DATA; NAME="`+name+`"`, `form-data; name*=utf-8''`+url.PathEscape(name), `form-data; name="a"; name="`+name+`"`,
			`form-data`, `attachment; name="`+name+`"`, `form-data; name=""`, `form-data; name="a"; filename=""`, `form-data; name="a"; filename="x.php"`, `form-data; name="a"; filename=x.php`, `form-data; name="a"; filename="x.jpg"; filename="x.php"`,
			`form-data; name="a"; filename="x.jpg"; filename*=utf-8''x.php`, `form-data; name="a"; filename*="utf-8''x.php"`, `form-data; name="a"; filename*=utf-16''%00x`, `form-data; name="a"; filename*0="x."; filename*1="php"`, `form-data; name="a"; filename*0*=utf-8''x; filename*1=".php"`,
			`form-data; name="a"; filename="a\"b.php"`, `form-data; name="a"; filename="a;b.php"`, `form-data; name="a"; filename="..\..\x.php"`, "form-data; name=\"a\"; filename=\"x.php\x00.jpg\"", `form-data; name="a"; FileName="x.phtml"`, `form-data; name="a"; filename ="x.php"`, `form-data; name="a"; filename= "x.php"`,
			`form-data; filename="x.php"; name="a"`, `form-data; name="a" filename="x.php"`, `form-data; name="a";; filename="x.php"`, `form-data; name="a"; filename="`+inLine(value)+`"`, `form-data; name="`+inLine(value)+`"`, `name="a"`, `form-data; name="a`, `form-data; name=a"b`, `form-data; name="\a"`)
		b.WriteString(g.pick("Content-Disposition: ", "Content-Disposition: ", "Content-Disposition: ", "content-disposition:", "CONTENT-DISPOSITION :", " Content-Disposition: ", "Content-Disposition:\t", "Content_Disposition: "))
		if g.one(12) {
			disposition = strings.Replace(disposition, "; ", ";"+line+g.pick(" ", "\t"), 1)
		}
		b.WriteString(disposition)
		if g.one(4) {
			b.WriteString(line + g.pick("Content-Type: text/plain", "Content-Type: text/plain; charset=utf-7", "Content-Type: multipart/mixed; boundary=yy", "Content-Transfer-Encoding: base64", "Content-Transfer-Encoding: quoted-printable", "Content-Disposition: form-data; name=\"b\"", "Content-Type: text/html\r\nContent-Type: text/plain",
				"X: "+inLine(g.value()), "X-No-Colon", ":", "X\x00: y", "Content-Length: 3", "X: "+strings.Repeat("y", 900+g.IntN(200))))
		}
		b.WriteString(line + g.pick(line, line, line, line, line, "", "\n") + value + line)
	}
	b.WriteString(g.pick("--"+boundary+"--"+line, "--"+boundary+"--", "--"+boundary+"--"+line+g.value(), "--"+boundary, "", "--"+boundary+"-- ", "--"+boundary+"--"+line+"--"+boundary+"--"+line, "--"+boundary+" --"))
	written := g.pick(boundary, boundary, `"`+boundary+`"`, `"`+boundary+`"`, boundary+"; boundary=yy", `"`+boundary+`"; charset=utf-8`, " "+boundary, boundary+" ", `"`+boundary, boundary+`,x`)
	ct := g.pick("multipart/form-data", "multipart/form-data", "multipart/form-data", "Multipart/Form-Data", "multipart/mixed", "multipart/related", "multipart/form-data ", "multipart/form-datax") + g.pick("; ", "; ", ";", " ;", ", ", ";; ") + g.pick("boundary=", "boundary=", "boundary=", "Boundary=", "boundary =", "BOUNDARY=", "xboundary=", "charset=utf-8; boundary=")
	return b.Bytes(), ct + written
}

func (g *generator) oddHeader(r *request) {
	add := func(name, value string) { r.Headers = append(r.Headers, header(name, inLine(value))) }
	v := g.value()
	switch g.IntN(16) {
	case 0:
		add("Cookie", g.pick(`a="`+v+`"`, `a=`+v+`; a=2`, `$Version=1; a=`+v, `a`, `=`+v, `a=b,c=`+v, `;;a=`+v+`;`, "\ta = "+v+" ", `a="b;c="`, `é=`+v, `a==`+v, v, url.QueryEscape(v)+"=1", `a="unclosed `+v, strings.Repeat("a=1;", g.IntN(50))+"b="+v))
	case 1:
		add("Content-Type", g.oddType(g.pick("json", "xml", "form", "")))
	case 2:
		add("Content-Encoding", g.pick("gzip", "deflate", "br", "identity", "gzip, gzip", "x-gzip"))
	case 3:
		add(g.pick("Expect", "TE", "Trailer", "Upgrade", "Connection"), g.pick("100-continue", "200-ok", "trailers", "websocket", "h2c", "keep-alive, Upgrade", "close, close", "Content-Length", v))
	case 4:
		add("Content-Length", g.pick("0", "+5", "5, 5", " 5", "0x5", "99999999999999999999", "", strconv.Itoa(len(r.Body))))
	case 5:
		add("Transfer-Encoding", g.pick("chunked", "Chunked", "identity", "chunked, identity", "xchunked", " chunked", "gzip"))
	case 6:
		r.Headers[0].Value = inLine(g.pick("localhost", "10.0.0.1", "[::1]:80", "a,b", "a..b", "a:b", "a@b", "a%00b", "LOCALHOST:080", " ", "é.example", v))
	case 7:
		add("Host", "other.example")
	case 8:
		add(g.pick("X_Forwarded_For", "X-Forwarded-For", "X-Forwarded-Host", "X-Original-URL", "X-Rewrite-URL", "X-HTTP-Method-Override", "Forwarded", "Via", "Proxy", "X-Up-Devcap-Post-Charset"), v)
	case 9:
		add("Range", g.pick("bytes=0-", "bytes=-1", "bytes=0-1,0-1,0-1,0-1,0-1,0-1", "items=0-1", "bytes=9-1", "bytes=a-b", "bytes=0-1,", "BYTES=1-2"))
	case 10:
		add("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
		add("Upgrade", "websocket")
		add("Connection", "Upgrade")
	case 11:
		r.Method = g.pick("HEAD", "OPTIONS", "CONNECT", "TRACE", "TRACK", "PATCH", "post", "GET\x00", "", "M-SEARCH", "PRI", strings.Repeat("A", 40))
	case 12:
		r.Proto = g.pick("HTTP/1.0", "HTTP/1.1", "HTTP/2.0", "HTTP/2", "HTTP/3", "http/1.1", "HTTP/1.2", "", "ICAP/1.0")
	case 13:
		add(g.pick("Accept", "Accept-Language", "Accept-Encoding", "Accept-Charset", "If-None-Match", "Authorization", "Origin"), g.pick("", "*", "a;q=2", "text/html;charset=utf-7", "gzip;q=1.0, *", "Basic "+v, "null", v))
	case 14:
		add(inLine(g.pick("X-"+g.word(), "x y", "", "X:Y", "Ünïcode", "X-"+strings.Repeat("n", 200), v)), v)
	case 15:
		if len(r.Headers) > 0 {
			h := r.Headers[g.IntN(len(r.Headers))]
			r.Headers = append(r.Headers, h)
		}
	}
}

// oddAnswer is an answer of an application.
func (g *generator) oddAnswer() ftw.Answer {
	body := g.pick("", g.value(), "You have an error in your SQL syntax; check the manual", "<?php echo 1; ?>", "Warning: fopen(): failed in /var/www/a.php on line 3", "\x1f\x8b\x08\x00"+g.value(), "<title>Index of /</title>", "java.lang.NullPointerException at x", g.sentence(3000), "ORA-00933: SQL command not properly ended")
	return answer(g.pickInt(200, 200, 204, 301, 304, 404, 500, 503), g.pick("text/plain", "text/html; charset=utf-8", "TEXT/HTML", "application/json", "text/plain ", "", "image/png"), body)
}

func (g *generator) pickInt(list ...int) int { return list[g.IntN(len(list))] }
