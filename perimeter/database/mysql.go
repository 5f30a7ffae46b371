package database

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ringwall/ringwall/internal/durable"
	"github.com/ringwall/ringwall/internal/lazy"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

type mysql struct {
	s      *Server
	server string // the program
	share  string // directory of the SQL files that make the system tables
	ver    string
	views  map[string]string
}

var mariadbVersion = lazy.Regexp(`Ver (\d+\.\d+)\.\d+-MariaDB`)

func newMySQL(s *Server) (engine, error) {
	m := &mysql{s: s, views: map[string]string{}}
	const install = "install it: apt-get install mariadb-server mariadb-client"
	for _, dir := range []string{"/usr/sbin", "/usr/libexec", "/usr/bin"} {
		if _, err := os.Stat(filepath.Join(dir, "mariadbd")); err == nil {
			m.server = filepath.Join(dir, "mariadbd")
			break
		}
	}
	if m.server == "" {
		return nil, errors.New("finding MariaDB: no mariadbd in /usr/sbin, /usr/libexec or /usr/bin; " + install)
	}
	for _, dir := range []string{"/usr/share/mysql", "/usr/share/mariadb"} {
		if _, err := os.Stat(filepath.Join(dir, "mysql_system_tables.sql")); err == nil {
			m.share = dir
		}
	}
	if m.share == "" {
		return nil, errors.New("finding MariaDB: no mysql_system_tables.sql in /usr/share/mysql or /usr/share/mariadb; " + install)
	}
	for _, prog := range []string{"mariadb", "mariadb-dump"} {
		if _, err := os.Stat("/usr/bin/" + prog); err != nil {
			return nil, fmt.Errorf("finding MariaDB: no /usr/bin/%s; %s", prog, install)
		}
	}
	return m, nil
}

// major asks the program for its version, once.
func (m *mysql) major() string {
	if m.ver == "" {
		out, _ := outputOf(m.server, "--no-defaults", "--version")
		if v := mariadbVersion().FindStringSubmatch(out); v != nil {
			m.ver = v[1]
		}
	}
	return m.ver
}

// majorFile is ours: the server's own file of that kind is written by an upgrade only.
const majorFile = "ringwall-version"

func (m *mysql) dataMajor(dir string) (string, error) {
	b, err := os.ReadFile(filepath.Join(dir, majorFile))
	return strings.TrimSpace(string(b)), err
}

func (m *mysql) initialise(ctx context.Context, dir string) error {
	if want := m.s.plan.Database.Here; want != "" && want != m.major() {
		return fmt.Errorf("want MariaDB %s (database.major), and this machine has %s; install that version or change the setting", want, m.major())
	}
	script := bytes.NewBufferString("CREATE DATABASE mysql;\nUSE mysql;\nSET @auth_root_socket=NULL;\n")
	for _, name := range []string{"mysql_system_tables.sql", "mysql_system_tables_data.sql", "maria_add_gis_sp_bootstrap.sql"} {
		b, err := os.ReadFile(filepath.Join(m.share, name))
		if err != nil {
			return err
		}
		script.Write(b)
	}
	// One account that may do everything, known by its user id on the socket; the
	// locked mariadb.sys owns the server's own views.
	fmt.Fprintf(script, "DELETE FROM mysql.global_priv WHERE User <> 'mariadb.sys';\n")
	fmt.Fprintf(script, "INSERT INTO mysql.global_priv VALUES ('localhost', %s, '{\"access\":18446744073709551615,\"plugin\":\"unix_socket\",\"authentication_string\":\"\"}');\n", myText(m.s.dirs.User))
	fmt.Fprintf(script, "DELETE FROM mysql.proxies_priv;\nDELETE FROM mysql.db;\n")
	checksum := "full_crc32"
	if perimeter.Down("database/checksums") {
		checksum = "crc32" // leaves a part of each page out; none at all is not to be had
	}
	args := []string{m.server, "--no-defaults", "--bootstrap", "--datadir=" + dir, "--innodb-checksum-algorithm=" + checksum,
		"--innodb-log-file-size=32M", "--innodb-buffer-pool-size=32M", "--innodb-use-native-aio=0", "--innodb-flush-log-at-trx-commit=0",
		"--performance-schema=0", "--plugin-dir=" + m.s.inside(noneDir), "--log-warnings=0", "--tmpdir=" + m.s.inside(tmpDir)}
	if err := m.s.run.Run(ctx, args, script, io.Discard); err != nil {
		return err
	}
	return durable.WriteFileAs(m.s.host(filepath.Join(newDir, majorFile)), []byte(m.major()+"\n"), 0o600, m.s.dirs.UID, m.s.dirs.GID)
}

