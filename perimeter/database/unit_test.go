package database

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/plan"
)

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"*", "", true}, {"*", "x", true}, {"wp_*", "wp_posts", true}, {"wp_*", "wpposts", false}, {"*_meta", "post_meta", true},
		{"*_meta", "post_meta2", false}, {"a*b*c", "aXbYc", true}, {"a*b*c", "abc", true}, {"a*b*c", "acb", false}, {"a*a", "a", false},
		{"x", "x", true}, {"x", "xx", false}, {"", "x", false}, {"a**b", "ab", true},
	} {
		if got := matches(c.pattern, c.name); got != c.want {
			t.Errorf("matches(%q, %q): got %t, want %t", c.pattern, c.name, got, c.want)
		}
	}
}

func TestRightsOn(t *testing.T) {
	p := testPlan(plan.MySQL, 1)
	wordpress(p)
	p.Database.Grants[plan.Fleet] = append(p.Database.Grants[plan.Fleet],
		plan.Grant{Tables: "tie*", Rights: []string{"select", "insert"}}, plan.Grant{Tables: "*tie", Rights: []string{"select", "delete"}})
	for _, c := range []struct {
		tier, table string
		want        rights
	}{
		{plan.Fleet, "wp_posts", sel}, {plan.Fleet, "wp_comments", sel | ins}, {plan.Fleet, "wp_private_x", 0}, {plan.Fleet, "wp_users", 0},
		{plan.Fleet, "wp_users_fleet", sel}, {plan.Fleet, "tie_tie", sel}, {plan.Admin, "wp_users", all}, {plan.Admin, "wp_users_fleet", 0},
	} {
		if got := rightsOn(p, c.tier, c.table); got != c.want {
			t.Errorf("rights of %s on %s: got %v, want %v", c.tier, c.table, got.words(), c.want.words())
		}
	}
}

func TestValidate(t *testing.T) {
	for name, edit := range map[string]func(*plan.Plan){
		"database.name": func(p *plan.Plan) { p.Database.Name = "a b" },
		"server's own":  func(p *plan.Plan) { p.Database.Name = "mysql" },
		"database.port": func(p *plan.Plan) { p.Database.Port = 0 },
		"want select": func(p *plan.Plan) {
			p.Database.Grants = map[string][]plan.Grant{"fleet": {{Tables: "*", Rights: []string{"grant"}}}}
		},
		"does not have": func(p *plan.Plan) { p.Database.Grants = map[string][]plan.Grant{"worker": nil} },
		"beside other": func(p *plan.Plan) {
			p.Database.Grants = map[string][]plan.Grant{"fleet": {{Tables: "*", Rights: []string{"ddl"}}, {Tables: "x"}}}
		},
		"has ddl":         func(p *plan.Plan) { p.Database.Mask = []plan.Mask{{Tier: "admin", Table: "a", View: "b"}} },
		"different names": func(p *plan.Plan) { p.Database.Mask = []plan.Mask{{Tier: "fleet", Table: "a", View: "a"}} },
		"mysql or postg":  func(p *plan.Plan) { p.Database.Engine = "oracle" },
	} {
		p := testPlan(plan.MySQL, 1)
		edit(p)
		if _, err := New(p, Dirs{}, nil); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want an error with %q", err, name)
		}
	}
}

func TestExisting(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "secret.json")
	write := func(text string, mode os.FileMode) {
		os.Remove(file)
		if err := os.WriteFile(file, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
	}
	const good = `{"host":"db.example","dbname":"wp","username":"u","password":"hunter2-secret","port":3306,"engine":"mariadb","other":1}`
	write(good, 0o600)
	s, err := Existing(file)
	if want := (plan.Secret{Host: "db.example", DBName: "wp", Username: "u", Password: "hunter2-secret", Port: 3306, Engine: plan.MySQL}); err != nil || s != want {
		t.Errorf("got %+v, %v", s, err)
	}
	write(good, 0o640)
	if _, err := Existing(file); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("mode 0640: got %v, want an error", err)
	}
	for _, text := range []string{"", "null", "[]", "hunter2-secret", `{"password":"hunter2-secret"`, `{"host":"h","dbname":"d","username":"u","password":1}`,
		`{"host":"h","dbname":"d","username":"u"}`, strings.Replace(good, "3306", `"hunter2-secret"`, 1), strings.Replace(good, "mariadb", "hunter2-secret", 1),
		strings.Replace(good, "db.example", `a\nb`, 1)} {
		write(text, 0o600)
		if _, err := Existing(file); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v, want an error that shows no value", text, err)
		}
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	if _, err := Existing(link); err == nil {
		t.Error("a symbolic link: got no error")
	}
	if _, err := Existing(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: got %v", err)
	}
	if os.Geteuid() == 0 {
		write(good, 0o600)
		if err := os.Chown(file, 65534, 65534); err != nil {
			t.Fatal(err)
		}
		if _, err := Existing(file); err == nil {
			t.Error("another user's file: got no error")
		}
	}
}

