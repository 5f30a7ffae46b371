package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/ringwall/ringwall/internal/cfn"
	"github.com/ringwall/ringwall/internal/lazy"
	"github.com/ringwall/ringwall/plan"
)

// maxUserData is what EC2 takes, in bytes before they are encoded
// (docs.aws.amazon.com/AWSEC2, user data).
const maxUserData = 16 << 10

// userData is the script of a tier's first start, with ${Name} for what only
// CloudFormation knows, and what of the plan was replaced on the way.
//
// The words of the sample project are filled in: {efs_fs_id}, {efs_mount_dir},
// {site_hostname} and {db_secret_command}; {{ and }} are braces.
func userData(p *plan.Plan, t plan.Tier) (string, []cfn.Note, error) {
	script, notes, err := userScript(p, t.Name)
	if err != nil {
		return "", nil, err
	}
	var text string
	if p.AWS.UserDataAs == plan.UserDataVerbatim {
		lines := []string{"#!/bin/bash"}
		for _, c := range p.AWS.UserData[t.Name] {
			lines = append(lines, interpolate(p, c))
		}
		if script != "" {
			lines = append(lines, interpolate(p, script))
		}
		text = strings.Join(lines, "\n") + "\n"
		notes = append(notes, cfn.Note{Key: "aws.userData." + t.Name, Now: "as it is written", Why: "userDataAs is verbatim; nothing of the host's own set-up is in it, so the instances have no configuration of ours"})
	} else {
		var extra []string
		kept, more := keptCommands(p, t.Name)
		notes = append(notes, more...)
		for _, c := range kept {
			extra = append(extra, interpolate(p, c))
		}
		if script != "" {
			extra = append(extra, "(\n"+strings.TrimRight(interpolate(p, script), "\n")+"\n)")
		}
		if text, err = boot(p, t, extra); err != nil {
			return "", nil, err
		}
	}
	if len(text) > maxUserData-1024 { // what is filled in has its length too
		return "", nil, fmt.Errorf("writing the user data of %s: got %d bytes, want %d at most; move commands into aws.image: build or into a script that the image holds", t.Name, len(text), maxUserData-1024)
	}
	return text, notes, nil
}

// keptCommands are the commands of the plan that run on an instance: for a preset
// all but the sample's own, which the preset does better.
func keptCommands(p *plan.Plan, tier string) (kept []string, notes []cfn.Note) {
	key := "aws.userData." + tier
	replaced := 0
	for _, c := range p.AWS.UserData[tier] {
		why := dangerous(c)
		switch {
		case p.Preset != plan.PresetGeneric && (slices.Contains(sampleCommands, c) || why != ""):
			replaced++
			if why != "" {
				notes = append(notes, cfn.Note{Key: key, Was: c, Now: "what the preset " + p.Preset + " does", Why: why})
			}
		case why != "":
			notes = append(notes, cfn.Note{Key: key, Now: c, Why: "kept, although it is unsafe: " + why})
			kept = append(kept, c)
		default:
			kept = append(kept, c)
		}
	}
	if replaced > 0 {
		notes = append(notes, cfn.Note{Key: key, Was: fmt.Sprintf("%d commands of the sample", replaced), Now: "the preset " + p.Preset,
			Why: "packages signed and of one release, files by access point, no shell for what was downloaded"})
	}
	return kept, notes
}

// dangers are commands that no instance should run at its start.
var dangers = []struct {
	rx  func() *regexp.Regexp
	why string
}{
	{lazy.Regexp(`(curl|wget)[^|;&]*\|\s*(sudo\s+)?(-E\s+)?(ba|z|da)?sh\b|(curl|wget)[^|]*\|\s*sudo\s+-E\s+bash`), "what a server far away says is run as root, unread"},
	{lazy.Regexp(`\b(wget|curl)\b[^|;&]*\bhttp://`), "a download that anybody on the way can change"},
	{lazy.Regexp(`amazon-linux-extras`), "Amazon Linux 2 has ended, and its extras with it"},
	{lazy.Regexp(`php7\.|setup_1[0-8]\.x`), "a version that gets no more patches"},
	{lazy.Regexp(`\{efs_fs_id\}:/\S*\s|-t efs\b|\bmount\.efs\b`), "a mount of the whole file system, beside the access points: the file system refuses it"},
	{lazy.Regexp(`npm install .*--unsafe-perm|npm install -g`), "packages of no fixed version, whose scripts run as root"},
}

func dangerous(command string) string {
	for _, d := range dangers {
		if d.rx().MatchString(command) {
			return d.why
		}
	}
	return ""
}

