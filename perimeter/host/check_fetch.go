package host

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/ringwall/ringwall/internal/lazy"
	"github.com/ringwall/ringwall/internal/template"
	"github.com/ringwall/ringwall/perimeter"
)

const interpreter = `(?:\S*/)?(?:(?:ba|z|da|k)?sh|python[\d.]*|perl|ruby|node|php)`

var (
	piped = lazy.Regexp(`(?:curl|wget)\b[^\n|;&]*\|\s*(?:sudo\s+(?:-\S+\s+)*)?` + interpreter + `\b`)
	// bash -c "$(curl …)", bash <(curl …), eval "$(curl …)", and PowerShell's iex.
	inWords = lazy.Regexp(`(?:` + interpreter + `\s+-c|eval|source)\s+["']?(?:\$\(|` + "`" + `)\s*(?:curl|wget)\b[^\n]*` +
		`|(?:` + interpreter + `|source|\.)\s+(?:-\S+\s+)*<\(\s*(?:curl|wget)\b[^\n]*` +
		`|(?i:\b(?:iex|invoke-expression)\b[^\n]*\b(?:downloadstring|iwr|irm|invoke-webrequest|invoke-restmethod)\b[^\n]*)` +
		`|(?i:\b(?:downloadstring|iwr|irm|invoke-webrequest|invoke-restmethod)\b[^\n]*\|\s*(?:iex|invoke-expression)\b)`)
	plain   = lazy.Regexp(`(?:curl|wget)\b[^\n|;&]*\bhttp://[^\s'"]+`)
	itself  = lazy.Regexp(`http://(127\.|localhost\b|\[::1\]|169\.254\.)`) // nobody is on that way
	ignores = lazy.Regexp(`(?:curl\b[^\n|;&]*\s(?:-k|--insecure)\b|wget\b[^\n|;&]*--no-check-certificate)`)
	// A package by its address: its signature is asked for by none of these.
	byAddress = lazy.Regexp(`\b(?:rpm|yum|dnf|zypper|apt|apt-get|pip[\d.]*|npm|gem|easy_install\S*)\s[^\n|;&]*https?://[^\s'"]+`)
	notIt     = lazy.Regexp(`--import\b|repo\b|addrepo|config-manager|--index-url|--extra-index-url|--registry|\s-i\s+https?:|--proxy|--trusted-host`)
	sums      = lazy.Regexp(`\b(?:sha\d+sum|shasum|md5sum|gpgv?|cosign|minisign|openssl\s+dgst|rpmkeys|rpm\s+(?:-K|--checksig))\b`)
)

// judgeScript: what a text of commands fetches comes over TLS, and is compared with
// something before it is run or unpacked.
func judgeScript(p *perimeter.Pass, r *template.Resource, at template.Pos, text string) {
	if !strings.Contains(text, "http") && !strings.Contains(text, "curl") && !strings.Contains(text, "wget") && !strings.Contains(strings.ToLower(text), "download") {
		return
	}
	text = strings.ReplaceAll(text, "\\\n", " ")
	lines := downloads(text)
	for _, x := range []struct {
		form  *regexp.Regexp
		words string
	}{
		{piped(), "%s runs what it fetches, unread: %s"},
		{inWords(), "%s runs what it fetches, unread: %s"},
		{plain(), "%s fetches over plain HTTP, which anybody on the way can change: %s"},
		{ignores(), "%s does not ask who answers: %s"},
		{byAddress(), "%s installs what it fetches, and compares it with nothing: %s"},
	} {
		for _, m := range x.form.FindAllString(lines, -1) {
			if x.form == plain() && itself().MatchString(m) || x.form == byAddress() && notIt().MatchString(m) {
				continue
			}
			p.Broken(r, at, x.words, r.ID, template.Show(strings.TrimSpace(m)))
		}
	}
	for _, m := range unread(text) {
		p.Broken(r, at, "%s runs or unpacks what it fetched, and compares it with nothing: %s", r.ID, template.Show(m))
	}
}

// downloads are the lines of a script that fetch something, each with those behind it
// that a pipe may lead to. Scripts are long, and the patterns are slow.
func downloads(text string) string {
	var b strings.Builder
	left := 0
	for line := range strings.Lines(text) {
		low := strings.ToLower(line)
		switch {
		case strings.HasPrefix(strings.TrimSpace(line), "#"):
			continue
		case strings.Contains(low, "curl"), strings.Contains(low, "wget"), strings.Contains(low, "http"), strings.Contains(low, "download"), strings.Contains(low, "invoke-"):
			left = 3
		case left > 0 && strings.TrimSpace(line) != "":
			left--
		}
		if left > 0 {
			b.WriteString(line)
		}
	}
	return b.String()
}

