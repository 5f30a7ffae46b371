package waf

import (
	"math/rand/v2"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/ringwall/ringwall/waf/internal/body"
)

// A Transaction is one request and its response. Its methods are called in the
// order of the phases, by one goroutine at a time; Close gives it back. What was
// written into it may be changed only after Close, except for WriteRequestBody
// and WriteResponseBody, which copy.
type Transaction struct {
	e     *Engine
	start time.Time
	mem   arena
	work  int64 // units left

	singles [numSingles]string
	lists   [numLists]keyed
	txs     []txValue
	txMore  keyed
	body    []byte
	resp    []byte
	parsed  body.Buffer // what bodies and queries were decoded to
	stores  []storeRef

	mode          mode
	reqAccess     bool
	respAccess    bool
	forceReqBody  bool
	forceRespBody bool
	reqLimit      int64
	respLimit     int64
	phase         int  // the last one that ran
	stopped       bool // a limit of the engine was passed
	closed        bool

	// Flow.
	skip       int
	skipAfter  int // 1 + the marker's place in marks
	allow      disruptive
	removed    ruleSet
	anyRemoved bool
	excepts    []*ctlRules
	exceptsTX  bool // one of them is of TX
	unsettled  bool // guards are taken out, or some of what they read

	// The rule that runs.
	root      *rule
	current   *rule
	capturing bool
	matched   []matched
	last      matched
	values    []value
	matches   []Match
	variants  []string // of one value, for multiMatch
	bufs      [2][]byte

	batch batchRun
	dirty bool

	rules        []MatchedRule
	interruption *Interruption
	wouldBe      *Interruption // in DetectionOnly
	highest      Severity
}

func newTransaction(e *Engine) *Transaction {
	return &Transaction{e: e, txs: make([]txValue, len(e.txNames))}
}

// NewTransaction starts a transaction with a random id.
func (e *Engine) NewTransaction() *Transaction {
	return e.NewTransactionWithID(randomID())
}

// randomID makes 26 letters and digits of 130 random bits.
func randomID() string {
	const digits = "0123456789abcdefghijklmnopqrstuv"
	var b [26]byte
	var bits uint64
	for i := range b {
		if i%12 == 0 {
			bits = rand.Uint64()
		}
		b[i] = digits[bits&31]
		bits >>= 5
	}
	return string(b[:])
}

// NewTransactionWithID starts a transaction with an id of the caller's.
func (e *Engine) NewTransactionWithID(id string) *Transaction {
	tx := e.spare.Load()
	if tx == nil || !e.spare.CompareAndSwap(tx, nil) {
		tx = e.pool.Get().(*Transaction)
	}
	s := &e.settings
	tx.closed = false
	tx.start = e.now()
	tx.work = s.budget
	tx.singles = singleDefaults
	tx.singles[vUniqueID] = id
	for i := range numCaptures {
		tx.txs[i].set = true
	}
	tx.mode, tx.reqAccess, tx.respAccess = s.mode, s.reqAccess, s.respAccess
	tx.reqLimit, tx.respLimit = s.reqLimit, s.respLimit
	tx.highest = 255
	tx.last = matched{v: vNothing}
	return tx
}

// Close ends the transaction. Nothing that it returned is used afterwards, except
// for matched rules and interruptions, which own what they hold.
func (tx *Transaction) Close() error {
	if tx.closed {
		return nil
	}
	tx.closed = true
	for i := range tx.lists {
		clear(tx.lists[i])
		tx.lists[i] = tx.lists[i][:0]
	}
	clear(tx.txs)
	clear(tx.txMore)
	tx.txMore = tx.txMore[:0]
	tx.mem.reset()
	tx.parsed.Reset()
	tx.body, tx.resp = shrink(tx.body), shrink(tx.resp)
	tx.bufs[0], tx.bufs[1] = shrink(tx.bufs[0]), shrink(tx.bufs[1])
	tx.forceReqBody, tx.forceRespBody, tx.stopped, tx.phase = false, false, false, 0
	tx.skip, tx.skipAfter, tx.allow, tx.anyRemoved = 0, 0, doPass, false
	clear(tx.excepts)
	tx.excepts, tx.exceptsTX, tx.unsettled = tx.excepts[:0], false, false
	clear(tx.stores)
	tx.stores = tx.stores[:0]
	tx.root, tx.current, tx.capturing, tx.dirty = nil, nil, false, false
	clear(tx.matched)
	tx.matched, tx.last = tx.matched[:0], matched{}
	clear(tx.values[:cap(tx.values)])
	tx.values = tx.values[:0]
	clear(tx.matches[:cap(tx.matches)])
	tx.matches = tx.matches[:0]
	clear(tx.variants[:cap(tx.variants)])
	tx.batch.reset()
	tx.rules, tx.interruption, tx.wouldBe = nil, nil, nil
	tx.e.pool.Put(tx)
	return nil
}

func shrink(b []byte) []byte {
	if cap(b) > keepSlab {
		return nil
	}
	return b[:0]
}

// ID is the transaction's id.
func (tx *Transaction) ID() string { return tx.singles[vUniqueID] }

// Interruption is the end that a rule put to the transaction; nil for none.
func (tx *Transaction) Interruption() *Interruption { return tx.interruption }

