package application

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"

	"github.com/ringwall/ringwall/internal/lazy"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

const ctlSecrets = "application/secrets"

// A Finding is something in the code that should not be there. It never holds
// the secret itself.
type Finding struct {
	Rule string `json:"rule"`
	Path string `json:"path"`
	Line int    `json:"line"`
	Doc  string `json:"doc"`
}

func (f Finding) String() string { return fmt.Sprintf("%s:%d: %s", f.Path, f.Line, f.Doc) }

type rule struct {
	id, doc string
	hints   []string // one of which a line holds, or the pattern is not tried
	re      func() *regexp.Regexp
}

// The patterns match formats that nothing else has. Guessing by entropy finds
// more, and far more that is none.
var rules = []rule{
	{"private-key", "a private key", []string{"PRIVATE KEY"}, lazy.Regexp(`^\s*['"]?-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----`)},
	{"aws-key", "an AWS access key", []string{"AKIA", "ASIA"}, lazy.Regexp(`\b(?:AKIA|ASIA)[A-Z2-7]{16}\b`)},
	{"github-token", "a GitHub token", []string{"ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"}, lazy.Regexp(`\b(?:gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{60,255})\b`)},
	{"gitlab-token", "a GitLab token", []string{"glpat-"}, lazy.Regexp(`\bglpat-[A-Za-z0-9_-]{20,}`)},
	{"slack-token", "a Slack token", []string{"xox"}, lazy.Regexp(`\bxox[abprs]-[0-9]{8,}-[A-Za-z0-9-]{20,}`)},
	{"stripe-key", "a Stripe live key", []string{"k_live_"}, lazy.Regexp(`\b[rs]k_live_[A-Za-z0-9]{20,}`)},
	{"google-key", "a Google API key", []string{"AIza"}, lazy.Regexp(`\bAIza[A-Za-z0-9_-]{35}\b`)},
	{"npm-token", "an npm token", []string{"npm_"}, lazy.Regexp(`\bnpm_[A-Za-z0-9]{36}\b`)},
	{"wordpress-password", "the database's password in the code; read it from DATABASE_SECRET instead", []string{"DB_PASSWORD"},
		lazy.Regexp(`define\(\s*['"]DB_PASSWORD['"]\s*,\s*['"]([^'"]+)['"]`)},
	{"url-password", "a password in a database's URL", []string{"postgres://", "postgresql://", "mysql://", "mariadb://", "mongodb", "redis", "amqp"}, lazy.Regexp(`\b(?:postgres(?:ql)?|mysql|mariadb|mongodb(?:\+srv)?|rediss?|amqps?)://[^\s:/@'"]*:([^\s@/'"]{4,})@[^\s'"]`)},
}

// samples are values that manuals use.
var samples = lazy.Regexp(`(?i)example|changeme|password_here|placeholder|^(?:x+|\*+|pass(?:word)?|secret|root|test)$|\$\{|\$\(|<|%s|\{\{`)

const (
	maxSecretFile = 2 << 20
	maxSecretLine = 64 << 10
)

// Secrets looks for credentials in the code of a tree. Files over 2 MB, binary
// files and links are left out.
func Secrets(p *plan.Plan, dir string) ([]Finding, error) {
	if perimeter.Down(ctlSecrets) {
		return nil, nil
	}
	var found []Finding
	err := walkCode(p, dir, func(root *os.Root, name string, st fs.FileInfo) error {
		if st.Size() > maxSecretFile || binary[strings.ToLower(path.Ext(name))] {
			return nil
		}
		b, err := root.ReadFile(name)
		if err != nil {
			return err
		}
		if bytes.IndexByte(b[:min(len(b), 8000)], 0) < 0 {
			found = append(found, secretsIn(name, b)...)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("looking for secrets in the code: %w", err)
	}
	return found, nil
}

var binary = map[string]bool{".png": true, ".jpg": true, ".jpeg": true, ".gif": true, ".webp": true, ".ico": true, ".woff": true, ".woff2": true,
	".ttf": true, ".eot": true, ".zip": true, ".gz": true, ".mo": true, ".pdf": true, ".mp4": true, ".mp3": true, ".wasm": true}

func secretsIn(name string, b []byte) (found []Finding) {
	var may []*rule
	for i := range rules {
		if rules[i].hinted(b) {
			may = append(may, &rules[i])
		}
	}
	if len(may) == 0 {
		return nil
	}
	n := 0
	for line := range bytes.Lines(b) {
		n++
		line = line[:min(len(line), maxSecretLine)]
		for _, r := range may {
			if !r.hinted(line) {
				continue
			}
			m := r.re().FindSubmatch(line)
			if m == nil || samples().Match(m[len(m)-1]) {
				continue
			}
			found = append(found, Finding{Rule: r.id, Path: name, Line: n, Doc: r.doc})
		}
	}
	return found
}

func (r *rule) hinted(b []byte) bool {
	for _, h := range r.hints {
		if bytes.Contains(b, []byte(h)) {
			return true
		}
	}
	return false
}

// walkCode calls f for each regular file of code, without following links.
func walkCode(p *plan.Plan, dir string, f func(root *os.Root, name string, st fs.FileInfo) error) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return fs.WalkDir(root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name != "." && p.Files.Class(name) != plan.Code {
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if !e.Type().IsRegular() {
			return nil
		}
		st, err := e.Info()
		if err != nil {
			return err
		}
		return f(root, name, st)
	})
}
