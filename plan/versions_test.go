package plan

import "testing"

func TestRDSVersion(t *testing.T) {
	for _, c := range []struct {
		config      DBConfig
		engine      Engine
		major, full string
		want        RDSVersion // Why: "-" for any
	}{
		{DBInstance, MySQL, "8.0", "8.0.28", RDSVersion{"mysql", "8.0", "8.0.46", "-"}},
		{DBInstance, MySQL, "8.0", "8.0.42", RDSVersion{"mysql", "8.0", "8.0.42", ""}},
		{DBInstance, MySQL, "", "8.0.42", RDSVersion{"mysql", "8.0", "8.0.42", ""}},
		{DBInstance, MySQL, "8.4", "", RDSVersion{"mysql", "8.4", "8.4.9", ""}},
		{DBInstance, MySQL, "5.7", "5.7.38", RDSVersion{"mysql", "5.7", "5.7.44-rds.20260212", "-"}},
		{DBInstance, MySQL, "10.11", "", RDSVersion{"mysql", "8.4", "8.4.9", "-"}},
		{DBInstance, MySQL, "", "", RDSVersion{"mysql", "8.4", "8.4.9", "-"}},
		{DBInstance, Postgres, "14", "14.4", RDSVersion{"postgres", "14", "14.22", "-"}},
		{DBInstance, Postgres, "14", "14.16", RDSVersion{"postgres", "14", "14.22", "-"}},
		{DBInstance, Postgres, "14", "14.24", RDSVersion{"postgres", "14", "14.24", ""}},
		{DBInstance, Postgres, "11", "11.22", RDSVersion{"postgres", "11", "11.22-rds.20251114", "-"}},
		{DBInstance, Postgres, "", "", RDSVersion{"postgres", "17", "17.9", "-"}},
		{DBCluster, MySQL, "8.0", "8.0.28", RDSVersion{"aurora-mysql", "8.0", "8.0.mysql_aurora.3.12.0", "-"}},
		{DBCluster, MySQL, "8.0", "", RDSVersion{"aurora-mysql", "8.0", "8.0.mysql_aurora.3.12.0", ""}},
		{DBCluster, MySQL, "8.4", "", RDSVersion{"aurora-mysql", "8.0", "8.0.mysql_aurora.3.12.0", "-"}},
		{DBCluster, Postgres, "16", "16.9", RDSVersion{"aurora-postgresql", "16", "16.9", ""}},
		{DBCluster, Postgres, "16", "16.12", RDSVersion{"aurora-postgresql", "16", "16.13", "-"}},
		{DBCluster, Postgres, "18", "", RDSVersion{"aurora-postgresql", "17", "17.9", "-"}},
	} {
		got := Database{Config: c.config, Engine: c.engine, Major: c.major, Full: c.full}.RDSVersion()
		if c.want.Why == "-" && got.Why != "" {
			got.Why = "-"
		}
		if got != c.want {
			t.Errorf("%s of %s %s %s: %+v, want %+v", c.config, c.engine, c.major, c.full, got, c.want)
		}
	}
}

// TestEveryReleaseHasAnOffer: what the configuration may name, RDS can start.
func TestEveryReleaseHasAnOffer(t *testing.T) {
	for engine, list := range releases {
		for _, r := range list {
			if offers[string(engine)][r.major].newest == "" {
				t.Errorf("%s %s has no offer", engine, r.major)
			}
		}
	}
}
