package plan

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestTemplate loads every stanza of the sample's template as it stands.
func TestTemplate(t *testing.T) {
	for _, c := range []struct {
		site, preset string
		kind         Kind
		engine       Engine
		port         uint16
		notes        []string
	}{
		{"", PresetNodeRED, Command, MySQL, 1880, []string{"kept for AWS: awsRegion", "mysql 8.0.28 is retired", "here it is MariaDB"}},
		{"nodered-dev", PresetNodeRED, Command, MySQL, 1880, nil},
		{"nodered-test", PresetNodeRED, Command, Postgres, 1880, []string{"postgres 14.4 is retired", "here it is PostgreSQL"}},
		{"wp-dev", PresetWordPress, PHP, MySQL, 80, []string{"adminUserDataScript", "cookiescomment_author_* is the template's misspelling"}},
	} {
		p, err := Load(Options{File: "testdata/template.properties", Site: c.site, Getenv: noEnv})
		if err != nil {
			t.Errorf("%s: %v", c.site, err)
			continue
		}
		want := c.site
		if want == "" {
			want = "nodered-dev"
		}
		if p.Site() != want || p.Preset != c.preset || p.Kind != c.kind || p.Database.Engine != c.engine || p.Balancer.TargetPort != c.port || p.Network.Host != want+".example.com" {
			t.Errorf("got %s, %s, %s, %s, %d, %s, want %+v", p.Site(), p.Preset, p.Kind, p.Database.Engine, p.Balancer.TargetPort, p.Network.Host, c)
		}
		if p.Files.Mount != "/var/www/html" || p.Database.Config != DBInstance || !p.Database.Protect || p.AWS.Region != "ap-southeast-2" || p.AWS.InstanceType[Fleet] == "" || p.AWS.BuildMinutes[Admin] != 10 {
			t.Errorf("%s: got %+v %+v", c.site, p.Database, p.AWS)
		}
		if n := p.Network; n.Office.String() != "192.0.2.1" || n.Visitor.String() != "192.0.2.2" || n.Stranger.String() != "198.51.100.7" {
			t.Errorf("%s: got %v %v %v", c.site, n.Office, n.Visitor, n.Stranger)
		}
		notes := strings.Join(p.Notes, "\n")
		for _, n := range c.notes {
			if !strings.Contains(notes, n) {
				t.Errorf("%s: got the notes %q, want %q among them", c.site, notes, n)
			}
		}
		if want == "wp-dev" {
			if data := strings.Join(p.AWS.UserData[Fleet], "\n"); !strings.Contains(data, "php-{{pear,cgi") || !strings.Contains(data, `"{efs_fs_id}:/ {efs_mount_dir}`) {
				t.Errorf("got the user data %q, want its braces kept", data)
			}
			if !slices.Contains(p.Edge.Cache.Uncached, "/contact/") || !slices.Contains(p.Edge.Cache.ForwardedCookies, "comment_author_*") {
				t.Errorf("got %+v", p.Edge.Cache)
			}
		}
	}
}

