package plan

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"unicode/utf8"
)

// A stanza is one [name] of a parameters.properties file.
type stanza struct {
	name string
	at   Origin
	keys map[string]property // by key in small letters: the sample's reader folds case
}

type property struct {
	name string // as written
	text string
	at   Origin // of the key
	val  Origin // of the value
}

func (s *stanza) get(name string) (property, bool) {
	p, ok := s.keys[strings.ToLower(name)]
	return p, ok && p.text != ""
}

// properties is the table of the sample's keys. A key with a name of ours in to is
// that setting; the others are taken apart in translate.
var properties = []struct {
	name string
	to   string
}{
	{"appName", ""},
	{"awsRegion", "aws.region"},
	{"awsAccount", "aws.account"},
	{"vpcCidrBlock", "vpc.cidr"},
	{"natGatewayCount", "aws.natGateways"},
	{"adminIps", "admins"},
	{"allowedIps", "allowed"},
	{"hostedZone", "network.zone"},
	{"subdomain", "network.subdomain"},
	{"dbConfig", "database.config"},
	{"dbSnapshot", ""},
	{"dbSecret", ""},
	{"dbSecretName", ""},
	{"dbEngine", "database.engine"},
	{"dbMajorVersion", "database.major"},
	{"dbFullVersion", "database.full"},
	{"dbClusterSize", "database.size"},
	{"dbInstanceType", "aws.dbInstanceType"},
	{"preventDeletion", "database.protect"},
	{"minMaxAdminInstances", ""},
	{"minMaxFleetInstances", ""},
	{"adminInstanceType", "aws.instanceType/admin"},
	{"fleetInstanceType", "aws.instanceType/fleet"},
	{"amiParameter", "aws.amiParameter"},
	{"efsMountDir", "files.mount"},
	{"efsProvisionedThroughputMb", "aws.efsThroughput"},
	{"targetPort", "balancer.targetPort"},
	{"adminUserData", "aws.userData/admin"},
	{"fleetUserData", "aws.userData/fleet"},
	{"adminUserDataScript", "aws.userDataScript/admin"},
	{"fleetUserDataScript", "aws.userDataScript/fleet"},
	{"adminBuildTime", "aws.buildMinutes/admin"},
	{"fleetBuildTime", "aws.buildMinutes/fleet"},
	{"uncachedPaths", "cache.uncached"},
	{"forwardedCookies", "cache.forwardedCookies"},
	{"managedWafRules", "edge.managedRules"},
}

func propertyNames() []string {
	var out []string
	for _, p := range properties {
		out = append(out, p.name)
	}
	return out
}

// readProperties cuts a file into stanzas the way the sample's reader does:
// key=value or key: value, # and ; in front of a comment, an indented line goes on
// with the value above it.
func (l *loader) readProperties(data []byte) []*stanza {
	if !l.readable(data) {
		return nil
	}
	var out []*stanza
	var cur *stanza
	last := ""
	first := map[string]Origin{}
	for i, raw := range l.lines {
		line := strings.TrimRight(raw, " \t\r")
		trimmed := strings.TrimLeft(line, " \t")
		indent := utf8.RuneCountInString(line[:len(line)-len(trimmed)])
		here := l.line(i+1, indent+1)
		switch {
		case trimmed == "" || trimmed[0] == '#' || trimmed[0] == ';':
		case indent > 0 && cur != nil && last != "":
			p := cur.keys[last]
			if p.text == "" {
				p.val = here
			}
			p.text = strings.TrimPrefix(p.text+"\n"+trimmed, "\n")
			cur.keys[last] = p
		case trimmed[0] == '[':
			last = ""
			name, ok := strings.CutSuffix(trimmed[1:], "]")
			if !ok || strings.TrimSpace(name) == "" {
				l.problem(here, "reading the file", quote(trimmed), "a stanza such as [wp-dev]", "")
				cur = &stanza{keys: map[string]property{}} // its keys are read, and lost
				continue
			}
			cur = &stanza{name: name, at: here, keys: map[string]property{}}
			if old, ok := first[name]; ok {
				l.problem(here, "reading the file", "the stanza "+quote(name)+" twice", "it once", fmt.Sprintf("the first is on line %d", old.Line))
			} else {
				first[name] = here
			}
			out = append(out, cur)
		default:
			eq := strings.IndexAny(trimmed, "=:")
			if eq <= 0 {
				last = ""
				l.problem(here, "reading the file", "a line without = or :", "key=value", "a line that goes on with the value above it is indented")
				continue
			}
			if cur == nil {
				l.problem(here, "reading the file", "a key in front of the first stanza", "a stanza such as [wp-dev] above it", "")
				cur = &stanza{keys: map[string]property{}}
			}
			name := strings.TrimSpace(trimmed[:eq])
			val := strings.TrimLeft(trimmed[eq+1:], " \t")
			col := indent + 1 + utf8.RuneCountInString(trimmed[:len(trimmed)-len(val)])
			p := property{name: name, text: val, at: here, val: l.line(i+1, col)}
			last = strings.ToLower(name)
			if old, ok := cur.keys[last]; ok {
				l.problem(here, "["+cur.name+"]", "the key "+quote(name)+" twice", "it once", fmt.Sprintf("the first is on line %d", old.at.Line))
				last = ""
				continue
			}
			cur.keys[last] = p
		}
	}
	if len(out) > maxEntries {
		l.problem(out[maxEntries].at, "reading the file", fmt.Sprintf("%d stanzas", len(out)), fmt.Sprintf("at most %d", maxEntries), "")
		return nil
	}
	return out
}

