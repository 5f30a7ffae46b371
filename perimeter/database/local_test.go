package database

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringwall/ringwall/plan"
)

func TestFleet(t *testing.T) {
	eachEngine(t, func(t *testing.T, e plan.Engine) {
		x := wpSite(t, e)
		if got := x.ok(plan.Fleet, "SELECT title FROM wp_posts"); got != "hello" {
			t.Errorf("reading a post: got %q, want hello", got)
		}
		x.ok(plan.Fleet, "INSERT INTO wp_comments (body) VALUES ('hi')")
		x.ok(plan.Fleet, "INSERT INTO wp_commentmeta VALUES (1, 'x')")
		if got, want := x.ok(plan.Fleet, "SELECT * FROM wp_users_fleet"), "1\troot\t*\t"; got != want {
			t.Errorf("reading masked users: got %q, want %q", got, want)
		}
		for _, sql := range []string{
			"SELECT * FROM wp_users", "SELECT user_pass FROM wp_users", "INSERT INTO wp_users VALUES (2, 'evil', 'x', 'x')",
			"UPDATE wp_users SET user_pass = 'x'", "UPDATE wp_users_fleet SET user_login = 'x'", "DELETE FROM wp_users_fleet",
			"INSERT INTO wp_posts VALUES (2, 'x')", "UPDATE wp_posts SET title = 'x'", "DELETE FROM wp_posts",
			"UPDATE wp_comments SET body = 'x'", "DELETE FROM wp_comments", "INSERT INTO wp_options VALUES (2, 'x')", "UPDATE wp_options SET v = 'x'",
			"SELECT * FROM wp_private_keys", "CREATE TABLE evil (id INT)", "DROP TABLE wp_posts", "ALTER TABLE wp_posts ADD x INT", "TRUNCATE TABLE wp_posts",
			"CREATE VIEW evil AS SELECT 1 AS x",
		} {
			x.denied(plan.Fleet, sql)
		}
		switch e {
		case plan.Postgres:
			for _, sql := range []string{
				"COPY wp_posts TO PROGRAM 'cat'", "COPY (SELECT 1) TO '/tmp/ringwall-evil'", "SELECT pg_read_file('/etc/passwd')", "SELECT lo_create(0)",
				"SELECT lo_from_bytea(0, 'x')", "SELECT lo_import('/etc/passwd')", "CREATE TEMPORARY TABLE x (id INT)", "CREATE SCHEMA evil",
				"CREATE ROLE evil", "SET ROLE ringwall_owner", "SET ROLE admin_a", "ALTER SYSTEM SET fsync = off", "LOAD '/tmp/evil.so'",
				"CREATE EXTENSION file_fdw", "SET temp_file_limit = -1", "GRANT ALL ON wp_posts TO fleet_a; SELECT * FROM pg_authid", "SELECT rolpassword FROM pg_authid",
				"SELECT setval('wp_comments_id_seq', 1)", "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
			} {
				x.denied(plan.Fleet, sql)
			}
			s, _ := x.Secret(plan.Fleet)
			for _, db := range []string{"postgres", "template1"} {
				s.DBName = db
				if _, err := Query(t.Context(), s, "SELECT 1"); !errors.Is(err, ErrLogin) {
					t.Errorf("database %s: got %v, want the login refused", db, err)
				}
			}
		case plan.MySQL:
			for _, sql := range []string{
				"SELECT 1 INTO OUTFILE '/tmp/ringwall-evil'", "LOAD DATA INFILE '/etc/passwd' INTO TABLE wp_comments", "LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE wp_commentmeta",
				"SELECT * FROM mysql.global_priv", "USE mysql", "CREATE DATABASE evil", "CREATE USER evil", "GRANT SELECT ON wp_users TO fleet_a", "SET GLOBAL general_log = 1",
				"INSTALL SONAME 'ha_connect'", "CREATE TEMPORARY TABLE x (id INT)", "LOCK TABLES wp_posts WRITE", "CREATE PROCEDURE p() SELECT 1", "SHUTDOWN",
				"SHOW CREATE TABLE wp_users", "CREATE FUNCTION f RETURNS STRING SONAME 'x.so'",
			} {
				x.denied(plan.Fleet, sql)
			}
			if got := x.ok(plan.Fleet, "SELECT COALESCE(LOAD_FILE('/etc/passwd'), 'none')"); got != "none" {
				t.Errorf("LOAD_FILE: got %q, want none", got)
			}
			if got := x.ok(plan.Fleet, "SHOW DATABASES"); got != "information_schema\nwp_test" {
				t.Errorf("databases: got %q", got)
			}
			if got := x.ok(plan.Fleet, "SELECT COUNT(*) FROM information_schema.columns WHERE table_name = 'wp_users'"); got != "0" {
				t.Errorf("columns of a masked table: got %s, want none", got)
			}
		}
	})
}

