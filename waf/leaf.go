package waf

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// ipMatch holds for addresses in one of its networks.
type ipMatch []netip.Prefix

func newIPMatch(list []string) (operator, error) {
	var o ipMatch
	for _, s := range list {
		if s = strings.TrimSpace(s); s == "" {
			continue
		}
		p, err := netip.ParsePrefix(s)
		if err != nil {
			a, err2 := netip.ParseAddr(s)
			if err2 != nil {
				return nil, fmt.Errorf("got %q, want an address or a network such as 192.0.2.0/24", s)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
		}
		o = append(o, p.Masked())
	}
	return o, nil
}

func (o ipMatch) test(_ *Transaction, v string) bool {
	a, err := netip.ParseAddr(v)
	if err != nil {
		return false
	}
	a = a.Unmap().WithZone("")
	for _, p := range o {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

func (o ipMatch) pure() bool { return true }

// byteRange matches values with a byte outside its set.
type byteRange [256]bool

func newByteRange(arg string) (operator, error) {
	if arg == "" {
		return constant(true), nil
	}
	o := &byteRange{}
	for s := range strings.SplitSeq(arg, ",") {
		a, b, ok := strings.Cut(strings.TrimSpace(s), "-")
		if !ok {
			b = a
		}
		first, err := strconv.ParseUint(a, 10, 8)
		last, err2 := strconv.ParseUint(b, 10, 8)
		if err != nil || err2 != nil || first > last {
			return nil, fmt.Errorf("got %q, want bytes from 0 to 255, such as 9,32-126", s)
		}
		for i := first; i <= last; i++ {
			o[i] = true
		}
	}
	return o, nil
}

func (o *byteRange) test(_ *Transaction, v string) bool {
	for i := 0; i < len(v); i++ {
		if !o[v[i]] {
			return true
		}
	}
	return false
}

func (o *byteRange) pure() bool { return true }

// invalidURLEncoding holds for a percent sign without two hexadecimal digits.
func invalidURLEncoding(v string) bool {
	hex := func(c byte) bool {
		return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
	}
	for i := 0; i < len(v); i++ {
		if v[i] != '%' {
			continue
		}
		if i+2 >= len(v) || !hex(v[i+1]) || !hex(v[i+2]) {
			return true
		}
		i += 2
	}
	return false
}

// restpath matches a path with named parts, /users/{id}, which become ARGS_PATH.
type restpath struct{ re *regexp.Regexp }

var pathToken = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\{([^\}]+)\}`) })

func (l *loader) newRestpath(arg string) (operator, error) {
	expr := pathToken().ReplaceAllString(arg, `(?P<$1>[^?/]+)`)
	re, err := l.regexp(expr)
	return &restpath{re}, err
}

func (o *restpath) test(tx *Transaction, v string) bool {
	m := o.re.FindStringSubmatch(v)
	if m == nil {
		return false
	}
	for i, name := range o.re.SubexpNames() {
		if i > 0 && name != "" {
			tx.replace(vArgsPath, name, m[i])
			tx.dirty = true // what a batch has read of ARGS is out of date
		}
	}
	return true
}

func (o *restpath) pure() bool { return false }

// finder matches values in which an expression finds a number that passes a test.
type finder struct {
	re *regexp.Regexp
	ok func(string) bool
}

func (o *finder) test(tx *Transaction, v string) bool {
	found := false
	for i, m := range o.re.FindAllString(v, 10) {
		if o.ok(m) {
			found = true
			if tx != nil {
				tx.captureField(i, m)
			}
		}
	}
	return found
}

func (o *finder) pure() bool { return true }

func (l *loader) newNid(arg string) (operator, error) {
	country, expr, ok := strings.Cut(arg, " ")
	tests := map[string]func(string) bool{"cl": nidChile, "us": nidUS}
	test := tests[country]
	if !ok || test == nil {
		return nil, fmt.Errorf("got %q, want cl or us and an expression", arg)
	}
	re, err := l.regexp(expr)
	return &finder{re, test}, err
}

func (l *loader) newVerifyCC(arg string) (operator, error) {
	re, err := l.regexp(arg)
	return &finder{re, luhn}, err
}

func digits(s string, more string) string {
	return strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' || strings.ContainsRune(more, c) {
			return c
		}
		return -1
	}, s)
}

// nidChile checks the last digit of a RUT.
func nidChile(s string) bool {
	if len(s) < 8 {
		return false
	}
	s = digits(strings.ToLower(s), "k")
	if s == "" {
		return false
	}
	n := atoi(s[:len(s)-1])
	sum, factor := 0, 2
	for ; n != 0; n /= 10 {
		sum += n % 10 * factor
		if factor++; factor == 8 {
			factor = 2
		}
	}
	want := strconv.Itoa(11 - sum%11)
	switch sum % 11 {
	case 0:
		want = "0"
	case 1:
		want = "k"
	}
	return s[len(s)-1:] == want
}

// nidUS checks the form of a social security number.
func nidUS(s string) bool {
	if s = digits(s, ""); len(s) < 9 {
		return false
	}
	area, group, serial := atoi(s[:3]), atoi(s[3:5]), atoi(s[5:9])
	if area == 0 || group == 0 || serial == 0 || area >= 740 || area == 666 {
		return false
	}
	same, rising := true, true
	for i := 1; i < len(s); i++ {
		same = same && s[i] == s[i-1]
		rising = rising && s[i] == s[i-1]+1
	}
	return !same && !rising
}

// luhn checks the last digit of a card's number.
func luhn(s string) bool {
	if s = digits(s, ""); len(s) < 13 || len(s) > 19 {
		return false
	}
	sum := 0
	for i := range len(s) {
		d := int(s[len(s)-1-i] - '0')
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}
