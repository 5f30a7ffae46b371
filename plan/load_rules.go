package plan

import (
	"os"
)

// maxRules bounds the files of the user's own rules, together.
const maxRules = 1 << 20

// readRules reads the files that waf.rules names. What is in them the engine judges.
func (l *loader) readRules(d *draft) {
	at := func(i int) Origin {
		if list := l.merged["waf.rules"].list; i < len(list) {
			return list[i].at
		}
		return d.Origins["waf.rules"]
	}
	size := 0
	for i, name := range d.ruleFiles {
		st, err := os.Stat(name)
		if err == nil && !st.Mode().IsRegular() {
			l.problem(at(i), "waf.rules", name+", which is a "+kindOf(st.Mode()), "a file with rules", "")
			continue
		}
		var text []byte
		if err == nil && st.Size() <= maxRules {
			text, err = os.ReadFile(name)
		}
		if err != nil {
			l.problem(at(i), "waf.rules", name+", which cannot be read", "a file with rules", "")
			continue
		}
		if size += max(len(text), int(min(st.Size(), maxRules+1))); size > maxRules {
			l.problem(at(i), "waf.rules", "more than "+showSize(maxRules)+" of rules", "less", "")
			return
		}
		d.Edge.WAF.Rules = append(d.Edge.WAF.Rules, RuleFile{File: name, Text: string(text)})
	}
}