func loadProperties(t *testing.T, dir, keys string) (*Plan, error) {
	t.Helper()
	if dir == "" {
		dir = t.TempDir()
	}
	if err := os.WriteFile(filepath.Join(dir, FileProperties), []byte("[default]\napp=wp\nenv=dev\n[wp-dev]\nhostedZone=example.com\n"+keys), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(Options{Dir: dir, Getenv: noEnv})
}

func TestPropertiesAsTheSampleReadsThem(t *testing.T) {
	for _, c := range []struct {
		name, keys string
		got        func(*Plan) any
		want       string
	}{
		{"masks are honoured", "adminIps=192.0.2.77/24, 203.0.113.9\nallowedIps=*", func(p *Plan) any { return p.Balancer.Admins.Prefixes }, "[192.0.2.0/24 203.0.113.9/32]"},
		{"IPv6", "adminIps=2001:db8::1\nallowedIps=2001:db8::/32,192.0.2.0/24", func(p *Plan) any { return p.Edge.Allowed.Prefixes }, "[2001:db8::/32 192.0.2.0/24]"},
		{"everybody", "allowedIps=*", func(p *Plan) any { return p.Edge.Allowed.Any }, "true"},
		{"spaces and colons", "adminIps : 192.0.2.5\nallowedIps = *", func(p *Plan) any { return p.Network.Office }, "192.0.2.5"},
		{"letter case", "ADMINIPS=192.0.2.5\nallowedips=*", func(p *Plan) any { return p.Network.Office }, "192.0.2.5"},
		{"comments", "# adminIps=1\n; adminIps=2\n  # adminIps=3\nallowedIps=*", func(p *Plan) any { return p.Network.Office }, "192.0.2.1"},
		{"a value of several lines", "uncachedPaths=[\"/a/*\",\n    \"/b/*\"]\n", func(p *Plan) any { return slices.Contains(p.Edge.Cache.Uncached, "/b/*") }, "true"},
		{"no dbConfig", "", func(p *Plan) any { return p.Database.Config }, ""},
		{"an empty dbConfig", "dbConfig=\n", func(p *Plan) any { return fmt.Sprint(p.Database.Config, len(p.Flows)) }, "8"},
		{"dbConfig none", "dbConfig=none\npreventDeletion=no", func(p *Plan) any { return p.Database.Config }, "none"},
		{"dbConfig cluster", "dbConfig=cluster\ndbClusterSize=3", func(p *Plan) any { return p.Database.Size }, "3"},
		{"the seed's spelling", "dbSecret=arn:aws:x", func(p *Plan) any { return p.AWS.DBSecret }, "arn:aws:x"},
		{"the template's spelling", "dbSecretName=WpDevDatabaseSecret", func(p *Plan) any { return p.AWS.DBSecret }, "WpDevDatabaseSecret"},
		{"both spellings", "dbSecret=a\ndbSecretName=a", func(p *Plan) any { return p.AWS.DBSecret }, "a"},
		{"a snapshot of RDS", "dbConfig=instance\ndbSnapshot=nightly-1", func(p *Plan) any { return p.AWS.DBSnapshot + p.Database.Snapshot }, "nightly-1"},
		{"subdomain", "subdomain=www", func(p *Plan) any { return p.Network.Host }, "www.example.com"},
		{"instances", "minMaxFleetInstances=[2, 5]", func(p *Plan) any { return fmt.Sprint(p.Tier(Fleet).Min, p.Tier(Fleet).Max) }, "2 5"},
		{"the script names the app", "adminUserDataScript=install_wordpress.sh", func(p *Plan) any { return p.Preset }, "wordpress"},
	} {
		p, err := loadProperties(t, "", c.keys+"\n")
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if got := fmt.Sprint(c.got(p)); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestPropertiesNameFiles(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"dump.sql": 0o644, "secret.json": 0o600, "open.json": 0o644} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("{}"), mode); err != nil {
			t.Fatal(err)
		}
	}
	p, err := loadProperties(t, dir, "dbConfig=instance\ndbSnapshot=dump.sql\n")
	if err != nil || p.Database.Snapshot != filepath.Join(dir, "dump.sql") {
		t.Errorf("got %+v, %v", p, err)
	}
	p, err = loadProperties(t, dir, "dbSecretName=secret.json\n")
	if err != nil || p.Database.SecretFile != filepath.Join(dir, "secret.json") || len(p.Flows) != 10 {
		t.Errorf("got %+v, %v", p, err)
	}
	if _, err = loadProperties(t, dir, "dbSecretName=open.json\n"); err == nil || !strings.Contains(err.Error(), "got mode 0644, want a file that only its owner may read; chmod 600 ") {
		t.Errorf("got %v", err)
	}
}

// TestAppsWithoutPreset: a stanza of an unknown app loads for AWS, and says what up lacks.
func TestAppsWithoutPreset(t *testing.T) {
	dir := dirWith(t, FileProperties, "[api-prod]\nhostedZone=example.com\nappName=shop\n")
	p, err := Load(Options{Dir: dir, Getenv: noEnv})
	if err != nil || p.Preset != PresetGeneric || !strings.Contains(fmt.Sprint(p.Notes), "nothing here says how to start api") {
		t.Fatalf("got %+v, %v", p, err)
	}
	p, err = Load(Options{Dir: dir, Getenv: func(s string) string {
		return map[string]string{"RINGWALL_COMMAND": `["node", "a, b.js"]`}[s]
	}})
	if err != nil || !slices.Equal(p.Tier(Fleet).Command, []string{"node", "a, b.js"}) || len(p.Notes) != 0 {
		t.Fatalf("got %+v, %v", p, err)
	}
}

// TestVersions: what never was is refused, what is no more is taken.
func TestVersions(t *testing.T) {
	for _, c := range []struct {
		engine      Engine
		major, full string
		ok          bool
	}{
		{MySQL, "8.0", "8.0.28", true}, {MySQL, "8.0", "8.0.29", false}, {MySQL, "8.0", "8.0.99", false}, {MySQL, "5.7", "5.7.44", true},
		{MySQL, "8.4", "8.4.5", true}, {MySQL, "8.4", "", true}, {MySQL, "8.1", "", false}, {MySQL, "8", "", false}, {MySQL, "14", "", false},
		{Postgres, "14", "14.4", true}, {Postgres, "17", "17.2", true}, {Postgres, "17", "17.0", false}, {Postgres, "14", "15.4", false},
		{Postgres, "11", "11.22", true}, {Postgres, "10", "", false}, {Postgres, "15", "15.04", false}, {Postgres, "", "16.3", true},
		{Postgres, "99", "", false}, {Postgres, "14", "14.", false}, {Postgres, "14", "14.x", false},
	} {
		_, err := loadProperties(t, "", fmt.Sprintf("dbConfig=instance\ndbEngine=%s\ndbMajorVersion=%s\ndbFullVersion=%s\n", c.engine, c.major, c.full))
		if (err == nil) != c.ok {
			t.Errorf("%+v: got %v", c, err)
		}
	}
}

// TestTheUsersCommandGoesBeforeThePresets although the preset names each tier.
func TestTheUsersCommandGoesBeforeThePresets(t *testing.T) {
	p := loadText(t, "app: a\npreset: node-red\ncommand: [mine]\ntiers: {admin: {command: [own]}}\n")
	if got := fmt.Sprint(p.Tier(Admin).Command, p.Tier(Fleet).Command); got != "[own] [mine]" {
		t.Errorf("got %s, want [own] [mine]", got)
	}
}
