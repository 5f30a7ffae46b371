package people

import (
	"github.com/ringwall/ringwall/internal/template"
	"github.com/ringwall/ringwall/perimeter"
)

// secretProperties are the properties of resources, of any type, whose text is a
// password or a key (AWS resource types reference).
var secretProperties = map[string]bool{
	"MasterUserPassword": true, "Password": true, "AuthToken": true, "AdminPassword": true, "UserPassword": true, "DbPassword": true,
	"AccountPassword": true, "ADDomainJoinPassword": true, "KdcAdminPassword": true, "CrossRealmTrustPrincipalPassword": true,
	"SecretToken": true, "OauthToken": true, "AccessToken": true, "HECToken": true, "EventSourceToken": true, "ClientSecret": true,
	"RefreshToken": true, "PrivateKey": true, "TokenKey": true, "SshKey": true, "SecretAccessKey": true,
}

// authentication are the fields of AWS::CloudFormation::Authentication, in a
// resource's metadata, that are secrets.
var authentication = map[string]bool{"password": true, "secretKey": true, "accessKeyId": true}

// judgeNamed finds secrets that are written out in any resource, and those that come
// from a parameter that CloudFormation shows to whoever may look at the stack.
func judgeNamed(p *perimeter.Pass) {
	for _, r := range p.World.Resources {
		eachField(r.Props, func(f template.Entry) {
			if secretProperties[f.Name] {
				judgeLiteral(p, r, f.Value, f.Name+" of "+r.ID)
			}
		})
		eachField(r.Authentication, func(f template.Entry) {
			if authentication[f.Name] {
				judgeLiteral(p, r, f.Value, f.Name+" in the metadata of "+r.ID)
			}
		})
		for _, e := range r.Echoed(func(name string) bool { return secretProperties[name] }) {
			p.Broken(r, e.Pos, "%s of %s is parameter %s, which CloudFormation shows to whoever may look at the stack (NoEcho)", e.Property, r.ID, e.Parameter)
		}
	}
}

func eachField(v *template.Value, use func(template.Entry)) {
	if v == nil {
		return
	}
	for _, f := range v.Fields {
		use(f)
		eachField(f.Value, use)
	}
	for _, x := range v.Items {
		eachField(x, use)
	}
}
