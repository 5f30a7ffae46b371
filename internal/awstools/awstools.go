// Package awstools finds the programs of other people that judge templates and
// imitate AWS: those that `scripts/setup aws` installs. Only tests, benchmarks and
// proofs use it; the product needs none of them.
package awstools

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// Tools are the paths of what is installed.
type Tools struct {
	Dir         string // of them all
	CfnLint     string
	MotoServer  string
	CfnGuard    string
	GuardRules  string // directory of the Control Tower rules
	Node        string // the directory of Node's modules, for NODE_PATH
	ScriptsHome string // proof/tools: scripts that run under Node
}

// Pins are the files that say which versions are installed, in proof/tools.
var Pins = []string{"requirements.txt", "package.json", "package-lock.json"}

// Find returns the tools of this checkout. Its error says NOT RUN when they are
// not installed, or are other versions than the pinned ones.
func Find() (*Tools, error) {
	root, err := root()
	if err != nil {
		return nil, notRun(err)
	}
	t := &Tools{Dir: filepath.Join(root, ".tools", "aws"), ScriptsHome: filepath.Join(root, "proof", "tools")}
	h := sha256.New()
	for _, name := range Pins {
		b, err := os.ReadFile(filepath.Join(t.ScriptsHome, name))
		if err != nil {
			return nil, notRun(err)
		}
		h.Write(b)
	}
	got, err := os.ReadFile(filepath.Join(t.Dir, "installed"))
	if err != nil {
		return nil, notRun(err)
	}
	if want := hex.EncodeToString(h.Sum(nil)); strings.TrimSpace(string(got)) != want {
		return nil, notRun(fmt.Errorf("%s is of other versions than %s pins", t.Dir, t.ScriptsHome))
	}
	t.Node = filepath.Join(t.Dir, "node_modules")
	guard := filepath.Join(t.Node, "@cdklabs", "cdk-validator-cfnguard")
	system, arch := map[string]string{"linux": "ubuntu", "darwin": "macos"}[runtime.GOOS], map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH]
	t.CfnGuard = filepath.Join(guard, "bin", system, arch, "cfn-guard")
	t.GuardRules = filepath.Join(guard, "rules", "control-tower", "cfn-guard")
	t.CfnLint = filepath.Join(t.Dir, "venv", "bin", "cfn-lint")
	t.MotoServer = filepath.Join(t.Dir, "venv", "bin", "moto_server")
	for _, f := range []string{t.CfnLint, t.MotoServer, t.CfnGuard, t.GuardRules} {
		if _, err := os.Stat(f); err != nil {
			return nil, notRun(err)
		}
	}
	return t, nil
}

func notRun(err error) error {
	return fmt.Errorf("NOT RUN: finding the tools for AWS: %w; run: scripts/setup aws", err)
}

// root is the directory of go.mod, walking up.
func root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", fmt.Errorf("there is no go.mod here or above")
		}
		dir = up
	}
}
