package mutations

import (
	"strings"
	"testing"

	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

// What a server is restored from decides whether it is encrypted: the property is
// not believed, except with a cluster that names its key.
func TestSnapshot(t *testing.T) {
	for _, c := range []struct {
		config  plan.DBConfig
		without string // a property that is taken away
		want    perimeter.Verdict
	}{
		{plan.DBInstance, "", perimeter.Unknown},
		{plan.DBCluster, "", perimeter.Held},
		{plan.DBCluster, "KmsKeyId", perimeter.Unknown},
	} {
		p := sitePlan(t)
		p.Database.Config, p.AWS.DBSnapshot = c.config, "before-the-move"
		s := decode(t, build(t, p))
		typ := map[plan.DBConfig]string{plan.DBInstance: "AWS::RDS::DBInstance", plan.DBCluster: "AWS::RDS::DBCluster"}[c.config]
		delete(s.props(typ, "Database"), c.without)
		got := judge(t, p, s)
		for _, id := range []string{"database/restorable", "database/cis-2-3-1"} {
			if r := got[id]; r.Verdict != c.want || c.want == perimeter.Unknown && !strings.Contains(strings.Join(r.Evidence, " ")+r.Error, "before-the-move") {
				t.Errorf("%s of a %s without %q: got %v (%v %s), want %v", id, c.config, c.without, r.Verdict, r.Evidence, r.Error, c.want)
			}
		}
	}
}