// sites lists the stanzas that are sites, and the one [default] names.
func (l *loader) sites(all []*stanza) (names []string, std string) {
	var app, env string
	for _, s := range all {
		if s.name != "default" {
			names = append(names, s.name)
			continue
		}
		for _, p := range s.sorted() {
			switch p.name {
			case "app":
				app = p.text
			case "env":
				env = p.text
			default:
				l.problem(p.at, "[default]", "the key "+quote(p.name), "app or env", "everything else belongs to a stanza [<app>-<env>]")
			}
		}
	}
	if app != "" && env != "" {
		std = app + "-" + env
	}
	return names, std
}

func (s *stanza) sorted() []property {
	var out []property
	for _, p := range s.keys {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b property) int { return a.at.Line - b.at.Line })
	return out
}

// translate gives the settings that a stanza stands for.
func (l *loader) translate(s *stanza) layer {
	// An empty dbConfig makes no database, whatever a preset would make.
	out := layer{"database.config": text("", s.at)}
	known := propertyNames()
	kept := []string{}
	for _, p := range s.sorted() {
		i := slices.IndexFunc(properties, func(k struct{ name, to string }) bool { return strings.EqualFold(k.name, p.name) })
		if i < 0 && l.full() {
			continue
		}
		if i < 0 {
			hint := didYouMean(p.name, known)
			if strings.EqualFold(p.name, "app") || strings.EqualFold(p.name, "env") {
				hint = "app and env belong to [default]"
			}
			l.problem(p.at, "["+s.name+"]", "the unknown key "+quote(p.name), "one of the sample's keys", hint)
			continue
		}
		if p.text == "" {
			if properties[i].name == "dbConfig" {
				out["database.config"] = text("", p.at)
			}
			continue
		}
		name, to := properties[i].name, properties[i].to
		if strings.HasPrefix(to, "aws.") {
			kept = append(kept, name)
		}
		switch {
		case strings.HasPrefix(name, "minMax"):
			l.minMax(out, name, p)
		case name == "dbSnapshot":
			if l.isFile(p.text) {
				out["database.snapshot"] = text(p.text, p.val)
			} else {
				out["aws.dbSnapshot"] = text(p.text, p.val)
				kept = append(kept, name)
				if strings.HasSuffix(p.text, ".sql") || strings.ContainsRune(p.text, '/') {
					l.problem(p.val, name, quote(p.text)+", a file that is not there", "an existing .sql file, or the name of an RDS snapshot", "")
				}
			}
		case name == "dbSecret" || name == "dbSecretName":
			l.secret(out, s, name, p)
			if _, ok := out["aws.dbSecret"]; ok && !slices.Contains(kept, "dbSecret") && !slices.Contains(kept, "dbSecretName") {
				kept = append(kept, name)
			}
		case to != "":
			l.one(out, name, to, p)
			if v := out[to]; name == "forwardedCookies" && contains(v.list, "cookiescomment_author_*") && !contains(v.list, "comment_author_*") {
				v.list = append(v.list, text("comment_author_*", p.val))
				out[to] = v
				l.note("forwardedCookies: cookiescomment_author_* is the template's misspelling of comment_author_*, which is forwarded too")
			}
		}
	}
	if len(kept) > 0 {
		l.note("kept for AWS: " + strings.Join(kept, ", "))
	}
	return out
}

