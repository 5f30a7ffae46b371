package rotator

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// rotate runs the program through its steps on a small world in memory, each step
// twice as Secrets Manager may, and returns what is left.
func rotate(t *testing.T, env map[string]string, before string) (out struct {
	Current string          `json:"current"`
	Rules   [][]string      `json:"rules"`
	Sent    string          `json:"sent"`
	Lost    [][]any         `json:"lost"`
	Text    json.RawMessage `json:"text"`
}) {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Fatalf("NOT RUN: %v", err)
	}
	dir := t.TempDir()
	fake, err := os.ReadFile("testdata/boto3.py")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"index.py": program, "boto3.py": string(fake)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	script := `
import json, time, boto3
time.sleep = lambda s: None
` + before + `
import index
class Context:
    def get_remaining_time_in_millis(self): return 600000
for step in ("createSecret", "setSecret", "testSecret", "finishSecret"):
    for again in range(2):
        index.handler({"SecretId": "s", "ClientRequestToken": "v2", "Step": step}, Context())
w = boto3.world
current = next(v for v, s in w.versions.items() if "AWSCURRENT" in s)
print(json.dumps({"current": current, "rules": [r["Conditions"][0]["HttpHeaderConfig"]["Values"] for r in w.rules], "sent": w.sent, "lost": w.lost, "text": json.loads(w.texts[current])}))
`
	cmd := exec.CommandContext(t.Context(), python, "-c", script)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	for k, v := range env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	var said strings.Builder
	cmd.Stderr = &said
	b, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, said.String())
	}
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	return out
}

// At no moment does the edge send what a rule does not take.
func TestOriginSecret(t *testing.T) {
	env := map[string]string{"KEY": "secret", "RULES": "admin,fleet", "HEADER": "x-secret", "HOST": "www.example.com"}
	out := rotate(t, env, "")
	fresh := strings.Repeat("n", 64)
	if out.Current != "v2" || out.Sent != fresh || len(out.Lost) > 0 || !strings.Contains(string(out.Text), `"kept": 1`) && !strings.Contains(string(out.Text), `"kept":1`) {
		t.Errorf("got %+v", out)
	}
	for _, r := range out.Rules {
		if len(r) != 1 || r[0] != fresh {
			t.Errorf("a rule takes %v, want the new value alone", r)
		}
	}
	if out := rotate(t, env, "boto3.world.edge = None"); out.Current != "v2" {
		t.Errorf("without an edge: got %+v", out)
	}
}

func TestSeed(t *testing.T) {
	if out := rotate(t, map[string]string{"KEY": "secret"}, ""); out.Current != "v2" || out.Sent != "old" || out.Rules[0][0] != "old" {
		t.Errorf("got %+v", out)
	}
}
