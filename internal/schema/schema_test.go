package schema

import (
	"slices"
	"testing"
)

func TestEveryTypeDecodes(t *testing.T) {
	types := Types()
	if len(types) < 190 {
		t.Fatalf("got %d types, want those of gen/types.txt", len(types))
	}
	for _, name := range types {
		r := Lookup(name)
		if r == nil {
			t.Fatalf("Lookup(%s) is nil", name)
		}
		seen := map[*Type]bool{}
		var walk func(where string, ty *Type)
		walk = func(where string, ty *Type) {
			if ty == nil || seen[ty] {
				return
			}
			seen[ty] = true
			if ty.Kind == Unknown {
				t.Errorf("%s: %s", where, ty.Kind)
			}
			walk(where+"[]", ty.Elem)
			for _, u := range ty.Of {
				walk(where, u)
			}
			for n, p := range ty.Properties {
				walk(where+"."+n, p.Type)
			}
		}
		for n, p := range r.Properties {
			walk(name+"."+n, p.Type)
		}
	}
}

func TestFacts(t *testing.T) {
	subnet := Lookup("AWS::EC2::Subnet")
	if p := subnet.Properties["VpcId"]; !p.Required || p.Replace != Yes {
		t.Errorf("VpcId of a subnet: %+v, want it required and replacing", p)
	}
	if p := subnet.Properties["MapPublicIpOnLaunch"]; p.Required || p.Replace != No || p.Type.Kind != Bool {
		t.Errorf("MapPublicIpOnLaunch: %+v, want an optional boolean whose change replaces nothing", p)
	}
	lt := Lookup("AWS::EC2::LaunchTemplate").Properties["LaunchTemplateData"]
	if lt.Type.Kind != Object || lt.Type.Properties["MetadataOptions"].Type.Properties["HttpTokens"] == nil {
		t.Error("LaunchTemplateData.MetadataOptions.HttpTokens is not there")
	}
	db := Lookup("AWS::RDS::DBInstance")
	if !db.Stateful || db.Properties["StorageEncrypted"].Replace == No {
		t.Error("a database holds data, and encrypting it replaces it")
	}
	if !slices.Contains(db.Properties["KmsKeyId"].RefersTo, "AWS::KMS::Key") {
		t.Errorf("KmsKeyId refers to %v, want AWS::KMS::Key", db.Properties["KmsKeyId"].RefersTo)
	}
	if _, ok := Lookup("AWS::EC2::SecurityGroup").Attributes["GroupId"]; !ok {
		t.Error("a security group has no attribute GroupId")
	}
	if v := Lookup("AWS::Backup::BackupVault"); v.TagName != "BackupVaultTags" || v.TagKind != "map" {
		t.Errorf("tags of a vault: %s, %s", v.TagName, v.TagKind)
	}
	if Lookup("AWS::Nothing::Here") != nil {
		t.Error("a type that nobody knows has a schema")
	}
}

func TestNearest(t *testing.T) {
	props := Lookup("AWS::EC2::Subnet").Properties
	for _, c := range []struct{ got, want string }{{"VpcID", "VpcId"}, {"CidrBlok", "CidrBlock"}, {"Nothing", ""}} {
		if n := Nearest(c.got, props); n != c.want {
			t.Errorf("Nearest(%q) = %q, want %q", c.got, n, c.want)
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	for b.Loop() {
		decoded = map[string]*Resource{}
		for _, n := range []string{"AWS::EC2::Subnet", "AWS::RDS::DBInstance", "AWS::CloudFront::Distribution"} {
			Lookup(n)
		}
	}
}
