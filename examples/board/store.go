package main

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/crypto/bcrypt"
)

//go:embed migrations/*.sql
var migrations embed.FS

// A store is the board's PostgreSQL database. A write that returns nil is
// committed. Reads are tried again for a few seconds while the database is away;
// a write is tried again only when the server cannot have seen it.
type store struct {
	pool *pgxpool.Pool
}

var (
	errNotFound = errors.New("not found")
	errAway     = errors.New("the database does not answer")
)

// A post is a notice.
type post struct {
	ID               int64
	Title            string
	Body             string // trusted HTML
	Published        bool
	Created, Updated time.Time
	Comments         int
}

// A comment is a visitor's answer to a post.
type comment struct {
	ID      int64     `json:"id"`
	Post    int64     `json:"post"`
	Author  string    `json:"author"`
	Body    string    `json:"body"`
	Created time.Time `json:"created"`
}

// A session is an administrator who logged in.
type session struct {
	Username, CSRF string
}

// openStore reads the credentials and opens no connection yet. The file is read
// again for every new connection, so that a rotated password needs no restart.
func openStore(secretFile string) (*store, error) {
	cfg, err := pgxpool.ParseConfig("")
	if err != nil {
		return nil, fmt.Errorf("preparing the database's settings: %w", err)
	}
	if err := applySecret(secretFile, cfg.ConnConfig); err != nil {
		return nil, err
	}
	cfg.ConnConfig.ConnectTimeout = 3 * time.Second
	cfg.ConnConfig.RuntimeParams = map[string]string{"application_name": "board", "statement_timeout": "5000"}
	cfg.MaxConns = 8
	cfg.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error { return applySecret(secretFile, c) }
	pool, err := pgxpool.NewWithConfig(context.Background(), cfg)
	if err != nil {
		return nil, fmt.Errorf("preparing the database's connections: %w", err)
	}
	return &store{pool}, nil
}

func applySecret(file string, c *pgx.ConnConfig) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("reading the database's credentials: %w", err)
	}
	var s struct {
		Username, Password, Host, DBName, Engine string
		Port                                     uint16
	}
	if err := json.Unmarshal(b, &s); err != nil {
		// The JSON package's errors may quote the input.
		return fmt.Errorf("reading the database's credentials: %s is not the JSON object that is wanted", filepath.Base(file))
	}
	if s.Engine != "" && s.Engine != "postgres" {
		return fmt.Errorf("reading the database's credentials: got engine %q, want postgres", s.Engine)
	}
	if s.Username == "" || s.Host == "" || s.DBName == "" {
		return fmt.Errorf("reading the database's credentials: %s must have username, host and dbname", filepath.Base(file))
	}
	if s.Port == 0 {
		s.Port = 5432
	}
	c.Host, c.Port, c.User, c.Password, c.Database = s.Host, s.Port, s.Username, s.Password, s.DBName
	c.TLSConfig, c.Fallbacks = nil, nil // the site's own network carries it; no second attempt elsewhere
	return nil
}

func (s *store) close() { s.pool.Close() }

// migrate brings the tables up to date. Two that start at once take turns.
func (s *store) migrate(ctx context.Context) error {
	names, err := migrations.ReadDir("migrations")
	if err != nil {
		return err
	}
	slices.SortFunc(names, func(a, b os.DirEntry) int { return version(a.Name()) - version(b.Name()) })
	return s.write(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(7151)"); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "CREATE TABLE IF NOT EXISTS board_migrations (version int PRIMARY KEY)"); err != nil {
			return err
		}
		for _, n := range names {
			tag, err := tx.Exec(ctx, "INSERT INTO board_migrations VALUES ($1) ON CONFLICT DO NOTHING", version(n.Name()))
			if err != nil {
				return err
			}
			if tag.RowsAffected() == 0 {
				continue
			}
			sql, err := migrations.ReadFile(path.Join("migrations", n.Name()))
			if err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, string(sql)); err != nil {
				return fmt.Errorf("migrating the tables by %s: %w", n.Name(), err)
			}
		}
		return nil
	})
}

func version(name string) int {
	n, _ := strconv.Atoi(strings.TrimSuffix(name, ".sql"))
	return n
}

