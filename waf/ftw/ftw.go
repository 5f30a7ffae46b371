// Package ftw reads tests of a rule set in the format of the core rule set's own
// and plays them against an engine. It judges verdicts; it sends nothing.
package ftw

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
)

// A Stage is one request of a test and what is expected of it.
type Stage struct {
	Name    string // rule id-test id.stage, as the rule set writes it: 942100-3.0
	Desc    string
	File    string
	Line    int // of its input
	Request Request
	Want    Want
}

// A Request is one request as it is sent, and what the application answers.
type Request struct {
	Method, URI, Proto string
	Headers            []Header
	Body               []byte
	Answer             Answer
}

// A Header is one line of a request's head.
type Header struct{ Name, Value string }

// Get returns the first value of a header, whatever the case of its name.
func (r *Request) Get(name string) (value string, ok bool) {
	for _, h := range r.Headers {
		if strings.EqualFold(h.Name, name) {
			return h.Value, true
		}
	}
	return "", false
}

// Want is what a stage expects. What is empty is not looked at.
type Want struct {
	Status        []int
	Rules, Silent []int // rules that must match, and that must not
	Log, NoLog    *regexp.Regexp
	NoAnswer      bool // the server refuses to speak
}

// Empty says that nothing of what the rules do is expected.
func (w *Want) Empty() bool {
	return len(w.Rules)+len(w.Silent) == 0 && w.Log == nil && w.NoLog == nil
}

// The format's own words. Numbers are read as rule sets write them: one, or a list.
type (
	testFile struct {
		RuleID int `yaml:"rule_id"`
		Tests  *[]struct {
			TestID int    `yaml:"test_id"`
			Desc   string `yaml:"desc"`
			Stages []yaml.Node
		}
	}
	stageText struct {
		Input  inputText
		Output struct {
			Status      numbers
			ExpectError bool   `yaml:"expect_error"`
			LogContains string `yaml:"log_contains"`
			NoContains  string `yaml:"no_log_contains"`
			Log         struct {
				ExpectIDs   []int  `yaml:"expect_ids"`
				NoExpectIDs []int  `yaml:"no_expect_ids"`
				MatchRegex  string `yaml:"match_regex"`
				NoMatch     string `yaml:"no_match_regex"`
			}
		}
	}
	inputText struct {
		Headers        yaml.Node `yaml:"headers"`
		Ordered        []Header  `yaml:"ordered_headers"`
		Method         *string
		URI            *string `yaml:"uri"`
		Version        *string
		Data           *string
		EncodedRequest string `yaml:"encoded_request"`
		EncodedData    string `yaml:"encoded_data"`
		Autocomplete   *bool  `yaml:"autocomplete_headers"`
	}
	numbers []int
)

func (n *numbers) UnmarshalYAML(v *yaml.Node) error {
	if v.Kind == yaml.SequenceNode {
		return v.Decode((*[]int)(n))
	}
	var one int
	if err := v.Decode(&one); err != nil {
		return err
	}
	*n = numbers{one}
	return nil
}

// Read reads every *.yaml and *.yml file below the root, in order. All mistakes
// are reported, each with its file and line.
func Read(files fs.FS) ([]Stage, error) {
	var out []Stage
	var errs []error
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() || path.Ext(name) != ".yaml" && path.Ext(name) != ".yml" {
			return nil
		}
		b, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		stages, err := readFile(name, b)
		if err != nil {
			errs = append(errs, err)
		}
		out = append(out, stages...)
		return nil
	})
	return out, errors.Join(append(errs, err)...)
}

func readFile(name string, b []byte) ([]Stage, error) {
	bad := func(line int, err error) error { return fmt.Errorf("reading tests: %s:%d: %w", name, line, err) }
	var f testFile
	var doc yaml.Node
	err := yaml.Unmarshal(b, &doc)
	if err == nil && doc.Kind == 0 {
		return nil, nil // nothing but comments
	}
	if err == nil {
		err = doc.Decode(&f)
	}
	if err != nil {
		return nil, bad(mistake(err, 1))
	}
	if f.RuleID == 0 {
		f.RuleID, _ = strconv.Atoi(strings.TrimSuffix(path.Base(name), path.Ext(name)))
	}
	if f.Tests == nil {
		return nil, bad(1, errors.New("got no tests, want a list under tests: with input: and output: in each of its stages"))
	}
	var out []Stage
	var errs []error
	for i, t := range *f.Tests {
		id := t.TestID
		if id == 0 {
			id = i + 1
		}
		for j := range t.Stages {
			n := &t.Stages[j]
			s := Stage{Name: fmt.Sprintf("%d-%d.%d", f.RuleID, id, j), Desc: strings.TrimSpace(t.Desc), File: name, Line: n.Line}
			if err := s.read(n); err != nil {
				line, err := mistake(err, n.Line)
				errs = append(errs, bad(line, fmt.Errorf("stage %s: %w", s.Name, err)))
				continue
			}
			out = append(out, s)
		}
	}
	return out, errors.Join(errs...)
}

