package webserver

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/ringwall/ringwall/internal/bundle"
	"github.com/ringwall/ringwall/internal/cfn"
	"github.com/ringwall/ringwall/plan"
)

// Where an instance on AWS has its configuration.
const (
	guardPath = "/etc/ringwall/guard.php"
	fpmPath   = "/etc/ringwall/php-fpm.conf"
	phpPath   = "/usr/local/libexec/ringwall-php"
)

// synth adds each tier's web server configuration: files that its instances fetch
// at their start, and whose checksum they know beforehand.
func synth(p *plan.Plan, s *cfn.Stacks) error {
	st := s.Stack(plan.StackCompute)
	for _, t := range p.Tiers {
		files, err := Files(p, t)
		if err != nil {
			return err
		}
		b, err := bundle.Pack(files)
		if err != nil {
			return fmt.Errorf("packing the web server's files of %s: %w", t.Name, err)
		}
		ref := plan.RefInstanceFiles("webserver", t.Name)
		b.Publish(st, "Webserver"+ref.Name, plan.FilesPrefix(p.Site(), t.Name, "webserver"), "Web server of "+t.Name+" of "+p.Site())
		s.Provide(ref, st, cfn.S(b.String()))
		if r, err := newRoutes(p, t.Name); err == nil && len(r.queries) > 0 && p.Kind == plan.Command {
			s.Note(cfn.Note{Key: "routes.admin", Why: "an instance's nginx does not read forms: " + t.Name + " takes none where a route with ?key=value may be asked"})
		}
	}
	return nil
}

// Files are those that an instance of a tier has of its web server, with the
// places of an instance on AWS.
func Files(p *plan.Plan, t plan.Tier) ([]bundle.File, error) {
	conf, err := Nginx(p, t.Name, NginxOptions{})
	if err != nil {
		return nil, err
	}
	files := []bundle.File{{Path: "/etc/nginx/nginx.conf", Mode: 0o644, Text: conf}}
	if p.Kind != plan.PHP {
		return files, nil
	}
	guard, err := Guard(p, t.Name)
	if err != nil {
		return nil, err
	}
	env := map[string]string{"RINGWALL_SITE": p.Site(), "RINGWALL_TIER": t.Name, "DATABASE_SECRET": "/run/secrets/database.json", "WORDPRESS_SECRET": "/run/secrets/wordpress.json", "DATABASE_TLS": "required"}
	o := FPMOptions{Env: env, Log: "/var/log/app/app.log"}
	if guard != "" {
		o.Guard = guardPath
		files = append(files, bundle.File{Path: guardPath, Mode: 0o644, Text: guard})
	}
	fpm, args, err := FPM(p, t.Name, fpmPath, o)
	if err != nil {
		return nil, err
	}
	var words []string
	for _, a := range slices.Concat([]string{"/usr/sbin/php-fpm"}, args) {
		words = append(words, "'"+strings.ReplaceAll(a, "'", `'\''`)+"'")
	}
	return append(files,
		bundle.File{Path: fpmPath, Mode: 0o644, Text: fpm},
		bundle.File{Path: path.Clean(phpPath), Mode: 0o755, Text: "#!/bin/sh\nexec " + strings.Join(words, " ") + "\n"}), nil
}
