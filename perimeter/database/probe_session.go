package database

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

// A session runs a probe's statements with its tier's own credentials, each on a
// connection of its own.
type session struct {
	t      *perimeter.Target
	engine plan.Engine
	secret plan.Secret
	made   []string // kinds of things that should not have been made
	err    error    // of attempts that could not be judged
}

func login(ctx context.Context, t *perimeter.Target) (*session, error) {
	secret, err := ownSecret(t)
	if err != nil {
		return nil, fmt.Errorf("reading this tier's database credentials: %w", err)
	}
	s := &session{t: t, engine: t.Plan.Database.Engine, secret: secret}
	if secret.Engine == "" {
		s.secret.Engine = s.engine
	}
	if _, err := s.query(ctx, s.secret, "SELECT 1", false); err != nil {
		return nil, fmt.Errorf("logging in with this tier's own credentials, which is allowed: %w", err)
	}
	return s, nil
}

// ownSecret are the credentials of the tier that the probe stands in, or stands for.
func ownSecret(t *perimeter.Target) (plan.Secret, error) {
	if t.Inside.Rounds != nil {
		return t.Inside.Rounds.Secret()
	}
	b, err := os.ReadFile(t.Inside.Secret)
	if err != nil {
		return plan.Secret{}, err
	}
	return parseSecret(b)
}

// query runs SQL as Query does, or has an instance run it. Rows that nobody reads
// do not leave the instance.
func (s *session) query(ctx context.Context, secret plan.Secret, sql string, rows bool) (string, error) {
	if r := s.t.Inside.Rounds; r != nil {
		return r.Query(secret, sql, rows)
	}
	return Query(ctx, secret, sql)
}

// reads runs a statement whose rows are nobody's business.
func (s *session) reads(ctx context.Context, sql string) error {
	_, err := s.query(ctx, s.secret, sql, false)
	return err
}

// ask runs statements and returns their rows.
func (s *session) ask(ctx context.Context, sql string) ([][]string, error) {
	out, err := s.query(ctx, s.secret, sql, true)
	if err != nil || out == "" {
		return nil, err
	}
	var rows [][]string
	for line := range strings.SplitSeq(out, "\n") {
		rows = append(rows, strings.Split(line, "\t"))
	}
	return rows, nil
}

// refuses logs in as the server must not allow.
func (s *session) refuses(ctx context.Context, what, user, password, db string) {
	s.t.Tried("%s", what)
	as := s.secret
	as.Username, as.Password, as.DBName = user, password, db
	_, err := s.query(ctx, as, "SELECT 1", false)
	switch {
	case err == nil:
		s.t.Broken("%s: the server let it in", what)
	case errors.Is(err, ErrLogin):
		s.t.Saw("%s: refused", what)
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
	begin := "START TRANSACTION; "
	if s.engine == plan.Postgres {
		begin = "BEGIN; SET LOCAL lock_timeout = '2s'; SET LOCAL statement_timeout = '5s'; "
	}
	_, err := s.query(ctx, s.secret, begin+sql+"; ROLLBACK", false)
	switch {
	case err == nil:
		s.t.Broken("%s: the server did it", what)
		if f := strings.Fields(sql); len(f) > 1 && f[0] == "CREATE" {
			s.made = append(s.made, f[1])
		}
	case tried(err):
		s.t.Broken("%s: the server tried: %v", what, err)
	case errors.Is(err, ErrDenied):
		s.t.Saw("%s: %v", what, err)
	default:
		s.err = errors.Join(s.err, fmt.Errorf("%s: %w, which is no refusal of a right", what, err))
	}
}

// tried says whether an answer only comes after the right was found to be there:
// the server went to the file, or looked for the table or user.
func tried(err error) bool {
	text := err.Error()
	if strings.Contains(text, "could not execute") || strings.Contains(text, "could not open file") {
		return true // whatever the reason: the system's, not the grants'
	}
	i := strings.LastIndexByte(text, '(')
	return i >= 0 && filed[strings.TrimSuffix(text[i+1:], ")")]
}

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
	rows, err := s.ask(ctx, sql)
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
	rows, err := s.ask(ctx, fmt.Sprintf(sql, table))
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
	names, err := s.tables(ctx)
	if err != nil {
		return err
	}
	readable := 0
	for _, name := range names {
		r := intended(t.Plan, t.Inside.Tier, name)
		if r&sel != 0 && readable == 0 {
			if err := s.reads(ctx, "SELECT 1 FROM "+s.quote(name)+" LIMIT 1"); err != nil {
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