func TestAdmin(t *testing.T) {
	eachEngine(t, func(t *testing.T, e plan.Engine) {
		x := wpSite(t, e)
		x.ok(plan.Admin, "ALTER TABLE wp_posts ADD extra INT; CREATE INDEX i ON wp_posts (extra); UPDATE wp_options SET v = 'y'; DROP TABLE wp_commentmeta;")
		own := []string{"SELECT pg_read_file('/etc/passwd')", "COPY wp_posts TO PROGRAM 'cat'", "CREATE ROLE evil", "ALTER ROLE fleet_a SUPERUSER", "CREATE DATABASE evil", "SET ROLE ringwall", "ALTER SYSTEM SET fsync = off", "GRANT ringwall_owner TO fleet_a"}
		if e == plan.MySQL {
			own = []string{"SELECT 1 INTO OUTFILE '/tmp/ringwall-evil'", "CREATE USER evil", "GRANT ALL ON wp_test.* TO fleet_a", "CREATE DATABASE evil", "SELECT * FROM mysql.user", "SET GLOBAL local_infile = 1", "INSTALL SONAME 'ha_connect'",
				"CREATE DEFINER=ringwall_mask@localhost VIEW v AS SELECT 1", "GRANT SELECT ON wp_users TO 'fleet_a'@'127.0.0.0/255.0.0.0'"}
		}
		for _, sql := range own {
			x.denied(plan.Admin, sql)
		}
		if e == plan.Postgres {
			// What the owner of the tables hands out is taken back.
			x.ok(plan.Admin, "GRANT SELECT, UPDATE ON wp_users TO fleet_a; GRANT ALL ON wp_options TO PUBLIC; GRANT UPDATE (v) ON wp_options TO fleet;"+
				"CREATE FUNCTION leak() RETURNS text LANGUAGE sql SECURITY DEFINER AS 'SELECT max(user_pass) FROM public.wp_users'; RESET ROLE; CREATE TABLE mine (id INT);")
			x.must(x.Grant(t.Context()))
			x.denied(plan.Fleet, "SELECT user_pass FROM wp_users")
			x.denied(plan.Fleet, "UPDATE wp_options SET v = 'x'")
			x.denied(plan.Fleet, "SELECT leak()")
			if got := x.ok(plan.Admin, "SELECT tableowner FROM pg_tables WHERE tablename = 'mine'"); got != ownerRole {
				t.Errorf("owner of a table that admin made as itself: got %s, want %s", got, ownerRole)
			}
		}
	})
}