// WouldInterrupt is, where the engine only detects, the first interruption that
// there would have been.
func (tx *Transaction) WouldInterrupt() *Interruption { return tx.wouldBe }

// MatchedRules are the rules that matched and log, in the order of their matches.
func (tx *Transaction) MatchedRules() []MatchedRule { return tx.rules }

// IsRuleEngineOff says whether no rule will run any more.
func (tx *Transaction) IsRuleEngineOff() bool { return tx.mode == modeOff }

// IsRequestBodyAccessible says whether the rules want the request's body.
func (tx *Transaction) IsRequestBodyAccessible() bool { return tx.reqAccess }

// IsResponseBodyAccessible says whether the rules want the response's body.
func (tx *Transaction) IsResponseBodyAccessible() bool { return tx.respAccess }

// ProcessConnection says who asks whom.
func (tx *Transaction) ProcessConnection(client string, clientPort int, server string, serverPort int) {
	tx.singles[vRemoteAddr], tx.singles[vRemotePort] = client, strconv.Itoa(clientPort)
	tx.singles[vServerAddr], tx.singles[vServerPort] = server, strconv.Itoa(serverPort)
}

// SetServerName says which host is asked.
func (tx *Transaction) SetServerName(name string) { tx.singles[vServerName] = name }

// ProcessURI takes the request line apart.
func (tx *Transaction) ProcessURI(uri, method, proto string) {
	s := &tx.singles
	s[vRequestMethod], s[vRequestProtocol], s[vRequestURIRaw] = method, proto, uri
	s[vRequestLine] = tx.mem.join(method, " ", uri, " ", proto)
	uri, _, _ = strings.Cut(uri, "#")
	path, query := "", ""
	if simpleURI(uri) {
		path, query, _ = strings.Cut(uri, "?")
		s[vRequestURI] = uri
	} else if u, err := url.ParseRequestURI(uri); err != nil {
		// Rules judge what cannot be parsed as well as they can.
		s[vURIParseError] = "1"
		path, query, _ = strings.Cut(uri, "?")
		s[vRequestURI] = uri
	} else {
		path, query = u.Path, u.RawQuery
		s[vRequestURI] = u.String()
	}
	s[vRequestFilename], s[vRequestBasename], s[vQueryString] = path, path, query
	if i := strings.LastIndexAny(path, `/\`); i >= 0 && len(path) > i+1 {
		s[vRequestBasename] = path[i+1:]
	}
	tx.addQuery(vArgsGet, raw(query))
}

// simpleURI says whether package url would take a request's URI apart at the
// first question mark and put it together again without a change.
func simpleURI(uri string) bool {
	if uri == "" || uri[0] != '/' || strings.HasPrefix(uri, "//") {
		return false
	}
	i := 0
	for ; i < len(uri) && uri[i] != '?'; i++ {
		c := uri[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '/' || c == '-' || c == '_' || c == '.' || c == '~') {
			return false
		}
	}
	if i == len(uri)-1 {
		return false
	}
	for ; i < len(uri); i++ {
		if c := uri[i]; c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}

// AddRequestHeader adds one header. Go keeps Host and Transfer-Encoding apart
// from a request's headers; they are to be added too.
func (tx *Transaction) AddRequestHeader(key, value string) {
	if key == "" {
		return
	}
	tx.add(vRequestHeaders, key, value)
	l := *tx.list(vRequestHeaders)
	switch l[len(l)-1].lower {
	case "content-type":
		// The first one counts, as it does for applications.
		if earlier := l[:len(l)-1]; has(earlier, "content-type") {
			return
		}
		t := strings.TrimSpace(strings.ToLower(value))
		switch {
		case strings.HasPrefix(t, "application/x-www-form-urlencoded"):
			tx.singles[vReqbodyProcessor] = "URLENCODED"
		case strings.HasPrefix(t, "multipart/form-data"):
			tx.singles[vReqbodyProcessor] = "MULTIPART"
		}
	case "cookie":
		tx.addCookies(value)
	case "authorization":
		tx.singles[vAuthType], _, _ = strings.Cut(value, " ")
	}
}

func has(l keyed, lower string) bool {
	_, ok := l.get(lower)
	return ok
}

// addCookies adds the pairs of a Cookie header. They are not decoded.
func (tx *Transaction) addCookies(s string) {
	for s != "" {
		var part string
		part, s, _ = strings.Cut(s, ";")
		name, val, _ := strings.Cut(trimControl(part), "=")
		name, val = trimControl(name), trimControl(val)
		if name != "" || val != "" {
			tx.add(vRequestCookies, name, val)
		}
	}
}

func trimControl(s string) string {
	for s != "" && (s[0] <= ' ' || s[0] == 0x7f) {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] <= ' ' || s[len(s)-1] == 0x7f) {
		s = s[:len(s)-1]
	}
	return s
}

// AddResponseHeader adds one header of the response.
func (tx *Transaction) AddResponseHeader(key, value string) {
	if key == "" {
		return
	}
	tx.add(vResponseHeaders, key, value)
	if l := *tx.list(vResponseHeaders); l[len(l)-1].lower == "content-type" {
		tx.singles[vResponseContentType], _, _ = strings.Cut(value, ";")
	}
}
