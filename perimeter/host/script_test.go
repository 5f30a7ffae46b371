package host

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/plan"
)

func loadPlan(t *testing.T, text string) *plan.Plan {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ringwall.yaml")
	if strings.HasPrefix(text, "[") {
		file = filepath.Join(filepath.Dir(file), "parameters.properties")
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := plan.Load(plan.Options{File: file, Getenv: func(string) string { return "" }})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// filled is user data as an instance gets it.
func filled(t *testing.T, text string) string {
	t.Helper()
	token := regexp.MustCompile(`\$\{(!?[^}]*)\}`)
	return token.ReplaceAllStringFunc(text, func(s string) string {
		name := s[2 : len(s)-1]
		if rest, ok := strings.CutPrefix(name, "!"); ok {
			return "${" + rest + "}"
		}
		v, ok := map[string]string{"AWS::Region": "eu-central-1", "AWS::StackName": "wp-dev-compute-stack", "FileSystem": "fs-0123456789abcdef0", "AccessPoint": "fsap-0123456789abcdef0", "Logs": "logs",
			"DatabaseSecret": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:x", "AppSecret": "arn:x", "Webserver": "3 " + strings.Repeat("a", 64), "Application": "0 x", "ApplicationImage": "0 x"}[name]
		if !ok {
			t.Errorf("user data has the name %s, which nobody fills", s)
		}
		return v
	})
}

func shellcheck(t *testing.T, name, text string) {
	t.Helper()
	bin, err := exec.LookPath("shellcheck")
	if err != nil {
		t.Fatalf("NOT RUN: %v; scripts/setup test installs it", err)
	}
	cmd := exec.CommandContext(t.Context(), bin, "--shell=bash", "--severity=style", "-")
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", name, err, out)
	}
}

const sampleWordPress = `[wp-dev]
appName=wordpress
awsRegion=ap-southeast-2
hostedZone=example.com
adminIps=192.0.2.1
allowedIps=*
dbConfig=instance
dbEngine=mysql
dbMajorVersion=8.0
amiParameter=/aws/service/ami-amazon-linux-latest/amzn2-ami-hvm-arm64-gp2
adminInstanceType=t4g.micro
fleetInstanceType=t3.micro
targetPort=80
efsMountDir=/var/www/html
adminUserData=["sudo amazon-linux-extras enable php7.4", "mkdir -p {efs_mount_dir}", "mount -a -t efs -o tls,iam {efs_fs_id} {efs_mount_dir}", "echo \"${HOME}\" {site_hostname} php-{{a,b}} >/root/own", "export SECRET; SECRET=$({db_secret_command})"]
adminUserDataScript=configure_apache_install_wordpress_and_config.sh
fleetUserDataScript=configure_apache.sh
adminBuildTime=10
fleetBuildTime=7
`

// User data of every kind of site is clean for shellcheck, and short enough.
func TestUserData(t *testing.T) {
	plans := map[string]*plan.Plan{
		"sample":   loadPlan(t, sampleWordPress),
		"php":      loadPlan(t, "app: wp\npreset: wordpress\naws: {region: eu-central-1}\n"),
		"image":    loadPlan(t, "app: wp\npreset: wordpress\naws: {region: eu-central-1, image: build}\n"),
		"node-red": loadPlan(t, "app: flows\npreset: node-red\nfiles: {source: .}\naws: {region: eu-central-1}\n"),
		"generic":  loadPlan(t, "app: api\ncommand: [./server, \"--dir={files}\", \"a $b \\\"c\\\"\"]\nfiles: {source: .}\naws: {region: eu-central-1}\n"),
		"static":   loadPlan(t, "app: pages\nkind: static\nfiles: {source: .}\naws: {region: eu-central-1}\n"),
	}
	for name, p := range plans {
		for _, tier := range p.Tiers {
			text, _, err := userData(p, tier)
			if err != nil {
				t.Fatal(err)
			}
			script := filled(t, text)
			shellcheck(t, name+" "+tier.Name, script)
			t.Logf("%s %s: %d bytes", name, tier.Name, len(text))
			ro := strings.Contains(script, ",ro,accesspoint=")
			if ro == tier.Write {
				t.Errorf("%s %s: mounted read-only: %v, want %v", name, tier.Name, ro, !tier.Write)
			}
			installs := strings.Contains(script, "dnf ") || strings.Contains(script, "npm ci") || strings.Contains(script, "wordpress.org")
			if installs != (p.AWS.Image != plan.ImageBuild) {
				t.Errorf("%s %s: it installs: %v", name, tier.Name, installs)
			}
			for _, bad := range []string{"http://wordpress", "| sudo", "| bash", "yum ", "amazon-linux-extras"} {
				if strings.Contains(script, bad) {
					t.Errorf("%s %s: user data has %q", name, tier.Name, bad)
				}
			}
		}
		shellcheck(t, name+" install", "#!/bin/bash\nset -euo pipefail\nexport APPLICATION_IMAGE=x\nfetch() { echo \"$1 $2 $3\"; }\nfetch a b c\n"+install(p, true))
	}
}

func TestSampleIsReplaced(t *testing.T) {
	p := loadPlan(t, sampleWordPress)
	text, notes, err := userData(p, *p.Tier(plan.Admin))
	if err != nil {
		t.Fatal(err)
	}
	script := filled(t, text)
	for _, want := range []string{"echo \"${HOME}\" wp-dev.example.com php-{a,b} >/root/own", "SECRET=$(aws secretsmanager get-secret-value --region eu-central-1 --secret-id arn:aws:secretsmanager:"} {
		if !strings.Contains(script, want) {
			t.Errorf("user data lacks the user's own %q", want)
		}
	}
	all := fmt.Sprint(notes)
	for _, want := range []string{"amazon-linux-extras", "configure_apache_install_wordpress_and_config.sh", "3 commands of the sample"} {
		if !strings.Contains(all, want) {
			t.Errorf("the notes do not say %q: %s", want, all)
		}
	}
	for tier, want := range map[string]string{plan.Admin: "arm64", plan.Fleet: "x86_64"} {
		got, notes := ami(p, tier)
		if got != amiPath+want || len(notes) != 1 {
			t.Errorf("%s: got %s %v", tier, got, notes)
		}
	}
}

func TestVerbatim(t *testing.T) {
	p := loadPlan(t, sampleWordPress)
	p.AWS.UserDataAs = plan.UserDataVerbatim
	if _, _, err := userData(p, *p.Tier(plan.Admin)); err == nil || !strings.Contains(err.Error(), "neither known nor there") {
		t.Errorf("a script that is not there: got %v", err)
	}
	p.AWS.UserDataScript = map[string]string{plan.Admin: "mine.sh"}
	if err := os.WriteFile(filepath.Join(p.Dir(), "mine.sh"), []byte("#!/bin/bash\r\necho {efs_fs_id} ${X}\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	text, notes, err := userData(p, *p.Tier(plan.Admin))
	if err != nil {
		t.Fatal(err)
	}
	want := "#!/bin/bash\nsudo amazon-linux-extras enable php7.4\nmkdir -p /var/www/html\nmount -a -t efs -o tls,iam fs-0123456789abcdef0 /var/www/html\n"
	if got := filled(t, text); !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "\necho fs-0123456789abcdef0 ${X}\n\n") || len(notes) == 0 {
		t.Errorf("got %q, %v", got, notes)
	}
	if got, _ := ami(p, plan.Admin); got != p.AWS.AMIParameter {
		t.Errorf("got AMI %s", got)
	}
}

func TestUnknownScript(t *testing.T) {
	p := loadPlan(t, "app: api\ncommand: [/bin/x]\nfiles: {source: .}\naws: {region: eu-central-1, userDataScript: {fleet: nowhere.sh}}\n")
	if _, _, err := userData(p, *p.Tier(plan.Fleet)); err == nil || !strings.Contains(err.Error(), `aws.userDataScript.fleet: got "nowhere.sh"`) {
		t.Errorf("got %v", err)
	}
}

// What is a mount of the whole file system, and what only names it.
func TestDangerousMounts(t *testing.T) {
	for command, want := range map[string]bool{
		`echo "{efs_fs_id}:/ {efs_mount_dir} efs _netdev,noresvport,tls,iam 0 0" >> /etc/fstab`: true,
		"mount -a -t efs -o tls,iam {efs_fs_id} {efs_mount_dir}":                                true,
		"mount.efs {efs_fs_id} /srv":                                                            true,
		"echo {efs_fs_id} {efs_mount_dir} {site_hostname} > /etc/site":                          false,
		"aws efs describe-file-systems --file-system-id {efs_fs_id} | jq":                       false,
	} {
		if got := dangerous(command) != ""; got != want {
			t.Errorf("%s: got dangerous %t, want %t", command, got, want)
		}
	}
}