// sampleCommands are those of the sample project's configuration
// (aws-samples/aws-cdk-web-administered-apps, parameters-template.properties).
var sampleCommands = []string{
	`sudo yum install amazon-efs-utils jq gcc-c++ make -y`,
	`mkdir -p {efs_mount_dir}`,
	`echo "{efs_fs_id}:/ {efs_mount_dir} efs _netdev,noresvport,tls,iam 0 0" >> /etc/fstab`,
	`mount -a -t efs -o tls,iam {efs_fs_id} {efs_mount_dir}`,
	`curl -sL https://rpm.nodesource.com/setup_16.x | sudo -E bash -`,
	`yum install -y nodejs`,
	`sudo npm install -g --unsafe-perm node-red`,
	`sudo npm install -g nodemon`,
	`node-red -u {efs_mount_dir}`,
	`cd {efs_mount_dir}`,
	`nodemon -L -e json /bin/node-red -u {efs_mount_dir}`,
	`sudo yum install -y amazon-linux-extras amazon-efs-utils jq`,
	`sudo amazon-linux-extras enable php7.4`,
	`sudo yum clean metadata`,
	`sudo yum install php php-{{pear,cgi,common,curl,mbstring,gd,mysqlnd,gettext,bcmath,json,xml,fpm,intl,zip,imap}}`,
	`sudo yum install php-cli php-gd php-imagick php-intl php-pdo php-mbstring php-fpm php-json php-xml php-mysqlnd php-opcache httpd mariadb -y`,
	`sudo usermod -a -G apache ec2-user`,
	`sudo systemctl enable httpd`,
	`systemctl enable php-fpm`,
	`sudo mkdir -p /etc/systemd/system/httpd.service.requires`,
	`sudo ln -s /usr/lib/systemd/system/htcacheclean.service /etc/systemd/system/httpd.service.requires`,
}

// sampleScripts are the sample's own scripts, and what takes their place.
var sampleScripts = map[string]string{
	"configure_apache_install_wordpress_and_config.sh": "it downloads WordPress over plain HTTP without a checksum, and writes the database's master password into a shared file",
	"configure_apache.sh":                              "it blocks two of the administrators' pages and leaves the others open",
}

// userScript is the text of the script that the plan names for a tier.
func userScript(p *plan.Plan, tier string) (string, []cfn.Note, error) {
	name := p.AWS.UserDataScript[tier]
	if name == "" {
		return "", nil, nil
	}
	key := "aws.userDataScript." + tier
	why, known := sampleScripts[filepath.Base(name)]
	if known && p.Preset == plan.PresetWordPress && p.AWS.UserDataAs != plan.UserDataVerbatim {
		return "", []cfn.Note{{Key: key, Was: name, Now: "the preset wordpress", Why: why}}, nil
	}
	tried := []string{name}
	if !filepath.IsAbs(name) {
		tried = []string{filepath.Join(p.Dir(), name), filepath.Join(p.Dir(), "userdata", name)}
	}
	for _, f := range tried {
		st, err := os.Stat(f)
		if err == nil && !st.Mode().IsRegular() {
			return "", nil, fmt.Errorf("%s: got %s, want a file", key, f)
		}
		if err == nil && st.Size() > maxUserData {
			return "", nil, fmt.Errorf("%s: got %s of %d bytes, want %d at most, which is what an instance takes", key, f, st.Size(), maxUserData)
		}
		b, err := os.ReadFile(f)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", nil, fmt.Errorf("%s: %w", key, err)
		}
		text := strings.ReplaceAll(string(b), "\r\n", "\n")
		if strings.HasPrefix(text, "#!") {
			_, text, _ = strings.Cut(text, "\n")
		}
		return text, nil, nil
	}
	hint := "write it, or leave the key out"
	if known {
		hint = "it is the sample's own: choose preset: wordpress, which replaces it, or bring the file"
	}
	return "", nil, fmt.Errorf("%s: got %q, which is neither known nor there (looked for %s); %s", key, name, strings.Join(tried, " and "), hint)
}

// interpolate fills the sample's words into a command.
func interpolate(p *plan.Plan, command string) string {
	secret := "true" // no database, no secret: what the sample's own variable would be empty for
	if hasSecret(p) {
		secret = "aws secretsmanager get-secret-value --region ${AWS::Region} --secret-id ${DatabaseSecret} --query SecretString --output text"
	}
	return strings.NewReplacer(
		"${", "${!", "{{", "{", "}}", "}",
		"{efs_fs_id}", "${FileSystem}", "{efs_mount_dir}", p.Files.Mount, "{site_hostname}", p.Network.Host, "{db_secret_command}", secret,
	).Replace(command)
}
