package plan

// Database holds the settings of perimeter 9.
type Database struct {
	Config     DBConfig
	Engine     Engine
	Name       string // of the database: letters, digits and _
	Major      string // "15", "10.11"; empty: what the system's packages have
	Full       string // AWS only
	Here       string // the major version wanted on this machine; empty: what its packages have
	Snapshot   string // a dump to start from: absolute path of a .sql file, on this machine
	SecretFile string // an existing server: absolute path of a 0600 JSON file with password, dbname, host, username
	Size       int    // replicas of a cluster
	Protect    bool   // deletion protection
	Port       uint16
	Grants     map[string][]Grant // by tier; a tier that is not listed gets every right on its database's rows and tables when Write, SELECT otherwise
	Mask       []Mask
}

// Reached says whether the site's network on this machine has a database in it: a
// private server, or the place where an existing one is reached.
func (d Database) Reached() bool { return d.Present() || d.SecretFile != "" && d.Config != DBNone }

// Present says whether the plan asks for a server.
func (d Database) Present() bool { return d.Config == DBInstance || d.Config == DBCluster }

// DBConfig says what database the site has.
type DBConfig string

const (
	DBNoChange DBConfig = ""         // none is made, none is deleted
	DBInstance DBConfig = "instance" // a private server
	DBCluster  DBConfig = "cluster"  // a primary with replicas
	DBNone     DBConfig = "none"     // the one that exists is dumped and deleted, after approval
)

// Engine is a database engine.
type Engine string

const (
	MySQL    Engine = "mysql"
	Postgres Engine = "postgres"
)

// A Grant gives rights on tables. Patterns match table names with * as wildcard;
// the most specific pattern (most literal characters) that matches a table decides
// all of that table's rights.
type Grant struct {
	Tables string   // "*", "wp_comments", "wp_*"
	Rights []string // select, insert, update, delete, ddl; empty: none
}

// A Mask gives a tier a view in place of a table it must not read.
type Mask struct {
	Tier, Table, View string
	Columns           map[string]string // column → SQL expression in its place
	Where             string            // which rows the view shows; empty: all
}

// A Secret is what one tier needs to reach its database. It is the JSON object
// of a 0600 file; the first four keys are the sample's.
type Secret struct {
	Username string `json:"username"`
	Password string `json:"password"`
	Host     string `json:"host"`
	DBName   string `json:"dbname"`
	Port     uint16 `json:"port,omitempty"`
	Engine   Engine `json:"engine,omitempty"`
}

// String hides the password, so that a Secret may be printed by accident.
func (s Secret) String() string { return s.Username + "@" + s.Host + "/" + s.DBName }

// GoString is String.
func (s Secret) GoString() string { return s.String() }
