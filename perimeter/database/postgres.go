package database

import (
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
	"github.com/ringwall/ringwall/perimeter"
)

type postgres struct {
	s     *Server
	bin   string               // directory of the programs
	ver   string               // their major version
	views map[[2]string]string // what the masks' views are made of
}

func newPostgres(s *Server) (engine, error) {
	var found []string
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin/postgres", "/usr/pgsql-*/bin/postgres"} {
		m, _ := filepath.Glob(pattern)
		found = append(found, m...)
	}
	want := s.plan.Database.Here
	if have, err := os.ReadFile(filepath.Join(s.host(liveDir), "PG_VERSION")); err == nil && want == "" {
		want = strings.TrimSpace(string(have))
	}
	p := &postgres{s: s, views: map[[2]string]string{}}
	best := 0
	var seen []string
	for _, file := range found {
		bin := filepath.Dir(file)
		major := strings.TrimPrefix(filepath.Base(filepath.Dir(bin)), "pgsql-")
		n, err := strconv.Atoi(major)
		if err != nil {
			continue
		}
		seen = append(seen, major)
		if n >= 15 && n > best && (want == "" || want == major) {
			best, p.bin, p.ver = n, bin, major
		}
	}
	if best == 0 {
		ask := want
		if ask == "" {
			ask = "15"
		}
		return nil, fmt.Errorf("finding PostgreSQL: want version %s (15 or later), found %s; install it: apt-get install postgresql-%s",
			ask, orNone(seen), ask)
	}
	return p, nil
}

func orNone(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}

func (p *postgres) major() string { return p.ver }

func (p *postgres) dataMajor(dir string) (string, error) {
	b, err := os.ReadFile(filepath.Join(dir, "PG_VERSION"))
	return strings.TrimSpace(string(b)), err
}

func (p *postgres) initialise(ctx context.Context, dir string) error {
	args := []string{"/usr/bin/env", "TZ=UTC", "LC_ALL=C.UTF-8", filepath.Join(p.bin, "initdb"), "-D", dir, "--username=" + superuser,
		"--auth-local=peer", "--auth-host=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"}
	if !perimeter.Down("database/checksums") {
		args = append(args, "--data-checksums")
	}
	return p.s.run.Run(ctx, args, nil, io.Discard)
}

// configure writes who may log in from where: the superuser over the socket and
// as the server's own user id only, the tiers' users from the site's network and
// to their database only.
func (p *postgres) configure() error {
	d, db := p.s.dirs, p.s.plan.Database.Name
	var hba strings.Builder
	fmt.Fprintf(&hba, "local all %s,%s peer map=%s\n", superuser, ownerRole, superuser)
	switch {
	case perimeter.Down("database/superuser"):
		fmt.Fprintf(&hba, "host all all %s trust\n", p.s.plan.VPC.CIDR)
	case perimeter.Down("database/private"):
		fmt.Fprintln(&hba, "host all all 0.0.0.0/0 scram-sha-256")
	default:
		var users []string
		for _, t := range p.s.plan.Tiers {
			for _, suffix := range suffixes {
				users = append(users, pgIdent(t.Name+suffix))
			}
		}
		fmt.Fprintf(&hba, "host %s %s %s scram-sha-256\n", pgIdent(db), strings.Join(users, ","), p.s.plan.VPC.CIDR)
	}
	ident := fmt.Sprintf("%s %s %s\n%s %s %s\n", superuser, d.User, superuser, superuser, d.User, ownerRole)
	for name, text := range map[string]string{"pg_hba.conf": hba.String(), "pg_ident.conf": ident} {
		if err := durable.WriteFileAs(p.s.host(name), []byte(text), 0o600, d.UID, d.GID); err != nil {
			return fmt.Errorf("writing the database's configuration: %w", err)
		}
	}
	return nil
}