// one translates a key that is one of our settings, or one entry of it.
func (l *loader) one(out layer, name, to string, p property) {
	to, entry, isEntry := strings.Cut(to, "/")
	k := keyNamed(to)
	v := text(p.text, p.val)
	var err error
	switch {
	case isEntry && to == "aws.userData":
		v, err = fromJSON(p.text, p.val)
	case isEntry:
	case to == "files.mount":
		v.text = cleanMount(p.text)
	default:
		v, err = fromText(k, p.text, p.val)
	}
	if err != nil {
		l.problem(p.val, name, strings.TrimPrefix(err.Error(), "got "), "", "")
		return
	}
	if !isEntry {
		l.alias[to], out[to] = name, v
		return
	}
	l.alias[to+"."+entry] = name
	t, ok := out[to]
	if !ok {
		t = value{at: p.val}
	}
	t.put(entry, v)
	out[to] = t
}

func contains(list []value, s string) bool {
	return slices.ContainsFunc(list, func(v value) bool { return v.text == s })
}

func cleanMount(s string) string {
	if len(s) > 1 {
		return strings.TrimRight(s, "/")
	}
	return s
}

func (l *loader) minMax(out layer, name string, p property) {
	var n []json.Number
	d := json.NewDecoder(strings.NewReader(p.text))
	if err := d.Decode(&n); err != nil || d.More() || len(n) != 2 {
		l.problem(p.val, name, quote(p.text), "the fewest and the most instances such as [1,2]", "")
		return
	}
	tier := Admin
	if strings.Contains(name, "Fleet") {
		tier = Fleet
	}
	for i, word := range []string{"min", "max"} {
		to := "tiers." + tier + "." + word
		out[to] = text(n[i].String(), p.val)
		l.alias[to] = name
	}
}

// secret takes dbSecret and dbSecretName: the seed and the template spell one
// setting in two ways.
func (l *loader) secret(out layer, s *stanza, name string, p property) {
	if name == "dbSecretName" {
		if other, ok := s.get("dbSecret"); ok {
			if other.text != p.text {
				l.problem(p.val, name, "another name than dbSecret has", fmt.Sprintf("the same (dbSecret, line %d)", other.at.Line), "keep one of the two keys")
			}
			return
		}
	}
	if l.isFile(p.text) {
		out["database.secretFile"] = text(p.text, p.val)
		return
	}
	out["aws.dbSecret"] = text(p.text, p.val)
}

func (l *loader) isFile(s string) bool {
	if strings.ContainsRune(s, 0) {
		return false
	}
	st, err := os.Stat(l.abs(s))
	return err == nil && st.Mode().IsRegular()
}

// presetOf guesses the preset from what a stanza says of its app.
func presetOf(s *stanza) (string, Origin) {
	hints := []property{}
	for _, name := range []string{"appName", "adminUserDataScript", "fleetUserDataScript", "adminUserData", "fleetUserData"} {
		if p, ok := s.get(name); ok {
			hints = append(hints, p)
		}
	}
	app, _, _ := cutLast(s.name, "-")
	hints = append(hints, property{text: app, val: s.at})
	for _, p := range hints {
		t := strings.ToLower(p.text)
		switch {
		case strings.Contains(t, "wordpress"), t == "wp":
			return PresetWordPress, p.val
		case strings.Contains(t, "nodered"), strings.Contains(t, "node-red"):
			return PresetNodeRED, p.val
		}
	}
	return PresetGeneric, s.at
}
