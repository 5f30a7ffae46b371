package plan

import "testing"

// An existing server is reached whatever config says, but for none; a server of
// our own, where config asks for one.
func TestDatabaseReached(t *testing.T) {
	for _, c := range []struct {
		db            Database
		reached, made bool
	}{
		{Database{}, false, false},
		{Database{SecretFile: "/s.json"}, true, false},
		{Database{Config: DBNone, SecretFile: "/s.json"}, false, false},
		{Database{Config: DBInstance}, true, true},
		{Database{Config: DBInstance, SecretFile: "/s.json"}, true, true},
		{Database{Config: DBCluster}, true, true},
	} {
		if c.db.Reached() != c.reached || c.db.Present() != c.made {
			t.Errorf("config %q, secret file %q: got reached %v, made %v, want %v, %v", c.db.Config, c.db.SecretFile, c.db.Reached(), c.db.Present(), c.reached, c.made)
		}
	}
}