// read calls f until it succeeds, fails for a reason of its own, or three
// seconds are over.
func (s *store) read(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	for {
		err := f(ctx)
		if errors.Is(err, pgx.ErrNoRows) {
			return errNotFound
		}
		if err == nil || !away(err) {
			return err
		}
		sleep(ctx, 50*time.Millisecond)
		if ctx.Err() != nil {
			return fmt.Errorf("%w: %w", errAway, err)
		}
	}
}

// write runs f in a transaction. It repeats only what cannot have been committed:
// f is not run again once COMMIT may have been sent.
func (s *store) write(ctx context.Context, f func(pgx.Tx) error) error {
	limit := time.Now().Add(3 * time.Second)
	for {
		err := s.once(ctx, f)
		var unsure *commitError
		if err == nil || !away(err) || errors.As(err, &unsure) && !pgconn.SafeToRetry(err) {
			if err != nil && away(err) {
				return fmt.Errorf("%w: %w", errAway, err)
			}
			return err
		}
		sleep(ctx, 50*time.Millisecond)
		if ctx.Err() != nil || time.Now().After(limit) {
			return fmt.Errorf("%w: %w", errAway, err)
		}
	}
}

// A commitError is a COMMIT without an answer: the write may have happened.
type commitError struct{ error }

func (e *commitError) Unwrap() error { return e.error }

func (s *store) once(ctx context.Context, f func(pgx.Tx) error) error {
	tx, err := s.pool.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(ctx) // does nothing after a commit
	if err := f(tx); err != nil {
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return &commitError{err}
	}
	return nil
}

// away says whether the error means that the server did not answer, or is
// starting or stopping, rather than that it refused.
func away(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return strings.HasPrefix(pg.Code, "57P") || strings.HasPrefix(pg.Code, "08")
	}
	var ne net.Error
	return errors.As(err, &ne) || pgconn.SafeToRetry(err) || errors.Is(err, net.ErrClosed) ||
		strings.Contains(err.Error(), "unexpected EOF") || strings.Contains(err.Error(), "conn closed")
}

const postColumns = `p.id, p.title, p.body, p.published, p.created, p.updated,
	(SELECT count(*) FROM board_comments c WHERE c.post = p.id)`

func scanPost(row pgx.CollectableRow) (p post, err error) {
	err = row.Scan(&p.ID, &p.Title, &p.Body, &p.Published, &p.Created, &p.Updated, &p.Comments)
	return p, err
}

// posts lists the newest first; those that hold every word of query, unless it
// is empty. Drafts are left out unless asked for.
func (s *store) posts(ctx context.Context, query string, drafts bool, limit int) (list []post, err error) {
	err = s.read(ctx, func(ctx context.Context) error {
		rows, err := s.pool.Query(ctx, `SELECT `+postColumns+` FROM board_posts p
			WHERE ($1 = '' OR p.words @@ plainto_tsquery('simple', $1)) AND (p.published OR $2)
			ORDER BY p.created DESC, p.id DESC LIMIT $3`, query, drafts, limit)
		if err != nil {
			return err
		}
		list, err = pgx.CollectRows(rows, scanPost)
		return err
	})
	return list, err
}

// post returns one post with its comments, oldest first; errNotFound when there
// is none or it is a draft that was not asked for.
func (s *store) post(ctx context.Context, id int64, drafts bool) (p post, cs []comment, err error) {
	err = s.read(ctx, func(ctx context.Context) error {
		rows, err := s.pool.Query(ctx, `SELECT `+postColumns+` FROM board_posts p WHERE p.id = $1 AND (p.published OR $2)`, id, drafts)
		if err != nil {
			return err
		}
		if p, err = pgx.CollectExactlyOneRow(rows, scanPost); err != nil {
			return err
		}
		rows, err = s.pool.Query(ctx, `SELECT id, post, author, body, created FROM board_comments WHERE post = $1 ORDER BY id LIMIT 500`, id)
		if err != nil {
			return err
		}
		cs, err = pgx.CollectRows(rows, pgx.RowToStructByPos[comment])
		return err
	})
	return p, cs, err
}

