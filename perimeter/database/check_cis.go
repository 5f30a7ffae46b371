package database

import (
	"github.com/ringwall/ringwall/internal/template"
	"github.com/ringwall/ringwall/perimeter"
)

var cisChecks = []*perimeter.Control{
	perimeter.CIS("database", "2.3.1", "Whoever gets hold of a disk, or of a snapshot, reads everything.", checkEncrypted),
	perimeter.CIS("database", "2.3.2", "A hole that is known and mended elsewhere stays open here.", checkUpgrades),
	perimeter.CIS("database", "2.3.3", "The database is a name and a password away from everybody.", checkPublic),
}

// member says whether an instance has its storage from a cluster.
func member(r *template.Resource) bool { return !r.Get("DBClusterIdentifier").Absent() }

func checkEncrypted(p *perimeter.Pass) error {
	return p.Every("the encryption of", func(r *template.Resource) {
		if from := snapshotOf(r); from != nil {
			p.Unknown(r, from.Place(r.Pos), "%s is as encrypted as the snapshot %s that it is restored from", r.ID, from.Show())
		} else if !member(r) {
			p.Must(r, "is not encrypted on disk", "StorageEncrypted")
		}
	}, "AWS::RDS::DBInstance", "AWS::RDS::DBCluster")
}

// checkUpgrades: RDS upgrades minor versions by itself unless told not to.
func checkUpgrades(p *perimeter.Pass) error {
	return p.Every("whether minor upgrades come by themselves to", func(r *template.Resource) {
		if v := r.Get("AutoMinorVersionUpgrade"); v.Truth(true) != template.Yes {
			p.Judge(v.Truth(true).Not(), r, v.Place(r.Pos), nil, "%s does not take minor upgrades by itself (AutoMinorVersionUpgrade is %s)", r.ID, v.Show())
		}
	}, "AWS::RDS::DBInstance")
}

func checkPublic(p *perimeter.Pass) error {
	nodes := servers(p)
	if len(nodes) == 0 {
		p.Absent("a database")
		return nil
	}
	for _, n := range nodes {
		p.Tried("whether %s has a public address", n)
		p.Judge(n.Public, n.Res, n.PublicAt, nil, "%s may have a public address: %s", n, n.PublicWhy)
	}
	return nil
}
