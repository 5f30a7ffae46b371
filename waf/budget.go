package waf

import "net/http"

// DefaultBudget is the work that a transaction may cost unless Compile is told
// otherwise. A kilobyte of plain text in one argument costs the core rules about
// 50,000 units at paranoia level 1 and 73,000 at level 4; one of quotes, brackets
// and operators up to 360,000.
const DefaultBudget = 256 << 20

// spend takes units off the transaction's budget.
func (tx *Transaction) spend(units int) {
	tx.work -= int64(units) + 1
	if tx.work < 0 && tx.e.settings.budget > 0 {
		tx.limit("work")
	}
}

// limit ends the transaction because a limit of the engine is passed. Such an end
// has rule id 0. An engine that only detects notes it and runs no more
// rules on this transaction.
func (tx *Transaction) limit(what string) {
	if tx.interruption != nil || tx.stopped {
		return
	}
	tx.stopped = true
	it := Interruption{Action: "deny", Status: http.StatusRequestEntityTooLarge, Data: what}
	if tx.mode == modeDetect {
		if tx.wouldBe == nil {
			tx.wouldBe = &it
		}
		tx.mode = modeOff
		return
	}
	tx.interruption = &it
}
