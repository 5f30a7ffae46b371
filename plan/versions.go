package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// An RDSVersion is what a database's engine and version become on AWS.
type RDSVersion struct {
	Engine string // mysql, postgres, aurora-mysql or aurora-postgresql
	Major  string // "8.0", "14": with Engine, the family of parameter groups
	Full   string // "8.0.46"
	Why    string // why Full is not what the configuration says; empty where it is
}

// An offer is the minor versions of a major one that AWS starts new servers of.
type offer struct {
	minors []int  // of a retired major version none: AWS's own releases of it go on
	newest string // the full version
}

// offers are what RDS and Aurora start, as of the middle of 2026
// (docs.aws.amazon.com/AmazonRDS, supported versions). Servers are kept at the
// newest minor version by AWS from then on.
var offers = map[string]map[string]offer{
	"mysql": {
		"5.7": {nil, "5.7.44-rds.20260212"},
		"8.0": {span(40, 46), "8.0.46"},
		"8.4": {span(3, 9), "8.4.9"},
	},
	"postgres": {
		"11": {nil, "11.22-rds.20251114"},
		"12": {nil, "12.22-rds.20251114"},
		"13": {span(18, 23, 19), "13.23"},
		"14": {span(15, 22, 16), "14.22"},
		"15": {span(10, 17, 11), "15.17"},
		"16": {span(6, 13, 7), "16.13"},
		"17": {span(2, 9, 3), "17.9"},
		"18": {span(1, 3), "18.3"},
	},
	"aurora-mysql": {
		"5.7": {nil, "5.7.mysql_aurora.2.12.6"},
		"8.0": {nil, "8.0.mysql_aurora.3.12.0"},
	},
	"aurora-postgresql": {
		"11": {nil, "11.21"},
		"12": {nil, "12.22"},
		"13": {[]int{23}, "13.23"},
		"14": {[]int{6, 13, 15, 17, 18, 19, 20, 22}, "14.22"},
		"15": {[]int{8, 10, 12, 13, 14, 15, 17}, "15.17"},
		"16": {[]int{4, 6, 8, 9, 10, 11, 13}, "16.13"},
		"17": {[]int{4, 5, 6, 7, 9}, "17.9"},
	},
}

// settled is the major version that a site without one gets.
var settled = map[string]string{"mysql": "8.4", "postgres": "17", "aurora-mysql": "8.0", "aurora-postgresql": "17"}

// RDSVersion works out the engine and version of the server on AWS. A release that
// AWS no longer starts becomes the newest of the same major version; so does a
// configuration that names the major version only. Nothing said, or a major version
// that there is none of on AWS, is the one that has been in use for years.
func (d Database) RDSVersion() RDSVersion {
	v := RDSVersion{Engine: string(d.Engine)}
	if d.Config == DBCluster {
		v.Engine = map[Engine]string{MySQL: "aurora-mysql", Postgres: "aurora-postgresql"}[d.Engine]
	}
	major := d.Major
	if major == "" {
		major, _, _ = cutLast(d.Full, ".")
	}
	o, ok := offers[v.Engine][major]
	if !ok {
		switch {
		case major == "":
			v.Why = "the configuration names no version"
		case slices.Contains(mariaDB, major):
			v.Why = "that is a version of MariaDB, which runs here only"
		default:
			v.Why = fmt.Sprintf("%s has no %s", v.Engine, major)
		}
		v.Major = settled[v.Engine]
		v.Full = offers[v.Engine][v.Major].newest
		return v
	}
	v.Major, v.Full = major, o.newest
	if d.Full == "" {
		return v
	}
	minor, err := strconv.Atoi(strings.TrimPrefix(d.Full, major+"."))
	switch {
	case err == nil && slices.Contains(o.minors, minor), err == nil && len(o.minors) > 0 && minor > slices.Max(o.minors) && d.Config == DBInstance:
		v.Full = d.Full // a newer one than this table knows is the user's to judge
	case v.Engine == "aurora-mysql":
		v.Why = "Aurora numbers its releases on its own; this is the newest of the same major version"
	default:
		v.Why = "AWS starts no server of a retired release; this is the newest of the same major version"
	}
	return v
}

// RDSWas is what the configuration says of the version, for a note.
func (d Database) RDSWas() string { return cmp.Or(d.Full, d.Major) }
