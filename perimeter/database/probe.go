package database

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

var controls = []*perimeter.Control{
	{
		ID:      "database/private",
		Needs:   []string{"network namespaces"},
		Doc:     "The server listens on its private address alone, not even on the loopback beside it.",
		Why:     "Every further listener is a door that no rule of the network was written for.",
		Vantage: perimeter.InDatabase,
		Applies: ours,
		AWS:     perimeter.NotOnAWS("RDS lets nobody stand beside its server; its group and its subnets are read in the templates (database/isolated)"),
		Probe:   private,
	},
	fleetSQL("tier-grants", "Fleet can change and delete no row that the plan does not give it.",
		"An injected query on a public page rewrites prices, posts and passwords.", noWrites),
	sharing("database/tier-grants", fleetSQL("fleet-inserts", "Fleet can add rows only to the tables that the plan names.",
		"A row in the table of users or options is an administrator's account.", noInserts)),
	sharing("database/tier-grants", fleetSQL("fleet-ddl", "Fleet can make, change and drop no table, view, function or schema.",
		"A trigger or function that is left behind works for the intruder when admin next saves.", noDDL)),
	fleetSQL("other-databases", "Fleet sees the site's own database and no other.",
		"The server's own tables hold every user's password hash.", otherDatabases),
	hidden(fleetSQL("mask", "Fleet cannot read the tables and columns that hold password hashes.",
		"Hashes that were read today are passwords next week.", noHashes)),
	fleetSQL("server-files", "Fleet can make the server read or write no file, and start no program.",
		"An injected query becomes a shell on the database's host.", noServerFiles),
	fleetSQL("superuser", "Nobody logs in over the network as the server's own administrator, and fleet has none of its rights.",
		"Grants bind nobody who can change them.", noSuperuser),
	{
		ID:      "database/admin-not-superuser",
		Wall:    "database/superuser",
		Doc:     "Admin owns the site's tables and has no right over the server.",
		Why:     "A plugin with a hole in the admin area would own the server and everything it can reach.",
		Vantage: perimeter.InAdmin,
		Applies: ours,
		AWS:     bySQL,
		Probe:   noSuperuser,
	},
	sharing("database/superuser", fleetSQL("passwords", "The server refuses a wrong password, an empty one, and a name that it does not know.",
		"A server that trusts addresses trusts whoever gets into the network.", wrongPasswords)),
	onAWS(secretsOnAWS, fleetSQL("tier-secrets", "Fleet has its own credentials and nobody else's.",
		"One password for all tiers makes every grant above worthless.", tierSecrets)),
	postgresOnly(fleetSQL("old-password", "The account that a rotation retired is locked.",
		"A password that leaked stays good after it was changed.", oldPassword)),
	onAWS(perimeter.NotOnAWS("the storage below RDS checks its own pages, and its servers have no setting for it"),
		fleetSQL("checksums", "The server checks its pages, so that a damaged one is noticed and not served.",
			"A page that a disk, or a hand, changed below the server is otherwise taken for the truth.", checksums)),
}

func fleetSQL(name, doc, why string, probe func(context.Context, *perimeter.Target) error) *perimeter.Control {
	return &perimeter.Control{ID: "database/" + name, Doc: doc, Why: why, Vantage: perimeter.InFleet, Applies: ours, AWS: bySQL, Probe: probe}
}

func onAWS(aws *perimeter.AWS, c *perimeter.Control) *perimeter.Control {
	c.AWS = aws
	return c
}

func sharing(wall string, c *perimeter.Control) *perimeter.Control {
	c.Wall = wall
	return c
}

// ours says whether the site has a server whose users and grants are generated.
func ours(p *plan.Plan) bool {
	return p.Database.Present() && p.Database.SecretFile == ""
}

func hidden(c *perimeter.Control) *perimeter.Control {
	c.Applies = func(p *plan.Plan) bool { return ours(p) && len(unreadable(p, plan.Fleet)) > 0 }
	return c
}

func postgresOnly(c *perimeter.Control) *perimeter.Control {
	c.Applies = func(p *plan.Plan) bool { return ours(p) && p.Database.Engine == plan.Postgres }
	return c
}

// intended is what a tier may do with a table, whatever wall a test took down.
func intended(p *plan.Plan, tier, name string) rights {
	return rightsBy(p, tier, name, planned(p, tier), true)
}

