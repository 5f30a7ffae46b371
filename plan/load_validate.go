package plan

import (
	"fmt"
	"net/netip"
	"os"
	"path"
	"slices"
	"strings"
)

// validate holds the rules that need more than one key. A contradiction names the
// place of both sides.
func (l *loader) validate(d *draft) {
	l.validateTiers(d)
	l.validateAddresses(d)
	l.validateNetwork(d)
	l.validateFiles(d)
	l.validateDatabase(d)
	l.validateLimits(d)
	l.awsNote(d)
}

// clash reports two keys that do not go together, at the first one.
func (l *loader) clash(d *draft, a, got, b, want string, hint ...string) {
	l.clashAt(d, d.Origins[a], a, got, b, want, strings.Join(hint, "; "))
}

func (l *loader) clashAt(d *draft, at Origin, a, got, b, want, hint string) {
	if l.wrong != nil && (l.wrong[a] || l.wrong[b] || !written(d.Origins[a]) || !written(d.Origins[b])) {
		return
	}
	l.record(at, a, got, want+l.seeAlso(d, b), hint)
}

// written says whether somebody wrote a value, and not only for presets.
func written(o Origin) bool { return o.Source != "" && o.Source != "default" && o.Source != "preset" }

// seeAlso names the other side of a contradiction: its key and its place.
func (l *loader) seeAlso(d *draft, name string) string {
	o := d.Origins[name]
	if alias, ok := l.alias[name]; ok && o.Source == "file" {
		name = alias
	}
	switch o.Source {
	case "file":
		return fmt.Sprintf(" (%s, line %d)", name, o.Line)
	case "":
		return fmt.Sprintf(" (%s)", name)
	}
	return fmt.Sprintf(" (%s, %s)", name, o.Source)
}

// named is a key as the file spells it.
func (l *loader) named(name string) string {
	if l.isProperties() {
		for _, p := range properties {
			if p.to == name {
				return p.name
			}
		}
	}
	return name
}

var secretName = pattern(`(?i)passw|secret|token|credential|private_?key|api_?key`)

func (l *loader) validateTiers(d *draft) {
	for _, t := range d.Tiers {
		name := "tiers." + t.Name + "."
		if t.Min > t.Max {
			l.clash(d, name+"min", fmt.Sprintf("%d instances at least", t.Min), name+"max", fmt.Sprintf("no more than max, which is %d", t.Max))
		}
		for _, v := range sortedKeys(t.Env) {
			switch {
			case !envVar().MatchString(v):
				l.problem(l.entryAt(d, name+"env", v), name+"env", quote(v), "a variable's name: letters, digits and _, no digit first", "")
			case slices.Contains([]string{"PORT", "HOST", "TMPDIR", "DATABASE_SECRET"}, v) || strings.HasPrefix(v, "RINGWALL_"):
				l.problem(l.entryAt(d, name+"env", v), name+"env", quote(v), "a variable that Ringwall does not set itself", "")
			case secretName().MatchString(v) && t.Env[v] != "":
				l.note(fmt.Sprintf("tiers.%s.env.%s looks like a secret: the app's environment is no place for one", t.Name, v))
			}
		}
		if len(t.Command) > 0 && t.Command[0] == "" {
			l.problem(d.Origins[name+"command"], name+"command", "an empty program", "one", "")
		}
		if d.Kind != Command || len(t.Command) > 0 {
			continue
		}
		if l.isProperties() {
			l.note(fmt.Sprintf("nothing here says how to start %s: up needs its program in RINGWALL_COMMAND or in a ringwall.yaml (ringwall init writes one)", d.App))
			continue
		}
		if t.Name == Fleet && len(d.Tiers[0].Command) == 0 {
			continue // said for admin
		}
		at := d.Origins["kind"]
		if at.Source != "file" {
			at = d.Origins["app"]
		}
		l.problem(at, "kind", `"command" without a command for `+t.Name, "the program that serves HTTP on $PORT", `add command: ["{files}/myapp"], or kind: static for files alone`)
	}
	if d.Kind != Command {
		for _, name := range []string{"command", "tiers.admin.command", "tiers.fleet.command"} {
			if d.Origins[name].outranks(Origin{Source: "preset"}) {
				l.clash(d, name, "a command", "kind", "none with kind: "+string(d.Kind))
			}
		}
	}
}

var envVar = pattern(`^[A-Za-z_][A-Za-z0-9_]*$`)

// entryAt is the place of one entry of a table.
func (l *loader) entryAt(d *draft, name, entry string) Origin {
	for _, f := range l.merged[name].table {
		if f.name == entry {
			return f.at
		}
	}
	return d.Origins[name]
}

