package reach

import (
	"fmt"
	"slices"
	"strings"
)

// A Span is a range of ports, both ends included.
type Span struct{ From, To int }

// Spans are ranges of ports, in order and apart from each other.
type Spans []Span

// every is all ports.
var every = Spans{{0, 65535}}

// ephemeral are the ports that answers go to (VPC guide, network ACLs).
var ephemeral = Spans{{1024, 65535}}

func (s Spans) and(t Spans) Spans {
	var out Spans
	for i, j := 0, 0; i < len(s) && j < len(t); {
		from, to := max(s[i].From, t[j].From), min(s[i].To, t[j].To)
		if from <= to {
			out = append(out, Span{from, to})
		}
		if s[i].To < t[j].To {
			i++
		} else {
			j++
		}
	}
	return out
}

// Or are the ports that are in either.
func (s Spans) Or(t Spans) Spans {
	all := append(slices.Clone(s), t...)
	slices.SortFunc(all, func(a, b Span) int { return a.From - b.From })
	var out Spans
	for _, x := range all {
		if n := len(out); n > 0 && x.From <= out[n-1].To+1 {
			out[n-1].To = max(out[n-1].To, x.To)
			continue
		}
		out = append(out, x)
	}
	return out
}

// Minus are the ports of s that are not in t.
func (s Spans) Minus(t Spans) Spans {
	out := slices.Clone(s)
	for _, x := range t {
		var next Spans
		for _, y := range out {
			if x.To < y.From || x.From > y.To {
				next = append(next, y)
				continue
			}
			if y.From < x.From {
				next = append(next, Span{y.From, x.From - 1})
			}
			if y.To > x.To {
				next = append(next, Span{x.To + 1, y.To})
			}
		}
		out = next
	}
	return out
}

// Has says whether a port is among them.
func (s Spans) Has(port int) bool {
	return slices.ContainsFunc(s, func(x Span) bool { return x.From <= port && port <= x.To })
}

// Only says whether they are exactly one port.
func (s Spans) Only(port int) bool { return len(s) == 1 && s[0] == Span{port, port} }

func (s Spans) String() string {
	if len(s) == 1 && s[0] == every[0] {
		return "every port"
	}
	var parts []string
	for _, x := range s {
		if x.From == x.To {
			parts = append(parts, fmt.Sprint(x.From))
		} else {
			parts = append(parts, fmt.Sprintf("%d-%d", x.From, x.To))
		}
	}
	if len(s) == 1 && s[0].From == s[0].To {
		return "port " + parts[0]
	}
	return "ports " + strings.Join(parts, ", ")
}

// Protocols that are told apart; any other is as "all".
const (
	TCP  = "tcp"
	UDP  = "udp"
	ICMP = "icmp"
	All  = "all"
)

// Ports are what a rule is about.
type Ports struct {
	Protocol string
	Spans    Spans
}

func (p Ports) String() string {
	if p.Protocol == All {
		return "everything"
	}
	if p.Protocol == ICMP {
		return "icmp"
	}
	return p.Protocol + " " + p.Spans.String()
}

// of returns the ports of one protocol.
func (p Ports) of(protocol string) Spans {
	if p.Protocol == All || p.Protocol == protocol {
		return p.Spans
	}
	return nil
}

func protocolName(s string) string {
	switch strings.ToLower(s) {
	case "-1", "all":
		return All
	case "6", "tcp":
		return TCP
	case "17", "udp":
		return UDP
	case "1", "58", "icmp", "icmpv6":
		return ICMP
	}
	return s
}