// unreadable are the tables that the plan names and that a tier must not read.
func unreadable(p *plan.Plan, tier string) []string {
	var out []string
	for _, m := range p.Database.Mask {
		if m.Tier == tier {
			out = append(out, m.Table)
		}
	}
	for _, g := range planned(p, tier) {
		if !strings.Contains(g.Tables, "*") && intended(p, tier, g.Tables)&sel == 0 {
			out = append(out, g.Tables)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func private(ctx context.Context, t *perimeter.Target) error {
	at := func(name string, a netip.Addr) perimeter.Place {
		return perimeter.Place{Name: name, Addr: netip.AddrPortFrom(a, t.Plan.Database.Port)}
	}
	if err := t.Reaches(ctx, perimeter.Own, at("the database's own address", t.Plan.VPC.Database)); err != nil {
		return err
	}
	for _, a := range []string{"127.0.0.2", "127.0.0.1", "::1"} {
		addr := netip.MustParseAddr(a)
		if addr == t.Plan.VPC.Database {
			continue
		}
		c, err := perimeter.Own(ctx, "tcp", at("", addr).Addr.String())
		if err == nil {
			c.Close()
		}
		if err := t.Denied(err, []syscall.Errno{syscall.ECONNREFUSED, syscall.ENETUNREACH, syscall.EADDRNOTAVAIL}, "connect to %s beside the server", addr); err != nil {
			return err
		}
	}
	return nil
}

func noWrites(ctx context.Context, t *perimeter.Target) error {
	return eachTable(ctx, t, func(s *session, name string, r rights) {
		if column := s.column(ctx, name); column != "" {
			s.may(ctx, r&upd != 0, "change rows of "+name, "UPDATE %s SET %s = %s WHERE 1 = 0", s.quote(name), column, column)
		}
		s.may(ctx, r&del != 0, "delete rows of "+name, "DELETE FROM %s WHERE 1 = 0", s.quote(name))
	})
}

func noInserts(ctx context.Context, t *perimeter.Target) error {
	return eachTable(ctx, t, func(s *session, name string, r rights) {
		if column := s.column(ctx, name); column != "" {
			s.may(ctx, r&ins != 0, "add rows to "+name, "INSERT INTO %s (%s) SELECT NULL FROM (SELECT 1 AS one) AS none WHERE 1 = 0", s.quote(name), column)
		}
	})
}

// noDDL changes nothing even where it is let: what it drops does not exist, and
// what it makes is rolled back, or dropped where a server cannot roll back.
func noDDL(ctx context.Context, t *perimeter.Target) error {
	s, err := login(ctx, t)
	if err != nil {
		return err
	}
	if intended(t.Plan, t.Inside.Tier, "ringwall_probe")&ddl != 0 {
		return errors.New("the plan gives this tier the right to define tables")
	}
	name := s.quote(fmt.Sprintf("ringwall_probe_%d", os.Getpid()))
	s.may(ctx, false, "make a table", "CREATE TABLE %s (id INT)", name)
	s.may(ctx, false, "make a view", "CREATE VIEW %s AS SELECT 1 AS one", name)
	if s.engine == plan.MySQL {
		s.may(ctx, false, "drop a table", "DROP TABLE %s", name)
		s.may(ctx, false, "make a database", "CREATE DATABASE %s", name)
		s.may(ctx, false, "make a function", "CREATE FUNCTION %s() RETURNS INT DETERMINISTIC RETURN 1", name)
		for _, kind := range s.made {
			s.ask(ctx, "DROP "+kind+" "+name)
		}
	} else {
		s.may(ctx, false, "make a schema", "CREATE SCHEMA %s", name)
		s.may(ctx, false, "make a function", "CREATE FUNCTION %s() RETURNS INT LANGUAGE sql AS 'SELECT 1'", name)
		s.may(ctx, false, "make an extension", "CREATE EXTENSION IF NOT EXISTS pgcrypto")
		if tables, err := s.tables(ctx); err == nil && len(tables) > 0 {
			s.may(ctx, false, "change a table", "ALTER TABLE %s ADD COLUMN ringwall_probe INT", s.quote(tables[0]))
		}
	}
	return s.err
}

func otherDatabases(ctx context.Context, t *perimeter.Target) error {
	s, err := login(ctx, t)
	if err != nil {
		return err
	}
	if s.engine == plan.MySQL {
		s.may(ctx, false, "read the server's users", "SELECT COUNT(*) FROM mysql.global_priv")
		s.may(ctx, false, "read the server's users", "SELECT COUNT(*) FROM mysql.user")
		t.Tried("list the server's databases")
		rows, err := s.ask(ctx, "SHOW DATABASES")
		if err != nil {
			return err
		}
		for _, r := range rows {
			if r[0] != "information_schema" && r[0] != "performance_schema" && r[0] != s.secret.DBName {
				t.Broken("fleet sees the database %s", r[0])
			}
		}
		return s.err
	}
	s.may(ctx, false, "read the server's password hashes", "SELECT rolpassword FROM pg_authid LIMIT 1")
	for _, db := range []string{"postgres", "template1"} {
		s.refuses(ctx, "log in to database "+db, s.secret.Username, s.secret.Password, db)
	}
	return s.err
}

func noHashes(ctx context.Context, t *perimeter.Target) error {
	s, err := login(ctx, t)
	if err != nil {
		return err
	}
	for _, m := range t.Plan.Database.Mask {
		if m.Tier != t.Inside.Tier {
			continue
		}
		// What the app may read in its place: the table is there.
		if err := s.reads(ctx, "SELECT * FROM "+s.quote(m.View)+" LIMIT 1"); err != nil {
			return fmt.Errorf("reading the view %s, which stands in for %s: %w", m.View, m.Table, err)
		}
		for column := range m.Columns {
			s.may(ctx, false, fmt.Sprintf("read %s of %s", column, m.Table), "SELECT %s FROM %s LIMIT 1", s.quote(column), s.quote(m.Table))
		}
	}
	for _, name := range unreadable(t.Plan, t.Inside.Tier) {
		s.may(ctx, false, "read "+name, "SELECT * FROM %s LIMIT 1", s.quote(name))
	}
	return s.err
}

func noServerFiles(ctx context.Context, t *perimeter.Target) error {
	s, err := login(ctx, t)
	if err != nil {
		return err
	}
	if s.engine == plan.Postgres {
		for what, sql := range map[string]string{
			"read a file of the server":     "SELECT length(pg_read_file('/etc/passwd'))",
			"list a directory":              "SELECT count(*) FROM pg_ls_dir('/')",
			"import a file":                 "SELECT lo_import('/etc/passwd')",
			"start a program on the server": "COPY (SELECT 1) TO PROGRAM 'true'",
			"write a file of the server":    "COPY (SELECT 1) TO '/nonexistent/ringwall-probe'",
		} {
			s.may(ctx, false, what, "%s", sql)
		}
		return s.err
	}
	// In a directory that is not there: with the right, the server would try.
	s.may(ctx, false, "write a file of the server", "SELECT 1 INTO OUTFILE '/nonexistent/ringwall-probe'")
	s.may(ctx, false, "write a binary file of the server", "SELECT 1 INTO DUMPFILE '/nonexistent/ringwall-probe'")
	if t.Cloud != nil { // MySQL itself, which has one form of it only
		s.may(ctx, false, "load code into the server", "INSTALL PLUGIN ringwall_probe SONAME 'ringwall_probe.so'")
	} else {
		s.may(ctx, false, "load code into the server", "INSTALL SONAME 'ringwall_probe'")
	}
	t.Tried("read a file of the server")
	rows, err := s.ask(ctx, "SELECT LENGTH(LOAD_FILE('/etc/passwd'))")
	switch {
	case err != nil:
		return err
	case len(rows) == 1 && rows[0][0] != "NULL":
		t.Broken("the server read /etc/passwd: %s bytes", rows[0][0])
	default:
		t.Saw("the server reads no file for fleet")
	}
	return s.err
}

func noSuperuser(ctx context.Context, t *perimeter.Target) error {
	s, err := login(ctx, t)
	if err != nil {
		return err
	}
	db := s.secret.DBName
	for _, name := range []string{superuser, ownerRole, maskRole, restoreRole, "postgres", "root", "mysql", "mariadb.sys"} {
		s.refuses(ctx, "log in as "+name+" without a password", name, "", db)
		s.refuses(ctx, "log in as "+name+" with this tier's password", name, s.secret.Password, db)
	}
	if s.engine == plan.Postgres {
		t.Tried("read this tier's own rights over the server")
		rows, err := s.ask(ctx, "SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls FROM pg_roles WHERE rolname = current_user")
		switch {
		case err != nil:
			return err
		case len(rows) != 1 || rows[0][0] != "f":
			t.Broken("%s has rights over the server", s.secret.Username)
		}
		s.may(ctx, false, "make a user", "CREATE ROLE ringwall_probe")
		s.may(ctx, false, "change a setting of the server", "SET LOCAL log_statement = 'none'")
		return s.err
	}
	t.Tried("read this tier's own rights over the server")
	rows, err := s.ask(ctx, "SHOW GRANTS")
	if err != nil {
		return err
	}
	for _, r := range rows {
		what, on, _ := strings.Cut(r[0], " ON ")
		if strings.HasPrefix(on, "*.*") && what != "GRANT USAGE" || strings.Contains(r[0], "WITH GRANT OPTION") {
			t.Broken("%s has %s on the whole server", s.secret.Username, strings.TrimPrefix(what, "GRANT "))
		}
	}
	s.may(ctx, false, "make a user", "CREATE USER ringwall_probe@`127.0.0.1` ACCOUNT LOCK")
	s.may(ctx, false, "change a setting of the server", "SET GLOBAL general_log = 0")
	return s.err
}

func wrongPasswords(ctx context.Context, t *perimeter.Target) error {
	s, err := login(ctx, t)
	if err != nil {
		return err
	}
	name, db := s.secret.Username, s.secret.DBName
	s.refuses(ctx, "log in with a wrong password", name, s.secret.Password+"x", db)
	s.refuses(ctx, "log in with an empty password", name, "", db)
	s.refuses(ctx, "log in with the user's name as password", name, name, db)
	s.refuses(ctx, "log in with a name that there is not", "nobody_of_that_name", s.secret.Password, db)
	s.refuses(ctx, "log in as the administrator with an empty password", "root", "", db)
	s.refuses(ctx, "log in without a name", "", "", db)
	s.refuses(ctx, "log in as admin with fleet's password", plan.Admin+"_a", s.secret.Password, db)
	return s.err
}

func tierSecrets(ctx context.Context, t *perimeter.Target) error {
	s, err := login(ctx, t)
	if err != nil {
		return err
	}
	t.Tried("read the credentials that this tier has")
	if !slices.ContainsFunc(suffixes, func(x string) bool { return s.secret.Username == t.Inside.Tier+x }) {
		t.Broken("%s holds the credentials of %s", t.Inside.Tier, s.secret.Username)
	}
	dir := filepath.Dir(t.Inside.Secret)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("listing this tier's secrets: %w", err)
	}
	for _, e := range entries {
		for _, other := range t.Plan.Tiers {
			if other.Name != t.Inside.Tier && strings.Contains(e.Name(), other.Name) {
				t.Broken("%s holds %s's secret %s", t.Inside.Tier, other.Name, e.Name())
			}
		}
	}
	t.Saw("%d secrets, logged in as %s", len(entries), s.secret.Username)
	return s.err
}

func oldPassword(ctx context.Context, t *perimeter.Target) error {
	s, err := login(ctx, t)
	if err != nil {
		return err
	}
	for _, tier := range t.Plan.Tiers {
		t.Tried("look which of %s's accounts are open", tier.Name)
		rows, err := s.ask(ctx, fmt.Sprintf("SELECT rolname FROM pg_roles WHERE rolcanlogin AND rolname IN ('%[1]s_a', '%[1]s_b')", tier.Name))
		switch {
		case err != nil:
			return err
		case len(rows) == 0:
			return fmt.Errorf("no account of %s is open, so this cannot be told", tier.Name)
		case len(rows) > 1:
			t.Broken("both accounts of %s are open", tier.Name)
		default:
			t.Saw("%s is open and its twin locked", rows[0][0])
		}
	}
	return nil
}

func checksums(ctx context.Context, t *perimeter.Target) error {
	s, err := login(ctx, t)
	if err != nil {
		return err
	}
	sql := "SHOW data_checksums"
	if s.engine == plan.MySQL {
		sql = "SELECT @@innodb_checksum_algorithm"
	}
	t.Tried("ask the server: %s", sql)
	rows, err := s.ask(ctx, sql)
	if err != nil || len(rows) != 1 {
		return fmt.Errorf("asking the server for its checksums: %d rows, %w", len(rows), err)
	}
	switch v := rows[0][0]; v {
	case "on", "full_crc32", "strict_full_crc32":
		t.Saw("checksums: %s", v)
	default:
		t.Broken("checksums: %s", v)
	}
	return nil
}