// unread returns the commands of a script that run or unpack a file that was fetched
// before, when nothing in between looks at sums or signatures.
func unread(text string) []string {
	var out []string
	files := map[string]bool{} // by base name
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		if len(files) > 0 && sums().MatchString(line) {
			clear(files)
		}
		for _, c := range strings.FieldsFunc(line, func(r rune) bool { return r == ';' || r == '|' || r == '&' || r == '\n' }) {
			words := strings.Fields(c)
			if f := uses(words, files); f != "" {
				out = append(out, strings.TrimSpace(c))
				delete(files, f)
			}
			if f := saved(words); f != "" {
				files[f] = true
			}
		}
	}
	return out
}

// saved is the base name of the file that a command fetches into, or "".
func saved(words []string) string {
	tool, address, file := "", "", ""
	for i, w := range words {
		next := ""
		if i+1 < len(words) {
			next = words[i+1]
		}
		w = strings.Trim(w, `'"`)
		name := path.Base(w)
		switch {
		case tool == "" && (name == "curl" || name == "wget"):
			tool = name
		case tool == "":
		case strings.Contains(w, "https://") || strings.Contains(w, "http://"):
			address = w
		case tool == "curl" && (w == "-O" || w == "--remote-name" || shortFlags(w, 'O')):
			file = "?"
		case (tool == "curl" && (w == "-o" || w == "--output" || shortFlags(w, 'o'))) || (tool == "wget" && (w == "-O" || shortFlags(w, 'O'))), w == ">":
			file = next
		case strings.HasPrefix(w, "--output-document="), strings.HasPrefix(w, "--output="):
			_, file, _ = strings.Cut(w, "=")
		}
	}
	if address == "" {
		return ""
	}
	if file == "?" || file == "" && tool == "wget" {
		file, _, _ = strings.Cut(address, "?")
	}
	if file = strings.Trim(file, `'"`); file == "" || file == "-" || file == "/dev/null" {
		return ""
	}
	return path.Base(file)
}

// shortFlags says whether a word is of one-letter flags, the last of which is this.
func shortFlags(w string, last byte) bool {
	return len(w) > 2 && w[0] == '-' && w[1] != '-' && w[len(w)-1] == last && !strings.ContainsAny(w, "=./:")
}

// runners run, install or unpack the file that they are given.
var runners = []string{"sh", "bash", "zsh", "dash", "ksh", "perl", "ruby", "node", "php", "java", "source", ".", "exec", "rpm", "yum", "dnf",
	"zypper", "apt", "apt-get", "dpkg", "pip", "pip3", "tar", "unzip", "bsdtar", "gunzip", "install", "msiexec", "start-process"}

// uses returns the fetched file that a command runs, installs or unpacks, or "".
func uses(words []string, files map[string]bool) string {
	for len(words) > 0 && slices.Contains([]string{"sudo", "-E", "nohup", "env", "time", "then", "do", "if", "!", "command"}, words[0]) {
		words = words[1:]
	}
	if len(words) == 0 || len(files) == 0 {
		return ""
	}
	first := path.Base(strings.Trim(words[0], `'"`))
	if files[first] {
		return first
	}
	runs := slices.Contains(runners, strings.ToLower(first)) || strings.HasPrefix(first, "python")
	for _, w := range words[1:] {
		w = strings.Trim(w, `'"`)
		runs = runs || first == "chmod" && executable(w) || (first == "cp" || first == "mv") && strings.Contains(w, "/bin")
	}
	if !runs {
		return ""
	}
	for _, w := range words[1:] {
		if b := path.Base(strings.Trim(w, `'"`)); files[b] {
			return b
		}
	}
	return ""
}

// executable says whether a mode, as chmod takes it, lets somebody run the file.
func executable(mode string) bool {
	if strings.Contains(mode, "+") {
		return strings.Contains(mode, "x")
	}
	return len(mode) >= 3 && len(mode) <= 6 && strings.Trim(mode, "01234567") == "" && strings.ContainsAny(mode[len(mode)-3:], "1357")
}
