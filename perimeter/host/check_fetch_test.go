package host

import (
	"strings"
	"testing"

	"github.com/ringwall/ringwall/internal/template"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/verify"
)

// TestFirstStart: what is fetched and run unread is found, in whatever words, and
// what is compared with a sum is not.
func TestFirstStart(t *testing.T) {
	for _, x := range []struct{ name, script, want string }{
		{"a pipe", "curl -fsSL https://x.example/i.sh | bash -s", "unread: curl"},
		{"a pipe over lines", "curl -fsSL https://x.example/i.sh |\n  sudo -E bash -", "unread: curl"},
		{"a pipe into python", "wget -qO- https://x.example/i.py | python3 -", "unread: wget"},
		{"in the shell's words", `bash -c "$(curl -fsSL https://x.example/i.sh)"`, "unread: bash -c"},
		{"process substitution", `source <(curl -s https://x.example/env)`, "unread: source"},
		{"PowerShell", `iex ((New-Object Net.WebClient).DownloadString('https://x.example/i.ps1'))`, "unread: iex"},
		{"saved, then run", "curl -O https://x.example/get-pip.py\n# install it\npython3 get-pip.py", "compares it with nothing: python3 get-pip.py"},
		{"saved under another name", "curl -sSL https://x.example/i -o /tmp/setup.sh && sh /tmp/setup.sh", "compares it with nothing: sh /tmp/setup.sh"},
		{"saved, made executable", "wget -O /usr/local/bin/tool https://x.example/tool\nchmod 755 /usr/local/bin/tool", "chmod 755"},
		{"saved by name, unpacked", "wget https://x.example/latest.tar.gz\ntar xzf latest.tar.gz -C /var/www", "tar xzf"},
		{"run by itself", "cd /tmp\ncurl -LO https://x.example/run.sh; ./run.sh", "./run.sh"},
		{"a package by its address", "yum install -y https://x.example/agent.rpm", "installs what it fetches"},
		{"a continued line", "dnf install -y \\\n  https://x.example/agent.rpm", "installs what it fetches"},
		{"plain HTTP", "wget http://x.example/data.csv", "plain HTTP"},
		{"nobody asked who answers", "curl -k https://x.example/data.csv -o data.csv", "does not ask who answers"},

		{"compared with a sum", "curl -fsSLO https://x.example/a.tar.gz\necho 'abc  a.tar.gz' | sha256sum -c -\ntar xzf a.tar.gz", ""},
		{"a signature", "wget https://x.example/a.tar.gz https://x.example/a.tar.gz.asc\ngpg --verify a.tar.gz.asc a.tar.gz\ntar xzf a.tar.gz", ""},
		{"only read", "curl -s https://x.example/list -o list.txt\ngrep x list.txt", ""},
		{"the instance's own service", "TOKEN=$(curl -sX PUT http://169.254.169.254/latest/api/token)\ncurl -s http://localhost:8080/health", ""},
		{"from repositories", "dnf install -y nginx php-fpm\npip install --index-url https://mirror.example/simple boto3", ""},
		{"a repository's key", "rpm --import https://x.example/key.asc\nyum-config-manager --add-repo https://x.example/x.repo", ""},
		{"a comment", "# curl https://x.example/i.sh | bash\ntrue", ""},
	} {
		got := firstStart(t, "      UserData:\n        Fn::Base64: |\n          #!/bin/bash\n          "+strings.ReplaceAll(x.script, "\n", "\n          ")+"\n", "")
		judged(t, x.name, got, x.want)
	}
}

// TestInit: the same in the words of cfn-init.
func TestInit(t *testing.T) {
	for _, x := range []struct{ name, init, want string }{
		{"an archive", "sources: {/var/www: 'https://x.example/a.tgz'}", "unpacks what it fetched"},
		{"an archive over plain HTTP", "sources: {/var/www: 'http://x.example/a.tgz'}", "plain HTTP"},
		{"a package", "packages: {rpm: {a: 'https://x.example/a.rpm'}}", "compares it with nothing"},
		{"a package of the repositories", "packages: {yum: {httpd: [], php: ['8.3']}}", ""},
		{"a program", "files: {/opt/a: {source: 'https://x.example/a', mode: '000755'}}", "compares it with nothing"},
		{"data", "files: {/opt/a: {source: 'https://x.example/a', mode: '000644'}}", ""},
		{"a script", "files: {/opt/a: {content: \"#!/bin/sh\\ncurl https://x.example/b | sh\\n\", mode: '000644'}}", "unread: curl"},
		{"commands", "commands: {a: {command: 'curl -O https://x.example/i.py'}, b: {command: [python3, i.py]}}", "python3 i.py"},
		{"harmless commands", "commands: {a: {command: systemctl start nginx}}", ""},
	} {
		judged(t, x.name, firstStart(t, "", "    Metadata:\n      AWS::CloudFormation::Init:\n        config:\n          "+x.init+"\n"), x.want)
	}
}

func firstStart(t *testing.T, data, metadata string) perimeter.Result {
	t.Helper()
	text := "Resources:\n  I:\n    Type: AWS::EC2::Instance\n" + metadata + "    Properties:\n      InstanceType: t4g.small\n" + data
	set, err := template.New([]template.File{{Name: "s.yaml", Text: []byte(text)}})
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	_, results, _ := verify.Check(nil, set, verify.Jobs([]*perimeter.Perimeter{{Name: "host", Controls: checks[:1]}}))
	return results[0]
}

func judged(t *testing.T, name string, got perimeter.Result, want string) {
	t.Helper()
	said := strings.Join(got.Evidence, "\n")
	if want == "" && got.Verdict != perimeter.Held || want != "" && (got.Verdict != perimeter.Broken || !strings.Contains(said, want)) {
		t.Errorf("%s: got %s (%s), want %q", name, got.Verdict, said, want)
	}
}