// addComment returns the comment as it was committed.
func (s *store) addComment(ctx context.Context, c comment) (comment, error) {
	err := s.write(ctx, func(tx pgx.Tx) error {
		var title string
		err := tx.QueryRow(ctx, `SELECT title FROM board_posts WHERE id = $1 AND published`, c.Post).Scan(&title)
		if errors.Is(err, pgx.ErrNoRows) {
			return errNotFound
		} else if err != nil {
			return err
		}
		err = tx.QueryRow(ctx, `INSERT INTO board_comments (post, author, body) VALUES ($1, $2, $3) RETURNING id, created`,
			c.Post, c.Author, c.Body).Scan(&c.ID, &c.Created)
		if err != nil {
			return err
		}
		return notify(ctx, tx, event{Type: "comment", Post: c.Post, ID: c.ID, Title: title})
	})
	return c, err
}

func (s *store) deleteComment(ctx context.Context, id int64) error {
	return s.write(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `DELETE FROM board_comments WHERE id = $1`, id)
		return found(tag, err)
	})
}

// savePost adds a post whose ID is 0 and changes another. It returns the ID.
func (s *store) savePost(ctx context.Context, p post) (id int64, err error) {
	err = s.write(ctx, func(tx pgx.Tx) error {
		id = p.ID
		if p.ID == 0 {
			err := tx.QueryRow(ctx, `INSERT INTO board_posts (title, body, published) VALUES ($1, $2, $3) RETURNING id`,
				p.Title, p.Body, p.Published).Scan(&id)
			if err != nil {
				return err
			}
		} else {
			tag, err := tx.Exec(ctx, `UPDATE board_posts SET title = $2, body = $3, published = $4, updated = now() WHERE id = $1`,
				p.ID, p.Title, p.Body, p.Published)
			if err := found(tag, err); err != nil {
				return err
			}
		}
		if !p.Published {
			return nil // a draft's title is nobody's business
		}
		return notify(ctx, tx, event{Type: "post", Post: id, Title: p.Title})
	})
	return id, err
}

func (s *store) deletePost(ctx context.Context, id int64) error {
	return s.write(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `DELETE FROM board_posts WHERE id = $1`, id)
		return found(tag, err)
	})
}

func found(tag pgconn.CommandTag, err error) error {
	if err == nil && tag.RowsAffected() == 0 {
		return errNotFound
	}
	return err
}

// setAdmin gives an administrator this password. A changed password ends the
// sessions that the old one opened.
func (s *store) setAdmin(ctx context.Context, username, password string) error {
	hash, err := s.hash(ctx, username)
	if err != nil && !errors.Is(err, errNotFound) {
		return err
	}
	if err == nil && bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) == nil {
		return nil
	}
	b, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.DefaultCost)
	if err != nil {
		return fmt.Errorf("hashing the administrator's password: %w", err)
	}
	return s.write(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `DELETE FROM board_admin_sessions WHERE username = $1`, username); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO board_admins VALUES ($1, $2) ON CONFLICT (username) DO UPDATE SET hash = excluded.hash`,
			username, string(b))
		return err
	})
}

// hash is an administrator's bcrypt hash, or errNotFound.
func (s *store) hash(ctx context.Context, username string) (h string, err error) {
	err = s.read(ctx, func(ctx context.Context) error {
		return s.pool.QueryRow(ctx, `SELECT hash FROM board_admins WHERE username = $1`, username).Scan(&h)
	})
	return h, err
}

// The token itself is never stored: who reads the table cannot log in with it.
func tokenHash(token string) []byte { h := sha256.Sum256([]byte(token)); return h[:] }

func (s *store) addSession(ctx context.Context, token string, ss session, lasts time.Duration) error {
	return s.write(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `DELETE FROM board_admin_sessions WHERE expires < now()`); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO board_admin_sessions VALUES ($1, $2, $3, now() + $4)`, tokenHash(token), ss.Username, ss.CSRF, lasts)
		return err
	})
}

// session returns errNotFound for a token that is unknown or expired.
func (s *store) session(ctx context.Context, token string) (ss session, err error) {
	err = s.read(ctx, func(ctx context.Context) error {
		return s.pool.QueryRow(ctx, `SELECT username, csrf FROM board_admin_sessions WHERE token = $1 AND expires > now()`,
			tokenHash(token)).Scan(&ss.Username, &ss.CSRF)
	})
	return ss, err
}

func (s *store) deleteSession(ctx context.Context, token string) error {
	return s.write(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM board_admin_sessions WHERE token = $1`, tokenHash(token))
		return err
	})
}
