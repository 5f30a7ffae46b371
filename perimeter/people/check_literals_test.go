package people

import (
	"strings"
	"testing"

	"github.com/ringwall/ringwall/internal/template"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/verify"
)

// TestWrittenSecrets: a secret that stands in a template is found in any resource, and
// so is one that CloudFormation shows.
func TestWrittenSecrets(t *testing.T) {
	const head = "Parameters:\n  Shown: {Type: String}\n  Hidden: {Type: String, NoEcho: true}\n  Default: {Type: String, NoEcho: true, Default: hunter2}\nResources:\n"
	for _, x := range []struct{ name, resource, want string }{
		{"a cache", "{Type: AWS::ElastiCache::ReplicationGroup, Properties: {AuthToken: hunter2hunter2}}", "AuthToken of R is written"},
		{"a user", "{Type: AWS::IAM::User, Properties: {LoginProfile: {Password: hunter2}}}", "Password of R is written"},
		{"in a list", "{Type: AWS::AmazonMQ::Broker, Properties: {Users: [{Username: a, Password: hunter2}]}}", "Password of R is written"},
		{"a parameter that is shown", "{Type: AWS::RDS::DBInstance, Properties: {MasterUserPassword: !Ref Shown}}", "is parameter Shown, which CloudFormation shows"},
		{"a parameter with its value", "{Type: AWS::RDS::DBInstance, Properties: {MasterUserPassword: !Ref Default}}", "MasterUserPassword of R is written"},
		{"metadata", "{Type: AWS::EC2::Instance, Metadata: {'AWS::CloudFormation::Authentication': {a: {type: basic, password: hunter2}}}}", "password in the metadata of R"},
		{"a parameter that is hidden", "{Type: AWS::RDS::DBInstance, Properties: {MasterUserPassword: !Ref Hidden}}", ""},
		{"from a store", "{Type: AWS::RDS::DBInstance, Properties: {MasterUserPassword: '{{resolve:secretsmanager:x}}'}}", ""},
	} {
		set, err := template.New([]template.File{{Name: "s.yaml", Text: []byte(head + "  R: " + x.resource + "\n")}})
		if err != nil {
			t.Fatalf("%s: %v", x.name, err)
		}
		_, results, _ := verify.Check(nil, set, verify.Jobs([]*perimeter.Perimeter{{Name: "people", Controls: checks[:1]}}))
		said := ""
		for _, r := range results {
			said += r.Verdict.String() + " " + strings.Join(r.Evidence, "\n")
		}
		if x.want == "" && strings.HasPrefix(said, "broken") || !strings.Contains(said, x.want) {
			t.Errorf("%s: got %q, want %q", x.name, said, x.want)
		}
	}
}
