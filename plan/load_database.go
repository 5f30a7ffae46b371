package plan

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A release is a major version of an engine and the minor versions of it that
// RDS has or had.
type release struct {
	major   string
	minors  []int
	retired bool // RDS starts no new server of it outside extended support
	oldest  int  // the lowest minor that RDS still starts; lower ones are raised
}

func span(first, last int, without ...int) []int {
	var out []int
	for i := first; i <= last; i++ {
		if !slices.Contains(without, i) {
			out = append(out, i)
		}
	}
	return out
}

// releases are the versions RDS has had, up to autumn 2026.
var releases = map[Engine][]release{
	MySQL: {
		{"5.7", span(16, 44, 18, 20, 27, 29, 32), true, 44},
		{"8.0", span(11, 46, 12, 14, 18, 22, 24, 29, 38), false, 40},
		{"8.4", span(3, 11), false, 3},
	},
	Postgres: {
		{"11", span(1, 22, 3), true, 22},
		{"12", span(2, 22), true, 22},
		{"13", span(1, 23), true, 15},
		{"14", span(1, 24), false, 12},
		{"15", span(2, 19), false, 7},
		{"16", span(1, 15), false, 3},
		{"17", span(1, 11), false, 1},
		{"18", span(1, 5), false, 1},
	},
}

// mariaDB are the majors of MariaDB, which is what mysql runs as on a machine.
var mariaDB = []string{"10.5", "10.6", "10.11", "11.4", "11.8", "12.3"}

func majors(e Engine) []string {
	var out []string
	for _, r := range releases[e] {
		out = append(out, r.major)
	}
	return out
}

func (l *loader) validateDatabase(d *draft) {
	db := &d.Database
	l.versions(d)
	if d.Application.Setup == PresetWordPress && !d.hasDatabase() {
		l.note("WordPress needs a database, and database.config names none: up cannot start it here")
	}
	switch db.Config {
	case DBCluster:
		l.note(fmt.Sprintf("database.config is cluster: here one primary runs; its %d replicas come with a later release", db.Size))
		if db.Size == 0 {
			l.problem(d.Origins["database.size"], "database.size", "0", "at least one replica of a cluster", "")
		}
	case DBNone:
		l.note("database.config is none: a database that exists is dumped and deleted, after approval")
		if db.Protect && d.Origins["database.protect"].Source == "file" {
			l.clash(d, "database.config", `"none", which deletes the database`, "database.protect", "another value while deletion is prevented", "set it to no first")
		}
	}
	if db.Snapshot != "" && db.SecretFile != "" {
		l.clash(d, "database.snapshot", "a dump to start from", "database.secretFile", "none beside an existing server")
	}
	if db.Snapshot != "" {
		if st, err := os.Stat(db.Snapshot); err != nil || !st.Mode().IsRegular() || filepath.Ext(db.Snapshot) != ".sql" {
			l.problem(d.Origins["database.snapshot"], "database.snapshot", quote(db.Snapshot), "a .sql file that exists", "")
		}
	}
	if f := db.SecretFile; f != "" {
		st, err := os.Stat(f)
		switch {
		case err != nil || !st.Mode().IsRegular():
			l.problem(d.Origins["database.secretFile"], "database.secretFile", "no file there", "a 0600 JSON file with password, dbname, host and username", "")
		case st.Mode().Perm()&0o077 != 0:
			l.problem(d.Origins["database.secretFile"], "database.secretFile", fmt.Sprintf("mode %04o", st.Mode().Perm()), "a file that only its owner may read", "chmod 600 "+f)
		}
	}
	for _, tier := range slices.Sorted(maps.Keys(db.Grants)) {
		if d.Tier(tier) == nil {
			l.problem(l.entryAt(d, "database.grants", tier), "database.grants", quote(tier), "a tier: admin or fleet", didYouMean(tier, []string{Admin, Fleet}))
		}
		for _, g := range db.Grants[tier] {
			if !tablePattern(g.Tables) {
				l.problem(l.entryAt(d, "database.grants", tier), "database.grants."+tier, quote(g.Tables), "a table's name, with * as wildcard", "")
			}
		}
	}
	for i, m := range db.Mask {
		for _, name := range []string{m.Table, m.View} {
			if isDBName(name) != nil {
				l.problem(l.merged["database.mask"].list[i].at, fmt.Sprintf("database.mask[%d]", i), quote(name), "a table's name: letters, digits and _", "")
			}
		}
		for _, c := range sortedKeys(m.Columns) {
			if isDBName(c) != nil {
				l.problem(l.merged["database.mask"].list[i].at, fmt.Sprintf("database.mask[%d].columns", i), quote(c), "a column's name: letters, digits and _", "")
			}
		}
	}
}

