package files

import (
	"strings"

	"github.com/ringwall/ringwall/internal/access"
	"github.com/ringwall/ringwall/internal/template"
	"github.com/ringwall/ringwall/perimeter"
)

var bucketChecks = []*perimeter.Control{
	{
		ID:      "files/buckets-private",
		Doc:     "No bucket is open to the public: its access is blocked four ways, it has one owner, it refuses plain HTTP, and its policy names accounts or services and why they ask.",
		Why:     "What the site stores and logs is the internet's to read, or to write.",
		Vantage: perimeter.Template,
		Check:   checkBuckets,
		Meets:   []string{"INV-10", "CIS 2.1.2", "CIS 2.1.5"},
	},
}

func checkBuckets(p *perimeter.Pass) error {
	buckets := p.World.OfType("AWS::S3::Bucket")
	if len(buckets) == 0 {
		p.Absent("a bucket")
		return nil
	}
	for _, b := range buckets {
		p.Tried("who may read and write %s, and how", b.ID)
		for _, f := range []string{"BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"} {
			v := b.Get("PublicAccessBlockConfiguration", f)
			switch v.Truth(false) {
			case template.No:
				p.Broken(b, v.Place(b.Place("PublicAccessBlockConfiguration")), "bucket %s does not have %s", b.ID, f)
			case template.Maybe:
				p.Unknown(b, v.Place(b.Pos), "whether bucket %s has %s is not known: %s", b.ID, f, v.Show())
			}
		}
		for _, r := range b.Get("OwnershipControls", "Rules").List() {
			if o := r.Get("ObjectOwnership"); !o.Is("BucketOwnerEnforced") {
				p.Broken(b, o.Place(b.Pos), "bucket %s lets writers own what they write (%s), so that access lists count again", b.ID, o.Show())
			}
		}
		if v := b.Get("AccessControl"); !v.Absent() && !v.Is("Private") {
			p.Broken(b, v.Place(b.Pos), "bucket %s has the access list %s", b.ID, v.Show())
		}
		if v := b.Get("WebsiteConfiguration"); !v.Absent() {
			p.Broken(b, v.Place(b.Pos), "bucket %s is a web site of its own, past the edge", b.ID)
		}
		judgeBucketPolicy(p, b)
	}
	return nil
}

func judgeBucketPolicy(p *perimeter.Pass, b *template.Resource) {
	arn, tls := p.Access.ARN(b), false
	for _, r := range p.World.OfType("AWS::S3::BucketPolicy") {
		if p.World.Of(r.Get("Bucket")) != b {
			continue
		}
		for _, s := range p.Access.Policy(r.Get("PolicyDocument"), "the policy of bucket "+b.ID, r.Pos) {
			switch {
			case s.Unsure != "":
				p.Unknown(b, s.Pos, "whom the policy of bucket %s lets in is not known: %s", b.ID, s.Unsure)
			case s.Allow:
				judgeAllowed(p, b, s)
			case refusesPlain(s) && access.About(s, "s3:GetObject", arn+"/x") == template.Yes && access.About(s, "s3:ListBucket", arn) == template.Yes:
				tls = true
			}
		}
	}
	if !tls {
		p.Broken(b, b.Pos, "bucket %s answers plain HTTP: no policy refuses aws:SecureTransport false, on it and on what is in it", b.ID)
	}
}

func refusesPlain(s *access.Statement) bool {
	all := false
	for _, w := range s.Who {
		all = all || w.Everyone()
	}
	if !all || len(s.Conditions) != 1 {
		return false
	}
	c := s.Conditions[0]
	return c.Operator == "bool" && c.Key == "aws:securetransport" && len(c.Values) == 1 && strings.EqualFold(c.Values[0], "false")
}

// narrowing are the condition keys that bind a grant to an account, a resource or
// an organization (S3 guide, the meaning of public).
var narrowing = []string{"aws:sourcearn", "aws:sourceaccount", "aws:sourceorgid", "aws:principalorgid", "aws:principalarn", "aws:principalaccount", "aws:sourcevpce", "aws:sourcevpc"}

func judgeAllowed(p *perimeter.Pass, b *template.Resource, s *access.Statement) {
	narrow := false
	for _, c := range s.Conditions {
		for _, k := range narrowing {
			narrow = narrow || c.Key == k && !strings.Contains(c.Operator, "not")
		}
	}
	if len(s.NotWho) > 0 {
		p.Broken(b, s.Pos, "the policy of bucket %s lets in everybody but a few (NotPrincipal)", b.ID)
	}
	for _, w := range s.Who {
		switch {
		case w.Everyone() && !narrow:
			p.Broken(b, s.Pos, "the policy of bucket %s lets everybody in: %s", b.ID, s)
		case w.Kind == "Service" && !narrow:
			p.Broken(b, s.Pos, "the policy of bucket %s lets in %s for whoever uses it (no aws:SourceArn or aws:SourceAccount)", b.ID, w.Name)
		}
	}
}
