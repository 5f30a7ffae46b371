package files

import (
	"slices"
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
	buckets, policies := p.World.OfType("AWS::S3::Bucket"), p.BucketPolicies()
	if len(buckets)+len(policies) == 0 {
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
		judgeBucketPolicy(p, b, policies)
	}
	for _, x := range policies {
		if x.Bucket == nil {
			p.Tried("whom policy %s lets into a bucket that is not in these templates", x.Res.ID)
			judgeStatements(p, x.Res, "the bucket of "+x.Res.ID, x.Statements)
		}
	}
	return nil
}

func judgeBucketPolicy(p *perimeter.Pass, b *template.Resource, policies []perimeter.BucketPolicy) {
	policies = slices.DeleteFunc(slices.Clone(policies), func(x perimeter.BucketPolicy) bool { return x.Bucket != b })
	for i, x := range policies {
		if i > 0 {
			p.Unknown(b, x.Res.Pos, "bucket %s has the policies %s and %s; a bucket keeps one, the one that is written last", b.ID, policies[0].Res.ID, x.Res.ID)
		}
		judgeStatements(p, b, "bucket "+b.ID, x.Statements)
		if !refusesHTTP(x.Statements, p.Access.ARN(b)) {
			p.Broken(b, x.Res.Pos, "bucket %s answers plain HTTP: its policy %s does not refuse aws:SecureTransport false, on it and on what is in it", b.ID, x.Res.ID)
		}
	}
	if len(policies) == 0 {
		p.Broken(b, b.Pos, "bucket %s answers plain HTTP: no policy refuses aws:SecureTransport false, on it and on what is in it", b.ID)
	}
}

func judgeStatements(p *perimeter.Pass, r *template.Resource, of string, ss []*access.Statement) {
	for _, s := range ss {
		switch {
		case s.Unsure != "":
			p.Unknown(r, s.Pos, "whom the policy of %s lets in is not known: %s", of, s.Unsure)
		case s.Allow:
			judgeAllowed(p, r, of, s)
		}
	}
}

// refusesHTTP says whether a policy refuses what comes without TLS: reading, writing and
// listing.
func refusesHTTP(ss []*access.Statement, arn string) bool {
	for _, x := range []struct{ action, resource string }{{"s3:GetObject", arn + "/x"}, {"s3:PutObject", arn + "/x"}, {"s3:ListBucket", arn}} {
		if !slices.ContainsFunc(ss, func(s *access.Statement) bool {
			return !s.Allow && s.Unsure == "" && refusesPlain(s) && access.About(s, x.action, x.resource) == template.Yes
		}) {
			return false
		}
	}
	return true
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

func judgeAllowed(p *perimeter.Pass, r *template.Resource, of string, s *access.Statement) {
	narrow := perimeter.Binds(s, narrowing...)
	if len(s.NotWho) > 0 {
		p.Broken(r, s.Pos, "the policy of %s lets in everybody but a few (NotPrincipal)", of)
	}
	for _, w := range s.Who {
		account := perimeter.Numbered(w)
		switch {
		case w.Everyone() && !narrow:
			p.Broken(r, s.Pos, "the policy of %s lets everybody in: %s", of, s)
		case w.Kind == "Service" && !narrow:
			p.Broken(r, s.Pos, "the policy of %s lets in %s for whoever uses it (no aws:SourceArn or aws:SourceAccount)", of, w.Name)
		case account != "" && !slices.Contains(perimeter.LogAccounts, account):
			p.Unknown(r, s.Pos, "the policy of %s lets in %s, and whether that account is this one no template says (write AWS::AccountId if it is)", of, w.Name)
		case (w.Kind == "CanonicalUser" || w.Kind == "Federated") && !strings.Contains(w.Name, "\x02r"):
			p.Unknown(r, s.Pos, "the policy of %s lets in the %s %s, and who that is no template says", of, w.Kind, template.Show(w.Name))
		}
	}
}
