package waf

import (
	"strconv"
	"strings"

	"github.com/ringwall/ringwall/waf/internal/body"
)

func lowerUnicode(s string) string { return strings.ToLower(s) }

// An entry is one value of a list.
type entry struct {
	key   string // as it came
	lower string // what it is compared with
	value string
	keyID uint16 // of keys that rules name; 0 for all others
}

// A list is a variable with keys, in the order in which they came.
type keyed []entry

// get returns the first value of a key in lower case.
func (l *keyed) get(lower string) (string, bool) {
	for i := range *l {
		if e := &(*l)[i]; e.lower == lower {
			return e.value, true
		}
	}
	return "", false
}

func (tx *Transaction) list(v varID) *keyed { return &tx.lists[v-firstList] }

// add adds a value to a list.
func (tx *Transaction) add(v varID, key, value string) {
	lower := tx.mem.lower(key)
	var id uint16
	if len(tx.e.keyIDs) > 0 {
		id = tx.e.keyIDs[lower]
	}
	l := tx.list(v)
	*l = append(*l, entry{key, lower, value, id})
}

// replace sets the value of a key, or adds it.
func (tx *Transaction) replace(v varID, key, value string) {
	l := *tx.list(v)
	lower := tx.mem.lower(key)
	for i := range l {
		if l[i].lower == lower {
			l[i].key, l[i].value = key, value
			return
		}
	}
	tx.add(v, key, value)
}

// numCaptures are the values of TX that a rule's groups are kept in.
const numCaptures = 11

// A txValue is one value of TX that rules name.
type txValue struct {
	value string
	set   bool
}

// txGet returns a value of TX by its name in lower case.
func (tx *Transaction) txGet(lower string) (string, bool) {
	if i, ok := tx.e.txIndex[lower]; ok {
		return tx.txs[i].value, tx.txs[i].set
	}
	return tx.txMore.get(lower)
}

// setTX sets a value of TX that rules name, or takes it away.
func (tx *Transaction) setTX(i int, v txValue) {
	tx.txs[i] = v
	if tx.e.steers.has(i) {
		tx.unsettle()
	}
}

func (tx *Transaction) txSet(lower, value string) {
	if i, ok := tx.e.txIndex[lower]; ok {
		tx.setTX(i, txValue{value, true})
		return
	}
	for i := range tx.txMore {
		if tx.txMore[i].lower == lower {
			tx.txMore[i].value = value
			return
		}
	}
	if len(tx.txMore) >= maxDynamic {
		tx.limit("values of TX")
		return
	}
	tx.txMore = append(tx.txMore, entry{key: lower, lower: lower, value: value})
}

// maxDynamic bounds the values of TX whose names rules make up from a request.
const maxDynamic = 4096

func (tx *Transaction) txRemove(lower string) {
	if i, ok := tx.e.txIndex[lower]; ok {
		tx.setTX(i, txValue{})
		return
	}
	for i := range tx.txMore {
		if tx.txMore[i].lower == lower {
			tx.txMore = append(tx.txMore[:i], tx.txMore[i+1:]...)
			return
		}
	}
}

// captureField keeps what a group of the current rule's operator matched.
func (tx *Transaction) captureField(i int, s string) {
	if tx.capturing && i < numCaptures {
		tx.txs[i] = txValue{s, true}
	}
}

// lazy computes a variable that few rules read.
func (tx *Transaction) lazy(v varID) string {
	switch v {
	case vArgsCombinedSize:
		n := 0
		for _, l := range []varID{vArgsGet, vArgsPost} {
			for i := range *tx.list(l) {
				e := &(*tx.list(l))[i]
				n += len(e.key) + len(e.value)
			}
		}
		return strconv.Itoa(n)
	case vDuration:
		return strconv.FormatInt(tx.e.now().Sub(tx.start).Milliseconds(), 10)
	case vFullRequest:
		return tx.fullRequest()
	case vFullRequestLength:
		return strconv.Itoa(len(tx.fullRequest()))
	case vMultipartUnmatchedBoundary:
		return tx.unmatchedBoundary()
	case vRemoteHost:
		return tx.singles[vRemoteAddr] // nobody is asked for its name
	case vUrlencodedError:
		return tx.badEscapes()
	}
	t := tx.start
	switch v {
	case vTime:
		return t.Format("15:04:05")
	case vTimeDay:
		return strconv.Itoa(t.Day())
	case vTimeEpoch:
		return strconv.FormatInt(t.Unix(), 10)
	case vTimeHour:
		return t.Format("15")
	case vTimeMin:
		return t.Format("04")
	case vTimeMon:
		return strconv.Itoa(int(t.Month()))
	case vTimeSec:
		return t.Format("05")
	case vTimeWday:
		return strconv.Itoa(int(t.Weekday()))
	case vTimeYear:
		return strconv.Itoa(t.Year())
	}
	return ""
}

// badEscapes is "1" if the query or a form has a percent sign without two
// hexadecimal digits.
func (tx *Transaction) badEscapes() string {
	tx.spend(len(tx.singles[vQueryString]))
	if invalidURLEncoding(tx.singles[vQueryString]) {
		return "1"
	}
	if tx.singles[vReqbodyProcessor] == "URLENCODED" {
		if tx.spend(len(tx.body)); invalidURLEncoding(text(tx.body)) {
			return "1"
		}
	}
	return "0"
}

// unmatchedBoundary is "1" if a multipart body has a line that begins as a
// delimiter does and goes on.
func (tx *Transaction) unmatchedBoundary() string {
	if tx.singles[vReqbodyProcessor] == "MULTIPART" {
		contentType, _ := tx.list(vRequestHeaders).get("content-type")
		if tx.spend(len(tx.body)); body.UnmatchedBoundary(tx.body, contentType) {
			return "1"
		}
	}
	return "0"
}

// fullRequest is the request as text: line, headers, body.
func (tx *Transaction) fullRequest() string {
	b := append(tx.mem.room(len(tx.body)+512), tx.singles[vRequestLine]...)
	b = append(b, '\n')
	for i := range *tx.list(vRequestHeaders) {
		e := &(*tx.list(vRequestHeaders))[i]
		b = append(b, e.key...)
		b = append(b, ": "...)
		b = append(b, e.value...)
		b = append(b, '\n')
	}
	b = append(b, '\n')
	b = append(b, tx.body...)
	tx.mem.keep(b)
	return text(b)
}
