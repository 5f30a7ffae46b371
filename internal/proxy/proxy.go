// Package proxy is how walls answer: a Handler returns a Refusal as its error,
// and one place turns it into a plain page and a log line.
package proxy

import (
	"fmt"
	"net/http"
)

// A Handler serves a request or returns why it does not. When it returns an
// error it has written nothing.
type Handler interface {
	ServeHTTP(http.ResponseWriter, *http.Request) error
}

// HandlerFunc is a function as a Handler.
type HandlerFunc func(http.ResponseWriter, *http.Request) error

// ServeHTTP calls f.
func (f HandlerFunc) ServeHTTP(w http.ResponseWriter, r *http.Request) error { return f(w, r) }

// A Refusal is why a wall did not let a request through.
type Refusal struct {
	Status  int    // HTTP status of the answer
	Control string // the control that refused: edge/waf
	Reason  string // the class, in words a visitor may read
	Rules   []Rule // for the WAF: what matched
	Detail  string // for the owner's log only; never secrets
	Retry   int    // seconds, for Retry-After; 0: not sent

	Score, Threshold int // for the WAF: the sum of the rules' scores, and from which sum on it refuses; 0: the sum did not decide
}

// A Rule is one WAF rule that matched.
type Rule struct {
	ID      int    `json:"id"`
	Message string `json:"message"`
	Target  string `json:"target"` // the variable: ARGS:q
	Value   string `json:"value"`  // what matched there, shortened, redacted
	Score   int    `json:"score"`

	Also []string `json:"also,omitempty"` // further variables in which it matched
}

func (r *Refusal) Error() string {
	return fmt.Sprintf("refused by %s: %s", r.Control, r.Reason)
}
