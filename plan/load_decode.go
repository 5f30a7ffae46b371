package plan

import (
	"fmt"
	"math"
	"net/netip"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// decode gives a key's place in the draft the value that was merged for it.
func (l *loader) decode(d *draft, k *key, v value) {
	if v.kind == nullValue {
		l.problem(v.at, k.name, "nothing", l.wanted(k), "take the key away to keep its default")
		return
	}
	switch p := k.ptr(d).(type) {
	case *[]string:
		for _, item := range l.items(k, v) {
			if s, ok := l.str(k, item); ok {
				*p = append(*p, s)
			}
		}
	case *Match:
		l.match(k, v, p)
	case *map[string]string:
		for _, f := range l.fields(k, v) {
			if s, ok := l.str(k, f.value); ok {
				put(p, f.name, s)
			}
		}
	case *map[string]int:
		for _, f := range l.fields(k, v) {
			one := *k // messages name the entry, and what an entry may be
			one.name, one.ptr = k.name+"."+f.name, func(*draft) any { return new(int) }
			if n, ok := l.number(&one, f.value); ok {
				put(p, f.name, int(n))
			}
		}
	case *map[string][]string:
		for _, f := range l.fields(k, v) {
			list := []string{}
			for _, item := range l.items(k, f.value) {
				if s, ok := l.str(k, item); ok {
					list = append(list, s)
				}
			}
			put(p, f.name, list)
		}
	case *map[string][]Grant:
		for _, f := range l.fields(k, v) {
			put(p, f.name, decodeItems(l, k, f.value, grantFields))
		}
	case *[]Mask:
		*p = decodeItems(l, k, v, maskFields)
	case *[]Exclusion:
		*p = decodeItems(l, k, v, exclusionFields)
	default:
		l.scalar(k, v, p)
	}
}

func (l *loader) scalar(k *key, v value, ptr any) {
	s, ok := l.str(k, v)
	if !ok {
		return
	}
	bad := func(want string) { l.problem(v.at, k.name, quote(s), want, "") }
	switch p := ptr.(type) {
	case *bool:
		switch strings.ToLower(s) {
		case "true", "yes":
			*p = true
		case "false", "no":
			*p = false
		default:
			bad("yes or no")
		}
	case *int:
		if n, ok := l.number(k, v); ok {
			*p = int(n)
		}
	case *int64:
		if n, ok := l.number(k, v); ok {
			*p = n
		}
	case *uint16:
		if n, ok := l.number(k, v); ok {
			*p = uint16(n)
		}
	case *time.Duration:
		t, err := time.ParseDuration(s)
		switch {
		case s == "0":
		case err != nil || t < 0:
			bad("a duration such as 500ms, 5s or 2h")
		case t < k.lowest():
			bad("at least " + k.lowest().String())
		case t > 10*365*24*time.Hour:
			bad("at most ten years")
		default:
			*p = t
			return
		}
		if s == "0" && k.min > 0 {
			bad("at least " + k.lowest().String())
		}
	case *netip.Addr:
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			bad("an address such as 192.0.2.1 or 2001:db8::1")
			return
		}
		*p = a.Unmap()
	case *netip.AddrPort:
		a, err := netip.ParseAddrPort(s)
		if rest, ok := strings.CutPrefix(s, "localhost:"); ok {
			a, err = netip.ParseAddrPort("127.0.0.1:" + rest)
		}
		if err != nil || a.Addr().Zone() != "" {
			bad("an address with a port such as 127.0.0.1:8443 or [::1]:8443")
			return
		}
		*p = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	case *netip.Prefix:
		b, err := netip.ParsePrefix(s)
		if err != nil {
			bad("a block such as 10.0.0.0/16")
			return
		}
		*p = b.Masked()
	default:
		e := reflect.ValueOf(ptr).Elem() // string, and the types made from it
		if k.path && s != "" {
			s = l.abs(s)
		}
		e.SetString(s)
	}
}

func put[T any](m *map[string]T, name string, v T) {
	if *m == nil {
		*m = map[string]T{}
	}
	(*m)[name] = v
}

func (l *loader) abs(s string) string {
	if filepath.IsAbs(s) {
		return filepath.Clean(s)
	}
	return filepath.Join(l.dir, s)
}

// str is a text value that the key allows.
func (l *loader) str(k *key, v value) (string, bool) {
	if v.kind != textValue {
		l.problem(v.at, k.name, v.what(), l.wanted(k), "")
		return "", false
	}
	s := v.text
	if strings.ContainsRune(s, 0) {
		l.problem(v.at, k.name, "a text with a zero byte", "none", "")
		return "", false
	}
	if len(k.enum) > 0 && !slices.Contains(k.enum, s) {
		l.problem(v.at, k.name, quote(s), l.wanted(k), didYouMean(s, k.enum))
		return "", false
	}
	if k.test != nil {
		if d := k.test(s); d != nil {
			l.problem(v.at, k.name, quote(s), d.want, d.hint)
			return "", false
		}
	}
	if k.path && k.shape() == listValue {
		s = l.abs(s)
	}
	return s, true
}

