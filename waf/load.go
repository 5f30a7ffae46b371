package waf

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/ringwall/ringwall/waf/internal/seclang"
)

// A loader turns directives to rules and settings, in order.
type loader struct {
	fsys      fs.FS
	settings  settings
	rules     []*rule
	pending   *rule // a rule that waits for the next one of its chain
	pendingAt *rule // the first rule of that chain
	datasets  map[string][]string
	patterns  map[string]*regexp.Regexp
	marks     []string
	txIndex   map[string]int
	txNames   []string
	dir       string // of the file that is read, for lists that rules name
}

func newLoader(fsys fs.FS) *loader {
	l := &loader{
		fsys: fsys, settings: defaultSettings(),
		datasets: map[string][]string{}, patterns: map[string]*regexp.Regexp{},
		txIndex: map[string]int{},
	}
	for i := range numCaptures {
		l.slot(strconv.Itoa(i))
	}
	l.slot("json_request_body")
	l.slot("json_response_body")
	return l
}

// slot gives a value of TX a place.
func (l *loader) slot(name string) int {
	name = strings.ToLower(name)
	i, ok := l.txIndex[name]
	if !ok {
		i = len(l.txNames)
		l.txIndex[name] = i
		l.txNames = append(l.txNames, name)
	}
	return i
}

func (l *loader) mark(name string) int {
	i := slices.Index(l.marks, name)
	if i < 0 {
		i = len(l.marks)
		l.marks = append(l.marks, name)
	}
	return i + 1
}

// directive applies one directive.
func (l *loader) directive(d *seclang.Directive) error {
	l.dir = path.Dir(d.Pos.File)
	var err error
	if l.pending != nil && d.Name != "secrule" && d.Name != "secaction" {
		return seclang.Errorf(l.pending.pos, "the rule says chain and no rule follows it")
	}
	switch d.Name {
	case "secrule", "secaction":
		err = l.rule(d)
	case "secmarker":
		if len(d.Args) != 1 {
			err = fmt.Errorf("got %d arguments, want a name", len(d.Args))
			break
		}
		r := &rule{pos: d.Pos, marker: l.mark(seclang.Unquote(d.Args[0]))}
		r.File, r.Line, r.Raw = d.Pos.File, d.Pos.Line, d.Raw
		l.rules = append(l.rules, r)
	case "secruleremovebyid":
		err = l.removeByID(d.Args)
	case "secruleremovebytag":
		err = l.remove(d.Args, func(r *rule, arg string) bool { return slices.Contains(r.Tags, arg) })
	case "secruleremovebymsg":
		err = l.remove(d.Args, func(r *rule, arg string) bool { return r.Message == arg && arg != "" })
	case "secruleupdatetargetbyid":
		err = l.update(d.Args, byID, l.updateTargets)
	case "secruleupdatetargetbytag":
		err = l.update(d.Args, byTag, l.updateTargets)
	case "secruleupdatetargetbymsg":
		err = l.update(d.Args, byMsg, l.updateTargets)
	case "secruleupdateactionbyid":
		err = l.update(d.Args, byID, l.updateActions)
	case "secdataset":
		var words []string
		for w := range strings.Lines(d.Args[1]) {
			if w = strings.TrimSpace(w); w != "" && w[0] != '#' {
				words = append(words, w)
			}
		}
		l.datasets[d.Args[0]] = words
	default:
		err = l.settings.set(d.Name, d.Args)
	}
	if err != nil {
		name, _, _ := strings.Cut(d.Raw, " ")
		return seclang.Errorf(d.Pos, "%s: %w", name, err)
	}
	return nil
}

// rule adds a SecRule or a SecAction.
func (l *loader) rule(d *seclang.Directive) error {
	r := &rule{pos: d.Pos, bit: -1}
	r.Phase, r.Severity = 2, SeverityUnset
	r.File, r.Line, r.Raw = d.Pos.File, d.Pos.Line, d.Raw
	if d.Name == "secrule" {
		if err := l.addTargets(r, d.Rule.Targets); err != nil {
			return err
		}
		if len(r.targets) == 0 {
			return fmt.Errorf("got only exceptions, want a variable that they are taken from")
		}
		var err error
		if r.op, err = l.operator(d.Rule.Operator); err != nil {
			return err
		}
		r.not = d.Rule.Operator.Not
		r.Operator = "@" + strings.TrimSpace(d.Rule.Operator.Name+" "+d.Rule.Operator.Arg)
		if r.not {
			r.Operator = "!" + r.Operator
		}
	}
	own, err := single(d.Rule.Actions)
	if err != nil {
		return err
	}
	if len(own) > 0 {
		if err := l.apply(r, own); err != nil {
			return err
		}
	}
	if first := l.pendingAt; first != nil {
		for _, a := range own {
			if kinds[a.Name] == disruptAction || a.Name == "status" || a.Name == "skip" || a.Name == "skipafter" || a.Name == "phase" && r.Phase != first.Phase {
				return fmt.Errorf("action %s: only the first rule of a chain says what becomes of the request, and when it runs", a.Name)
			}
		}
		if r.ID != 0 {
			return fmt.Errorf("got id %d, want none: the rule is chained to rule %d", r.ID, first.ID)
		}
		r.chained, r.Phase = true, first.Phase
		l.pending.chain = r
		first.Raw += "\n" + r.Raw
		l.pending = r
		if !r.opensChain {
			l.pending, l.pendingAt = nil, nil
		}
		return nil
	}
	if r.ID == 0 {
		return fmt.Errorf("the rule has no id")
	}
	if i := slices.IndexFunc(l.rules, func(o *rule) bool { return o.ID == r.ID }); i >= 0 {
		return fmt.Errorf("got id %d, which the rule at %s has", r.ID, l.rules[i].pos)
	}
	l.rules = append(l.rules, r)
	if r.opensChain {
		l.pending, l.pendingAt = r, r
	}
	return nil
}