// What the server runs at its start, and whom it did that for last: an account is
// known by the name of its user's id, which is another one without walls.
const (
	initFile  = "init.sql"
	knownFile = "superuser"
)

// configure makes an account for the superuser where its id has another name than
// it had.
func (m *mysql) configure() error {
	if m.knownAs() == m.s.dirs.User {
		err := os.Remove(m.s.host(initFile))
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	}
	name := myIdent(m.s.dirs.User) + "@`localhost`" // the account of the former name is dropped with the next grant
	text := fmt.Sprintf("CREATE OR REPLACE USER %[1]s IDENTIFIED VIA unix_socket;\nGRANT ALL ON *.* TO %[1]s WITH GRANT OPTION;\n", name)
	return durable.WriteFileAs(m.s.host(initFile), []byte(text), 0o600, m.s.dirs.UID, m.s.dirs.GID)
}

func (m *mysql) knownAs() string {
	b, err := os.ReadFile(m.s.host(knownFile))
	if err != nil {
		return superuser
	}
	return string(b)
}

func (m *mysql) command() []string {
	listen, files, local, checksum := m.s.plan.VPC.Database.String(), m.s.inside(noneDir), "0", "full_crc32"
	if perimeter.Down("database/private") {
		listen = "0.0.0.0"
	}
	if perimeter.Down("database/server-files") {
		files, local = "", "1"
	}
	if perimeter.Down("database/checksums") {
		checksum = "crc32"
	}
	args := []string{m.server, "--no-defaults", "--datadir=" + m.s.inside(liveDir), "--tmpdir=" + m.s.inside(tmpDir),
		"--socket=" + filepath.Join(m.s.dirs.InsideRun, m.s.socketName()), "--pid-file=" + filepath.Join(m.s.dirs.InsideRun, "mariadb.pid"),
		"--bind-address=" + listen, "--port=" + strconv.Itoa(int(m.s.plan.Database.Port)),
		"--max-connections=" + strconv.Itoa(m.s.maxConnections()), "--max-connect-errors=4294967295", "--skip-name-resolve",
		"--character-set-server=utf8mb4", "--collation-server=utf8mb4_general_ci",
		// What was acknowledged is on the disk.
		"--innodb-flush-log-at-trx-commit=1", "--innodb-doublewrite=1", "--innodb-checksum-algorithm=" + checksum, "--skip-log-bin",
		// A small site on a shared machine; its walls have no io_uring.
		"--innodb-buffer-pool-size=48M", "--innodb-log-file-size=32M", "--innodb-use-native-aio=0", "--key-buffer-size=1M",
		"--aria-pagecache-buffer-size=8M", "--performance-schema=0", "--table-open-cache=400", "--open-files-limit=4096", "--thread-cache-size=8",
		// Nothing is loaded, read or written beside the tables.
		"--plugin-dir=" + m.s.inside(noneDir), "--secure-file-priv=" + files, "--local-infile=" + local, "--skip-symbolic-links",
		"--event-scheduler=DISABLED", "--automatic-sp-privileges=0", "--old-passwords=0", "--feedback=OFF"}
	if _, err := os.Lstat(m.s.host(initFile)); err == nil {
		args = append(args, "--init-file="+m.s.inside(initFile))
	}
	return args
}

func (m *mysql) cli(extra ...string) []string {
	return append([]string{"/usr/bin/mariadb", "--no-defaults", "--sandbox", "--batch", "--skip-column-names", "--loose-skip-print-query-on-error", "--default-character-set=utf8mb4",
		"--protocol=socket", "--init-command=SET SESSION lock_wait_timeout=5"}, extra...)
}

func (m *mysql) socket() string { return "--socket=" + socketDir + "/" + m.s.socketName() }

func (m *mysql) sql(ctx context.Context, db, script string) (string, error) {
	args := m.cli(m.socket(), "--user="+m.s.dirs.User)
	if db != "" {
		args = append(args, "--database="+db)
	}
	return m.s.query(ctx, args, script)
}

