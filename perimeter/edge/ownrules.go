package edge

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
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

// ownIDs refuses ids in the user's rules that are kept for others, so that an
// exclusion or a log line means one rule.
func ownIDs(p *plan.Plan, w *waf.Engine) error {
	own := map[string]bool{}
	for _, f := range p.Edge.WAF.Rules {
		own[ruleName(p, f.File)] = true
	}
	var errs []error
	for _, r := range w.Rules() {
		if own[r.File] && (r.ID < 1 || r.ID > MaxOwnID) {
			errs = append(errs, fmt.Errorf("reading rules: %s:%d: got id %d, want one from 1 to %d", r.File, r.Line, r.ID, MaxOwnID))
		}
	}
	return errors.Join(errs...)
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
