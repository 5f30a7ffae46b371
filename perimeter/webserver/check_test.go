package webserver

import (
	"strings"
	"testing"

	"github.com/ringwall/ringwall/internal/template"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/verify"
)

// TestFleetRefusesAdmin: pages that a fleet's set-up does not name are found, and a
// set-up that names all of them is no proof.
func TestFleetRefusesAdmin(t *testing.T) {
	const head = `Resources:
  AdminGroup: {Type: AWS::AutoScaling::AutoScalingGroup, Properties: {LaunchTemplate: {LaunchTemplateId: !Ref AdminTemplate}}}
  AdminTemplate: {Type: AWS::EC2::LaunchTemplate, Properties: {LaunchTemplateData: {UserData: "echo wordpress"}}}
  FleetGroup: {Type: AWS::AutoScaling::AutoScalingGroup, Properties: {LaunchTemplate: {LaunchTemplateId: !Ref FleetTemplate}}}
  FleetTemplate: {Type: AWS::EC2::LaunchTemplate, Properties: {LaunchTemplateData: {UserData: "SCRIPT"}}}
`
	for _, x := range []struct {
		name, script string
		want         perimeter.Verdict
		words        string
	}{
		{"two pages of five", "deny wp-admin wp-login.php", perimeter.Broken, "refuses /xmlrpc.php, /wp-json, ?rest_route="},
		{"none", "tar xf wordpress.tar", perimeter.Broken, "refuses /wp-admin, /wp-login.php, /xmlrpc.php"},
		{"all", "deny wp-admin wp-login xmlrpc wp-json rest_route", perimeter.Unknown, "no template tells"},
	} {
		set, err := template.New([]template.File{{Name: "s.yaml", Text: []byte(strings.Replace(head, "SCRIPT", x.script, 1))}})
		if err != nil {
			t.Fatal(err)
		}
		_, results, _ := verify.Check(nil, set, verify.Jobs([]*perimeter.Perimeter{{Name: "webserver", Controls: checks}}))
		if len(results) != 1 || results[0].Verdict != x.want || !strings.Contains(strings.Join(results[0].Evidence, "\n")+results[0].Error, x.words) {
			t.Errorf("%s: got %+v, want %s with %q", x.name, results, x.want, x.words)
		}
	}
}