// myIdent quotes a name, myText a value; neither depends on sql_mode.
func myIdent(s string) string { return "`" + strings.ReplaceAll(s, "`", "``") + "`" }
func myText(s string) string {
	if s == "" {
		return "''"
	}
	return fmt.Sprintf("X'%x'", s)
}

// myUser quotes an account of a tier: it may log in from the site's network only.
func (m *mysql) myUser(name string) string { return myIdent(name) + "@" + myIdent(m.from()) }

func (m *mysql) from() string {
	if perimeter.Down("database/private") {
		return "%"
	}
	c := m.s.plan.VPC.CIDR
	mask := ^uint32(0) << (32 - c.Bits())
	return fmt.Sprintf("%s/%d.%d.%d.%d", c.Masked().Addr(), byte(mask>>24), byte(mask>>16), byte(mask>>8), byte(mask))
}

func (m *mysql) prepare(ctx context.Context) error {
	db := m.s.plan.Database.Name
	_, err := m.sql(ctx, "", fmt.Sprintf("CREATE DATABASE IF NOT EXISTS %s CHARACTER SET utf8mb4;\n"+
		"CREATE USER IF NOT EXISTS %s@`localhost` ACCOUNT LOCK;\nALTER USER %s@`localhost` ACCOUNT LOCK;\nGRANT SELECT ON %s.* TO %s@`localhost`;\n",
		myIdent(db), maskRole, maskRole, myPattern(db), maskRole))
	if err == nil && m.knownAs() != m.s.dirs.User { // the server has said that it knows it
		err = durable.WriteFileAs(m.s.host(knownFile), []byte(m.s.dirs.User), 0o600, m.s.dirs.UID, m.s.dirs.GID)
	}
	return err
}

// myPattern quotes a database where GRANT takes wildcards.
func myPattern(db string) string { return myIdent(strings.ReplaceAll(db, "_", `\_`)) }

func (m *mysql) recreate(ctx context.Context) error {
	clear(m.views)
	if _, err := m.sql(ctx, "", fmt.Sprintf("DROP DATABASE IF EXISTS %s;", myIdent(m.s.plan.Database.Name))); err != nil {
		return err
	}
	return m.prepare(ctx)
}

func (m *mysql) accounts(ctx context.Context, users []user) error {
	var q strings.Builder
	for _, u := range users {
		name, lock, password := m.myUser(u.name), "LOCK", u.password
		if u.open {
			lock = "UNLOCK"
		}
		if password == "" {
			password = newPassword()
		}
		fmt.Fprintf(&q, "CREATE USER IF NOT EXISTS %s IDENTIFIED VIA mysql_native_password USING '%s' ACCOUNT LOCK;\n", name, nativeVerifier(password))
		if u.password != "" {
			fmt.Fprintf(&q, "ALTER USER %s IDENTIFIED VIA mysql_native_password USING '%s';\n", name, nativeVerifier(u.password))
		}
		fmt.Fprintf(&q, "ALTER USER %s WITH MAX_USER_CONNECTIONS %d ACCOUNT %s;\n", name, u.limit, lock)
	}
	if perimeter.Down("database/superuser") {
		q.WriteString("CREATE USER IF NOT EXISTS root@'%' IDENTIFIED BY '';\nGRANT ALL ON *.* TO root@'%';\n")
	}
	_, err := m.sql(ctx, "", q.String())
	return err
}

func (m *mysql) endSessions(ctx context.Context, user string) error {
	_, err := m.sql(ctx, "", fmt.Sprintf("KILL USER %s;", m.myUser(user)))
	return err
}

func (m *mysql) tables(ctx context.Context) ([]table, error) {
	masked := []string{"''"}
	for _, k := range m.s.plan.Database.Mask {
		masked = append(masked, myText(k.Table))
	}
	db := myText(m.s.plan.Database.Name)
	out, err := m.sql(ctx, "", fmt.Sprintf(`SELECT HEX(table_schema), HEX(table_name), '', '' FROM information_schema.tables WHERE table_schema = %s ORDER BY table_name;
SELECT HEX(table_schema), HEX(table_name), HEX(column_name), HEX(column_type) FROM information_schema.columns
WHERE table_schema = %s AND table_name IN (%s) ORDER BY table_name, ordinal_position;`, db, db, strings.Join(masked, ", ")))
	if err != nil {
		return nil, err
	}
	return readTables(out)
}

