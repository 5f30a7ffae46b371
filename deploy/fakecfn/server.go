// Package fakecfn is a CloudFormation server for tests: the Query protocol over
// HTTP with stacks, change sets, events, rollback, exports and drift, and the few
// calls of other services that a deployment makes. Its stacks outlive the clients,
// so that what a killed client left can be taken up by the next one. It is used by
// tests only.
package fakecfn

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// Account is the account that every stack is in.
const Account = "111122223333"

// Options say how the server behaves. The zero value is quick and without faults.
type Options struct {
	// Latency is how long each resource takes to be made, changed or deleted.
	Latency time.Duration
	// ChangeSetLatency is how long a change set takes to be computed.
	ChangeSetLatency time.Duration
	// Replaces says what the change of a top-level property means for its resource:
	// "Always", "Conditionally" or "Never". Nil: never.
	Replaces func(resourceType, property string) string
}

// A Request is one call that a client made.
type Request struct {
	Service string // as in the signature: cloudformation, s3, iam
	Region  string
	Action  string // CreateChangeSet; for services with resources in the path: PUT /bucket/key
	Params  url.Values
	Body    []byte
	Path    string
	Key     string // the access key id
}

// Changes says whether the call can change anything.
func (r Request) Changes() bool {
	for _, p := range []string{"Describe", "Get", "List", "Validate", "Estimate", "GET ", "HEAD ", "POST /status/batch/get"} {
		if strings.HasPrefix(r.Action, p) {
			return false
		}
	}
	return true
}

// An Error is an answer other than success.
type Error struct {
	Status  int // HTTP; 0 means 400
	Code    string
	Message string
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

func invalid(format string, args ...any) *Error {
	return &Error{Code: "ValidationError", Message: fmt.Sprintf(format, args...)}
}

// A Fault makes one resource's operation fail.
type Fault struct {
	Region, Stack, Resource string // empty: any
	Action                  string // Create, Update or Delete; empty: any
	Reason                  string
	Times                   int // 0: always
}

// Server is the fake. All methods may be called at any time.
type Server struct {
	URL  string
	opt  Options
	http *httptest.Server
	ctx  context.Context
	stop context.CancelFunc
	wg   sync.WaitGroup

	mu       sync.Mutex
	stacks   []*stack // of all Regions, deleted ones too
	faults   []*Fault
	log      []Request
	hook     func(Request) *Error
	cut      func(Request) bool
	n        int // for ids
	account  account
	onAction func(region, stack, resource, action string)
}

// New starts a server. Close ends it.
func New(opt Options) *Server {
	s := &Server{opt: opt}
	s.account.init()
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.http = httptest.NewServer(s)
	s.URL = s.http.URL
	return s
}

// Close ends the server and what it is working on.
func (s *Server) Close() {
	s.stop()
	s.http.Close()
	s.wg.Wait()
}

// Inject adds a fault.
func (s *Server) Inject(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &f)
}

// Mend forgets every fault and hook.
func (s *Server) Mend() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults, s.hook, s.cut, s.onAction = nil, nil, nil, nil
}

// Refuse has f asked before each call; what it returns is the answer.
func (s *Server) Refuse(f func(Request) *Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hook = f
}

// Cut has f asked after each call; where it says so the connection is cut in place
// of an answer: the call happened, and the client cannot know.
func (s *Server) Cut(f func(Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cut = f
}

// OnResource has f called before each resource's operation, without any lock held.
func (s *Server) OnResource(f func(region, stack, resource, action string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onAction = f
}

// Log returns the calls so far.
func (s *Server) Log() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.log)
}

// ForgetLog empties the log.
func (s *Server) ForgetLog() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = nil
}

var credential = regexp.MustCompile(`Credential=([^/]+)/\d{8}/([^/]+)/([^/]+)/aws4_request`)

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/checkip" { // not a service's call, and not signed
		s.mu.Lock()
		defer s.mu.Unlock()
		fmt.Fprintln(w, s.account.self)
		return
	}
	m := credential.FindStringSubmatch(r.Header.Get("Authorization"))
	if m == nil {
		reply(w, &Error{Status: 403, Code: "MissingAuthenticationToken", Message: "Request is missing Authentication Token"})
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	q := Request{Service: m[3], Region: m[2], Key: m[1], Body: body, Path: r.URL.Path}
	switch q.Service {
	case "cloudformation", "ec2", "iam", "sts":
		q.Params, _ = url.ParseQuery(string(body))
		q.Action = q.Params.Get("Action")
	case "ssm":
		_, q.Action, _ = strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	default:
		q.Action = r.Method + " " + r.URL.RequestURI()
	}
	s.mu.Lock()
	s.log = append(s.log, q)
	hook, cut := s.hook, s.cut
	s.mu.Unlock()
	var out any
	var fail *Error
	if hook != nil {
		fail = hook(q)
	}
	if fail == nil {
		out, fail = s.handle(q, r)
	}
	if cut != nil && cut(q) {
		panic(http.ErrAbortHandler)
	}
	if fail != nil {
		if q.Service == "ssm" || q.Service == "inspector2" {
			replyJSONError(w, fail)
			return
		}
		reply(w, fail)
		return
	}
	switch v := out.(type) {
	case rawReply:
		if v.contentType != "" {
			w.Header().Set("Content-Type", v.contentType)
		}
		if v.status != 0 {
			w.WriteHeader(v.status)
		}
		w.Write(v.body)
	default:
		w.Header().Set("Content-Type", "text/xml")
		w.Write(envelope(q.Action, v))
	}
}

