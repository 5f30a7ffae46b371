package difftest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/url"
	"strings"
	"testing"

	crstests "github.com/corazawaf/coraza-coreruleset/v4/tests"
	"go.yaml.in/yaml/v3"
)

// A header is one line of a request's head.
type header struct{ Name, Value string }

// A request is what one transaction is given, and what the application answers.
type request struct {
	name               string
	method, uri, proto string
	headers            []header
	body               []byte
	status             int
	respHeaders        []header
	respBody           string
	expect             expectation
}

// An expectation is what the rule set's own tests want of a request.
type expectation struct {
	ids, noIDs    []int
	rx, noRx      string
	status        int
	transportOnly bool // it wants nothing of the rules
}

// stageFile is a file of the rule set's tests, in the format of go-ftw.
type stageFile struct {
	RuleID int `yaml:"rule_id"`
	Tests  []struct {
		TestID int `yaml:"test_id"`
		Stages []struct {
			Input  stageInput
			Output struct {
				Status int
				Log    struct {
					ExpectIDs   []int  `yaml:"expect_ids"`
					NoExpectIDs []int  `yaml:"no_expect_ids"`
					MatchRegex  string `yaml:"match_regex"`
					NoMatch     string `yaml:"no_match_regex"`
				}
			}
		}
	}
}

type stageInput struct {
	Headers        yaml.Node `yaml:"headers"`
	Ordered        []header  `yaml:"ordered_headers"`
	Method         *string
	URI            *string `yaml:"uri"`
	Version        *string
	Data           *string
	EncodedRequest string `yaml:"encoded_request"`
	EncodedData    string `yaml:"encoded_data"`
	Autocomplete   *bool  `yaml:"autocomplete_headers"`
}

// stages reads all regression tests that the rule set's module carries.
func stages(t testing.TB) []request {
	t.Helper()
	var out []request
	err := fs.WalkDir(crstests.FS, ".", func(p string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(p, ".yaml") {
			return err
		}
		b, err := fs.ReadFile(crstests.FS, p)
		if err != nil {
			return err
		}
		var f stageFile
		if err := yaml.Unmarshal(b, &f); err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
		if f.RuleID == 0 {
			_, _ = fmt.Sscanf(p[strings.LastIndex(p, "/")+1:], "%d.yaml", &f.RuleID)
		}
		for ti, test := range f.Tests {
			if test.TestID == 0 {
				test.TestID = ti + 1
			}
			for si, s := range test.Stages {
				r, err := s.Input.request()
				if err != nil {
					return fmt.Errorf("%s: %w", p, err)
				}
				r.name = fmt.Sprintf("%d-%d.%d", f.RuleID, test.TestID, si)
				o := s.Output
				r.expect = expectation{ids: o.Log.ExpectIDs, noIDs: o.Log.NoExpectIDs, rx: o.Log.MatchRegex, noRx: o.Log.NoMatch, status: o.Status}
				r.expect.transportOnly = len(r.expect.ids)+len(r.expect.noIDs) == 0 && r.expect.rx == "" && r.expect.noRx == ""
				r.answer()
				out = append(out, r)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (in *stageInput) request() (request, error) {
	r := request{method: "GET", uri: "/", proto: "HTTP/1.1"}
	if in.EncodedRequest != "" {
		raw, err := base64.StdEncoding.DecodeString(in.EncodedRequest)
		if err != nil {
			return r, err
		}
		head, body, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
		lines := strings.Split(string(head), "\r\n")
		if p := strings.SplitN(lines[0], " ", 3); len(p) == 3 {
			r.method, r.uri, r.proto = p[0], p[1], p[2]
		}
		for _, line := range lines[1:] {
			k, v, _ := strings.Cut(line, ":")
			r.headers = append(r.headers, header{k, strings.TrimSpace(v)})
		}
		r.body = body
		return r, nil
	}
	set := func(to *string, from *string) {
		if from != nil {
			*to = *from
		}
	}
	set(&r.method, in.Method)
	set(&r.uri, in.URI)
	set(&r.proto, in.Version)
	for i := 0; i+1 < len(in.Headers.Content); i += 2 {
		r.headers = append(r.headers, header{in.Headers.Content[i].Value, in.Headers.Content[i+1].Value})
	}
	r.headers = append(r.headers, in.Ordered...)
	if in.Data != nil {
		r.body = []byte(*in.Data)
	}
	if in.EncodedData != "" {
		b, err := base64.StdEncoding.DecodeString(in.EncodedData)
		if err != nil {
			return r, err
		}
		r.body = b
	}
	if in.Autocomplete == nil || *in.Autocomplete {
		r.autocomplete()
	}
	return r, nil
}

func (r *request) header(name string) (string, bool) {
	for _, h := range r.headers {
		if strings.EqualFold(h.Name, name) {
			return h.Value, true
		}
	}
	return "", false
}

// autocomplete adds what go-ftw adds to a request.
func (r *request) autocomplete() {
	add := func(name, value string) {
		if _, ok := r.header(name); !ok {
			r.headers = append(r.headers, header{name, value})
		}
	}
	if len(r.body) > 0 {
		add("Content-Type", "application/x-www-form-urlencoded")
		if ct, _ := r.header("Content-Type"); strings.HasPrefix(ct, "application/x-www-form-urlencoded") {
			r.body = escaped(r.body)
		}
	}
	if len(r.body) > 0 || r.method == "POST" || r.method == "PUT" || r.method == "PATCH" {
		add("Content-Length", fmt.Sprint(len(r.body)))
	}
	add("Connection", "close")
}

// escaped encodes a form that is not encoded yet.
func escaped(body []byte) []byte {
	if u, err := url.QueryUnescape(string(body)); err != nil || u != string(body) {
		return body
	}
	q, err := url.ParseQuery(string(body))
	if err != nil {
		return body
	}
	for _, vs := range q {
		for _, v := range vs {
			if v == "" {
				return body
			}
		}
	}
	return []byte(q.Encode())
}

// answer makes the response that the tests' server gives.
func (r *request) answer() {
	var a struct {
		Status      int
		Headers     map[string]string
		Body        string
		EncodedBody string
	}
	if strings.HasPrefix(r.uri, "/reflect") {
		_ = json.Unmarshal(r.body, &a) // what is no answer is an empty one
	}
	r.status, r.respBody = a.Status, a.Body
	if a.EncodedBody != "" {
		b, _ := base64.StdEncoding.DecodeString(a.EncodedBody)
		r.respBody = string(b)
	}
	if r.status == 0 {
		r.status = 200
	}
	r.respHeaders = []header{{"Content-Type", "text/plain"}}
	for k, v := range a.Headers {
		if !strings.EqualFold(k, "content-type") {
			r.respHeaders = append(r.respHeaders, header{k, v})
		}
	}
}