func TestRotate(t *testing.T) {
	eachEngine(t, func(t *testing.T, e plan.Engine) {
		x := wpSite(t, e)
		before, err := x.Secret(plan.Admin)
		x.must(err)
		r, err := x.Rotate(t.Context(), plan.Admin)
		x.must(err)
		if _, err := x.Rotate(t.Context(), plan.Admin); err == nil {
			t.Error("a second rotation meanwhile: got none, want an error")
		}
		x.must(x.Grant(t.Context())) // the app may add tables meanwhile
		for _, s := range []plan.Secret{before, r.Secret} {
			if _, err := Query(t.Context(), s, "UPDATE wp_options SET v = 'r'"); err != nil {
				t.Errorf("%s during the rotation: %v", s.Username, err)
			}
		}
		x.must(r.Finish(t.Context()))
		if _, err := Query(t.Context(), before, "SELECT 1"); !errors.Is(err, ErrLogin) {
			t.Errorf("the former user: got %v, want its login refused", err)
		}
		x.ok(plan.Admin, "ALTER TABLE wp_posts ADD z INT; DROP TABLE wp_options") // of tables that the other user made
		x.must(x.Grant(t.Context()))
		if _, err := Query(t.Context(), before, "SELECT 1"); !errors.Is(err, ErrLogin) {
			t.Errorf("the former user after a grant: got %v, want its login refused", err)
		}
		u, err := x.Rotate(t.Context(), plan.Admin)
		x.must(err)
		x.must(u.Undo(t.Context()))
		x.ok(plan.Admin, "SELECT 1")
		if _, err := Query(t.Context(), u.Secret, "SELECT 1"); !errors.Is(err, ErrLogin) {
			t.Errorf("the user of an undone rotation: got %v, want its login refused", err)
		}
		info, err := os.Stat(x.secretFile(plan.Admin))
		x.must(err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("mode of the credentials: got %o, want 600", info.Mode().Perm())
		}
	})
}

func TestWatch(t *testing.T) {
	eachEngine(t, func(t *testing.T, e plan.Engine) {
		x := wpSite(t, e)
		go x.Watch(t.Context(), 50*time.Millisecond, func(err error) { t.Error(err) })
		x.ok(plan.Admin, "CREATE TABLE wp_new (id INT); CREATE TABLE wp_private_new (id INT);")
		for start := time.Now(); ; time.Sleep(20 * time.Millisecond) {
			_, err := x.as(plan.Fleet, "SELECT * FROM wp_new")
			if err == nil {
				break
			}
			if time.Since(start) > 5*time.Second {
				t.Fatalf("a new table after 5 s: %v", err)
			}
		}
		x.denied(plan.Fleet, "SELECT * FROM wp_private_new")
		x.denied(plan.Fleet, "INSERT INTO wp_new VALUES (1)")
		// A column that comes later shows in the mask's view.
		x.ok(plan.Admin, "ALTER TABLE wp_users ADD nick VARCHAR(10)")
		for start := time.Now(); ; time.Sleep(20 * time.Millisecond) {
			if _, err := x.as(plan.Fleet, "SELECT nick FROM wp_users_fleet"); err == nil {
				break
			} else if time.Since(start) > 5*time.Second {
				t.Fatalf("a new column after 5 s: %v", err)
			}
		}
	})
}

// TestRotateUnderLoad rotates while requests run: none fails.
func TestRotateUnderLoad(t *testing.T) {
	eachEngine(t, func(t *testing.T, e plan.Engine) {
		x := wpSite(t, e)
		var instance sync.RWMutex // held for reading by a request, for writing while the instance is replaced
		var stop atomic.Bool
		var wg sync.WaitGroup
		var n atomic.Int64
		for range 3 {
			wg.Go(func() {
				for !stop.Load() {
					instance.RLock()
					if _, err := x.as(plan.Fleet, "INSERT INTO wp_comments (body) VALUES ('x')"); err != nil {
						t.Errorf("a request: %v", err)
					}
					n.Add(1)
					instance.RUnlock()
				}
			})
		}
		for range 2 {
			r, err := x.Rotate(t.Context(), plan.Fleet)
			x.must(err)
			x.must(x.Grant(t.Context()))
			instance.Lock() // every request with the former credentials has ended
			former := n.Load()
			instance.Unlock()
			t.Logf("%d requests so far", former)
			x.must(r.Finish(t.Context()))
		}
		stop.Store(true)
		wg.Wait()
		if n.Load() == 0 {
			t.Error("no request ran meanwhile")
		}
	})
}