func (l *loader) validateAddresses(d *draft) {
	before := len(l.problems)
	allowed, admins := d.Edge.Allowed, d.Balancer.Admins
	if admins.Any {
		l.problem(d.Origins["admins"], "admins", `"*"`, "the addresses of the administrators", "everybody would be one")
		return
	}
	if len(allowed.Prefixes) == 0 && !allowed.Any {
		l.problem(d.Origins["allowed"], "allowed", "an empty list, which lets nobody in", "addresses, blocks, or * for everybody", "")
		return
	}
	if len(admins.Prefixes) == 0 {
		l.problem(d.Origins["admins"], "admins", "an empty list, which lets no administrator in", "at least one address", "")
		return
	}
	l.validateInside(d)
	if len(l.problems) > before {
		return
	}
	n := d.Network
	if !n.Office.IsValid() {
		l.problem(d.Origins["admins"], "admins", l.list("admins")+", none of which the site's network can use",
			"at least one address outside "+d.VPC.CIDR.String()+l.seeAlso(d, "vpc.cidr")+", no loopback and no multicast",
			"on this machine the door of the administrators stands for their first address, so any real one will do")
		return
	}
	for _, one := range []struct {
		name string
		addr netip.Addr
		ok   bool
		want string
	}{
		{"network.office", n.Office, admins.Has(n.Office), "one of the administrators' addresses" + l.seeAlso(d, "admins")},
		{"network.visitor", n.Visitor, !n.Visitor.IsValid() || allowed.Has(n.Visitor) && !admins.Has(n.Visitor), "an allowed address" + l.seeAlso(d, "allowed") + " of no administrator" + l.seeAlso(d, "admins")},
		{"network.stranger", n.Stranger, !n.Stranger.IsValid() || !allowed.Has(n.Stranger), "an address that is not allowed" + l.seeAlso(d, "allowed")},
	} {
		switch {
		case !one.ok:
			l.problem(d.Origins[one.name], one.name, one.addr.String(), one.want, "")
		case one.addr.IsValid() && (!usable(one.addr) || d.VPC.CIDR.Contains(one.addr) || d.VPC.CIDR6.Contains(one.addr)):
			l.problem(d.Origins[one.name], one.name, one.addr.String(), "an address of the internet, outside the site's own network"+l.seeAlso(d, "vpc.cidr"), "")
		}
	}
	if !n.Visitor.IsValid() {
		l.note("nobody but administrators is allowed: there is no visitor's door, and no probe stands where a visitor does")
	}
}

// validateInside: administrators are among those whom the edge lets in.
func (l *loader) validateInside(d *draft) {
	allowed := d.Edge.Allowed
	for _, b := range l.blocks["admins"] {
		if !allowed.Any && !slices.ContainsFunc(allowed.Prefixes, func(p netip.Prefix) bool {
			return p.Bits() <= b.prefix.Bits() && p.Contains(b.prefix.Addr())
		}) {
			if b.at.Source == "default" {
				l.problem(d.Origins["allowed"], "allowed", "addresses without an administrator's", "admins that are among them", "say who administers: "+b.text+" is only the default of "+l.named("admins"))
				continue
			}
			l.clashAt(d, b.at, "admins", b.text, "allowed", "an address inside the allowed ones", "an administrator whom the edge refuses reaches nothing")
		}
		if b.prefix.Bits() == 0 {
			l.problem(b.at, "admins", b.text, "the addresses of the administrators", "everybody would be one")
		}
	}
}

// list writes a set of addresses as the user did.
func (l *loader) list(name string) string {
	var out []string
	for _, b := range l.blocks[name] {
		out = append(out, b.text)
	}
	return strings.Join(out, ", ")
}

// shared are addresses between carriers and their customers (RFC 6598), which VPCs may
// have too.
var shared = netip.MustParsePrefix("100.64.0.0/10")

func (l *loader) validateBlocks(d *draft) {
	bad := func(key, got, want string) {
		if l.wrong == nil || !l.wrong[key] && written(d.Origins[key]) {
			l.record(d.Origins[key], key, got, want, "")
		}
	}
	if v := d.VPC.CIDR; !v.Addr().Is4() || v.Bits() < 16 || v.Bits() > 22 {
		bad("vpc.cidr", v.String(), "an IPv4 block from /16 to /22")
	} else if !v.Addr().IsPrivate() && !shared.Contains(v.Addr()) {
		bad("vpc.cidr", v.String(), "a block that is nobody's on the internet, of 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 or 100.64.0.0/10")
	}
	if v := d.VPC.CIDR6; !v.Addr().Is6() || v.Addr().Is4In6() || v.Bits() < 48 || v.Bits() > 112 {
		bad("vpc.cidr6", v.String(), "an IPv6 block from /48 to /112")
	}
}

