package waf

import (
	"math/bits"
	"net/http"
	"strings"

	"github.com/ringwall/ringwall/waf/internal/dfa"
	"github.com/ringwall/ringwall/waf/internal/transform"
)

// Phases of a transaction.
const (
	phaseRequestHeaders = iota + 1
	phaseRequestBody
	phaseResponseHeaders
	phaseResponseBody
	phaseLogging
)

// A phase is the rules of one phase, in order, and the markers between them.
type phase struct {
	rules   []*rule
	briefs  []brief // of the rules
	sets    []assign
	marks   map[int][]int // a marker's places
	first   int           // the place of the first guard
	guards  []int8        // by place: which of the guards of batches the rule is; -1 for none
	batches [2]*batch     // of rules before the first guard, and after it
}

// after returns the first place from at on whose rule is to be looked at: all but
// those that the batch that has run found not to match, and the guards that it
// has settled with what they jump over.
func (tx *Transaction) after(at int) int {
	b := &tx.batch
	if !b.done || tx.dirty || tx.skip > 0 {
		return at
	}
	if !b.loose && b.program.passed.has(at) {
		tx.unsettle() // another rule jumped here, over the guard
	}
	return dfa.Bitset(b.fit).Next(at)
}

// fitting works out after for the batch that has just run.
func (tx *Transaction) fitting(index []int, active guards) {
	b := &tx.batch
	b.loose = tx.unsettled || b.program.active != active
	if b.loose {
		b.fit = append(b.fit[:0], b.program.others...)
	} else {
		b.fit = append(b.fit[:0], b.program.settled...)
	}
	for w, word := range b.found {
		for ; word != 0; word &= word - 1 {
			b.fit.add(index[w<<6+bits.TrailingZeros64(word)])
		}
	}
}

// unsettle has the guards of this phase decide when their turn comes: something
// that they ask may have changed since the batch ran.
func (tx *Transaction) unsettle() {
	b := &tx.batch
	if !b.done || b.loose {
		return
	}
	b.loose = true
	for w, rules := range b.program.others {
		b.fit[w] |= rules
	}
}

// next returns the place after a marker's first one from at on; ok is false when
// there is none.
func (p *phase) next(marker, at int) (int, bool) {
	for _, i := range p.marks[marker] {
		if i >= at {
			return i + 1, true
		}
	}
	return len(p.rules), false
}

// run runs the rules of one phase.
func (tx *Transaction) run(n int) {
	tx.phase = n
	p := &tx.e.phases[n]
	tx.startBatch(n)
	at := 0
	for at < len(p.rules) {
		if tx.stopped || tx.interruption != nil && n != phaseLogging {
			break
		}
		if tx.skipAfter != 0 {
			next, ok := p.next(tx.skipAfter, at)
			if ok {
				tx.skipAfter = 0
			}
			at = next
			continue
		}
		if at = tx.after(at); at < 0 {
			break
		}
		if at >= p.first && tx.batch.half == 0 {
			tx.batch.half = 1
			tx.runBatch()
			continue
		}
		c, r := &p.briefs[at], p.rules[at]
		at++
		if tx.anyRemoved && tx.removed.has(r.index) {
			continue
		}
		if tx.skip > 0 {
			tx.skip--
			continue
		}
		if tx.allow != doPass {
			if tx.allow == doAllowPhase || tx.allow == doAllowAll || n <= phaseRequestBody {
				break
			}
		}
		if c.does == passes || c.batched && !tx.candidate(r) {
			continue
		}
		if c.usable(tx) {
			if !c.holds(tx) {
				continue
			}
			if c.does == jumps {
				at = int(c.to)
				continue
			}
			if c.does == assigns {
				for i := range p.sets[c.sets:c.end] {
					p.sets[int(c.sets)+i].run(tx)
				}
				continue
			}
		}
		tx.evaluate(r)
	}
	if tx.allow == doAllowPhase || tx.allow == doAllowRequest && n == phaseRequestBody {
		tx.allow = doPass
	}
	tx.skip = 0
}

// evaluate runs a rule and those chained to it.
func (tx *Transaction) evaluate(r *rule) {
	tx.matched = tx.matched[:0]
	tx.matches = tx.matches[:0]
	tx.root = r
	level := 0
	for c := r; c != nil; c = c.chain {
		if !tx.match(c, level) {
			return
		}
		level++
	}
	tx.current = r
	if !r.quiet && (r.chain != nil || r.op == nil) && len(tx.matches) > 0 {
		tx.matches[0].Message, tx.matches[0].Data = tx.expand(r.msg), tx.expand(r.logdata)
	}
	for _, f := range r.flow {
		if f.skip > 0 {
			tx.skip = f.skip
		} else {
			tx.skipAfter = f.marker
		}
	}
	tx.disrupt(r)
	tx.record(r)
}

