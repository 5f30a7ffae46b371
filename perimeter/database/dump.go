package database

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/ringwall/ringwall/internal/durable"
	"github.com/ringwall/ringwall/internal/lazy"
	"github.com/ringwall/ringwall/plan"
)

// Dump writes the database as SQL, as it was at one moment. The file appears
// under its name when it is complete and on the disk; only this user may read it.
func (s *Server) Dump(ctx context.Context, path string) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // 0600
	if err != nil {
		return fmt.Errorf("dumping the database: %w", err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	w := bufio.NewWriterSize(f, 256<<10)
	if err = s.eng.dump(ctx, w); err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = s.Verify(f.Name())
	}
	if err == nil {
		err = durable.Commit(f, path)
	}
	if err != nil {
		return fmt.Errorf("dumping the database to %s: %w; nothing was written there", path, err)
	}
	return nil
}

// Verify says whether a dump was written to its end.
func (s *Server) Verify(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	const enough = 4 << 10
	if _, err := f.Seek(max(0, info.Size()-enough), io.SeekStart); err != nil {
		return err
	}
	end, err := io.ReadAll(io.LimitReader(f, enough))
	if err != nil {
		return err
	}
	if !strings.Contains("\n"+string(end), "\n"+s.eng.trailer()) {
		return fmt.Errorf("%s has no line that begins with %q near its end: it was cut short, or is no dump of %s", path, s.eng.trailer(), s.plan.Database.Engine)
	}
	return nil
}

// Restore reads a dump into the database, which must have no tables. The dump's
// SQL runs inside the walls, with rights on this database only; its owners and
// grants are left out, since Grant makes ours. A failed Restore leaves the
// database empty.
func (s *Server) Restore(ctx context.Context, path string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.restore(ctx, path)
}

func (s *Server) restore(ctx context.Context, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("restoring the database: %w", err)
	}
	defer f.Close()
	if err := s.Verify(path); err != nil {
		return fmt.Errorf("restoring the database: %w", err)
	}
	if err := s.eng.prepare(ctx); err != nil {
		return fmt.Errorf("restoring the database: %w", err)
	}
	tables, err := s.eng.tables(ctx)
	if err != nil {
		return fmt.Errorf("restoring the database: %w", err)
	}
	if len(tables) > 0 {
		return fmt.Errorf("restoring the database from %s: it holds %d tables (%s, …), want none; dump and delete it first, or take database.snapshot out", path, len(tables), tables[0].name)
	}
	if err := s.eng.restore(ctx, f); err != nil {
		err = fmt.Errorf("restoring the database from %s: %w", path, err)
		if err2 := s.eng.recreate(context.WithoutCancel(ctx)); err2 != nil {
			return errors.Join(err, fmt.Errorf("emptying it again: %w", err2))
		}
		return err
	}
	return nil
}

// snapshotMark, in Dirs.Data, holds "begun" or "done".
const snapshotMark = "snapshot"

