package plan

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// An RDSVersion is what a database's version becomes on AWS.
type RDSVersion struct {
	Major string // "8.0", "14": the family of parameter groups
	Full  string // "8.0.46"; the major version where AWS may choose the minor
	Why   string // why Full is not what the configuration says; empty where it is
}

// RDSVersion works out the version of the server on AWS. A release that AWS no
// longer starts becomes the newest of the same major version; nothing said is the
// newest major version that has been in use for a year. Aurora numbers its releases
// on its own, so that a cluster names the major version and AWS chooses.
func (d Database) RDSVersion() RDSVersion {
	all := releases[d.Engine]
	i := slices.IndexFunc(all, func(r release) bool {
		return r.major == d.Major || d.Major == "" && strings.HasPrefix(d.Full, r.major+".")
	})
	why := ""
	if i < 0 {
		i = slices.IndexFunc(all, func(r release) bool { return r.major == settled[d.Engine] })
		if d.Major != "" {
			why = fmt.Sprintf("%s is a version of MariaDB, which runs here only", d.Major)
		} else {
			why = "the configuration names no version"
		}
	}
	r := all[i]
	v := RDSVersion{Major: r.major, Full: r.major, Why: why}
	switch newest := fmt.Sprintf("%s.%d", r.major, r.minors[len(r.minors)-1]); {
	case d.Config == DBCluster:
		if d.Full != "" {
			v.Why = "Aurora numbers its releases on its own; AWS takes its default of this major version"
		}
	case d.Full != "":
		v.Full = d.Full
		minor, err := strconv.Atoi(strings.TrimPrefix(d.Full, r.major+"."))
		if err == nil && minor < r.oldest {
			v.Full, v.Why = newest, "AWS starts no server of a retired release; this is the newest of the same major version"
		}
	case r.retired:
		v.Full = newest
	}
	return v
}

// settled is the major version that a site without one gets.
var settled = map[Engine]string{MySQL: "8.4", Postgres: "17"}
