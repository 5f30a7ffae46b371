package waf

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/ringwall/ringwall/waf/internal/seclang"
)

// mode is what SecRuleEngine says.
type mode uint8

const (
	modeOff mode = iota
	modeDetect
	modeOn
)

// settings are the directives that are not rules. Sizes are in bytes.
type settings struct {
	mode       mode
	reqAccess  bool
	respAccess bool
	reqLimit   int64 // of the body
	reqNoFiles int64 // of the body without the content of files
	reqPartial bool  // past the limit, judge what fits instead of refusing
	respLimit  int64
	respPart   bool
	jsonDepth  int
	respDepth  int
	args       int // values of one list of arguments
	files      int // of one upload
	respTypes  []string
	components []string
	timeout    int // of stored values, in seconds
	defaults   [6][]seclang.Action
	budget     int64
}

func defaultSettings() settings {
	s := settings{
		mode: modeOn, reqLimit: 128 << 20, reqNoFiles: 1 << 20, respLimit: 512 << 10, respPart: true,
		jsonDepth: 1024, respDepth: 1024, args: 1000, files: 100, timeout: 3600,
	}
	s.defaults[2] = []seclang.Action{{Name: "log"}, {Name: "auditlog"}, {Name: "pass"}}
	return s
}

func onOff(s string) (bool, error) {
	switch strings.ToLower(s) {
	case "on":
		return true, nil
	case "off":
		return false, nil
	}
	return false, fmt.Errorf("got %q, want On or Off", s)
}

func positive(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n <= 0 {
		return 0, fmt.Errorf("got %q, want a number above 0", s)
	}
	return n, nil
}

func parseMode(s string) (mode, error) {
	switch strings.ToLower(s) {
	case "on":
		return modeOn, nil
	case "off":
		return modeOff, nil
	case "detectiononly":
		return modeDetect, nil
	}
	return 0, fmt.Errorf("got %q, want On, Off or DetectionOnly", s)
}

func partial(s string) (bool, error) {
	switch strings.ToLower(s) {
	case "reject":
		return false, nil
	case "processpartial":
		return true, nil
	}
	return false, fmt.Errorf("got %q, want Reject or ProcessPartial", s)
}

// elsewhere are settings that have no meaning in a library: it writes no logs and
// no files of its own. Where events go is up to the program that uses it.
var elsewhere = map[string]bool{
	"secauditengine": true, "secauditlog": true, "secauditlog2": true, "secauditlogtype": true, "secauditlogformat": true,
	"secauditlogstoragedir": true, "secauditlogdirmode": true, "secauditlogfilemode": true,
	"secauditlogrelevantstatus": true, "secauditlogparts": true,
	"secdebuglog": true, "secdebugloglevel": true, "secdatadir": true, "sectmpdir": true,
	"secuploaddir": true, "secuploadfilemode": true, "secrequestbodyinmemorylimit": true,
	"secpcrematchlimit": true, "secpcrematchlimitrecursion": true, "secrxprefilter": true,
	"secwebappid": true, "secserversignature": true, "secsensorid": true, "secstatusengine": true,
}

// never are settings of things that the engine does not do: they may say so.
var never = map[string]string{
	"secconnengine": "keeps no count of connections", "sechashengine": "signs no links", "seccontentinjection": "adds nothing to answers",
	"secdisablebackendcompression": "changes no request", "secstreaminbodyinspection": "changes no request", "secstreamoutbodyinspection": "changes no answer",
	"secxmlexternalentity": "reads no file that a body names", "secparsexmlintoargs": "has the values of XML in XML:/* and XML://@*",
	"secuploadkeepfiles": "keeps no files", "sectmpsaveuploadedfiles": "keeps no files", "secinterceptonerror": "has no rule that fails",
}

