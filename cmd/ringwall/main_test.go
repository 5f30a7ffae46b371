package main

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ringwall/ringwall/cli"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"ringwall": func() { os.Exit(cli.Main(os.Args[1:])) },
	})
}

// TestScripts runs the command line as users do. A script starts in an empty
// directory; the file of the sample project is at $TEMPLATE.
func TestScripts(t *testing.T) {
	template, err := os.ReadFile("../../plan/testdata/template.properties")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			file := env.WorkDir + "/.template.properties"
			env.Setenv("TEMPLATE", file)
			env.Setenv("NO_COLOR", "1")
			return os.WriteFile(file, template, 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "fakeaws": fakeAWS, "deploys": deploys, "reads": reads, "breaks": breaks, "mends": mends},
	})
}

// exits runs a program and compares its exit code: exits 2 ringwall validate
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits code program [args]")
	}
	code := "0"
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		code = codeOf(err)
	}
	if code != args[0] {
		ts.Fatalf("got the exit code %s, want %s", code, args[0])
	}
}

// codeOf is the exit code of a program that failed.
func codeOf(err error) string {
	var e *exec.ExitError
	if !errors.As(err, &e) {
		return err.Error()
	}
	return strconv.Itoa(e.ExitCode())
}
