package cli

import "testing"

func TestUnitWord(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"/usr/bin/ringwall", "/usr/bin/ringwall"},
		{"/srv/my site/ringwall.yaml", `"/srv/my site/ringwall.yaml"`},
		{"/srv/100%/x", "/srv/100%%/x"},
		{`/srv/"a\b" $HOME`, `"/srv/\"a\\b\" $$HOME"`},
	} {
		if got := unitWord(tt.in); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.in, got, tt.want)
		}
	}
}

func TestInHome(t *testing.T) {
	for dir, want := range map[string]bool{"/home/a/site": true, "/root": true, "/root/site": true, "/run/user/1000/x": true, "/srv/site": false, "/homes/site": false} {
		if got := inHome(dir); got != want {
			t.Errorf("%s: got %v, want %v", dir, got, want)
		}
	}
}