func (l *loader) validateNetwork(d *draft) {
	n := d.Network
	l.validateBlocks(d)
	if !n.Listen.IsValid() {
		for _, name := range []string{"network.doors.visitor", "network.doors.office"} {
			a := d.doorVisitor
			if strings.HasSuffix(name, "office") {
				a = d.doorOffice
			}
			if !a.Addr().IsLoopback() {
				l.problem(d.Origins[name], name, a.String(), "a loopback address", "a door lets anyone in as the person it stands for; network.listen serves the public")
			}
			if a.Port() == 0 {
				l.problem(d.Origins[name], name, a.String(), "a port from 1 to 65535", "")
			}
		}
		if d.doorVisitor == d.doorOffice {
			l.clash(d, "network.doors.visitor", d.doorVisitor.String(), "network.doors.office", "another address or port than the other door's")
		}
	} else if n.Listen == n.ListenHTTP {
		l.clash(d, "network.listenHTTP", n.ListenHTTP.String(), "network.listen", "another port than HTTPS has")
	}
	if len(n.Host) > 253 {
		l.problem(d.Origins["network.zone"], "network.zone", fmt.Sprintf("a host name of %d characters", len(n.Host)), "at most 253", "")
	}
	if n.MaxConnsPerIP > n.MaxConns {
		l.clash(d, "network.maxConnsPerIP", fmt.Sprint(n.MaxConnsPerIP), "network.maxConns", fmt.Sprintf("no more than maxConns, which is %d", n.MaxConns))
	}
}

func (l *loader) validateFiles(d *draft) {
	if src := d.Files.Source; src != "" {
		st, err := os.Stat(src)
		switch {
		case err != nil:
			l.problem(d.Origins["files.source"], "files.source", src+", which cannot be read", "a directory", "")
		case !st.IsDir():
			l.problem(d.Origins["files.source"], "files.source", src+", which is no directory", "a directory", "")
		case src == l.dir:
			l.note("files.source is the directory of the configuration: everything in it, the configuration included, goes into the site")
		}
	} else if d.Application.Setup == "" && !l.isProperties() {
		l.problem(d.Origins["app"], "files.source", "nothing", "the directory of the app's files", "add files: {source: ./site}")
	}
	for _, u := range d.Files.Uploads {
		for _, x := range d.Files.Data {
			if path.Clean(u) == path.Clean(x) {
				l.clash(d, "files.data", quote(x), "files.uploads", "a path that is not among the uploads")
			}
		}
	}
	c := d.Edge
	if (c.CertFile == "") != (c.KeyFile == "") {
		a, b := "edge.certFile", "edge.keyFile"
		if c.CertFile == "" {
			a, b = b, a
		}
		l.problem(d.Origins[a], a, "a file", b+" beside it", "")
	}
}

func (l *loader) validateLimits(d *draft) {
	c := d.Edge.Cache
	if c.MinTTL > c.MaxTTL {
		l.clash(d, "cache.minTTL", shortDuration(c.MinTTL), "cache.maxTTL", "no more than maxTTL, which is "+shortDuration(c.MaxTTL))
	}
	if c.DefaultTTL > c.MaxTTL {
		l.clash(d, "cache.defaultTTL", shortDuration(c.DefaultTTL), "cache.maxTTL", "no more than maxTTL, which is "+shortDuration(c.MaxTTL))
	}
	if c.MaxEntry > c.MaxBytes {
		l.clash(d, "cache.maxEntry", showSize(c.MaxEntry), "cache.maxBytes", "no more than maxBytes, which is "+showSize(c.MaxBytes))
	}
	if d.Edge.MaxBody > d.Edge.MaxUpload {
		l.clash(d, "edge.maxBody", showSize(d.Edge.MaxBody), "edge.maxUpload", "no more than an administrator may send, which is "+showSize(d.Edge.MaxUpload))
	}
	for i, e := range d.Edge.WAF.Exclusions {
		at := l.merged["waf.exclusions"].list[i].at
		if dm := isRooted(strings.TrimSuffix(e.Path, "*")); dm != nil {
			l.problem(at, fmt.Sprintf("waf.exclusions[%d].path", i), quote(e.Path), dm.want, "")
		}
		if strings.TrimSpace(e.Reason) == "" {
			l.problem(at, fmt.Sprintf("waf.exclusions[%d].reason", i), "an empty one", "why the rule is wrong here", "")
		}
	}
	if w := d.Edge.WAF; w.Off || w.DetectOnly {
		l.note("the WAF refuses nothing (waf.disabled or waf.detectOnly): every control that rests on it is unknown")
	} else if len(w.DetectOnlyProfiles)+len(w.DetectOnlyPaths) > 0 {
		l.note("the WAF only logs for a part of the requests (waf.detectOnlyProfiles, waf.detectOnlyPaths): ringwall waf report says what it would have refused")
	}
}

// awsNote lists the aws.* keys of a ringwall.yaml; translate does it for the
// sample's names.
func (l *loader) awsNote(d *draft) {
	var kept []string
	for i := range keys() {
		if name := keys()[i].name; strings.HasPrefix(name, "aws.") && d.Origins[name].outranks(Origin{Source: "preset"}) {
			kept = append(kept, name)
		}
	}
	if len(kept) > 0 && !l.isProperties() {
		l.note("kept for AWS: " + strings.Join(kept, ", "))
	}
	for _, name := range []string{"aws.instanceType", "aws.userData", "aws.userDataScript", "aws.buildMinutes"} {
		for _, f := range l.merged[name].table {
			if f.name != Admin && f.name != Fleet {
				l.problem(f.at, name, quote(f.name), "admin or fleet", didYouMean(f.name, []string{Admin, Fleet}))
			}
		}
	}
}

func (p *Plan) hasDatabase() bool {
	return p.Database.Reached()
}
