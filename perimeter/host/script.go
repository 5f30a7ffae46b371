package host

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/ringwall/ringwall/plan"
)

// The scripts of an instance. In them ${Name} is filled by CloudFormation
// (Fn::Sub); variables of the shell are written without braces.

//go:embed scripts/install.sh
var installSh string

//go:embed scripts/boot.sh
var bootSh string

//go:embed scripts/fetch.sh
var fetchSh string

//go:embed scripts/secrets.sh
var secretsSh string

// Versions that installations are pinned to.
const (
	// The newest release that Docker's official image had on 2026-08-19, with the
	// checksum that it is built with (docker-library/wordpress, versions.json).
	wordpressVersion = "7.1"
	wordpressSHA1    = "e0ca593bc062f7a8c5a956ca44aff7375b0841e0"

	php  = "8.4"
	node = "22"
)

// AppPort is where a program of kind command listens on an instance. It is the
// web server's NginxAppPort; a test of synth holds the two together.
const AppPort = 3000

const (
	appUser = "app"
	secrets = "/run/secrets" // in memory
)

// packages are those of Amazon Linux that a site's instances need. The release of
// the image fixes their versions (deterministic upgrades), and each is signed.
func packages(p *plan.Plan) []string {
	list := []string{"nginx", "amazon-efs-utils", "amazon-cloudwatch-agent", "amazon-ssm-agent", "jq"}
	if p.Kind == plan.PHP {
		for _, m := range []string{"fpm", "cli", "opcache", "mbstring", "gd", "intl", "xml"} {
			list = append(list, "php"+php+"-"+m)
		}
		if p.Database.Engine == plan.Postgres {
			list = append(list, "php"+php+"-pgsql")
		} else {
			list = append(list, "php"+php+"-mysqlnd")
		}
	}
	if p.Preset == plan.PresetNodeRED {
		list = append(list, "nodejs"+node, "nodejs"+node+"-npm")
	}
	return list
}

// install is the script that puts everything on an instance, or into the golden
// image: packages by signature, the app by checksum.
//
// It has the shell's function fetch in front of it, and what fetch takes for the
// app's own files in APPLICATION_IMAGE.
func install(p *plan.Plan, wantsApp bool) string {
	return replace(installSh, map[string]string{
		"PACKAGES": strings.Join(packages(p), " "), "USER": appUser,
		"WORDPRESS": flag(wantsApp && p.Application.Setup == plan.PresetWordPress), "WORDPRESS_VERSION": wordpressVersion, "WORDPRESS_SHA1": wordpressSHA1,
		"NODE_RED": flag(p.Application.Setup == plan.PresetNodeRED),
	})
}