func (p *postgres) command() []string {
	listen := p.s.plan.VPC.Database.String()
	if perimeter.Down("database/private") {
		listen = "*"
	}
	args := []string{filepath.Join(p.bin, "postgres"), "-D", p.s.inside(liveDir)}
	for _, kv := range [][2]string{
		{"listen_addresses", listen},
		{"port", strconv.Itoa(int(p.s.plan.Database.Port))},
		{"unix_socket_directories", p.s.dirs.InsideRun},
		{"unix_socket_permissions", "0700"},
		{"hba_file", p.s.inside("pg_hba.conf")},
		{"ident_file", p.s.inside("pg_ident.conf")},
		{"password_encryption", "scram-sha-256"},
		{"max_connections", strconv.Itoa(p.s.maxConnections())},
		{"authentication_timeout", "10s"},
		// What was acknowledged is on the disk.
		{"fsync", "on"}, {"synchronous_commit", "on"}, {"full_page_writes", "on"},
		{"recovery_init_sync_method", "syncfs"}, // one call, not one for each file
		// A small site on a shared machine.
		{"shared_buffers", "32MB"}, {"work_mem", "4MB"}, {"maintenance_work_mem", "32MB"},
		{"temp_file_limit", "1GB"}, // a tier's sort must not take the disk that everybody's rows lie on
		{"max_wal_size", "256MB"}, {"min_wal_size", "48MB"}, {"jit", "off"},
		{"max_parallel_workers_per_gather", "0"}, {"max_parallel_workers", "0"}, {"max_worker_processes", "1"},
		{"huge_pages", "off"}, {"dynamic_shared_memory_type", "mmap"}, // its walls have no /dev/shm
		// Nothing leaves, and nothing is loaded.
		{"max_wal_senders", "0"}, {"max_replication_slots", "0"}, {"archive_mode", "off"},
		{"shared_preload_libraries", ""}, {"session_preload_libraries", ""}, {"local_preload_libraries", ""},
		{"ssl", "off"}, {"bonjour", "off"},
		{"logging_collector", "off"}, {"log_destination", "stderr"}, {"log_statement", "none"},
		{"log_min_error_statement", "panic"}, {"log_timezone", "UTC"}, {"timezone", "UTC"},
		{"lc_messages", "C.UTF-8"},
	} {
		args = append(args, "-c", kv[0]+"="+kv[1])
	}
	return args
}

func (p *postgres) psql(role, db, socket string) []string {
	if db == "" {
		db = "postgres"
	}
	return []string{filepath.Join(p.bin, "psql"), "-X", "-A", "-t", "-q", "-F", "\t", "-v", "ON_ERROR_STOP=1",
		"-h", socket, "-p", strconv.Itoa(int(p.s.plan.Database.Port)), "-U", role, "-d", db}
}

func (p *postgres) sql(ctx context.Context, db, script string) (string, error) {
	return p.s.query(ctx, p.psql(superuser, db, socketDir), script)
}