func (s *Server) handle(q Request, r *http.Request) (any, *Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if q.Service != "cloudformation" {
		return s.other(q, r)
	}
	h := map[string]func(Request) (any, *Error){
		"CreateChangeSet":                   s.createChangeSet,
		"DescribeChangeSet":                 s.describeChangeSet,
		"ExecuteChangeSet":                  s.executeChangeSet,
		"DeleteChangeSet":                   s.deleteChangeSet,
		"ListChangeSets":                    s.listChangeSets,
		"DescribeStacks":                    s.describeStacks,
		"DescribeStackEvents":               s.describeStackEvents,
		"ListStackResources":                s.listStackResources,
		"GetTemplate":                       s.getTemplate,
		"DeleteStack":                       s.deleteStack,
		"CancelUpdateStack":                 s.cancelUpdateStack,
		"ContinueUpdateRollback":            s.continueUpdateRollback,
		"RollbackStack":                     s.rollbackStack,
		"UpdateTerminationProtection":       s.updateTerminationProtection,
		"DetectStackDrift":                  s.detectStackDrift,
		"DescribeStackDriftDetectionStatus": s.describeDetection,
		"DescribeStackResourceDrifts":       s.describeDrifts,
		"ListExports":                       s.listExports,
	}[q.Action]
	if h == nil {
		return nil, &Error{Code: "InvalidAction", Message: "Could not find operation " + q.Action}
	}
	return h(q)
}

// rawReply is an answer that is not in the Query protocol's envelope.
type rawReply struct {
	status      int
	contentType string
	body        []byte
}

// envelope wraps a result as the Query protocol does.
func envelope(action string, result any) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `<%sResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/">`, action)
	if result != nil {
		e := xml.NewEncoder(&b)
		if err := e.EncodeElement(result, xml.StartElement{Name: xml.Name{Local: action + "Result"}}); err != nil {
			panic(err)
		}
	}
	fmt.Fprintf(&b, `<ResponseMetadata><RequestId>r-1</RequestId></ResponseMetadata></%sResponse>`, action)
	return b.Bytes()
}

func reply(w http.ResponseWriter, e *Error) {
	status := e.Status
	if status == 0 {
		status = http.StatusBadRequest
	}
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	type detail struct {
		Type, Code, Message string
	}
	kind := "Sender"
	if status >= 500 {
		kind = "Receiver"
	}
	xml.NewEncoder(w).Encode(struct {
		XMLName   xml.Name `xml:"ErrorResponse"`
		Error     detail
		RequestId string
	}{Error: detail{kind, e.Code, e.Message}, RequestId: "r-1"})
}

// id returns a new one in the form of a UUID.
func (s *Server) id() string {
	s.n++
	return fmt.Sprintf("%08x-0000-4000-8000-000000000000", s.n)
}

// members reads a list of strings: Name.member.1 and so on.
func members(p url.Values, name string) []string {
	var all []string
	for i := 1; ; i++ {
		k := fmt.Sprintf("%s.member.%d", name, i)
		if !p.Has(k) {
			return all
		}
		all = append(all, p.Get(k))
	}
}

// pairs reads a list of structures with two fields.
func pairs(p url.Values, list, key, value string) map[string]string {
	all := map[string]string{}
	for i := 1; ; i++ {
		k := fmt.Sprintf("%s.member.%d.%s", list, i, key)
		if !p.Has(k) {
			return all
		}
		all[p.Get(k)] = p.Get(fmt.Sprintf("%s.member.%d.%s", list, i, value))
	}
}

// sleep waits, unless the server is closed meanwhile.
func (s *Server) sleep(d time.Duration) error {
	if d <= 0 {
		return s.ctx.Err()
	}
	select {
	case <-s.ctx.Done():
		return errors.New("the server is closed")
	case <-time.After(d):
		return nil
	}
}