// match tests one rule's targets, runs its effects on each match, and says
// whether there was one.
func (tx *Transaction) match(r *rule, level int) bool {
	tx.current, tx.capturing = r, r.capture
	found := false
	if r.op == nil {
		tx.hit(r, value{}, "", level)
		found = true
	}
	for i := range r.targets {
		tx.values = tx.gather(tx.values[:0], &r.targets[i], tx.root.index)
		for j := range tx.values {
			v := tx.values[j]
			if r.multiMatch {
				for _, s := range tx.each(r.steps, v.text) {
					tx.spend(len(s))
					if r.op.test(tx, s) != r.not {
						tx.hit(r, v, s, level)
						found = true
					}
				}
				continue
			}
			s := tx.transform(r.steps, v.text)
			tx.spend(len(s))
			if r.op.test(tx, s) != r.not {
				tx.hit(r, v, s, level)
				found = true
			}
		}
		if tx.stopped {
			return false
		}
	}
	tx.capturing = false
	return found
}

// hit notes one match and runs the rule's effects.
func (tx *Transaction) hit(r *rule, v value, s string, level int) {
	tx.last = matched{v.v, v.key, s}
	tx.matched = append(tx.matched, tx.last)
	for _, e := range r.effects {
		e.run(tx, r)
	}
	if tx.root.quiet {
		return
	}
	m := Match{Variable: vars[v.v].name, Key: v.key, Value: s, Chain: level}
	if r.op == nil && r.chained || r.op != nil && (r.chained || r.chain == nil) {
		m.Message, m.Data = tx.expand(r.msg), tx.expand(r.logdata)
	}
	tx.matches = append(tx.matches, m)
}

// disrupt runs a rule's disruptive action.
func (tx *Transaction) disrupt(r *rule) {
	it := Interruption{RuleID: r.ID, Action: r.disruptAs, Status: r.status}
	switch r.disruptive {
	case doDeny:
		if it.Status == 0 {
			it.Status = http.StatusForbidden
		}
	case doDrop:
	case doRedirect:
		if s := r.status; s != 301 && s != 303 && s != 307 {
			it.Status = http.StatusFound
		}
		it.Data = strings.Clone(tx.expand(r.redirect))
	case doAllowPhase, doAllowRequest, doAllowAll:
		if tx.mode == modeOn {
			tx.allow = r.disruptive
		}
		return
	default:
		return
	}
	tx.interrupt(it)
}

// interrupt ends the transaction, or notes that it would have.
func (tx *Transaction) interrupt(it Interruption) {
	switch {
	case tx.mode == modeOn:
		tx.interruption = &it
	case tx.mode == modeDetect && tx.wouldBe == nil:
		tx.wouldBe = &it
	}
}

// record keeps a match that logs.
func (tx *Transaction) record(r *rule) {
	if r.Severity != SeverityUnset && r.Severity < tx.highest {
		tx.highest = r.Severity
		tx.singles[vHighestSeverity] = string('0' + byte(r.Severity))
	}
	if r.quiet {
		return
	}
	m := MatchedRule{Rule: &r.Rule, Matches: append([]Match(nil), tx.matches...)}
	for i := range m.Matches {
		// Until here these texts are in the transaction's memory.
		c := &m.Matches[i]
		c.Key, c.Value, c.Message, c.Data = strings.Clone(c.Key), strings.Clone(c.Value), strings.Clone(c.Message), strings.Clone(c.Data)
		if m.Message == "" {
			m.Message, m.Data = c.Message, c.Data
		}
	}
	if r.hasDisrupt {
		m.Action = r.disruptAs
		m.Disruptive = tx.mode == modeOn && r.disruptive != doPass && r.disruptive != doBlock
	}
	tx.rules = append(tx.rules, m)
	if f := tx.e.onMatch; f != nil && r.Log {
		f(&m)
	}
}

// transform applies a chain of transformations. The result lives as long as the
// transaction, or is s itself.
func (tx *Transaction) transform(steps []*transform.Transform, s string) string {
	for _, t := range steps {
		s = tx.step(t, s)
	}
	return s
}

// step applies one transformation.
func (tx *Transaction) step(t *transform.Transform, s string) string {
	out, _ := tx.stepChanged(t, s)
	return out
}

func (tx *Transaction) stepChanged(t *transform.Transform, s string) (string, bool) {
	tx.spend(len(s))
	src := raw(s)
	out, changed := t.Func(tx.bufs[0][:0], src)
	if transform.Same(out, src) {
		return s, changed
	}
	if transform.Shares(out, src) {
		return text(out), changed // a part of the value, which is not ours to write on
	}
	if cap(out) > cap(tx.bufs[0]) {
		tx.bufs[0] = out[:0]
	}
	return tx.mem.copy(out), changed
}

// each lists the values that multiMatch tests: the first, and that of every
// transformation that changed it.
func (tx *Transaction) each(steps []*transform.Transform, s string) []string {
	tx.variants = append(tx.variants[:0], s)
	for _, t := range steps {
		out, changed := tx.stepChanged(t, s)
		if changed {
			tx.variants = append(tx.variants, out)
			s = out
		}
	}
	return tx.variants
}
