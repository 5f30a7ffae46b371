//go:build linux

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/local/localtest"
)

// From a dump, to no database at all: what is deleted is approved and dumped first.
func TestSiteDump(t *testing.T) {
	files := boardFiles(t)
	files["dump.sql"] = `CREATE TABLE notes (id int PRIMARY KEY, body text);
INSERT INTO notes VALUES (1, 'from the dump');
--
-- PostgreSQL database dump complete
--
`
	yaml := strings.Replace(read(t, "../board/ringwall.yaml"), "  engine: postgres\n", "  engine: postgres\n  snapshot: dump.sql\n", 1)
	s := &site{Site: localtest.New(t, localtest.Build(t, "cmd/ringwall", ""), "board-dev", yaml, files)}
	s.start(t)
	s.wantSQL(t, "fleet/1", "SELECT body FROM notes", "from the dump")
	s.wantSQL(t, "admin/1", "UPDATE notes SET body = body || '!'", "UPDATE 1")
	s.OK("down")
	s.start(t) // the dump counts at the first start only
	s.wantSQL(t, "fleet/1", "SELECT body FROM notes", "from the dump!")
	s.OK("down")
	none := "app: board\npreset: generic\nkind: static\nfiles: {source: site}\ndatabase: {config: none, engine: postgres}\nenvironments:\n  dev: {}\n"
	must(t, os.WriteFile(filepath.Join(s.Dir, "ringwall.yaml"), []byte(none), 0o644))
	data := filepath.Join(s.State(), "database")
	if r := s.Run("up", "--yes"); r.Code != 1 || !strings.Contains(r.Stderr, "database.protect") {
		t.Errorf("deleting a protected database: got %d, want 1\n%s", r.Code, r.Stderr)
	}
	must(t, os.WriteFile(filepath.Join(s.Dir, "ringwall.yaml"), []byte(strings.Replace(none, "config: none", "config: none, protect: false", 1)), 0o644))
	for _, detach := range []bool{false, true} {
		args := []string{"up"}
		if detach {
			args = append(args, "-d")
		}
		if r := s.Run(args...); r.Code != 4 || !strings.Contains(r.Stderr, "--yes") {
			t.Errorf("%v with database.config none: got %d, want 4 and the way to approve\n%s", args, r.Code, r.Stderr)
		}
	}
	if _, err := os.Stat(data); err != nil {
		t.Fatalf("the database after a refused deletion: %v", err)
	}
	must(t, os.WriteFile(filepath.Join(s.State(), "files/index.html"), []byte("static now"), 0o644))
	s.start(t, "--yes")
	if _, err := os.Stat(data); err == nil {
		t.Error("the database is still there")
	}
	dumps, _ := filepath.Glob(filepath.Join(s.State(), "database-*.sql"))
	if len(dumps) != 1 || !strings.Contains(read(t, dumps[0]), "from the dump!") {
		t.Fatalf("the dumps: got %v, want one that holds the rows", dumps)
	}
	st, err := os.Stat(dumps[0])
	must(t, err)
	if st.Mode().Perm() != 0o600 {
		t.Errorf("the dump: got mode %v, want 0600", st.Mode())
	}
}

// wantSQL runs a statement inside an instance as its tier's database user.
func (s *site) wantSQL(t *testing.T, instance, sql, want string) {
	t.Helper()
	s.wantExec(t, instance, fmt.Sprintf(`get() { sed 's/.*"'$1'":"\{0,1\}\([^",}]*\).*/\1/' $DATABASE_SECRET; }
		PGPASSWORD=$(get password) $(ls /usr/lib/postgresql/*/bin/psql | tail -1) -At -h $(get host) -p $(get port) -U $(get username) -d $(get dbname) -c %q 2>&1; echo done`, sql), want)
}