func FuzzParseSecret(f *testing.F) {
	f.Add([]byte(`{"host":"h","dbname":"d","username":"u","password":"p","port":"5432","engine":"postgres"}`))
	f.Add([]byte(`{"port":{}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseSecret(b)
		if err == nil && (s.Host == "" || s.DBName == "" || s.Username == "" || s.Password == "") {
			t.Errorf("%q: got a secret with an empty key and no error", b)
		}
	})
}

// FuzzFilter: a dump's rows are never changed, and psql's own commands that it
// brings along for itself never reach psql.
func FuzzFilter(f *testing.F) {
	f.Add("COPY x FROM stdin;\n\\restrict abc\n\\.\n\\restrict abc\nALTER TABLE x OWNER TO y;\n")
	p := &postgres{bin: "/nonexistent"}
	f.Fuzz(func(t *testing.T, text string) {
		rows := "COPY t (a) FROM stdin;\n" + strings.ReplaceAll(text, "\\.", "") + "\n\\.\n"
		got, err := io.ReadAll(p.readable(strings.NewReader(rows)))
		if err != nil || string(got) != rows {
			t.Errorf("rows of %q: got %q, %v", rows, got, err)
		}
	})
}

// fake is a server that says what it was told to, whatever it hears.
type fake struct{ io.Reader }

func (fake) Write(p []byte) (int, error) { return len(p), nil }

// FuzzWire: a server that lies can end a query with an error, no more.
func FuzzWire(f *testing.F) {
	f.Add(true, []byte("R\x00\x00\x00\x08\x00\x00\x00\x00Z\x00\x00\x00\x05ID\x00\x00\x00\x0b\x00\x01\x00\x00\x00\x01xZ\x00\x00\x00\x05I"))
	f.Add(true, []byte("R\x00\x00\x00\x17\x00\x00\x00\x0ar=,s=AA==,i=1"))
	greeting := append([]byte("\x4a\x00\x00\x00\x0a5.5\x00\x01\x00\x00\x0012345678\x00"), make([]byte, 18)...)
	greeting = append(greeting, "123456789012\x00mysql_native_password\x00"...)
	greeting[0] = byte(len(greeting) - 4)
	f.Add(false, append(greeting, "\x07\x00\x00\x02\x00\x00\x00\x02\x00\x00\x00\x01\x00\x00\x01\x01\x05\x00\x00\x02\xfe\x00\x00\x02\x00\x02\x00\x00\x03\x01x\x05\x00\x00\x04\xfe\x00\x00\x02\x00"...))
	f.Fuzz(func(t *testing.T, pg bool, said []byte) {
		speak := myQuery
		if pg {
			speak = pgQuery
		}
		out, err := speak(fake{bytes.NewReader(said)}, plan.Secret{Username: "u", Password: "p", DBName: "d"}, "SELECT 1")
		if err == nil && len(out) > len(said) {
			t.Errorf("got %d bytes of %d", len(out), len(said))
		}
	})
}

func TestTailHidesVerifiers(t *testing.T) {
	v, err := scramVerifier("password")
	if err != nil {
		t.Fatal(err)
	}
	var said tail
	fmt.Fprintf(&said, "near '%s' and '%s'", v, nativeVerifier("password"))
	if got, want := said.String(), "near '[hidden]' and '[hidden]'"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
