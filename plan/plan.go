// Package plan is the vocabulary of Ringwall: a site, its tiers, its stores and
// the flows between them, with one file of settings for each perimeter.
// It builds nothing and attacks nothing; load.go is the only reader of configuration.
package plan

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
)

// A Plan is one site, read from configuration, filled with defaults and validated.
// It is read-only after Load; nobody needs to ask whether a field is set.
type Plan struct {
	App, Env string // together the site's name: <app>-<env>
	Kind     Kind   // how the app answers requests
	Preset   string // wordpress, node-red or generic
	File     string // absolute path of the configuration that was read
	Tiers    []Tier // admin first, then fleet
	Flows    []Flow // every permission of the site; what is not listed is refused

	Network     Network
	Edge        Edge
	VPC         VPC
	Balancer    Balancer
	Host        Host
	Files       Files
	Webserver   Webserver
	Database    Database
	Application Application
	AWS         AWS // what only has a meaning on AWS

	Notes   []string          // what the user should know of this reading: replaced, kept for AWS only, not yet local
	Origins map[string]Origin // by dotted key (cache.maxTTL): where its value came from
}

// Site is the site's name, as it is typed on the command line: wp-dev.
func (p *Plan) Site() string { return p.App + "-" + p.Env }

// Dir is the directory of the configuration file; relative paths in it start here.
func (p *Plan) Dir() string { return filepath.Dir(p.File) }

// Tier returns the tier of that name, or nil.
func (p *Plan) Tier(name string) *Tier {
	for i := range p.Tiers {
		if p.Tiers[i].Name == name {
			return &p.Tiers[i]
		}
	}
	return nil
}

// Kind says how the app answers requests.
type Kind string

const (
	PHP     Kind = "php"     // PHP-FPM pools behind FastCGI
	Command Kind = "command" // any program that serves HTTP on the port it is given in PORT
	Static  Kind = "static"  // files only
)

// Names of the tiers of a web-administered app.
const (
	Admin = "admin"
	Fleet = "fleet"
)

// A Tier is a group of identical instances with the same rights.
type Tier struct {
	Name     string
	Min, Max int               // instances; 1 <= Min <= Max <= 50
	Command  []string          // for kind command: the program and its arguments; {port}, {tier} and {files} are replaced
	Env      map[string]string // the app's environment, for kind command and php; never secrets
	Write    bool              // may change the files: true for admin only
	Limits   Limits
}

// DatabaseConnections is how many connections to the database a tier's user may
// have, so that none takes all that the server has.
func (t Tier) DatabaseConnections() int { return min(max(10*t.Max, 20), 100) }

// InstanceConnections is how many connections to the database the firewall lets one
// instance have: its tier's share, and half as many that are still closing.
func (t Tier) InstanceConnections() int { return t.DatabaseConnections() * 3 / 2 }

// Limits bounds one instance's app.
type Limits struct {
	Processes int   // processes and threads
	Memory    int64 // bytes of resident memory (cgroup) or of address space per process (rlimit)
	OpenFiles int   // descriptors per process
	FileSize  int64 // bytes; the largest file it may write
	CPU       int   // hundredths of one processor; 150 is one and a half
}

// A Flow is one permission: From may open connections to Port of To.
type Flow struct {
	From, To  string // Node names
	Port      uint16 // TCP
	Rights    string // what the connection may do: "https", "routes: all", "sql: read-write"
	When      string // the condition it holds under, in words; empty: always
	InProcess bool   // From and To share a process; the flow is proved at To's own listener
}

func (f Flow) String() string {
	return fmt.Sprintf("%s → %s:%d", f.From, f.To, f.Port)
}

// Nodes that are not tiers. A flow's ends are these or the name of a tier.
const (
	Internet     = "internet" // visitors, and everybody else
	Office       = "office"   // the administrators' addresses
	NodeEdge     = "edge"     // perimeter 2
	NodeBalancer = "balancer" // perimeter 4
	Beside       = "beside"   // another edge, next to ours: reaches the balancer's listener and must prove the secret
	NodeDatabase = "database" // perimeter 9
)

// MayDial says whether the plan lists a flow from one node to a port of another.
func (p *Plan) MayDial(from, to string, port uint16) bool {
	return slices.ContainsFunc(p.Flows, func(f Flow) bool {
		return f.From == from && f.To == to && f.Port == port
	})
}

// An Origin is the place a value was read from.
type Origin struct {
	Source string // "flag", "environment", "file", "default" or "preset"
	File   string // for "file"
	Line   int
	Column int
}

func (o Origin) String() string {
	if o.Source != "file" {
		return o.Source
	}
	return fmt.Sprintf("%s:%d:%d", o.File, o.Line, o.Column)
}

// A Match is a set of addresses, as lists of addresses and CIDR blocks of both
// families. The zero value matches nobody; Any matches everybody.
type Match struct {
	Any      bool
	Prefixes []netip.Prefix // masked; an address is a /32 or /128
}

// Has says whether the address belongs to the set. IPv4-mapped IPv6 addresses
// are taken as the IPv4 address they hold.
func (m Match) Has(a netip.Addr) bool {
	if m.Any {
		return true
	}
	a = a.Unmap()
	for _, p := range m.Prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
