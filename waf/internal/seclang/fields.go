package seclang

import (
	"errors"
	"fmt"
	"strings"
)

// arguments splits what follows a directive's name at white space, but not
// within double quotes. \" stands for a quote within them.
func arguments(s string) ([]string, error) {
	var args []string
	for {
		s = strings.TrimLeft(s, " \t")
		if s == "" {
			return args, nil
		}
		if s[0] != '"' {
			i := strings.IndexAny(s, " \t")
			if i < 0 {
				i = len(s)
			}
			args = append(args, s[:i])
			s = s[i:]
			continue
		}
		end := closing(s)
		if end < 0 {
			return nil, fmt.Errorf("the quote before %.40q is not closed", s[1:])
		}
		if rest := s[end+1:]; rest != "" && rest[0] != ' ' && rest[0] != '\t' {
			return nil, fmt.Errorf("got %.40q right after a closing quote, want a space", rest)
		}
		args = append(args, strings.ReplaceAll(s[1:end], `\"`, `"`))
		s = s[end+1:]
	}
}

// closing finds the quote that closes the one at s[0]: the next one with an
// even number of backslashes before it.
func closing(s string) int {
	slashes := 0
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\':
			slashes++
			continue
		case s[i] == '"' && slashes%2 == 0:
			return i
		}
		slashes = 0
	}
	return -1
}

// Targets reads a rule's variable list: ARGS|!ARGS:id|&REQUEST_HEADERS:/^x-/.
func Targets(s string) ([]Target, error) {
	var ts []Target
	for s != "" {
		var t Target
		for s != "" && (s[0] == '!' || s[0] == '&') {
			if s[0] == '!' {
				t.Except = true
			} else {
				t.Count = true
			}
			s = s[1:]
		}
		i := strings.IndexAny(s, ":|")
		if i < 0 {
			i = len(s)
		}
		t.Name, s = strings.ToUpper(strings.TrimSpace(s[:i])), s[i:]
		if t.Name == "" {
			return nil, errors.New("a variable has no name")
		}
		if s != "" && s[0] == ':' {
			var err error
			if t.Key, t.Regexp, s, err = key(t.Name, s[1:]); err != nil {
				return nil, fmt.Errorf("variable %s: %w", t.Name, err)
			}
		}
		if s != "" {
			if s[0] != '|' {
				return nil, fmt.Errorf("variable %s: got %.20q after its key, want |", t.Name, s)
			}
			if s = s[1:]; s == "" {
				return nil, errors.New("the variable list ends in |")
			}
		}
		ts = append(ts, t)
	}
	if len(ts) == 0 {
		return nil, errors.New("got no variables")
	}
	return ts, nil
}

// key reads what follows a variable's colon: a name, /a regular expression/, a
// quoted one of either, or an XPath.
func key(name, s string) (key string, isRegexp bool, rest string, err error) {
	if name == "XML" || name == "REQUEST_XML" || name == "RESPONSE_XML" || name == "JSON" {
		i := strings.IndexByte(s, '|')
		if i < 0 {
			i = len(s)
		}
		return s[:i], false, s[i:], nil
	}
	quoted := strings.HasPrefix(s, "'")
	if quoted {
		s = s[1:]
	}
	if strings.HasPrefix(s, "/") {
		end := slash(s)
		if end < 0 {
			return "", false, "", fmt.Errorf("the regular expression %.40q has no closing slash", s)
		}
		key, s, isRegexp = s[1:end], s[end+1:], true
	} else {
		stop := "|"
		if quoted {
			stop = "'"
		}
		i := strings.Index(s, stop)
		if i < 0 {
			i = len(s)
		}
		key, s = s[:i], s[i:]
	}
	if quoted {
		if !strings.HasPrefix(s, "'") {
			return "", false, "", fmt.Errorf("the quote before %.40q is not closed", key)
		}
		s = s[1:]
	}
	if key == "" {
		return "", false, "", errors.New("got a colon without a key")
	}
	return key, isRegexp, s, nil
}

// slash finds the unescaped slash that closes the one at s[0].
func slash(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '/':
			return i
		}
	}
	return -1
}

// operator reads a rule's second argument. A text without @ is a regular
// expression.
func operator(s string) (Operator, error) {
	var o Operator
	s = strings.TrimLeft(s, " \t")
	if rest, ok := strings.CutPrefix(s, "!"); ok {
		o.Not, s = true, rest
		if spaced := strings.TrimLeft(s, " \t"); strings.HasPrefix(spaced, "@") {
			s = spaced
		}
	}
	if o.Not && s == "" || !strings.HasPrefix(s, "@") {
		o.Name, o.Arg = "rx", strings.TrimSpace(s)
		return o, nil
	}
	name, arg, _ := strings.Cut(s[1:], " ")
	o.Name, o.Arg = strings.TrimSpace(name), strings.TrimSpace(arg)
	if o.Name == "" {
		return o, errors.New("got an operator without a name")
	}
	return o, nil
}

// Actions reads a rule's action list: id:1,phase:2,msg:'a, b',deny.
func Actions(s string) ([]Action, error) {
	var as []Action
	quoted := false
	start := 0
	add := func(part string) error {
		name, value, _ := strings.Cut(part, ":")
		a := Action{strings.ToLower(strings.TrimSpace(name)), Unquote(strings.TrimSpace(value))}
		if a.Name == "" {
			return fmt.Errorf("got an empty action in %.60q", s)
		}
		as = append(as, a)
		return nil
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			i++
		case c == '\'':
			quoted = !quoted
		case c == ',' && !quoted:
			if err := add(s[start:i]); err != nil {
				return nil, err
			}
			start = i + 1
		}
	}
	if quoted {
		return nil, fmt.Errorf("a quote is not closed in %.60q", s[start:])
	}
	if err := add(s[start:]); err != nil {
		return nil, err
	}
	return as, nil
}

// Unquote takes one pair of single or double quotes off.
func Unquote(s string) string {
	if len(s) >= 2 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0] {
		return s[1 : len(s)-1]
	}
	return s
}