// set applies one setting.
func (s *settings) set(name string, args []string) error {
	if name == "secresponsebodymimetypesclear" {
		s.respTypes = nil
		return nil
	}
	arg := ""
	if len(args) > 0 {
		arg = args[0]
	} else if elsewhere[name] || name == "secresponsebodymimetype" || name == "seccomponentsignature" || name == "secdefaultaction" {
		return fmt.Errorf("it needs an argument")
	}
	if name == "secunicodemapfile" {
		// The table of ModSecurity's file is built in, for the code page that all use.
		if len(args) > 2 || len(args) == 2 && args[1] != "20127" {
			return fmt.Errorf("got %q, want code page 20127", args[1:])
		}
		return nil
	}
	if name != "secresponsebodymimetype" && name != "seccomponentsignature" && !elsewhere[name] && len(args) > 1 {
		return fmt.Errorf("got %d arguments, want one", len(args))
	}
	var err error
	switch name {
	case "secruleengine":
		s.mode, err = parseMode(arg)
	case "secrequestbodyaccess":
		s.reqAccess, err = onOff(arg)
	case "secresponsebodyaccess":
		s.respAccess, err = onOff(arg)
	case "secrequestbodylimit":
		err = bytesOf(&s.reqLimit, arg)
	case "secrequestbodynofileslimit":
		err = bytesOf(&s.reqNoFiles, arg)
	case "secresponsebodylimit":
		err = bytesOf(&s.respLimit, arg)
	case "secrequestbodylimitaction":
		s.reqPartial, err = partial(arg)
	case "secresponsebodylimitaction":
		s.respPart, err = partial(arg)
	case "secrequestbodyjsondepthlimit":
		s.jsonDepth, err = positive(arg)
	case "secresponsebodyjsondepthlimit":
		s.respDepth, err = positive(arg)
	case "secargumentslimit":
		s.args, err = positive(arg)
	case "secuploadfilelimit":
		s.files, err = positive(arg)
	case "seccollectiontimeout":
		s.timeout, err = positive(arg)
	case "secresponsebodymimetype":
		s.respTypes = strings.Fields(strings.Join(args, " "))
	case "seccomponentsignature":
		s.components = append(s.components, strings.Join(args, " "))
	case "secdefaultaction":
		err = s.defaultAction(arg)
	case "secargumentseparator":
		if arg != "&" {
			err = fmt.Errorf("got %q, want &", arg)
		}
	case "seccookieformat":
		if arg != "0" {
			err = fmt.Errorf("got %q, want 0", arg)
		}
	default:
		if what := never[name]; what != "" {
			if on, err2 := onOff(arg); err2 != nil || on {
				err = fmt.Errorf("got %q, want Off: the engine %s", arg, what)
			}
		} else if !elsewhere[name] {
			err = fmt.Errorf("this directive is not known or not supported")
		}
	}
	return err
}

func bytesOf(n *int64, s string) error {
	v, err := strconv.ParseInt(s, 10, 64)
	if err != nil || v <= 0 {
		return fmt.Errorf("got %q, want a number of bytes above 0", s)
	}
	*n = v
	return nil
}

// defaultAction reads SecDefaultAction: what rules of a phase do unless they say
// otherwise. Phase 2 has built-in defaults, which a directive replaces.
func (s *settings) defaultAction(arg string) error {
	as, err := seclang.Actions(arg)
	if err != nil {
		return err
	}
	if as, err = single(as); err != nil {
		return err
	}
	phase, disrupts := 0, false
	var keep []seclang.Action
	for _, a := range as {
		switch {
		case a.Name == "phase":
			if phase, err = parsePhase(a.Value); err != nil {
				return err
			}
			continue
		case kinds[a.Name] == metaAction || a.Name == "t" || a.Name == "chain":
			return fmt.Errorf("action %s cannot be a default", a.Name)
		case kinds[a.Name] == disruptAction:
			disrupts = true
		}
		keep = append(keep, a)
	}
	if phase == 0 || !disrupts {
		return fmt.Errorf("got %q, want a phase and a disruptive action such as pass", arg)
	}
	s.defaults[phase] = keep
	return nil
}
