package difftest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestAtLimits compares what bodies are that are as long as a limit says, one byte
// less or one byte more, in one piece or in several.
func TestAtLimits(t *testing.T) {
	const limit = 1000
	bodies := map[string]func(n int) string{
		formType:                               func(n int) string { return "a=evil&b=" + strings.Repeat("x", n-9) },
		"application/json":                     func(n int) string { return `{"a":"evil","b":"` + strings.Repeat("x", n-19) + `"}` },
		"text/xml":                             func(n int) string { return "<a b='evil'>" + strings.Repeat("x", n-16) + "</a>" },
		"text/plain":                           func(n int) string { return "evil " + strings.Repeat("x", n-5) },
		"multipart/form-data; boundary=xx":     func(n int) string { return partsOf("name=\"a\"", n) },
		"multipart/form-data; boundary=\"xx\"": func(n int) string { return partsOf("name=\"a\"; filename=\"evil\"", n) },
	}
	asked := 0
	for _, action := range []string{"Reject", "ProcessPartial"} {
		rules := fmt.Sprintf("Include @coraza.conf-recommended\nSecRuleEngine On\nSecRequestBodyLimit %d\nSecRequestBodyInMemoryLimit %d\nSecRequestBodyLimitAction %s\nSecResponseBodyMimeType text/plain\nSecResponseBodyLimit %d\nSecResponseBodyLimitAction %s\n", limit, limit, action, limit, action) +
			`SecRule ARGS|FILES|XML:/*|XML://@*|REQUEST_BODY "@rx evil" "id:1,phase:2,log,pass"` + "\n" + `SecRule RESPONSE_BODY "@rx evil$" "id:2,phase:4,log,deny"` + "\n" +
			`SecRule REQUEST_BODY_LENGTH|RESPONSE_CONTENT_LENGTH "@gt 500" "id:3,phase:5,log,pass"` + "\n" + `SecRule INBOUND_DATA_ERROR|OUTBOUND_DATA_ERROR "@eq 1" "id:4,phase:5,log,pass"`
		a, b := newTheirs(t, rules), newOurs(t, rules)
		g := newGenerator(1, nil)
		for contentType, body := range bodies {
			for _, n := range []int{limit - 1, limit, limit + 1, 2 * limit} {
				r := g.body(contentType, body(n))
				if len(r.Body) != n {
					t.Fatalf("%s: made %d bytes, want %d", contentType, len(r.Body), n)
				}
				r.Answer = answer(200, "text/plain", strings.Repeat("x", n-4)+"evil")
				want, got := a.judge(&r), b.judge(&r)
				if asked++; want.Status != got.Status || !slices.Equal(want.Rules, got.Rules) {
					t.Errorf("%s, %s, %d bytes: got %v, want %v", action, contentType, n, got, want)
				}
			}
		}
	}
	t.Logf("%d requests", asked)
}

func partsOf(params string, n int) string {
	s := "--xx\r\nContent-Disposition: form-data; " + params + "\r\n\r\nevil"
	const end = "\r\n--xx--\r\n"
	return s + strings.Repeat("x", n-len(s)-len(end)) + end
}
