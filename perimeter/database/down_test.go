//go:build walldown

package database

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

// TestWallsDown takes each wall down and sees what it kept out come through. The
// other tests see it held with the wall up.
func TestWallsDown(t *testing.T) {
	down := func(t *testing.T, e plan.Engine, id string, edit func(*plan.Plan)) *site {
		perimeter.SetDown([]string{id})
		t.Cleanup(func() { perimeter.SetDown(nil) })
		x := newSite(t, e, edit)
		x.start()
		x.must(x.Grant(t.Context()))
		x.ok(plan.Admin, wpTables)
		x.must(x.Grant(t.Context()))
		return x
	}
	eachEngine(t, func(t *testing.T, e plan.Engine) {
		t.Run("tier-grants", func(t *testing.T) {
			x := down(t, e, "database/tier-grants", wordpress)
			x.ok(plan.Fleet, "UPDATE wp_options SET v = 'x'; DROP TABLE wp_posts")
			perimeter.SetDown(nil)
			x.must(x.Grant(t.Context()))
			x.denied(plan.Fleet, "UPDATE wp_options SET v = 'x'")
			x.denied(plan.Fleet, "CREATE TABLE evil (id INT)")
		})
		t.Run("mask", func(t *testing.T) {
			x := down(t, e, "database/mask", wordpress)
			x.ok(plan.Fleet, "SELECT user_pass FROM wp_users")
			perimeter.SetDown(nil)
			x.must(x.Grant(t.Context()))
			x.denied(plan.Fleet, "SELECT user_pass FROM wp_users")
		})
		t.Run("private", func(t *testing.T) {
			x := down(t, e, "database/private", nil)
			s, err := x.Secret(plan.Fleet)
			x.must(err)
			s.Host = "127.0.0.2"
			if _, err := Query(t.Context(), s, "SELECT 1"); err != nil {
				t.Errorf("another address: got %v, want it to answer", err)
			}
		})
		t.Run("superuser", func(t *testing.T) {
			x := down(t, e, "database/superuser", nil)
			s, err := x.Secret(plan.Fleet)
			x.must(err)
			s.Password, s.Username = "", map[plan.Engine]string{plan.Postgres: superuser, plan.MySQL: "root"}[e]
			if _, err := Query(t.Context(), s, "SELECT 1"); err != nil {
				t.Errorf("the superuser over TCP: got %v, want it to get in", err)
			}
		})
		t.Run("server-files", func(t *testing.T) {
			const outside = "COPY (SELECT 1) TO PROGRAM 'cat > /dev/null'"
			x := down(t, e, "database/server-files", nil)
			x.ok(plan.Fleet, map[plan.Engine]string{plan.Postgres: outside, plan.MySQL: "SELECT 1 INTO OUTFILE '" + filepath.Join(x.dirs.Run, "out") + "'"}[e])
			perimeter.SetDown(nil)
			x.must(x.Grant(t.Context()))
			x.denied(plan.Fleet, map[plan.Engine]string{plan.Postgres: outside, plan.MySQL: "SELECT 1 INTO OUTFILE '" + filepath.Join(x.dirs.Run, "out2") + "'"}[e])
		})
		t.Run("old-password", func(t *testing.T) {
			x := down(t, e, "database/old-password", nil)
			former, err := x.Secret(plan.Admin)
			x.must(err)
			r, err := x.Rotate(t.Context(), plan.Admin)
			x.must(err)
			x.must(r.Finish(t.Context()))
			if _, err := Query(t.Context(), former, "SELECT 1"); err != nil {
				t.Errorf("the former password: got %v, want it to work", err)
			}
			perimeter.SetDown(nil)
			x.must(x.Grant(t.Context()))
			if _, err := Query(t.Context(), former, "SELECT 1"); !errors.Is(err, ErrLogin) {
				t.Errorf("the former password with the wall up: got %v, want %v", err, ErrLogin)
			}
		})
		t.Run("checksums", func(t *testing.T) {
			x := down(t, e, "database/checksums", nil)
			q, want := "SHOW data_checksums", "off"
			if e == plan.MySQL {
				q, want = "SELECT @@innodb_checksum_algorithm", "crc32"
			}
			if got, err := x.eng.sql(t.Context(), "", q); err != nil || got != want {
				t.Errorf("checksums: got %q, %v; want %q", got, err, want)
			}
		})
	})
}