// Snapshot restores plan.Database.Snapshot, once in the database's life. One that
// was interrupted is taken away and begun again.
func (s *Server) Snapshot(ctx context.Context) error {
	path := s.plan.Database.Snapshot
	if path == "" {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	mark := func(text string) error {
		return durable.WriteFileAs(s.host(snapshotMark), []byte(text+"\n"), 0o600, os.Geteuid(), os.Getegid())
	}
	b, err := os.ReadFile(s.host(snapshotMark))
	switch state := strings.TrimSpace(string(b)); {
	case state == "done":
		return nil
	case state == "begun":
		s.logf("database: an interrupted restore of %s is begun again", path)
		if err := s.eng.recreate(ctx); err != nil {
			return fmt.Errorf("emptying the half-restored database: %w", err)
		}
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("restoring the snapshot: %w", err)
	default:
		if err := s.eng.prepare(ctx); err != nil {
			return fmt.Errorf("restoring the snapshot: %w", err)
		}
		tables, err := s.eng.tables(ctx)
		if err != nil {
			return fmt.Errorf("restoring the snapshot: %w", err)
		}
		if len(tables) > 0 {
			s.logf("database: it has tables already, so %s is not restored", path)
			return mark("done")
		}
	}
	if err := mark("begun"); err != nil {
		return fmt.Errorf("restoring the snapshot: %w", err)
	}
	start := time.Now()
	if err := s.restore(ctx, path); err != nil {
		return err
	}
	s.logf("database: %s restored in %s", path, time.Since(start).Round(time.Millisecond))
	return mark("done")
}

func (p *postgres) trailer() string { return "-- PostgreSQL database dump complete" }

func (p *postgres) dump(ctx context.Context, w io.Writer) error {
	args := []string{filepath.Join(p.bin, "pg_dump"), "-h", socketDir, "-p", strconv.Itoa(int(p.s.plan.Database.Port)), "-U", superuser,
		"--no-owner", "--no-privileges", "--format=plain", "--encoding=UTF8"}
	for _, m := range p.s.plan.Database.Mask {
		args = append(args, "--exclude-table=*."+pgIdent(m.View))
	}
	return p.s.client(ctx, append(args, "--dbname="+p.s.plan.Database.Name), nil, w)
}

func (p *postgres) restore(ctx context.Context, r io.Reader) error {
	args := append(p.psql(ownerRole, p.s.plan.Database.Name, p.s.dirs.InsideRun), "--single-transaction")
	return p.s.run.Run(ctx, args, p.readable(r), io.Discard)
}

// pgSkipped are statements of a dump on owners and grants, which are ours to
// make, and on things that exist already. \restrict is set by us.
var pgSkipped = lazy.Regexp(`^(ALTER .* OWNER TO .*;|GRANT .*;|REVOKE .*;|ALTER DEFAULT PRIVILEGES .*;|SET SESSION AUTHORIZATION .*;|CREATE SCHEMA public;|COMMENT ON (SCHEMA public|EXTENSION .*) IS .*;|\\(un)?restrict \w+|\\connect .*)\s*$`)

// readable filters a dump for psql. Commands of psql's own, which could run
// programs, are forbidden with \restrict where psql knows it.
func (p *postgres) readable(r io.Reader) io.Reader {
	before, after := "", ""
	if p.restricts() {
		key := strings.NewReplacer("-", "x", "_", "y").Replace(newPassword())
		before, after = "\\restrict "+key+"\n", "\n\\unrestrict "+key+"\n"
	}
	copying := false
	return io.MultiReader(strings.NewReader(before), filter(r, func(line string) string {
		switch {
		case copying:
			copying = strings.TrimRight(line, "\r\n") != `\.`
		case strings.HasPrefix(line, "COPY ") && strings.HasSuffix(strings.TrimRight(line, "\r\n"), " FROM stdin;"):
			copying = true
		case pgSkipped().MatchString(line):
			return ""
		}
		return line
	}), strings.NewReader(after))
}

var psqlVersion = lazy.Regexp(`\(PostgreSQL\) (\d+)\.(\d+)`)

// restricts says whether this psql knows \restrict, which came with security
// updates of all versions in 2025.
func (p *postgres) restricts() bool {
	out, _ := outputOf(filepath.Join(p.bin, "psql"), "--version")
	v := psqlVersion().FindStringSubmatch(out)
	if v == nil {
		return false
	}
	minor, _ := strconv.Atoi(v[2])
	since, ok := map[string]int{"15": 14, "16": 10, "17": 6}[v[1]]
	return !ok || minor >= since
}

func (m *mysql) trailer() string { return "-- Dump completed" }

func (m *mysql) dump(ctx context.Context, w io.Writer) error {
	db := m.s.plan.Database.Name
	args := []string{"/usr/bin/mariadb-dump", "--no-defaults", "--protocol=socket", m.socket(), "--user=" + m.s.dirs.User,
		"--single-transaction", "--quick", "--routines", "--triggers", "--hex-blob", "--default-character-set=utf8mb4"}
	for _, k := range m.s.plan.Database.Mask {
		args = append(args, "--ignore-table="+db+"."+k.View)
	}
	return m.s.client(ctx, append(args, db), nil, w)
}

// restore reads the dump with an account that has rights on this database only.
// It is open no longer than this; afterwards the dump's views stand on its rights.
func (m *mysql) restore(ctx context.Context, r io.Reader) (err error) {
	account, password := restoreRole+"@`localhost`", newPassword()
	if _, err := m.sql(ctx, "", fmt.Sprintf("CREATE OR REPLACE USER %s IDENTIFIED VIA mysql_native_password USING '%s';\nGRANT ALL ON %s.* TO %s;\n",
		account, nativeVerifier(password), myPattern(m.s.plan.Database.Name), account)); err != nil {
		return err
	}
	defer func() {
		_, err2 := m.sql(context.WithoutCancel(ctx), "", fmt.Sprintf("ALTER USER %s ACCOUNT LOCK;", account))
		err = errors.Join(err, err2)
	}()
	const name = "restore.cnf"
	file := filepath.Join(m.s.dirs.Run, name)
	if err := durable.WriteFileAs(file, myOptions(plan.Secret{Username: restoreRole, Password: password}), 0o600, m.s.dirs.UID, m.s.dirs.GID); err != nil {
		return err
	}
	defer os.Remove(file)
	args := m.cli("--socket="+filepath.Join(m.s.dirs.InsideRun, m.s.socketName()), "--database="+m.s.plan.Database.Name)
	args[1] = "--defaults-file=" + filepath.Join(m.s.dirs.InsideRun, name)
	return m.s.run.Run(ctx, args, filter(r, func(line string) string {
		if strings.HasPrefix(line, "/*!50") || strings.HasPrefix(line, "CREATE DEFINER") {
			return myDefiner().ReplaceAllString(line, "")
		}
		return line
	}), io.Discard)
}

// myOptions is an options file for MariaDB's client programs.
func myOptions(s plan.Secret) []byte {
	quote := func(v string) string { return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(v) + `"` }
	return []byte("[client]\nuser=" + quote(s.Username) + "\npassword=" + quote(s.Password) + "\n")
}

var myDefiner = lazy.Regexp("DEFINER=`[^`]*`@`[^`]*`")

// filter passes a text on line by line. A line has no bound in length: a dump
// holds a thousand rows in one.
func filter(r io.Reader, change func(line string) string) io.Reader {
	pr, pw := io.Pipe()
	go func() {
		in := bufio.NewReaderSize(r, 256<<10)
		for {
			line, err := in.ReadString('\n')
			if _, werr := io.WriteString(pw, change(line)); werr != nil {
				return
			}
			if err != nil {
				pw.CloseWithError(err)
				return
			}
		}
	}()
	return pr
}