// An existing server, somewhere else, with the four keys in a 0600 file: it is
// reached by the one flow, and nothing else is.
func TestSiteExistingServer(t *testing.T) {
	dir := sharedDir(t)
	port := freePort(t)
	bins, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	if len(bins) == 0 {
		t.Fatal("NOT RUN: PostgreSQL is not installed: run `make setup SET=test`")
	}
	bin := bins[len(bins)-1]
	must(t, os.WriteFile(dir+"/pw", []byte("p w'1\n"), 0o600))
	own(t, dir)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	init := exec.CommandContext(ctx, bin+"/initdb", "-D", dir+"/data", "-U", "owner", "-A", "scram-sha-256", "--pwfile="+dir+"/pw", "--no-sync", "--locale=C.UTF-8")
	init.SysProcAttr, init.Dir = unprivileged(), dir
	if out, err := init.CombinedOutput(); err != nil {
		t.Fatalf("NOT RUN: initdb: %v\n%s", err, out)
	}
	start(t, dir, nil, bin+"/postgres", "-D", dir+"/data", "-p", fmt.Sprint(port), "-k", dir, "-h", "127.0.0.1", "-F")
	sql := func(ctx context.Context, text string) (string, error) {
		c := exec.CommandContext(ctx, bin+"/psql", "-At", "-h", "127.0.0.1", "-p", fmt.Sprint(port), "-U", "owner", "-d", "postgres", "-c", text)
		c.Env = append(os.Environ(), "PGPASSWORD=p w'1")
		out, err := c.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
		return string(out), err
	}
	answers(t, "PostgreSQL", func(ctx context.Context) error { _, err := sql(ctx, "SELECT 1"); return err })

	secret, err := json.Marshal(map[string]any{"username": "owner", "password": "p w'1", "host": "127.0.0.1", "dbname": "postgres", "port": port})
	must(t, err)
	files := boardFiles(t)
	yaml := strings.Replace(read(t, "../board/ringwall.yaml"), "  config: instance\n", "  secretFile: db.json\n", 1)
	s := &site{Site: localtest.New(t, localtest.Build(t, "cmd/ringwall", ""), "board-dev", yaml, files)}
	must(t, os.WriteFile(filepath.Join(s.Dir, "db.json"), secret, 0o644))
	if r := s.Run("up"); r.Code != 2 || !strings.Contains(r.Stderr, "chmod 600") {
		t.Errorf("up with a secret that others may read: got %d\n%s", r.Code, r.Stderr)
	}
	must(t, os.Chmod(filepath.Join(s.Dir, "db.json"), 0o600))
	r := s.start(t)
	board := &Board{Client: s.office}
	must(t, board.Login(ctx, s.login(t)))
	id, err := board.Publish(ctx, 0, "On another server", "<p>text</p>")
	must(t, err)
	_, err = s.visitor.See(ctx, fmt.Sprintf("/posts/%d", id), "On another server")
	must(t, err)
	if out, err := sql(ctx, "SELECT title FROM board_posts"); err != nil || !strings.Contains(out, "On another server") {
		t.Errorf("the existing server holds %q, %v", out, err)
	}
	if strings.Contains(r.Out.String()+s.Logs(), "p w'1") {
		t.Error("the password is in what the site printed or logged")
	}
	// The machine's own loopback is not the site's.
	s.wantExec(t, "fleet/1", fmt.Sprintf("$(ls /usr/lib/postgresql/*/bin/psql | tail -1) -h 127.0.0.1 -p %d -U owner -d postgres -c 'SELECT 1' 2>&1; echo done", port), "refused")
}

// The same with MariaDB, under a WordPress.
func TestSiteExistingMariaDB(t *testing.T) {
	ctx := t.Context()
	m := startMariaDB(t)
	const password = `p w'1`
	m.must(t, "", "CREATE DATABASE wordpress; CREATE USER 'owner'@'%' IDENTIFIED BY 'p w\\'1'; GRANT ALL ON wordpress.* TO 'owner'@'%'")
	secret, err := json.Marshal(map[string]any{"username": "owner", "password": password, "host": "127.0.0.1", "dbname": "wordpress", "port": m.port})
	must(t, err)
	yaml := read(t, "../wordpress/ringwall.yaml") + "\ndatabase:\n  config: instance\n  secretFile: db.json\n"
	s := &site{Site: localtest.New(t, localtest.Build(t, "cmd/ringwall", ""), "wp-dev", yaml, map[string]string{})}
	must(t, os.WriteFile(filepath.Join(s.Dir, "db.json"), secret, 0o600))
	r := s.start(t)
	admin, visitor := &WordPress{Client: s.office}, &WordPress{Client: s.visitor}
	must(t, admin.Login(ctx, s.login(t)))
	_, err = visitor.See(ctx, "/", "wp-dev")
	must(t, err)
	if out := m.must(t, "wordpress", "SELECT option_value FROM wp_options WHERE option_name = 'blogname'"); !strings.Contains(out, "wp-dev") {
		t.Errorf("the existing server holds the title %q, want wp-dev", out)
	}
	if strings.Contains(r.Out.String()+s.Logs(), password) {
		t.Error("the password is in what the site printed or logged")
	}
	if p := s.Run("probe", "--only", "vpc,instance,database"); p.Code != 0 {
		t.Errorf("probe: got %d\n%s\n%s", p.Code, p.Stdout, p.Stderr)
	}
}
