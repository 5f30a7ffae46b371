package waf

import (
	"fmt"
	"strings"
	"testing"
)

// What requests have kept is bounded in rows and in bytes, and what was not used for
// longest goes first. A key or value that is too long for a row is not kept.
func TestStoreIsBounded(t *testing.T) {
	e := compile(t, `SecArgumentsLimit 1000
SecAction "id:1,phase:1,nolog,initcol:ip=%{ARGS.who}"
SecAction "id:2,phase:1,nolog,setvar:ip.%{ARGS.name}=%{ARGS.what}"
SecRule IP:x "@rx ^a" "id:3,phase:1,log"`)
	keep := func(who, name, what string) bool {
		_, ids, tx := ask(t, e, "GET /?who="+who+"&name="+name+"&what="+what)
		_ = tx.Close()
		return len(ids) > 0
	}
	long := strings.Repeat("a", 30<<10)
	for i := range 4000 {
		keep(fmt.Sprint("row", i), "x", long)
	}
	if e.store.bytes > maxStored || e.store.lru.Len() != len(e.store.rows) || len(e.store.rows) < 2000 || len(e.store.rows) == 4000 {
		t.Errorf("got %d bytes in %d rows, want %d or less and the oldest rows gone", e.store.bytes, len(e.store.rows), maxStored)
	}
	if !keep("row3999", "y", "a") || keep("row0", "y", "a") {
		t.Error("want the latest row there and the first one gone")
	}
	for i := range 200 {
		keep("one", fmt.Sprint("n", i), long[:i])
	}
	for i := range 2 * maxValues {
		keep("two", fmt.Sprint("n", i), "a")
	}
	if keep("one", "x", long+long+long) || !keep("one", "x", "a") {
		t.Error("want a value that is too long not kept, and a short one kept")
	}
	keep(long+long+long, "x", "a")
	sum := 0
	for _, el := range e.store.rows {
		row := el.Value.(*storeRow)
		n := rowBytes + len(row.key.key)
		for name, v := range row.values {
			n += valueBytes + len(name) + len(v.text)
		}
		if n != row.bytes || n > maxRow+len(row.key.key) || len(row.values) > maxValues {
			t.Errorf("row %.20s: got %d bytes counted, want %d, at most %d, in %d values", row.key.key, row.bytes, n, maxRow, len(row.values))
		}
		sum += n
	}
	if sum != e.store.bytes {
		t.Errorf("got %d bytes counted in all, want %d", e.store.bytes, sum)
	}
}