func tablePattern(s string) bool {
	return s != "" && isDBName(strings.ReplaceAll("_"+s, "*", "_")) == nil
}

func sortedKeys[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }

// versions judges the engine's version: one that never was is an error, one that
// is no more is a note.
func (l *loader) versions(d *draft) {
	db := d.Database
	if db.Major == "" && db.Full == "" {
		return
	}
	known := majors(db.Engine)
	major := db.Major
	if major == "" {
		major, _, _ = cutLast(db.Full, ".")
	}
	at := "database.major"
	if db.Major == "" {
		at = "database.full"
	}
	i := slices.Index(known, major)
	if i < 0 {
		if db.Engine == MySQL && slices.Contains(mariaDB, major) && db.Full == "" {
			d.Database.Here = major
			return
		}
		other := Postgres
		if db.Engine == Postgres {
			other = MySQL
		}
		want := fmt.Sprintf("a version of %s: %s%s", db.Engine, oneOf(known), l.seeAlso(d, "database.engine"))
		hint := didYouMean(major, known)
		if slices.Contains(majors(other), major) {
			hint = fmt.Sprintf("%s is a version of %s", major, other)
		}
		l.problem(d.Origins[at], at, quote(major)+", which does not exist", want, hint)
		return
	}
	r := releases[db.Engine][i]
	if db.Full != "" {
		rest, ok := strings.CutPrefix(db.Full, r.major+".")
		if !ok {
			l.clash(d, "database.full", quote(db.Full), "database.major", fmt.Sprintf("a version within %s", r.major))
			return
		}
		minor, err := strconv.Atoi(rest)
		if err != nil || strconv.Itoa(minor) != rest || !slices.Contains(r.minors, minor) {
			last := r.minors[len(r.minors)-1]
			hint := ""
			if err == nil && minor > last {
				hint = fmt.Sprintf("the newest known here is %s.%d", r.major, last)
			}
			l.problem(d.Origins["database.full"], "database.full", quote(db.Full)+", which does not exist on RDS",
				fmt.Sprintf("%s.%d to %s.%d%s", r.major, r.minors[0], r.major, last, l.seeAlso(d, "database.major")), hint)
			return
		}
		if minor < r.oldest {
			l.note(fmt.Sprintf("%s %s is retired: AWS has raised servers of it to a later %s release", db.Engine, db.Full, r.major))
		}
	}
	if r.retired {
		l.note(fmt.Sprintf("%s %s is at its end: AWS runs it in extended support only", db.Engine, r.major))
	}
	if d.Database.Here = db.Major; d.Origins["database.major"].Source == "file" && l.isProperties() || db.Full != "" || db.Engine == MySQL {
		d.Database.Here = ""
		runs := "PostgreSQL"
		if db.Engine == MySQL {
			runs = "MariaDB"
		}
		if d.hasDatabase() {
			l.note(fmt.Sprintf("the database's version (%s) is for AWS: here it is %s from this system's packages", strings.TrimSuffix(strings.TrimSpace(string(db.Engine)+" "+firstSet(db.Full, db.Major)), " "), runs))
		}
	}
}

func firstSet(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