// pgIdent quotes a name, pgText a value.
func pgIdent(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
func pgText(s string) string  { return `'` + strings.ReplaceAll(s, `'`, `''`) + `'` }

// appSchemas selects the schemas that are not the server's own.
const appSchemas = `n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'`

func (p *postgres) prepare(ctx context.Context) error {
	db := p.s.plan.Database.Name
	var q strings.Builder
	role := func(name, options string) {
		fmt.Fprintf(&q, "SELECT %s WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = %s) \\gexec\n",
			pgText("CREATE ROLE "+pgIdent(name)), pgText(name))
		fmt.Fprintf(&q, "ALTER ROLE %s NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS %s;\n", pgIdent(name), options)
	}
	role(ownerRole, "LOGIN") // over the socket only: see configure
	role(maskRole, "NOLOGIN")
	for _, t := range p.s.plan.Tiers {
		role(t.Name, "NOLOGIN")
	}
	fmt.Fprintf(&q, "SELECT %s WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = %s) \\gexec\n",
		pgText("CREATE DATABASE "+pgIdent(db)+" TEMPLATE template0"), pgText(db))
	fmt.Fprintf(&q, "REVOKE ALL ON DATABASE postgres, template1, %s FROM PUBLIC;\n", pgIdent(db))
	fmt.Fprintf(&q, "GRANT CONNECT, CREATE, TEMPORARY ON DATABASE %s TO %s;\n", pgIdent(db), ownerRole)
	fmt.Fprintf(&q, "\\connect %s\n", pgIdent(db))
	fmt.Fprintf(&q, "SELECT 'ALTER SCHEMA public OWNER TO %[1]s' FROM pg_namespace WHERE nspname = 'public' AND nspowner <> %[2]s::regrole \\gexec\n", ownerRole, pgText(ownerRole))
	// Large objects are rows that no table's grant guards.
	fmt.Fprintf(&q, "REVOKE ALL ON FUNCTION lo_creat(integer), lo_create(oid), lo_from_bytea(oid, bytea) FROM PUBLIC;\n")
	fmt.Fprintf(&q, "GRANT EXECUTE ON FUNCTION lo_creat(integer), lo_create(oid), lo_from_bytea(oid, bytea) TO %s;\n", ownerRole)
	_, err := p.sql(ctx, "", q.String())
	return err
}

func (p *postgres) recreate(ctx context.Context) error {
	clear(p.views)
	if _, err := p.sql(ctx, "", fmt.Sprintf("DROP DATABASE IF EXISTS %s WITH (FORCE);", pgIdent(p.s.plan.Database.Name))); err != nil {
		return err
	}
	return p.prepare(ctx)
}

func (p *postgres) accounts(ctx context.Context, users []user) error {
	var q strings.Builder
	q.WriteString("BEGIN;\n")
	for _, u := range users {
		fmt.Fprintf(&q, "SELECT %s WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = %s) \\gexec\n",
			pgText("CREATE ROLE "+pgIdent(u.name)), pgText(u.name))
		login := "NOLOGIN"
		if u.open {
			login = "LOGIN"
		}
		fmt.Fprintf(&q, "ALTER ROLE %s NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS INHERIT CONNECTION LIMIT %d %s",
			pgIdent(u.name), u.limit, login)
		if u.password != "" {
			verifier, err := scramVerifier(u.password)
			if err != nil {
				return err
			}
			fmt.Fprintf(&q, " PASSWORD %s", pgText(verifier))
		}
		fmt.Fprintf(&q, ";\nGRANT %s TO %s;\n", pgIdent(u.tier), pgIdent(u.name))
		if defines(p.s.plan, u.tier) {
			// What the user makes belongs to the common owner, so that the tier's
			// other user may change it after a rotation.
			fmt.Fprintf(&q, "GRANT %s TO %s;\nALTER ROLE %s SET role = %s;\n", ownerRole, pgIdent(u.tier), pgIdent(u.name), pgText(ownerRole))
		} else {
			fmt.Fprintf(&q, "ALTER ROLE %s RESET role;\n", pgIdent(u.name))
		}
	}
	q.WriteString("COMMIT;\n")
	_, err := p.sql(ctx, "", q.String())
	return err
}

func (p *postgres) endSessions(ctx context.Context, user string) error {
	_, err := p.sql(ctx, "", fmt.Sprintf("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = %s;", pgText(user)))
	return err
}

func (p *postgres) tables(ctx context.Context) ([]table, error) {
	masked := []string{"''"}
	for _, m := range p.s.plan.Database.Mask {
		masked = append(masked, pgText(m.Table))
	}
	out, err := p.sql(ctx, p.s.plan.Database.Name, fmt.Sprintf(`
SELECT encode(convert_to(n.nspname, 'UTF8'), 'hex'), encode(convert_to(c.relname, 'UTF8'), 'hex'), '', ''
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND %s
ORDER BY 1, 2;
SELECT encode(convert_to(n.nspname, 'UTF8'), 'hex'), encode(convert_to(c.relname, 'UTF8'), 'hex'),
	encode(convert_to(a.attname, 'UTF8'), 'hex'), encode(convert_to(format_type(a.atttypid, a.atttypmod), 'UTF8'), 'hex')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relkind IN ('r', 'p') AND c.relname IN (%s) AND %s AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY 1, 2, a.attnum;`, appSchemas, strings.Join(masked, ", "), appSchemas))
	if err != nil {
		return nil, err
	}
	return readTables(out)
}

func (p *postgres) stamp() (string, time.Time, error) {
	// Every change writes to the log of the server before it shows.
	return newest(filepath.Join(p.s.host(liveDir), "pg_wal"))
}

func (p *postgres) fingerprint(ctx context.Context) (string, error) {
	out, err := p.sql(ctx, p.s.plan.Database.Name, fmt.Sprintf(`
SELECT md5(string_agg(line, ',' ORDER BY line)) FROM (
	SELECT concat_ws(' ', c.oid, n.nspname, c.relname, c.relkind, c.relowner, c.relacl,
		(SELECT string_agg(concat_ws(' ', a.attname, a.attisdropped, a.atttypid, a.attacl), ',' ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0)) AS line
	FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND %[1]s
	UNION ALL
	SELECT concat_ws(' ', n.oid, n.nspname, n.nspowner, n.nspacl) FROM pg_namespace n WHERE %[1]s
	UNION ALL
	SELECT concat_ws(' ', p.oid, p.prosecdef, p.proacl) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE p.prosecdef AND %[1]s
) AS lines;`, appSchemas))
	if err == nil && out == "" {
		err = errors.New("the server listed nothing")
	}
	return out, err
}
