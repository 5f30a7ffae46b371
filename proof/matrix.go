package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ringwall/ringwall/plan"
	"github.com/ringwall/ringwall/synth"
)

// A factor is one thing that sites differ in. The values are overrides of a
// configuration: keys and values with = between and ; between two of them.
type factor struct {
	name   string
	values []string
}

// factors are what a template may turn on. Every pair of values of two factors is
// in some variant.
var factors = []factor{
	{"preset", []string{"preset=wordpress", "preset=node-red", "preset=generic;kind=command;command=/app/serve;files.source=."}},
	{"engine", []string{"database.engine=mysql", "database.engine=postgres"}},
	{"database", []string{"database.config=instance", "database.config=cluster;database.size=2", "database.config=cluster;database.size=1", "database.config=none", "database.config="}},
	{"start", []string{"", "aws.dbSnapshot=before-the-move", "aws.dbSecret=WpDevDatabaseSecret"}},
	{"protect", []string{"database.protect=true", "database.protect=false"}},
	{"balancer", []string{"aws.balancer=internal", "aws.balancer=public"}},
	{"image", []string{"", "aws.image=build"}},
	{"addresses", []string{"admins=198.51.100.7;allowed=*", "admins=198.51.100.0/28;allowed=198.51.100.0/24", "admins=2001:db8:1::7;allowed=2001:db8::/32", "admins=198.51.100.0/28,2001:db8:2::/64;allowed=198.51.100.0/24,2001:db8::/32"}},
	{"region", []string{"aws.region=eu-west-1", "aws.region=us-east-1", "aws.region=ap-southeast-2"}},
	{"nat", []string{"aws.natGateways=0", "aws.natGateways=1", "aws.natGateways=2"}},
	{"cidr", []string{"", "vpc.cidr=172.20.0.0/20"}},
	{"name", []string{"network.zone=example.com", "network.zone=example.com;network.subdomain=www"}},
	{"files", []string{"", "aws.efsThroughput=16"}},
	{"types", []string{"", "aws.instanceType=admin=m7g.large,fleet=t3.small;aws.dbInstanceType=r6g.large"}},
	{"cache", []string{"", "cache.disabled=true", "cache.uncached=/private/*;cache.forwardedCookies=session_*"}},
	{"alarms", []string{"", "aws.alarmEmail=security@example.com"}},
	{"tiers", []string{"", "tiers.admin.max=1;tiers.fleet.min=2;tiers.fleet.max=6"}},
}

// A variant is one row of the matrix: an index into each factor's values.
type variant []int

// pairwise returns rows in which every pair of values of two factors is together at
// least once. It takes, again and again, the row that has the most pairs that are
// missing; the same factors give the same rows.
func pairwise(sizes []int) []variant {
	type pair struct{ f, v, g, w int }
	missing := map[pair]bool{}
	for f := range sizes {
		for g := f + 1; g < len(sizes); g++ {
			for v := range sizes[f] {
				for w := range sizes[g] {
					missing[pair{f, v, g, w}] = true
				}
			}
		}
	}
	at := func(f, v, g, w int) pair {
		if f > g {
			return pair{g, w, f, v}
		}
		return pair{f, v, g, w}
	}
	var rows []variant
	for len(missing) > 0 {
		// The first pair that is missing is in the row, so that each row is worth it.
		var first pair
		found := false
		for f := 0; f < len(sizes) && !found; f++ {
			for g := f + 1; g < len(sizes) && !found; g++ {
				for v := 0; v < sizes[f] && !found; v++ {
					for w := 0; w < sizes[g] && !found; w++ {
						if missing[pair{f, v, g, w}] {
							first, found = pair{f, v, g, w}, true
						}
					}
				}
			}
		}
		row := make(variant, len(sizes))
		for i := range row {
			row[i] = -1
		}
		row[first.f], row[first.g] = first.v, first.w
		for f := range sizes {
			if row[f] >= 0 {
				continue
			}
			best, most := 0, -1
			for k := range sizes[f] {
				v := (k + len(rows)) % sizes[f] // ties go round
				n := 0
				for g, w := range row {
					if w >= 0 && missing[at(f, v, g, w)] {
						n++
					}
				}
				if n > most {
					best, most = v, n
				}
			}
			row[f] = best
		}
		for f := range row {
			for g := f + 1; g < len(row); g++ {
				delete(missing, pair{f, row[f], g, row[g]})
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// overrides of a row, by dotted key.
func (v variant) overrides() map[string]string {
	out := map[string]string{}
	for f, i := range v {
		for _, kv := range strings.Split(factors[f].values[i], ";") {
			if k, x, ok := strings.Cut(kv, "="); ok {
				out[k] = x
			}
		}
	}
	return out
}

// String names the row by its values.
func (v variant) String() string {
	var out []string
	for f, i := range v {
		if s := factors[f].values[i]; s != "" {
			out = append(out, s)
		}
	}
	return strings.Join(out, " ")
}

// matrix synthesizes every row and writes the templates that differ, each once.
func matrix(dir string) ([]*template, []string, error) {
	sizes := make([]int, len(factors))
	for i, f := range factors {
		sizes[i] = len(f.values)
	}
	conf := filepath.Join(dir, "ringwall.yaml")
	if err := os.WriteFile(conf, []byte("app: wp\nenvironments:\n  dev: {}\n"), 0o644); err != nil {
		return nil, nil, err
	}
	seen := map[[32]byte]*template{}
	var out []*template
	var names []string
	var errs []error
	for n, row := range pairwise(sizes) {
		name := fmt.Sprintf("variant %d", n+1)
		names = append(names, name+": "+row.String())
		p, err := plan.Load(plan.Options{File: conf, Overrides: row.overrides(), Getenv: func(string) string { return "" }})
		if err != nil {
			errs = append(errs, fmt.Errorf("%s (%s): %w", name, row, err))
			continue
		}
		stacks, _, err := synth.Build(p)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s (%s): %w", name, row, err))
			continue
		}
		templates, err := stacks.Templates()
		if err != nil {
			return nil, nil, fmt.Errorf("%s (%s): %w", name, row, err)
		}
		for _, t := range templates {
			data := t.JSON()
			sum := sha256.Sum256(data)
			if old := seen[sum]; old != nil {
				old.variants = append(old.variants, name)
				continue
			}
			file := filepath.Join(dir, fmt.Sprintf("%02d-%s.json", n+1, t.Role))
			if err := os.WriteFile(file, data, 0o644); err != nil {
				return nil, nil, err
			}
			seen[sum] = &template{stack: t.Role, region: t.Region, file: file, variants: []string{name}}
			out = append(out, seen[sum])
		}
	}
	if len(errs) > 0 {
		return nil, nil, errors.Join(errs...)
	}
	slices.SortStableFunc(out, func(a, b *template) int { return strings.Compare(a.stack, b.stack) })
	return out, names, nil
}
