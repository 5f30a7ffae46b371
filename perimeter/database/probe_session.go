package database

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/ringwall/ringwall/internal/sqlwire"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

// A session is a probe's, with its tier's own credentials. It speaks the
// server's protocol itself: where it stands no client program may be executed.
type session struct {
	sqlwire.Conn
	t      *perimeter.Target
	engine plan.Engine
	secret plan.Secret
	made   []string // kinds of things that should not have been made
	err    error    // of attempts that could not be judged
}

func login(ctx context.Context, t *perimeter.Target) (*session, error) {
	b, err := os.ReadFile(t.Inside.Secret)
	if err != nil {
		return nil, fmt.Errorf("reading this tier's database credentials: %w", err)
	}
	secret, err := parseSecret(b)
	if err != nil {
		return nil, fmt.Errorf("reading this tier's database credentials: %w", err)
	}
	s := &session{t: t, engine: t.Plan.Database.Engine, secret: secret}
	if s.Conn, err = s.open(ctx, secret.Username, secret.Password, secret.DBName); err != nil {
		return nil, fmt.Errorf("logging in with this tier's own credentials, which is allowed: %w", err)
	}
	return s, nil
}

func (s *session) open(ctx context.Context, user, password, db string) (sqlwire.Conn, error) {
	o := sqlwire.Options{Address: net.JoinHostPort(s.secret.Host, strconv.Itoa(int(s.secret.Port))), User: user, Password: password, Database: db, Dial: perimeter.Own}
	if s.engine == plan.Postgres {
		return sqlwire.Postgres(ctx, o)
	}
	return sqlwire.MySQL(ctx, o)
}

// refuses logs in as the server must not allow.
func (s *session) refuses(ctx context.Context, what, user, password, db string) {
	s.t.Tried("%s", what)
	c, err := s.open(ctx, user, password, db)
	var said *sqlwire.Error
	switch {
	case err == nil:
		c.Close()
		s.t.Broken("%s: the server let it in", what)
	case errors.As(err, &said) && said.Login:
		s.t.Saw("%s: refused (%s)", what, said.Code)
	default:
		s.err = errors.Join(s.err, fmt.Errorf("%s: %w", what, err))
	}
}

// may runs one statement that the server must refuse, unless it is allowed; then
// it is left out. Everything that can be rolled back is.
func (s *session) may(ctx context.Context, allowed bool, what, format string, a ...any) {
	if allowed {
		return
	}
	sql := fmt.Sprintf(format, a...)
	s.t.Tried("%s: %s", what, sql)
	begin := "START TRANSACTION"
	if s.engine == plan.Postgres {
		begin = "BEGIN; SET LOCAL lock_timeout = '2s'; SET LOCAL statement_timeout = '5s'"
	}
	if _, err := s.Query(ctx, begin); err != nil {
		s.err = errors.Join(s.err, fmt.Errorf("beginning a transaction: %w", err))
		return
	}
	_, err := s.Query(ctx, sql)
	if _, undo := s.Query(ctx, "ROLLBACK"); undo != nil {
		s.err = errors.Join(s.err, fmt.Errorf("rolling back: %w", undo))
	}
	var said *sqlwire.Error
	switch {
	case err == nil:
		s.t.Broken("%s: the server did it", what)
		if f := strings.Fields(sql); len(f) > 1 && f[0] == "CREATE" {
			s.made = append(s.made, f[1])
		}
	case !errors.As(err, &said):
		s.err = errors.Join(s.err, fmt.Errorf("%s: %w", what, err))
	case s.engine == plan.Postgres && said.Code == "42501", s.engine == plan.MySQL && (myRefusals[said.Code] || said.Code == "1698"):
		s.t.Saw("%s: refused (%s)", what, said.Code)
	case filed[said.Code]:
		s.t.Broken("%s: the server tried (%s)", what, said.Message)
	default:
		s.err = errors.Join(s.err, fmt.Errorf("%s: %w, which is no refusal of a right", what, err))
	}
}

// filed are answers that only come after the right was found to be there: the
// server went to the file, or looked for the table or user.
var filed = map[string]bool{
	"1": true, "2": true, "13": true, "29": true, "1086": true, "1126": true, // MariaDB: files
	"1051": true, "1396": true, "1007": true, "1050": true,
	"58P01": true, "58030": true, "38000": true, "42P07": true, "42710": true,
}

func (s *session) quote(name string) string {
	if s.engine == plan.MySQL {
		return myIdent(name)
	}
	return pgIdent(name)
}

// tables are the site's tables as far as this tier can list them.
func (s *session) tables(ctx context.Context) ([]string, error) {
	sql := "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') AND n.nspname = 'public' ORDER BY 1"
	if s.engine == plan.MySQL {
		sql = "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE' ORDER BY 1"
	}
	rows, err := s.Query(ctx, sql)
	if err != nil {
		return nil, fmt.Errorf("listing the site's tables: %w", err)
	}
	var out []string
	for _, r := range rows {
		out = append(out, r[0])
	}
	return out, nil
}

// column is the first column of a table, quoted; empty where it is not to be seen.
func (s *session) column(ctx context.Context, table string) string {
	sql := "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(quote_ident('%s')) AND attnum = 1 AND NOT attisdropped AND attgenerated = '' AND attidentity <> 'a'"
	if s.engine == plan.MySQL {
		sql = "SELECT column_name FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = '%s' ORDER BY ordinal_position LIMIT 1"
	}
	if strings.ContainsAny(table, `'\`) {
		return ""
	}
	rows, err := s.Query(ctx, fmt.Sprintf(sql, table))
	if err != nil || len(rows) == 0 {
		return ""
	}
	return s.quote(rows[0][0])
}

// eachTable tries every table of the site that can be listed, after it has read
// one, which shows that the session works.
func eachTable(ctx context.Context, t *perimeter.Target, try func(s *session, name string, r rights)) error {
	s, err := login(ctx, t)
	if err != nil {
		return err
	}
	defer s.Close()
	names, err := s.tables(ctx)
	if err != nil {
		return err
	}
	readable := 0
	for _, name := range names {
		r := intended(t.Plan, t.Inside.Tier, name)
		if r&sel != 0 && readable == 0 {
			if _, err := s.Query(ctx, "SELECT 1 FROM "+s.quote(name)+" LIMIT 1"); err != nil {
				return fmt.Errorf("reading %s, which is allowed: %w", name, err)
			}
			readable++
		}
		try(s, name, r)
	}
	if len(names) == 0 {
		return errors.New("the site has no table yet, so there is nothing to try")
	}
	return s.err
}
