package database

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ringwall/ringwall/internal/rdsca"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

//go:embed keeper/asks.py
var asksPy string

// bySQL has an instance of the tier run the probe's statements.
var bySQL = &perimeter.AWS{Rounds: func(p *plan.Plan) perimeter.Rounds { return newRounds(p, rdsca.PEM(p.AWS.Region)) }}

// An ask is one session that a probe wants to have.
type ask struct {
	User, Password, Database, SQL string
	Rows                          bool
}

// An outcome is what came of it.
type outcome struct {
	Rows  string `json:"rows"`
	Stage string `json:"stage"` // login or query: what the server refused
	Code  string `json:"code"`
	Text  string `json:"text"` // empty: it was done
}

// rounds are a probe's sessions with RDS by way of an instance.
type rounds struct {
	p         *plan.Plan
	authority string // of the server's certificate; empty: the instance's own
	who       *plan.Secret
	known     map[ask]outcome
	asked     []ask // in this run, without an answer
}

func newRounds(p *plan.Plan, authority string) *rounds {
	return &rounds{p: p, authority: authority, known: map[ask]outcome{}}
}

// asksAtOnce bounds what one command prints; the rest is asked in the next round.
const asksAtOnce = 50

var errPending = errors.New("the instance has not answered yet")

func (r *rounds) Begin()        { r.asked = nil }
func (r *rounds) Pending() bool { return r.who == nil || len(r.asked) > 0 }

func (r *rounds) Secret() (plan.Secret, error) {
	if r.who == nil {
		return plan.Secret{}, errPending
	}
	return *r.who, nil
}

func (r *rounds) Query(s plan.Secret, sql string, rows bool) (string, error) {
	a := ask{s.Username, s.Password, s.DBName, sql, rows}
	o, ok := r.known[a]
	if !ok {
		if !slices.Contains(r.asked, a) {
			r.asked = append(r.asked, a)
		}
		return "", errPending
	}
	switch {
	case o.Text == "":
		return o.Rows, nil
	case o.Stage == "login":
		return "", fmt.Errorf("%w: %s (%s)", ErrLogin, o.Text, o.Code)
	case o.Stage == "query" && r.denies(o.Code):
		return "", fmt.Errorf("%w: %s (%s)", ErrDenied, o.Text, o.Code)
	case o.Stage == "query":
		return "", fmt.Errorf("%s (%s)", o.Text, o.Code)
	}
	return "", fmt.Errorf("%w: %s", ErrConnect, o.Text)
}

// denies says whether a code is the refusal of a right.
func (r *rounds) denies(code string) bool {
	if r.p.Database.Engine == plan.Postgres {
		return code == "42501"
	}
	n, err := strconv.ParseUint(code, 10, 16)
	return err == nil && myRefusals[uint16(n)]
}

// Write writes the program that runs what was asked. It is the keeper's own way to
// speak to the server.
func (r *rounds) Write(s *perimeter.Script) {
	type one struct {
		Number     int      `json:"number"`
		User       string   `json:"user"`
		Password   string   `json:"password"`
		Database   string   `json:"database"`
		Statements []string `json:"statements"`
		Rows       bool     `json:"rows"`
	}
	s.Count(min(len(r.asked), asksAtOnce))
	asks := []one{}
	for i, a := range r.asked[:min(len(r.asked), asksAtOnce)] {
		statements := []string{a.SQL}
		if r.p.Database.Engine == plan.MySQL {
			statements = strings.Split(a.SQL, "; ") // a session takes one at a time
		}
		asks = append(asks, one{i, a.User, a.Password, a.Database, statements, a.Rows})
	}
	python := func(v any) string { // JSON within a JSON string is a Python string too
		b, _ := json.Marshal(v)
		b, _ = json.Marshal(string(b))
		return "json.loads(" + string(b) + ")"
	}
	s.Once("wire.py", keeperWire)
	s.Once("asks.py", asksPy)
	s.Add("%s", `cat "$P/wire.py" "$P/asks.py" - <<'END' | python3 - "$ID" 2>&1 || say unclear 'ask the database' 'python3 failed'
CONFIG = `+python(map[string]any{"engine": r.p.Database.Engine, "port": r.p.Database.Port, "database": r.p.Database.Name})+`
ASKS = `+python(asks)+`
AUTHORITY = """`+r.authority+`"""
main()
END`)
}

func (r *rounds) Read(lines [][]string) {
	for _, f := range lines {
		if f[0] != "sql" {
			continue
		}
		if f[1] == "who" {
			who := plan.Secret{Password: perimeter.Password}
			if json.Unmarshal([]byte(f[2]), &who) == nil {
				who.Password, who.Engine = perimeter.Password, r.p.Database.Engine
				r.who = &who
			}
			continue
		}
		var o outcome
		if i, err := strconv.Atoi(f[1]); err == nil && i >= 0 && i < len(r.asked) && json.Unmarshal([]byte(f[2]), &o) == nil {
			r.known[r.asked[i]] = o
		}
	}
}

// secretsOnAWS asks for every other secret of the site with the instance's role.
var secretsOnAWS = &perimeter.AWS{Try: func(p *plan.Plan, c *perimeter.Cloud, s *perimeter.Script) {
	s.Works("read the credentials that this tier has", "test -s /run/secrets/database.json")
	var own []string
	for _, x := range suffixes {
		own = append(own, s.Tier+x)
	}
	s.Nothing("look whose credentials they are", "sh -c "+perimeter.Word(`jq -r .username /run/secrets/database.json | grep -vxE "$0" || true`)+" "+perimeter.Word(strings.Join(own, "|")))
	s.Add("export AWS_DEFAULT_REGION=%s AWS_MAX_ATTEMPTS=1 AWS_PAGER=", perimeter.Word(c.Region))
	get := func(name string) string {
		return "timeout 20 aws secretsmanager get-secret-value --output text --query Name --secret-id " + perimeter.Word(name)
	}
	if own := c.Names[plan.RefDatabaseSecret(s.Tier).Name]; own != "" {
		s.Works("ask Secrets Manager for this tier's own secret", get(own))
	}
	const words = "AccessDenied"
	for _, id := range otherSecrets(p, s.Tier) {
		if name := c.Names[id]; name != "" {
			s.Denied(words, "ask Secrets Manager for "+id, get(name))
		}
	}
	s.Denied(words, "list the account's secrets", "timeout 20 aws secretsmanager list-secrets --max-items 1 --output text --query SecretList[].Name")
}}

// otherSecrets are the logical ids of what the instances of a tier must not read.
func otherSecrets(p *plan.Plan, tier string) []string {
	list := []string{plan.RefOriginSecret.Name}
	for _, t := range p.Tiers {
		if t.Name != tier {
			list = append(list, plan.RefDatabaseSecret(t.Name).Name, plan.RefAppSecret(t.Name).Name)
		}
	}
	return list
}
