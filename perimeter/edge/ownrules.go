package edge

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path/filepath"
	"slices"
	"strings"
	"time"

	coreruleset "github.com/corazawaf/coraza-coreruleset/v4"

	"github.com/ringwall/ringwall/plan"
	"github.com/ringwall/ringwall/waf"
)

// MaxOwnID is the last id that SecLang leaves to rules of a user's own.
const MaxOwnID = 99999

// CheckRules compiles a plan's rules: an error says which line of which file is wrong.
func CheckRules(p *plan.Plan) error {
	if p.Edge.WAF.Off {
		return nil
	}
	return newEngines(p, nil).buildAll()
}

// checkOwn refuses what the user's rules may not do, or what would have no effect:
// ids that are kept for others, so that an exclusion or a log line means one rule;
// settings that are the configuration's; phases that the edge does not run.
func checkOwn(p *plan.Plan, w *waf.Engine) error {
	own := map[string]bool{}
	var errs []error
	wrong := func(file string, line int, format string, args ...any) {
		errs = append(errs, fmt.Errorf("reading rules: %s:%d: %s", file, line, fmt.Sprintf(format, args...)))
	}
	for _, f := range p.Edge.WAF.Rules {
		name := ruleName(p, f.File)
		own[name] = true
		for line, directive := range settingsIn(f.Text) {
			wrong(name, line, "%s is set by the configuration, under waf", directive)
		}
	}
	for _, r := range w.Rules() {
		switch {
		case !own[r.File]:
		case r.ID < 1 || r.ID > MaxOwnID:
			wrong(r.File, r.Line, "got id %d, want one from 1 to %d", r.ID, MaxOwnID)
		case r.Phase > 2:
			wrong(r.File, r.Line, "got phase %d, want 1 or 2: the edge's rules judge requests", r.Phase)
		case r.Action == "redirect":
			wrong(r.File, r.Line, "got action redirect, want deny: the edge lets pass or refuses")
		}
	}
	return errors.Join(errs...)
}

// edgeSettings are the directives that say how the edge's engines run.
var edgeSettings = []string{"SecRuleEngine", "SecRequestBodyAccess", "SecRequestBodyLimit", "SecRequestBodyLimitAction", "SecRequestBodyNoFilesLimit", "SecRequestBodyJsonDepthLimit",
	"SecArgumentsLimit", "SecUploadFileLimit", "SecResponseBodyAccess", "SecResponseBodyLimit", "SecResponseBodyLimitAction", "SecResponseBodyMimeType", "SecAuditEngine"}

// settingsIn are those of edgeSettings that stand in a file of rules, by their lines. A
// line that goes on from the one before begins no directive.
func settingsIn(text string) iter.Seq2[int, string] {
	return func(yield func(int, string) bool) {
		n, more := 0, false
		for line := range strings.Lines(text) {
			n++
			line = strings.TrimSpace(line)
			if line == "" || line[0] == '#' {
				continue
			}
			name := strings.Fields(line)[0]
			i := slices.IndexFunc(edgeSettings, func(s string) bool { return strings.EqualFold(s, name) })
			if i >= 0 && !more && !yield(n, edgeSettings[i]) {
				return
			}
			more = strings.HasSuffix(line, `\`)
		}
	}
}

// ruleName is how messages call one of the user's files: as it lies beside the
// configuration.
func ruleName(p *plan.Plan, file string) string {
	if rel, err := filepath.Rel(p.Dir(), file); err == nil && filepath.IsLocal(rel) {
		return filepath.ToSlash(rel)
	}
	return filepath.ToSlash(file[len(filepath.VolumeName(file)):])[1:]
}

// ruleFiles is the file system of a plan's rules: the core rules, and in memory
// what the configuration's reader found in the user's files.
func ruleFiles(p *plan.Plan) fs.FS {
	if len(p.Edge.WAF.Rules) == 0 {
		return coreruleset.FS
	}
	files := overlay{}
	for _, f := range p.Edge.WAF.Rules {
		files[ruleName(p, f.File)] = f.Text
	}
	return files
}

type overlay map[string]string

func (o overlay) Open(name string) (fs.File, error) {
	if text, ok := o[name]; ok {
		return &textFile{bytes.NewReader([]byte(text)), textInfo{filepath.Base(name), int64(len(text))}}, nil
	}
	return coreruleset.FS.Open(name)
}

func (o overlay) Glob(pattern string) ([]string, error) { return fs.Glob(coreruleset.FS, pattern) }

type textFile struct {
	io.Reader
	info textInfo
}

func (f *textFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *textFile) Close() error               { return nil }

type textInfo struct {
	name string
	size int64
}

func (i textInfo) Name() string       { return i.name }
func (i textInfo) Size() int64        { return i.size }
func (i textInfo) Mode() fs.FileMode  { return 0o444 }
func (i textInfo) ModTime() time.Time { return time.Time{} }
func (i textInfo) IsDir() bool        { return false }
func (i textInfo) Sys() any           { return nil }
