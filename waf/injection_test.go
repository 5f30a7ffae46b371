package waf

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/corazawaf/libinjection-go"
)

// What is decided without libinjection is decided as it would.
func TestInjectionShortcuts(t *testing.T) {
	pieces := []string{"a", "Z", "_", "0", "9", "or", "union", "select", "sp_password", "e5", "x", "0x1f", "b", "n", "u", "q", "1e", "not", "binary", "int", "distinct", "true",
		"'", "\"", "`", " ", "/", ">", "-", "\x00", "onload", "href", "style", "javascript:", "\t", "&", ";", "!--", "?", "%"}
	r := rand.New(rand.NewPCG(1, 2))
	for range 300000 {
		s := ""
		for range 1 + r.IntN(6) {
			s += pieces[r.IntN(len(pieces))]
		}
		if sql, _ := libinjection.IsSQLi(s); sql != (detectSQLi{}).test(nil, s) {
			t.Fatalf("SQL in %q: got %v", s, !sql)
		}
		if xss := libinjection.IsXSS(s); xss != (detectXSS{}).test(nil, s) {
			t.Fatalf("XSS in %q: got %v", s, !xss)
		}
	}
}

func TestNoSQL(t *testing.T) {
	all := strings.Fields(sqlWordList)
	plain := []string{"red", "shoes", "k3", "_x", "selected", "5", "120", "007", "1e5", "0x1f", "5d", "e", "d", "f", "b", "n", "x"}
	marks := []string{" ", " ", " ", " ", ".", ",", "-", ":", "/", "::", "--", "/*", "'", "\"", "#", "`", ";", "("}
	r := rand.New(rand.NewPCG(rand.Uint64(), 2))
	yes, no := 0, 0
	for range 400000 {
		s, words, odd := "", 1+r.IntN(10), r.IntN(3)
		for range words {
			if r.IntN(30) == 0 {
				s += all[r.IntN(len(all))]
			} else {
				s += plain[r.IntN(len(plain))]
			}
			s += marks[r.IntN(4+odd*7)]
		}
		if noSQL(s) {
			yes++
			if sql, print := libinjection.IsSQLi(s); sql {
				t.Fatalf("%q has the fingerprint %s", s, print)
			}
		} else {
			no++
		}
	}
	if yes < 10000 || no < 10000 {
		t.Errorf("got %d texts without SQL and %d others: the test has lost its material", yes, no)
	}
}

// The list is every word of every entry of libinjection's table that is no fingerprint.
func TestSQLWords(t *testing.T) {
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-f", "{{.Dir}}", "github.com/corazawaf/libinjection-go").Output()
	if err != nil {
		t.Fatalf("NOT RUN: finding libinjection's source: %v", err)
	}
	b, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "sqli_data.go"))
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, m := range regexp.MustCompile(`"((?:[^"\\]|\\.)*)":\s*'(.)'`).FindAllStringSubmatch(string(b), -1) {
		if m[2] != "F" {
			words = append(words, regexp.MustCompile(`\w+`).FindAllString(strings.ToLower(m[1]), -1)...)
		}
	}
	slices.Sort(words)
	words = slices.Compact(words)
	if want := strings.Join(words, "\n") + "\n"; sqlWordList != want {
		t.Errorf("sqlwords.txt is not what libinjection has; want\n%s", want)
	}
	for _, w := range words {
		if len(w) > longestSQLWord || !isSQLWord(strings.ToUpper(w)) {
			t.Errorf("%s is not found", w)
		}
	}
}

func TestMemoIsPerText(t *testing.T) {
	m := newMemo()
	for range 3 {
		if !m.clean("a b", func(string) bool { return false }) || m.clean("a c", func(string) bool { return true }) {
			t.Fatal("got one text's answer for another")
		}
	}
	if !m.clean("a b", func(string) bool { t.Error("asked again of a known text"); return true }) {
		t.Error("got something in a clean text")
	}
}