func flag(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// replace fills @NAME@ in a script, and keeps what stands between "#if A B" and
// "#end" where all these are yes.
func replace(script string, with map[string]string) string {
	var kept strings.Builder
	skip := false
	for line := range strings.Lines(script) {
		names, isIf := strings.CutPrefix(line, "#if ")
		switch {
		case isIf:
			skip = slices.ContainsFunc(strings.Fields(names), func(n string) bool { return with[n] != "yes" })
		case line == "#end\n":
			skip = false
		case !skip:
			kept.WriteString(line)
		}
	}
	script = kept.String()
	var list []string
	for _, k := range slices.Sorted(maps.Keys(with)) {
		list = append(list, "@"+k+"@", with[k])
	}
	return strings.NewReplacer(list...).Replace(script)
}

// quoted is text as one word of the shell, which Fn::Sub leaves alone.
func quoted(s string) string {
	return "'" + strings.ReplaceAll(unsubbed(s), "'", `'\''`) + "'"
}

// unsubbed keeps Fn::Sub from taking ${ of a text for one of its own.
func unsubbed(s string) string { return strings.ReplaceAll(s, "${", "${!") }

// boot is the script that an instance runs at its first start.
func boot(p *plan.Plan, t plan.Tier, extra []string) (string, error) {
	unit, err := appUnit(p, t)
	if err != nil {
		return "", err
	}
	before := ""
	if p.AWS.Image != plan.ImageBuild {
		before = "# --- installation; a golden image has done this already\n"
		if p.Application.Setup == plan.PresetNodeRED {
			before += "APPLICATION_IMAGE='${ApplicationImage}'\n"
		}
		before += install(p, t.Write)
	}
	after := ""
	if len(extra) > 0 {
		after = "# --- what the plan adds\n" + strings.Join(extra, "\n") + "\n"
	}
	kinds := map[string]string{"WORDPRESS": flag(p.Application.Setup == plan.PresetWordPress), "NODE_RED": flag(p.Application.Setup == plan.PresetNodeRED)}
	return replace(bootSh, map[string]string{
		"SITE": p.Site(), "TIER": t.Name, "MOUNT": quoted(p.Files.Mount), "USER": appUser, "RESOURCE": groupID(t.Name),
		"MOUNT_OPTIONS": strings.Join(mountOptions(p, t), ","), "CACHE": flag(!t.Write),
		"INSTALL": before, "FETCH": replace(fetchSh, map[string]string{"SITE": p.Site()}), "EXTRA": after, "SECRETS": strings.TrimRight(replace(secretsSh, kinds), "\n"), "APP_UNIT": unsubbed(unit), "AGENT": unsubbed(agent()),
		"WORDPRESS": kinds["WORDPRESS"], "NODE_RED": kinds["NODE_RED"],
		"WRITES": flag(t.Write), "APP": flag(p.Kind != plan.Static),
		"HEALTH": quoted(fmt.Sprintf("http://127.0.0.1:%d%s", p.Balancer.TargetPort, p.Balancer.HealthPath)),
		"TRIES":  strconv.Itoa(max(minutes(p, t.Name)*60/5, 12)),
	}), nil
}

// hasSecret says whether the instances of a tier get a database secret.
func hasSecret(p *plan.Plan) bool { return p.Database.Present() || p.AWS.DBSecret != "" }

// minutes is how long an instance may take until it is healthy.
func minutes(p *plan.Plan, tier string) int {
	if m := p.AWS.BuildMinutes[tier]; m > 0 {
		return m
	}
	if p.AWS.Image == plan.ImageBuild {
		return 5
	}
	return 15
}

// mountOptions are those of the file system: by the tier's access point, signed
// with its role, through TLS. nosuid and nodev hold for every tree, noexec where
// nothing of it is a program.
func mountOptions(p *plan.Plan, t plan.Tier) []string {
	list := []string{"_netdev", "noresvport", "tls", "iam", "nosuid", "nodev"}
	if p.Kind != plan.Command {
		list = append(list, "noexec")
	}
	if !t.Write {
		list = append(list, "ro")
	}
	return list
}

// appUnit is the systemd unit of the app: the process that answers behind nginx.
func appUnit(p *plan.Plan, t plan.Tier) (string, error) {
	if p.Kind == plan.Static {
		return "", nil
	}
	command := []string{"/usr/sbin/php-fpm", "--nodaemonize", "--fpm-config", "/etc/ringwall/php-fpm.conf"}
	env := map[string]string{}
	if p.Kind == plan.PHP {
		command[0] = "/usr/local/libexec/ringwall-php" // its arguments are the web server's business
		command = command[:1]
	} else {
		if len(t.Command) == 0 {
			return "", fmt.Errorf("writing the unit of %s: got no command, want one in command or tiers.%s.command", t.Name, t.Name)
		}
		command = nil
		for _, a := range t.Command {
			command = append(command, strings.NewReplacer("{port}", strconv.Itoa(AppPort), "{tier}", t.Name, "{files}", p.Files.Mount).Replace(a))
		}
		if !strings.Contains(command[0], "/") {
			command = append([]string{"/usr/bin/env"}, command...)
		} else if !strings.HasPrefix(command[0], "/") {
			command[0] = strings.TrimRight(p.Files.Mount, "/") + "/" + strings.TrimPrefix(command[0], "./")
		}
		maps.Copy(env, Env(p, t))
		env["PATH"] = "/opt/ringwall/node-red/node_modules/.bin:/usr/local/bin:/usr/bin:/bin"
		env["PORT"], env["HOST"], env["HOME"] = strconv.Itoa(AppPort), "127.0.0.1", "/tmp"
	}
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("[Unit]\nDescription=The app of %s, tier %s", p.Site(), t.Name)
	line("After=network-online.target remote-fs.target ringwall-secrets.service\nRequires=ringwall-secrets.service\n")
	line("[Service]\nType=simple\nUser=%s\nGroup=%s\nRestart=always\nRestartSec=1", appUser, appUser)
	line("WorkingDirectory=%s", p.Files.Mount)
	var words []string
	for _, c := range command {
		words = append(words, unitWord(c))
	}
	line("ExecStart=%s", strings.Join(words, " "))
	for _, k := range slices.Sorted(maps.Keys(env)) {
		if strings.ContainsAny(env[k], "\n\r\x00") {
			return "", fmt.Errorf("writing the unit of %s: the variable %s has more than one line", t.Name, k)
		}
		line("Environment=%s", unitWord(k+"="+env[k]))
	}
	line("RuntimeDirectory=app\nLogsDirectory=app\nUMask=0027")
	if p.Kind != plan.PHP { // PHP opens the file itself, as its own user
		line("StandardOutput=append:/var/log/app/app.log\nStandardError=inherit")
	}
	// The metadata service gives out the instance's role; the app is to have none of it.
	line("IPAddressDeny=169.254.169.254/32 fd00:ec2::254/128")
	line("NoNewPrivileges=yes\nCapabilityBoundingSet=\nAmbientCapabilities=\nProtectSystem=strict\nProtectHome=yes\nPrivateTmp=yes\nPrivateDevices=yes\nProtectKernelTunables=yes")
	line("ProtectKernelModules=yes\nProtectKernelLogs=yes\nProtectControlGroups=yes\nProtectClock=yes\nProtectHostname=yes\nProtectProc=invisible\nRestrictNamespaces=yes")
	line("RestrictSUIDSGID=yes\nRestrictRealtime=yes\nLockPersonality=yes\nRemoveIPC=yes\nRestrictAddressFamilies=AF_UNIX AF_INET AF_INET6\nSystemCallArchitectures=native")
	line("SystemCallFilter=@system-service\nSystemCallErrorNumber=EPERM")
	if t.Write {
		line("ReadWritePaths=%s", p.Files.Mount)
	}
	l := t.Limits
	if l.Processes > 0 {
		line("TasksMax=%d", l.Processes)
	}
	if l.Memory > 0 {
		line("MemoryMax=%d", l.Memory)
	}
	if l.OpenFiles > 0 {
		line("LimitNOFILE=%d", l.OpenFiles)
	}
	if l.FileSize > 0 {
		line("LimitFSIZE=%d", l.FileSize)
	}
	line("LimitCORE=0\n\n[Install]\nWantedBy=multi-user.target")
	return b.String(), nil
}

// Env is the environment of an instance's app on AWS. It holds no secret, only
// where they lie.
func Env(p *plan.Plan, t plan.Tier) map[string]string {
	env := map[string]string{"RINGWALL_SITE": p.Site(), "RINGWALL_TIER": t.Name, "DATABASE_SECRET": secrets + "/database.json", "WORDPRESS_SECRET": secrets + "/wordpress.json", "DATABASE_TLS": "required"}
	maps.Copy(env, t.Env)
	return env
}

// unitWord is one word of a command line of systemd (systemd.service, "Command lines").
func unitWord(s string) string {
	s = strings.NewReplacer("%", "%%", "$", "$$").Replace(s)
	if s != "" && !strings.ContainsAny(s, " \t\"'\\;") {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// agent is the configuration of the CloudWatch agent: the logs of the web server,
// the app and the first start, in the tier's own log group. @LOGS@ is its name.
func agent() string {
	file := func(path, name string) map[string]any {
		return map[string]any{"file_path": path, "log_group_name": "@LOGS@", "log_stream_name": "{instance_id}/" + name, "timezone": "UTC"}
	}
	b, err := json.Marshal(map[string]any{
		"agent": map[string]any{"run_as_user": "cwagent"},
		"logs": map[string]any{"logs_collected": map[string]any{"files": map[string]any{"collect_list": []any{
			file("/var/log/nginx/access.log", "access"), file("/var/log/nginx/error.log", "error"),
			file("/var/log/app/app.log", "app"), file("/var/log/cloud-init-output.log", "start"),
		}}}},
	})
	if err != nil {
		panic("host: the agent's configuration: " + err.Error())
	}
	return string(b)
}
