package perimeter

import (
	"slices"
	"strings"

	"github.com/ringwall/ringwall/internal/access"
	"github.com/ringwall/ringwall/internal/template"
)

// A BucketPolicy is a policy on a bucket, read.
type BucketPolicy struct {
	Res        *template.Resource
	Bucket     *template.Resource // nil: no template here makes it
	Statements []*access.Statement
}

// BucketPolicies are the policies of all buckets. A bucket is named by a reference or by
// the name that it is given.
func (p *Pass) BucketPolicies() []BucketPolicy {
	var out []BucketPolicy
	for _, r := range p.World.OfType("AWS::S3::BucketPolicy") {
		ref := r.Get("Bucket")
		x := BucketPolicy{Res: r, Bucket: p.World.Of(ref)}
		if x.Bucket == nil && !ref.Unknown() {
			for _, b := range p.World.OfType("AWS::S3::Bucket") {
				if name := b.Get("BucketName"); !name.Absent() && name.String() == ref.String() {
					x.Bucket = b
				}
			}
		}
		name := "the policy of bucket " + template.Show(ref.Show())
		if x.Bucket != nil {
			name = "the policy of bucket " + x.Bucket.ID
		}
		x.Statements = p.Access.Policy(r.Get("PolicyDocument"), name, r.Pos)
		out = append(out, x)
	}
	return out
}

// BucketStatements are the statements of the policies on a bucket.
func (p *Pass) BucketStatements(b *template.Resource) []*access.Statement {
	var out []*access.Statement
	for _, x := range p.BucketPolicies() {
		if x.Bucket == b {
			out = append(out, x.Statements...)
		}
	}
	return out
}

// Binds says whether a statement is for those only whom one of the keys names: an
// account, an organization, a resource. A condition that holds for a request without
// the key does not, nor does a pattern that everybody matches.
func Binds(s *access.Statement, keys ...string) bool {
	return slices.ContainsFunc(s.Conditions, func(c access.Condition) bool {
		named := slices.ContainsFunc(keys, func(k string) bool { return c.Key == k || strings.HasPrefix(k, ":") && strings.HasSuffix(c.Key, k) })
		return named && !c.IfExists && !c.ForAll && c.Operator != "null" && !strings.Contains(c.Operator, "not") &&
			len(c.Values) > 0 && !slices.ContainsFunc(c.Values, wide)
	})
}

// wide says whether everybody can match a pattern: it names nothing, or of an ARN
// neither the account nor the resource.
func wide(pattern string) bool {
	if strings.Trim(pattern, "*?") == "" {
		return true
	}
	parts := strings.SplitN(pattern, ":", 6)
	return parts[0] == "arn" && (len(parts) < 6 || strings.Trim(parts[4], "*?") == "" && strings.Trim(parts[5], "*?/") == "") && strings.Contains(pattern, "*")
}

// Numbered is the number of the account that a statement's principal names as a number,
// or "": whether it is this account no template says.
func Numbered(w access.Who) string {
	n := w.Name
	if parts := strings.SplitN(n, ":", 6); len(parts) == 6 && (parts[2] == "iam" || parts[2] == "sts") {
		n = parts[4]
	}
	if w.Kind != "AWS" || len(n) != 12 || strings.Trim(n, "0123456789") != "" {
		return ""
	}
	return n
}

// LogAccounts are the accounts from which AWS's load balancers write their access logs
// (ELB guide, access logs, Regions before August 2022).
var LogAccounts = []string{"127311923021", "033677994240", "027434742980", "797873946194", "098369216593", "754344448648", "589379963580", "718504428378",
	"383597477331", "600734575887", "114774131450", "783225319266", "582318560864", "985666609251", "054676820928", "156460612806", "652711504416",
	"635631232127", "009996457667", "897822967062", "076674570225", "507241528517", "048591011584", "190560391635"}