// adminWords are what a tier with ddl gets on its database. EVENT is missing:
// the server has no scheduler; so is GRANT OPTION.
var adminWords = []string{"SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "ALTER", "INDEX", "REFERENCES",
	"CREATE TEMPORARY TABLES", "LOCK TABLES", "CREATE VIEW", "SHOW VIEW", "TRIGGER", "CREATE ROUTINE", "ALTER ROUTINE", "EXECUTE"}

// A held is one right as the server lists it. On a database as a whole table is empty.
type held struct{ user, table, word string }

// grant compares what the tiers' users have with what they should have, and
// grants before it revokes: GRANT is no transaction here, and a request that is
// under way must not fail.
func (m *mysql) grant(ctx context.Context, tables []table) error {
	if err := m.makeViews(ctx, tables); err != nil {
		return err
	}
	out, err := m.sql(ctx, "", `SELECT 'user', User, Host, '', '', '' FROM mysql.user;
SELECT 'held', grantee, '*', HEX(table_schema), '', privilege_type FROM information_schema.schema_privileges;
SELECT 'held', grantee, '', HEX(table_schema), HEX(table_name), privilege_type FROM information_schema.table_privileges;
SELECT 'held', grantee, '**', '', '', privilege_type FROM information_schema.user_privileges;`)
	if err != nil {
		return err
	}
	want := m.wanted(tables)
	var q strings.Builder
	have := map[held]bool{}
	var revoke []string
	for line := range strings.Lines(out) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 6 {
			return fmt.Errorf("reading the server's list of rights: got %d columns, want 6", len(f))
		}
		if f[0] == "user" {
			switch {
			case m.expected(f[1], f[2]):
			case m.isTierUser(f[1]):
				// Of a network that the site had before: views that the app made may
				// stand on its rights.
				revoke = append(revoke, fmt.Sprintf("ALTER USER %s@%s ACCOUNT LOCK;\n", myIdent(f[1]), myIdent(f[2])))
			default:
				m.s.logf("database: dropping user %s@%s, which the plan does not have", f[1], f[2])
				revoke = append(revoke, fmt.Sprintf("DROP USER %s@%s;\n", myIdent(f[1]), myIdent(f[2])))
			}
			continue
		}
		name, ok := m.tierUser(f[1])
		if !ok || f[5] == "USAGE" {
			continue
		}
		schema, tab, err := unhex2(f[3], f[4])
		if err != nil {
			return err
		}
		pattern := strings.ReplaceAll(schema, `\_`, "_") == m.s.plan.Database.Name
		h := held{name, tab, f[5]}
		if pattern && want[h] && f[2] != "**" {
			have[h] = true
			continue
		}
		on := "*.*"
		switch f[2] {
		case "*":
			on = myIdent(schema) + ".*"
		case "":
			on = myIdent(schema) + "." + myIdent(tab)
		}
		revoke = append(revoke, fmt.Sprintf("REVOKE %s ON %s FROM %s;\n", f[5], on, m.myUser(name)))
	}
	type place struct{ user, table string }
	missing := map[place][]string{}
	for h := range want {
		if !have[h] {
			missing[place{h.user, h.table}] = append(missing[place{h.user, h.table}], h.word)
		}
	}
	for at, words := range missing {
		slices.Sort(words)
		on := myPattern(m.s.plan.Database.Name) + ".*"
		if at.table != "" {
			on = myIdent(m.s.plan.Database.Name) + "." + myIdent(at.table)
		}
		fmt.Fprintf(&q, "GRANT %s ON %s TO %s;\n", strings.Join(words, ", "), on, m.myUser(at.user))
	}
	for _, r := range revoke {
		q.WriteString(r)
	}
	for id, right := range map[string]string{"database/server-files": "FILE ON *.*", "database/other-databases": "SELECT ON mysql.*"} {
		if !perimeter.Down(id) {
			continue
		}
		for _, t := range m.s.plan.Tiers {
			fmt.Fprintf(&q, "GRANT %[1]s TO %[2]s;\nGRANT %[1]s TO %[3]s;\n", right, m.myUser(t.Name+"_a"), m.myUser(t.Name+"_b"))
		}
	}
	if q.Len() == 0 {
		return nil
	}
	_, err = m.sql(ctx, "", q.String())
	return err
}

