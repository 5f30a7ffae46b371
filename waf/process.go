package waf

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
)

// ProcessRequestHeaders runs phase 1. The connection, the URI and the headers
// are to be set before.
func (tx *Transaction) ProcessRequestHeaders() *Interruption {
	if tx.mode == modeOff || tx.interruption != nil || tx.phase >= phaseRequestHeaders {
		return tx.interruption
	}
	tx.run(phaseRequestHeaders)
	return tx.interruption
}

// errOrder is a method called out of order.
var errOrder = errors.New("running the rules on a body: the phase before has not run")

// WriteRequestBody adds to the request's body. n is how much of b the rules will
// judge: all of it, or nothing when they do not want bodies, or what is within
// the limit where the rules say ProcessPartial or only detect.
func (tx *Transaction) WriteRequestBody(b []byte) (it *Interruption, n int, err error) {
	if tx.mode == modeOff || !tx.reqAccess || tx.interruption != nil {
		return tx.interruption, 0, nil
	}
	s := &tx.e.settings
	if tx.mode == modeOn && tx.isOneText() && int64(len(tx.body)+len(b)) > s.reqNoFiles {
		tx.refuseBody("SecRequestBodyNoFilesLimit") // before the rest is kept in memory
		return tx.interruption, 0, nil
	}
	room := tx.reqLimit - int64(len(tx.body))
	if room <= 0 && (s.reqPartial || tx.mode == modeDetect) {
		return nil, 0, nil
	}
	if int64(len(b)) < room {
		tx.body = append(tx.body, b...)
		return nil, len(b), nil
	}
	tx.singles[vInboundDataError] = "1"
	if !s.reqPartial {
		tx.refuseBody("SecRequestBodyLimit")
		if tx.interruption != nil {
			return tx.interruption, 0, nil
		}
	}
	room = max(room, 0)
	tx.body = append(tx.body, b[:room]...)
	it, err = tx.ProcessRequestBody()
	return it, int(room), err
}

// ProcessRequestBody runs phase 2. It is to be called for requests without a body
// too.
func (tx *Transaction) ProcessRequestBody() (*Interruption, error) {
	switch {
	case tx.mode == modeOff || tx.interruption != nil || tx.phase >= phaseRequestBody:
		return tx.interruption, nil
	case tx.phase < phaseRequestHeaders:
		return nil, errOrder
	}
	if tx.reqAccess && len(tx.body) > 0 {
		tx.parseRequestBody()
	}
	if tx.interruption == nil {
		tx.run(phaseRequestBody)
	}
	return tx.interruption, nil
}

// ProcessResponseHeaders runs phase 3.
func (tx *Transaction) ProcessResponseHeaders(status int, proto string) *Interruption {
	if tx.mode == modeOff || tx.interruption != nil || tx.phase >= phaseResponseHeaders {
		return tx.interruption
	}
	tx.singles[vResponseStatus], tx.singles[vResponseProtocol] = strconv.Itoa(status), proto
	tx.singles[vStatusLine] = tx.mem.join(proto, " ", strconv.Itoa(status), " ", http.StatusText(status))
	tx.run(phaseResponseHeaders)
	return tx.interruption
}

// IsResponseBodyProcessable says whether the response is of a kind whose body the
// rules want. The response's headers are to be set before.
func (tx *Transaction) IsResponseBodyProcessable() bool {
	return tx.forceRespBody || slices.Contains(tx.e.settings.respTypes, tx.singles[vResponseContentType])
}

// WriteResponseBody adds to the response's body, as WriteRequestBody does.
func (tx *Transaction) WriteResponseBody(b []byte) (it *Interruption, n int, err error) {
	if tx.mode == modeOff || !tx.respAccess || tx.interruption != nil {
		return tx.interruption, 0, nil
	}
	s := &tx.e.settings
	room := tx.respLimit - int64(len(tx.resp))
	if room <= 0 && (s.respPart || tx.mode == modeDetect) {
		return nil, 0, nil
	}
	if int64(len(b)) < room {
		tx.resp = append(tx.resp, b...)
		return nil, len(b), nil
	}
	tx.singles[vOutboundDataError] = "1"
	if !s.respPart {
		tx.interrupt(Interruption{Action: "deny", Status: http.StatusInternalServerError, Data: "SecResponseBodyLimit"})
		if tx.interruption != nil {
			return tx.interruption, 0, nil
		}
	}
	room = max(room, 0)
	tx.resp = append(tx.resp, b[:room]...)
	it, err = tx.ProcessResponseBody()
	return it, int(room), err
}

// ProcessResponseBody runs phase 4.
func (tx *Transaction) ProcessResponseBody() (*Interruption, error) {
	switch {
	case tx.mode == modeOff || tx.interruption != nil || tx.phase >= phaseResponseBody:
		return tx.interruption, nil
	case tx.phase < phaseResponseHeaders:
		return nil, errOrder
	}
	if tx.respAccess && tx.IsResponseBodyProcessable() {
		tx.parseResponseBody()
	}
	if tx.interruption == nil {
		tx.run(phaseResponseBody)
	}
	return tx.interruption, nil
}

// ProcessLogging runs phase 5, whatever happened before.
func (tx *Transaction) ProcessLogging() {
	if tx.mode != modeOff && tx.phase < phaseLogging {
		tx.run(phaseLogging)
	}
}