var yamlMistake = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^yaml: (?:unmarshal errors:\s*)?line (\d+): `)
})

// ofAnotherKind is what the YAML reader says of a value, with a type of Go's.
var ofAnotherKind = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?m)cannot unmarshal !!\w+ (.*?) into (.*)$`)
})

// mistake takes the line, the name of the format and Go's types off an error of the
// YAML reader; other errors are of the given line.
func mistake(err error, line int) (int, error) {
	text := err.Error()
	m := yamlMistake().FindStringSubmatch(text)
	if m == nil {
		return line, errors.New(strings.TrimPrefix(text, "yaml: "))
	}
	if n, err := strconv.Atoi(m[1]); err == nil {
		line = n
	}
	text = ofAnotherKind().ReplaceAllStringFunc(text[len(m[0]):], func(s string) string {
		found := ofAnotherKind().FindStringSubmatch(s)
		want := "keys with values"
		switch kind := found[2]; {
		case strings.HasPrefix(kind, "[]"), strings.HasPrefix(kind, "*[]"):
			want = "a list"
		case kind == "int":
			want = "a number"
		case kind == "string":
			want = "a text"
		case kind == "bool":
			want = "true or false"
		}
		return "got " + found[1] + ", want " + want
	})
	return line, errors.New(strings.ReplaceAll(text, "\n  ", "; "))
}

func (s *Stage) read(n *yaml.Node) error {
	// Older files put each stage under a key of its own.
	if len(n.Content) == 2 && n.Content[0].Value == "stage" {
		n = n.Content[1]
	}
	var text stageText
	if err := n.Decode(&text); err != nil {
		return err
	}
	r, err := text.Input.request()
	if err != nil {
		return err
	}
	o := text.Output
	s.Request = r
	s.Want = Want{Status: o.Status, Rules: o.Log.ExpectIDs, Silent: o.Log.NoExpectIDs, NoAnswer: o.ExpectError}
	for _, x := range []struct {
		to   **regexp.Regexp
		text string
	}{{&s.Want.Log, o.Log.MatchRegex}, {&s.Want.NoLog, o.Log.NoMatch}, {&s.Want.Log, o.LogContains}, {&s.Want.NoLog, o.NoContains}} {
		if x.text == "" {
			continue
		}
		if *x.to, err = regexp.Compile(x.text); err != nil {
			return fmt.Errorf("reading what its log must hold: %w", err)
		}
	}
	return nil
}

func (in *inputText) request() (Request, error) {
	r := Request{Method: "GET", URI: "/", Proto: "HTTP/1.1"}
	if in.EncodedRequest != "" {
		raw, err := base64.StdEncoding.DecodeString(in.EncodedRequest)
		if err != nil {
			return r, fmt.Errorf("reading encoded_request: %w", err)
		}
		r.parse(string(raw))
		r.Answer = answer(&r)
		return r, nil
	}
	set := func(to *string, from *string) {
		if from != nil {
			*to = *from
		}
	}
	set(&r.Method, in.Method)
	set(&r.URI, in.URI)
	set(&r.Proto, in.Version)
	for i := 0; i+1 < len(in.Headers.Content); i += 2 {
		r.Headers = append(r.Headers, Header{in.Headers.Content[i].Value, in.Headers.Content[i+1].Value})
	}
	r.Headers = append(r.Headers, in.Ordered...)
	if in.Data != nil {
		r.Body = []byte(*in.Data)
	}
	if in.EncodedData != "" {
		b, err := base64.StdEncoding.DecodeString(in.EncodedData)
		if err != nil {
			return r, fmt.Errorf("reading encoded_data: %w", err)
		}
		r.Body = b
	}
	if in.Autocomplete == nil || *in.Autocomplete {
		r.complete()
	}
	r.Answer = answer(&r)
	return r, nil
}

// parse takes a request apart that was written as a whole.
func (r *Request) parse(raw string) {
	head, body, _ := strings.Cut(raw, "\r\n\r\n")
	lines := strings.Split(head, "\r\n")
	if p := strings.SplitN(lines[0], " ", 3); len(p) == 3 {
		r.Method, r.URI, r.Proto = p[0], p[1], p[2]
	}
	for _, line := range lines[1:] {
		k, v, _ := strings.Cut(line, ":")
		r.Headers = append(r.Headers, Header{k, strings.TrimSpace(v)})
	}
	r.Body = []byte(body)
}

// complete adds what the format's own runner adds to a request.
func (r *Request) complete() {
	add := func(name, value string) {
		if _, ok := r.Get(name); !ok {
			r.Headers = append(r.Headers, Header{name, value})
		}
	}
	const form = "application/x-www-form-urlencoded"
	if len(r.Body) > 0 {
		add("Content-Type", form)
		if ct, _ := r.Get("Content-Type"); strings.HasPrefix(ct, form) {
			r.Body = escaped(r.Body)
		}
	}
	if len(r.Body) > 0 || r.Method == "POST" || r.Method == "PUT" || r.Method == "PATCH" {
		add("Content-Length", strconv.Itoa(len(r.Body)))
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