// TestGrantAgain changes the plan: what it no longer gives is taken away.
func TestGrantAgain(t *testing.T) {
	eachEngine(t, func(t *testing.T, e plan.Engine) {
		x := wpSite(t, e)
		fp, err := x.Fingerprint(t.Context())
		x.must(err)
		x.must(x.Grant(t.Context()))
		if again, err := x.Fingerprint(t.Context()); err != nil || again != fp {
			t.Errorf("fingerprint after a second grant: got %q, %v; want it unchanged", again, err)
		}
		x.plan.Database.Grants[plan.Fleet] = []plan.Grant{{Tables: "wp_posts", Rights: []string{"select"}}}
		x.must(x.Grant(t.Context()))
		x.ok(plan.Fleet, "SELECT * FROM wp_posts")
		x.denied(plan.Fleet, "SELECT * FROM wp_options")
		x.denied(plan.Fleet, "INSERT INTO wp_comments (body) VALUES ('hi')")
		delete(x.plan.Database.Grants, plan.Fleet)
		x.plan.Database.Mask = nil
		x.must(x.Grant(t.Context()))
		x.ok(plan.Fleet, "SELECT * FROM wp_private_keys")
		x.ok(plan.Admin, "CREATE TABLE later (id INT)")
		x.ok(plan.Fleet, "SELECT * FROM later") // at once: all tables are alike
		x.denied(plan.Fleet, "DELETE FROM later")
	})
}

// A database that was made within walls is opened without them, where its user's
// id has another name, and the other way round.
func TestOtherName(t *testing.T) {
	eachEngine(t, func(t *testing.T, e plan.Engine) {
		x := newSite(t, e, nil)
		x.fresh = true
		name := x.dirs.User
		x.dirs.User = superuser
		x.must(x.Init(t.Context()))
		x.dirs.User = name
		for range 2 { // the second start knows it already
			x.start()
			x.must(x.Grant(t.Context()))
			x.ok(plan.Admin, "SELECT 1")
			x.kill()
		}
		x.dirs.User = superuser
		x.must(x.Init(t.Context()))
		if m, ok := x.eng.(*mysql); ok && !slices.Contains(m.command(), "--init-file="+x.inside(initFile)) {
			t.Error("within walls again: the server is not told the name that its user has there")
		}
	})
}

func TestDump(t *testing.T) {
	eachEngine(t, func(t *testing.T, e plan.Engine) {
		x := wpSite(t, e)
		x.ok(plan.Admin, "CREATE VIEW recent AS SELECT title FROM wp_posts; INSERT INTO wp_posts VALUES (7, 'back\\slash and ''quote''')")
		want := x.ok(plan.Admin, "SELECT * FROM wp_posts ORDER BY id")
		dump := filepath.Join(t.TempDir(), "dump.sql")
		x.must(x.Dump(t.Context(), dump))
		info, err := os.Stat(dump)
		x.must(err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("mode of the dump: got %o, want 600", info.Mode().Perm())
		}
		if err := x.Restore(t.Context(), dump); err == nil || !strings.Contains(err.Error(), "tables") {
			t.Errorf("restoring over tables: got %v, want an error", err)
		}
		b, err := os.ReadFile(dump)
		x.must(err)
		if strings.Contains(string(b), "wp_users_fleet") {
			t.Error("the dump holds a mask's view, want the app's tables only")
		}
		cut := filepath.Join(t.TempDir(), "cut.sql")
		x.must(os.WriteFile(cut, b[:len(b)-300], 0o600))
		if err := x.Delete(cut); err == nil {
			t.Error("deleting with a dump that was cut short: got no error")
		}

		y := newSite(t, e, func(p *plan.Plan) { wordpress(p); p.Database.Snapshot = dump })
		y.start()
		y.must(y.Snapshot(t.Context()))
		y.must(y.Grant(t.Context()))
		if got := y.ok(plan.Admin, "SELECT * FROM wp_posts ORDER BY id"); got != want {
			t.Errorf("restored posts: got %q, want %q", got, want)
		}
		y.ok(plan.Fleet, "SELECT * FROM recent")
		y.denied(plan.Fleet, "SELECT * FROM wp_users")
		y.ok(plan.Admin, "DROP VIEW recent; DROP TABLE wp_options") // it is theirs
		y.must(y.Snapshot(t.Context()))                             // once only
		y.must(os.WriteFile(y.host(snapshotMark), []byte("begun\n"), 0o600))
		y.must(y.Snapshot(t.Context()))
		if !y.saidAny("begun again") {
			t.Errorf("said %q, want a word on the interrupted restore", y.said)
		}
		y.must(y.Grant(t.Context()))
		y.ok(plan.Fleet, "SELECT * FROM wp_options")
		y.kill()
		y.must(y.Delete(dump))
		if _, err := os.Stat(y.host(liveDir)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("after Delete: got %v, want nothing there", err)
		}
	})
}