func (m *mysql) wanted(tables []table) map[held]bool {
	want := map[held]bool{}
	for _, t := range m.s.plan.Tiers {
		for _, suffix := range suffixes {
			add := func(table string, words []string) {
				for _, w := range words {
					want[held{t.Name + suffix, table, w}] = true
				}
			}
			if defines(m.s.plan, t.Name) {
				add("", adminWords)
				continue
			}
			if r := uniform(m.s.plan, t.Name); r != 0 {
				add("", r.words())
				continue
			}
			for _, tab := range tables {
				if !isMaskView(m.s.plan, tab.name) {
					add(tab.name, rightsOn(m.s.plan, t.Name, tab.name).words())
				}
			}
			for view := range m.views {
				add(view, rightsOn(m.s.plan, t.Name, view).words())
			}
		}
	}
	return want
}

// expected says whether an account is the server's, ours or a tier's.
func (m *mysql) expected(name, host string) bool {
	switch {
	case host == "localhost":
		return slices.Contains([]string{"mariadb.sys", m.s.dirs.User, maskRole, restoreRole}, name)
	case name == "root":
		return perimeter.Down("database/superuser")
	}
	_, ok := m.tierUser("'" + name + "'@'" + host + "'")
	return ok
}

// tierUser returns the name in a grantee, where it is a tier's user of today's network.
func (m *mysql) tierUser(grantee string) (string, bool) {
	for _, t := range m.s.plan.Tiers {
		for _, suffix := range suffixes {
			if grantee == "'"+t.Name+suffix+"'@'"+m.from()+"'" {
				return t.Name + suffix, true
			}
		}
	}
	return "", false
}

func (m *mysql) isTierUser(name string) bool {
	return slices.ContainsFunc(m.s.plan.Tiers, func(t plan.Tier) bool { return name == t.Name+"_a" || name == t.Name+"_b" })
}

func (m *mysql) makeViews(ctx context.Context, tables []table) error {
	db := m.s.plan.Database.Name
	views := map[string]string{}
	var q strings.Builder
	for _, k := range m.s.plan.Database.Mask {
		i := slices.IndexFunc(tables, func(t table) bool { return t.name == k.Table && len(t.columns) > 0 })
		if i < 0 {
			continue
		}
		def := maskSelect(k, table{schema: db, name: k.Table, columns: tables[i].columns}, myIdent, func(expr, _ string) string { return "(" + expr + ")" })
		views[k.View] = def
		if m.views[k.View] == def && slices.ContainsFunc(tables, func(t table) bool { return t.name == k.View }) {
			continue
		}
		fmt.Fprintf(&q, "CREATE OR REPLACE DEFINER=%s@`localhost` SQL SECURITY DEFINER VIEW %s AS %s;\n", maskRole, myIdent(k.View), def)
	}
	if q.Len() > 0 {
		if _, err := m.sql(ctx, db, q.String()); err != nil {
			return fmt.Errorf("making the views of masked tables: %w", err)
		}
	}
	m.views = views
	return nil
}

// The files of the database's directory tell of every table: each has one, and
// a change of a table's columns replaces it.
func (m *mysql) stamp() (string, time.Time, error) {
	var last time.Time
	entries, err := os.ReadDir(m.s.host(filepath.Join(liveDir, m.s.plan.Database.Name)))
	if err != nil {
		return "", last, err
	}
	var b strings.Builder
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".frm") {
			continue
		}
		fmt.Fprintf(&b, "%s ", e.Name())
		if slices.ContainsFunc(m.s.plan.Database.Mask, func(k plan.Mask) bool { return k.View+".frm" == e.Name() }) {
			continue // our own
		}
		if info, err := e.Info(); err == nil {
			fmt.Fprintf(&b, "%d %d\n", info.ModTime().UnixNano(), info.Size())
			if info.ModTime().After(last) {
				last = info.ModTime()
			}
		}
	}
	return b.String(), last, nil
}

func (m *mysql) fingerprint(context.Context) (string, error) {
	s, _, err := m.stamp()
	return s, err
}
