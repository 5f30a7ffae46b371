package database

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/ringwall/ringwall/plan"
)

// What a query may end in, beside an SQL error.
var (
	ErrDenied  = errors.New("the database refused it: this user lacks the right")
	ErrLogin   = errors.New("the database refused the login")
	ErrConnect = errors.New("no connection to the database")
)

// Query runs SQL with a tier's credentials through the system's client program,
// from where the caller stands, and returns the rows: cells split by tabs. The
// password travels in a 0600 file in a directory that is removed afterwards.
// A refusal by the server is ErrDenied; no session at all is ErrLogin or ErrConnect.
func Query(ctx context.Context, secret plan.Secret, sql string) (string, error) {
	dir, err := os.MkdirTemp("", "ringwall-query-")
	if err != nil {
		return "", fmt.Errorf("preparing a query: %w", err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "credentials")
	port := strconv.Itoa(int(secret.Port))
	var args, env []string
	var content []byte
	switch secret.Engine {
	case plan.Postgres:
		content = []byte("*:*:*:*:" + strings.NewReplacer(`\`, `\\`, `:`, `\:`).Replace(secret.Password) + "\n")
		args = []string{psqlProgram(), "-X", "-w", "-A", "-t", "-q", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose",
			"-h", secret.Host, "-p", port, "-U", secret.Username, "-d", secret.DBName}
		env = []string{"PGPASSFILE=" + file, "PGCONNECT_TIMEOUT=5", "PGSSLMODE=prefer"}
	case plan.MySQL:
		content = myOptions(secret)
		args = []string{"/usr/bin/mariadb", "--defaults-file=" + file, "--batch", "--skip-column-names", "--loose-skip-print-query-on-error", "--protocol=tcp", "--connect-timeout=5",
			"--default-character-set=utf8mb4", "--local-infile=1", // the server's refusal is what is asked for, not the client's
			"--host=" + secret.Host, "--port=" + port, "--database=" + secret.DBName}
	default:
		return "", fmt.Errorf("preparing a query: engine %q, want mysql or postgres", secret.Engine)
	}
	if err := os.WriteFile(file, content, 0o600); err != nil {
		return "", fmt.Errorf("preparing a query: %w", err)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(env, "PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "HOME="+dir)
	cmd.Stdin = strings.NewReader(sql)
	var out bytes.Buffer
	var said tail
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &out, &said, 2*time.Second
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		switch {
		case ctx.Err() != nil:
			return "", context.Cause(ctx)
		case !errors.As(err, &exit):
			return "", fmt.Errorf("running the database's client program: %w", err)
		}
		return "", sortError(secret.Engine, said.String())
	}
	return strings.TrimSuffix(out.String(), "\n"), nil
}

// psqlProgram is a psql of the newest version: the one in /usr/bin is, on some
// systems, a script that needs an interpreter.
func psqlProgram() string {
	if m, _ := filepath.Glob("/usr/lib/postgresql/*/bin/psql"); len(m) > 0 {
		return m[len(m)-1]
	}
	return "/usr/bin/psql"
}

// myOptions is an options file for MariaDB's client programs.
func myOptions(s plan.Secret) []byte {
	quote := func(v string) string { return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(v) + `"` }
	return []byte("[client]\nuser=" + quote(s.Username) + "\npassword=" + quote(s.Password) + "\n")
}

var (
	myError    = regexp.MustCompile(`ERROR (\d+) \([0-9A-Z]+\)( at line \d+)?`)
	myRefusals = map[string]bool{
		"1044": true, "1045": true, // database, account (and FILE)
		"1142": true, "1143": true, "1370": true, // table, column, routine
		"1227": true,                             // a right of administrators
		"1290": true, "1148": true, "4166": true, // switched off in the server
	}
	pgError = regexp.MustCompile(`(ERROR|FATAL):  ([0-9A-Z]{5}):`)
)

// sortError tells a refusal from a failure by the server's own code.
func sortError(engine plan.Engine, said string) error {
	kind := error(nil)
	switch engine {
	case plan.MySQL:
		m := myError.FindStringSubmatch(said)
		switch {
		case m == nil:
		case m[2] != "":
			if myRefusals[m[1]] {
				kind = ErrDenied
			}
		case m[1][0] == '2':
			kind = ErrConnect
		default:
			kind = ErrLogin
		}
	case plan.Postgres:
		m := pgError.FindStringSubmatch(said)
		switch {
		case m != nil && m[1] == "ERROR":
			if m[2] == "42501" {
				kind = ErrDenied
			}
		case strings.Contains(said, "FATAL:"), strings.Contains(said, "no password supplied"):
			kind = ErrLogin
		case strings.Contains(said, "connection to server") || strings.Contains(said, "could not translate host name"):
			kind = ErrConnect
		}
	}
	if kind == nil {
		return errors.New(said)
	}
	return fmt.Errorf("%w: %s", kind, said)
}