// TestEvilDump restores dumps that try to leave the database.
func TestEvilDump(t *testing.T) {
	eachEngine(t, func(t *testing.T, e plan.Engine) {
		x := newSite(t, e, nil)
		x.start()
		proof := filepath.Join(x.dirs.Run, "proof")
		evil := map[plan.Engine][]string{
			plan.Postgres: {"\\! touch " + proof, "COPY (SELECT 1) TO PROGRAM 'touch " + proof + "';", "\\o " + proof, "CREATE ROLE evil;", "RESET SESSION AUTHORIZATION; CREATE ROLE evil;", "SELECT 1/0;"},
			plan.MySQL:    {"\\! touch " + proof, "system touch " + proof, "USE mysql;", "CREATE USER evil;", "SELECT 1 INTO OUTFILE '" + proof + "';", "SELEC;"},
		}[e]
		for _, sql := range evil {
			file := filepath.Join(t.TempDir(), "evil.sql")
			x.must(os.WriteFile(file, []byte("CREATE TABLE half (id INT);\n"+sql+"\n"+x.eng.trailer()+"\n"), 0o600))
			if err := x.Restore(t.Context(), file); err == nil {
				t.Errorf("%s: restored, want an error", sql)
			}
			if _, err := os.Stat(proof); err == nil {
				t.Fatalf("%s: it ran", sql)
			}
			if tables, err := x.eng.tables(t.Context()); err != nil || len(tables) != 0 {
				t.Errorf("%s: got %d tables, %v; want the database empty", sql, len(tables), err)
			}
		}
	})
}

func TestPrivate(t *testing.T) {
	eachEngine(t, func(t *testing.T, e plan.Engine) {
		x := newSite(t, e, nil)
		x.start()
		x.must(x.Grant(t.Context()))
		x.ok(plan.Admin, "SELECT 1")
		s, _ := x.Secret(plan.Admin)
		for _, name := range []string{"ringwall", "root", "postgres", "mysql", x.dirs.User, ownerRole, maskRole, "mariadb.sys", "admin", "admin_b", "fleet"} {
			for _, pass := range []string{"", s.Password} {
				bad := s
				bad.Username, bad.Password = name, pass
				if _, err := Query(t.Context(), bad, "SELECT 1"); !errors.Is(err, ErrLogin) {
					t.Errorf("logging in as %s over TCP: got %v, want it refused", name, err)
				}
			}
		}
		bad := s
		bad.Port = freePort(t)
		if _, err := Query(t.Context(), bad, "SELECT 1"); !errors.Is(err, ErrConnect) {
			t.Errorf("a port where nothing listens: got %v, want %v", err, ErrConnect)
		}
		b, err := os.ReadFile(x.log.Name())
		x.must(err)
		if strings.Contains(string(b), s.Password) {
			t.Error("the server's log holds a password")
		}
		bad = s
		bad.Host = "127.0.0.2" // the machine's, but not the site's
		if _, err := Query(t.Context(), bad, "SELECT 1"); !errors.Is(err, ErrConnect) {
			t.Errorf("another address: got %v, want %v", err, ErrConnect)
		}
		switch e {
		case plan.Postgres:
			out, err := x.eng.sql(t.Context(), "", "SHOW data_checksums; SHOW fsync; SHOW temp_file_limit;")
			if out != "on\non\n1GB" || err != nil {
				t.Errorf("checksums, fsync and the room for sorting: got %q, %v", out, err)
			}
		case plan.MySQL:
			out, err := x.eng.sql(t.Context(), "", "SELECT @@innodb_checksum_algorithm, @@innodb_flush_log_at_trx_commit, @@local_infile, @@have_symlink")
			if out != "full_crc32\t1\t0\tDISABLED" || err != nil {
				t.Errorf("settings: got %q, %v", out, err)
			}
		}
	})
}
