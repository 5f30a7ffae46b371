package webserver

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/ringwall/ringwall/plan"
)

// FPMOptions say where PHP-FPM finds its things inside its sandbox. The zero
// value has the places of every instance.
type FPMOptions struct {
	Socket string            // empty: /run/app/php.sock
	Run    string            // a private writable directory; empty: /run/app
	Temp   string            // empty: /tmp
	Log    string            // what PHP itself has to say; empty: /dev/stderr
	Guard  string            // a script that runs in front of every other one (see Guard); empty: none
	Env    map[string]string // beside the tier's own; never secrets, only where they lie
}

const childMemory = 64 << 20 // what one WordPress request takes, with room

// Children is the number of PHP workers of an instance of a tier: what its
// memory and process limits allow, and enough for requests that wait.
func Children(p *plan.Plan, tier string) int {
	t := p.Tier(tier)
	if t == nil {
		return 2
	}
	n := 8
	if m := t.Limits.Memory; m > 0 {
		n = int(min(m/childMemory, 32))
	}
	if m := t.Limits.Processes; m > 0 {
		n = min(n, m-2)
	}
	return max(n, 2)
}

// FPM is the configuration of an instance's PHP-FPM, and the arguments to start
// it with. The first argument is left to the caller: the program's path.
// conf is the path at which the configuration will lie inside.
func FPM(p *plan.Plan, tier, conf string, o FPMOptions) (text string, args []string, err error) {
	if o.Run == "" {
		o.Run = "/run/app"
	}
	if o.Socket == "" {
		o.Socket = path.Join(o.Run, "php.sock")
	}
	if o.Temp == "" {
		o.Temp = "/tmp"
	}
	env := map[string]string{"TMPDIR": o.Temp}
	t := p.Tier(tier)
	if t == nil {
		return "", nil, fmt.Errorf("configuring PHP-FPM: no tier %q in the plan", tier)
	}
	maps.Copy(env, t.Env)
	maps.Copy(env, o.Env)

	var b strings.Builder
	set := func(key string, value any) { fmt.Fprintf(&b, "%s = %v\n", key, value) }
	b.WriteString("[global]\n")
	if o.Log == "" {
		o.Log = "/dev/stderr"
	}
	set("error_log", o.Log)
	set("log_level", "notice")
	set("log_limit", 8192)
	set("daemonize", "no")
	set("emergency_restart_threshold", 10)
	set("emergency_restart_interval", "10s")
	set("process_control_timeout", "10s")
	b.WriteString("\n[app]\n")
	set("listen", o.Socket)
	set("listen.mode", "0666")
	set("listen.backlog", 511)
	n := Children(p, tier)
	set("pm.max_children", n)
	set("pm.max_requests", 5000)
	if tier == plan.Admin {
		set("pm", "ondemand")
		set("pm.process_idle_timeout", "60s")
	} else {
		set("pm", "dynamic")
		set("pm.start_servers", min(2, n))
		set("pm.min_spare_servers", 1)
		set("pm.max_spare_servers", n)
	}
	// A kept connection that waits counts as a request that is being read, so this
	// must be longer than our client keeps one.
	set("request_terminate_timeout", "300s")
	set("catch_workers_output", "yes")
	set("decorate_workers_output", "no")
	set("clear_env", "yes")
	set("security.limit_extensions", ".php")
	for _, k := range slices.Sorted(maps.Keys(env)) {
		v, ok := quote(env[k])
		if !ok || !envName(k) {
			return "", nil, fmt.Errorf("configuring PHP-FPM: environment variable %q of tier %s: want a name of letters, digits and _, and a value of one line", k, tier)
		}
		fmt.Fprintf(&b, "env[%s] = %s\n", k, v)
	}
	for _, s := range settings(p, o) {
		kind := "php_admin_value"
		if s.value == "on" || s.value == "off" {
			kind = "php_admin_flag"
		}
		fmt.Fprintf(&b, "%s[%s] = %s\n", kind, s.key, s.value)
	}
	// opcache reads these before a pool's settings count.
	args = []string{"--nodaemonize", "--fpm-config", conf,
		"-d", "opcache.lockfile_path=" + o.Temp,
		"-d", "opcache.enable=1", "-d", "opcache.memory_consumption=96", "-d", "opcache.max_accelerated_files=16000",
		"-d", "opcache.interned_strings_buffer=8",
		"-d", "expose_php=0", "-d", "cgi.fix_pathinfo=0",
		"-d", "sys_temp_dir=" + o.Temp,
	}
	if !t.Write {
		args = append(args, "-d", "opcache.validate_timestamps=0")
	}
	return b.String(), args, nil
}

type setting struct{ key, value string }

// settings are those of PHP that no script may change.
func settings(p *plan.Plan, o FPMOptions) []setting {
	body := max(p.Edge.MaxBody, p.Edge.MaxUpload, 8<<20)
	list := []setting{
		{"display_errors", "off"},
		{"display_startup_errors", "off"},
		{"log_errors", "on"}, // to the web server's Report
		{"html_errors", "off"},
		{"allow_url_include", "off"},
		{"enable_dl", "off"},
		{"zend.exception_ignore_args", "on"}, // arguments may be passwords
		{"upload_tmp_dir", o.Temp},
		{"session.save_path", o.Run},
		{"session.cookie_httponly", "on"},
		{"session.cookie_secure", "on"},
		{"session.use_strict_mode", "on"},
		{"post_max_size", fmt.Sprint(body)},
		{"upload_max_filesize", fmt.Sprint(body)},
		{"max_execution_time", "120"},
	}
	if o.Guard != "" {
		list = append(list, setting{"auto_prepend_file", o.Guard})
	}
	return list
}

func envName(k string) bool {
	for i := 0; i < len(k); i++ {
		c := k[i]
		if c != '_' && (c|0x20 < 'a' || c|0x20 > 'z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return k != ""
}

// quote makes a value literal to the reader of ini files, which replaces ${…} in
// double quotes. It is false for what such a file cannot hold.
func quote(v string) (string, bool) {
	if strings.ContainsAny(v, "\n\r\x00") {
		return "", false
	}
	if !strings.Contains(v, "'") {
		return "'" + v + "'", true
	}
	if strings.ContainsAny(v, `"$\`) {
		return "", false
	}
	return `"` + v + `"`, true
}