// An idRange is one id or first-last.
type idRange struct{ first, last int }

func (x idRange) has(id int) bool { return id >= x.first && id <= x.last }

func parseRange(s string) (idRange, error) {
	a, b, ok := strings.Cut(s, "-")
	first, err := strconv.Atoi(a)
	last := first
	if ok && err == nil {
		last, err = strconv.Atoi(b)
	}
	if err != nil || first > last {
		return idRange{}, fmt.Errorf("got %q, want a rule's id or first-last", s)
	}
	return idRange{first, last}, nil
}

func (l *loader) removeByID(args []string) error {
	var ranges []idRange
	found := map[idRange]bool{}
	for _, a := range args {
		for _, s := range strings.FieldsFunc(a, func(c rune) bool { return c == ' ' || c == ',' }) {
			x, err := parseRange(s)
			if err != nil {
				return err
			}
			ranges = append(ranges, x)
		}
	}
	if len(ranges) == 0 {
		return fmt.Errorf("got no ids")
	}
	l.rules = slices.DeleteFunc(l.rules, func(r *rule) bool {
		if r.marker != 0 {
			return false
		}
		i := slices.IndexFunc(ranges, func(x idRange) bool { return x.has(r.ID) })
		if i >= 0 {
			found[ranges[i]] = true
		}
		return i >= 0
	})
	for _, x := range ranges {
		if x.first == x.last && !found[x] {
			return fmt.Errorf("got rule %d, which is not there, or not yet", x.first)
		}
	}
	return nil
}

func (l *loader) remove(args []string, is func(*rule, string) bool) error {
	if len(args) != 1 {
		return fmt.Errorf("got %d arguments, want one", len(args))
	}
	before := len(l.rules)
	l.rules = slices.DeleteFunc(l.rules, func(r *rule) bool { return r.marker == 0 && is(r, args[0]) })
	if len(l.rules) == before {
		return fmt.Errorf("got %q, which no rule before has", args[0])
	}
	return nil
}

// Ways to name the rules of an update.
func byID(r *rule, arg string) (bool, error) {
	x, err := parseRange(arg)
	return err == nil && x.has(r.ID), err
}
func byTag(r *rule, arg string) (bool, error) { return slices.Contains(r.Tags, arg), nil }
func byMsg(r *rule, arg string) (bool, error) { return arg != "" && r.Message == arg, nil }

// update changes the rules that all arguments but the last name. change says
// whether there was something to change.
func (l *loader) update(args []string, is func(*rule, string) (bool, error), change func(*rule, string) (bool, error)) error {
	if len(args) < 2 {
		return fmt.Errorf("got %d arguments, want which rules and what to change", len(args))
	}
	for _, which := range args[:len(args)-1] {
		found, changed := false, false
		for _, r := range l.rules {
			if r.marker != 0 {
				continue
			}
			ok, err := is(r, which)
			if err != nil {
				return err
			}
			if !ok {
				continue
			}
			found = true
			did, err := change(r, args[len(args)-1])
			if err != nil {
				return fmt.Errorf("rule %d: %w", r.ID, err)
			}
			changed = changed || did
		}
		switch {
		case !found:
			return fmt.Errorf("got %s, which no rule before has", which)
		case !changed:
			return fmt.Errorf("got %q, and %s reads no such variable", args[len(args)-1], which)
		}
	}
	return nil
}

func (l *loader) updateTargets(r *rule, arg string) (changed bool, err error) {
	ts, err := seclang.Targets(arg)
	if err != nil {
		return false, err
	}
	if r.op == nil {
		return false, fmt.Errorf("the rule has no variables")
	}
	for _, t := range ts {
		changed = changed || !t.Except || slices.ContainsFunc(r.targets, func(have target) bool { return have.v == varIDs[t.Name] })
	}
	return changed, l.addTargets(r, ts)
}

func (l *loader) updateActions(r *rule, arg string) (changed bool, err error) {
	as, err := seclang.Actions(arg)
	if err != nil {
		return false, err
	}
	if as, err = single(as); err != nil {
		return false, err
	}
	for _, a := range as {
		switch {
		case a.Name == "id" || a.Name == "phase" || a.Name == "chain":
			return false, fmt.Errorf("action %s cannot be changed", a.Name)
		case kinds[a.Name] == metaAction:
			err = l.meta(r, a)
		default:
			err = l.act(r, a)
		}
		if err != nil {
			return false, err
		}
	}
	return true, nil
}

// lines reads a list from a file beside the rules: one entry per line, # comments.
func (l *loader) lines(name string) ([]string, error) {
	b, err := l.read(name)
	if err != nil {
		return nil, err
	}
	var out []string
	sc := bufio.NewScanner(bytes.NewReader(b))
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		if s := strings.TrimSpace(sc.Text()); s != "" && s[0] != '#' {
			out = append(out, s)
		}
	}
	return out, sc.Err()
}

// read reads a file that a rule names: beside the rule's own, then at the root.
func (l *loader) read(name string) ([]byte, error) {
	if l.fsys == nil {
		return nil, fmt.Errorf("reading %q: the rules have no file system", name)
	}
	b, err := fs.ReadFile(l.fsys, path.Join(l.dir, name))
	if err != nil {
		var err2 error
		if b, err2 = fs.ReadFile(l.fsys, path.Clean(strings.TrimPrefix(name, "/"))); err2 != nil {
			return nil, fmt.Errorf("reading a list: %w", err)
		}
	}
	return b, nil
}