// wanted says in words what a key takes.
func (l *loader) wanted(k *key) string {
	if len(k.enum) > 0 {
		words := slices.Clone(k.enum)
		for i, w := range words {
			if w == "" {
				words[i] = `""`
			}
		}
		return oneOf(words)
	}
	switch k.ptr(newDraft()).(type) {
	case *[]string, *[]Mask, *[]Exclusion:
		return "a list"
	case *Match:
		return "a list of addresses and blocks, or *"
	case *map[string]string, *map[string]int, *map[string][]string, *map[string][]Grant:
		return "a group of names with values"
	case *bool:
		return "yes or no"
	case *int, *int64, *uint16:
		switch k.unit {
		case "size":
			return "a size such as 64MiB"
		case "cpu":
			return "a number of processors such as 0.5"
		}
		return "a whole number" + k.bounds()
	case *time.Duration:
		return "a duration such as 5s"
	}
	return "a text"
}

func (k *key) bounds() string {
	if k.max > 0 {
		return fmt.Sprintf(" from %d to %d", k.min, k.max)
	}
	return ""
}

func (l *loader) items(k *key, v value) []value {
	if v.kind == textValue && v.text != "" { // one item needs no list
		return []value{v}
	}
	if v.kind != listValue {
		l.problem(v.at, k.name, v.what(), "a list", "")
		return nil
	}
	return v.list
}

func (l *loader) fields(k *key, v value) []field {
	if v.kind != tableValue {
		l.problem(v.at, k.name, v.what(), "a group of names with values", "")
		return nil
	}
	return v.table
}

var sizeUnits = []struct {
	suffix string
	factor int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1}, {"", 1}}

// number reads a whole number, a size in bytes or a number of processors.
func (l *loader) number(k *key, v value) (int64, bool) {
	s, ok := l.str(k, v)
	if !ok {
		return 0, false
	}
	fail := func() (int64, bool) { l.problem(v.at, k.name, quote(s), l.wanted(k), ""); return 0, false }
	var n int64
	switch k.unit {
	case "cpu":
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || math.IsNaN(f) || f < 0.01 || f > 256 {
			return fail()
		}
		n = int64(math.Round(f * 100))
	case "size":
		for _, u := range sizeUnits {
			if digits, ok := strings.CutSuffix(s, u.suffix); ok {
				d, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
				if err != nil || d < 0 || d > math.MaxInt64/u.factor {
					return fail()
				}
				n = d * u.factor
				break
			}
		}
	default:
		d, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return fail()
		}
		n = d
	}
	if n < int64(k.min) || k.max > 0 && n > int64(k.max) {
		want := "a number of at least " + k.show(int64(k.min))
		if k.max > 0 {
			want = "a number from " + k.show(int64(k.min)) + " to " + k.show(int64(k.max))
		}
		l.problem(v.at, k.name, quote(s), want, "")
		return 0, false
	}
	return n, true
}

// show writes a number in the key's unit, so that it can be read back.
func (k *key) show(n int64) string {
	switch k.unit {
	case "cpu":
		return strconv.FormatFloat(float64(n)/100, 'f', -1, 64)
	case "size":
		for i := 3; i >= 0; i-- {
			if u := sizeUnits[i]; n >= u.factor && n%u.factor == 0 {
				return strconv.FormatInt(n/u.factor, 10) + u.suffix
			}
		}
	}
	return strconv.FormatInt(n, 10)
}

func showSize(n int64) string { return (&key{unit: "size"}).show(n) }

// match reads addresses and blocks of both families.
func (l *loader) match(k *key, v value, m *Match) {
	var list []value
	if v.kind == textValue {
		list = []value{v}
	} else {
		list = l.items(k, v)
	}
	for _, item := range list {
		s, ok := l.str(k, item)
		if !ok {
			continue
		}
		if s == "*" {
			m.Any = true
			continue
		}
		p, err := parseBlock(s)
		if err != nil {
			l.problem(item.at, k.name, quote(s), "an address such as 192.0.2.1 or 2001:db8::1, a block such as 192.0.2.0/24, or *", "")
			continue
		}
		if !slices.Contains(m.Prefixes, p) {
			m.Prefixes = append(m.Prefixes, p)
		}
		l.blocks[k.name] = append(l.blocks[k.name], block{p, s, item.at})
	}
	if m.Any && len(m.Prefixes) > 0 {
		l.problem(v.at, k.name, "* beside addresses", "either * or addresses", "")
	}
}

// A block remembers how an address was written, and where.
type block struct {
	prefix netip.Prefix
	text   string
	at     Origin
}

// parseBlock reads an address or a CIDR block; IPv4 in IPv6 clothes is IPv4.
func parseBlock(s string) (netip.Prefix, error) {
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return netip.Prefix{}, err
		}
		if a.Zone() != "" {
			return netip.Prefix{}, fmt.Errorf("got a zone in %q, want none", s)
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	if p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return netip.Prefix{}, fmt.Errorf("got a block of IPv4-mapped addresses shorter than /96 in %q", s)
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), nil
}
