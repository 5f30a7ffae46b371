package files

import (
	"github.com/ringwall/ringwall/internal/template"
	"github.com/ringwall/ringwall/perimeter"
)

const whyDisk = "Whoever gets hold of a disk, or of a copy of it, reads it."

var cisChecks = []*perimeter.Control{
	perimeter.CIS("files", "2.1.1", whyDisk, checkBucketEncryption),
	perimeter.CIS("files", "2.1.2", "Whoever is on the way reads what is fetched.", checkBucketTLS),
	perimeter.CIS("files", "2.1.5", "One wrong policy makes a bucket public.", checkBucketBlock),
	perimeter.CIS("files", "2.4.1", whyDisk, checkFileEncryption),
}

// checkBucketEncryption: S3 encrypts new buckets anyway; that a template says so
// keeps it.
func checkBucketEncryption(p *perimeter.Pass) error {
	return p.Every("the encryption of bucket", func(r *template.Resource) {
		if v := r.Get("BucketEncryption", "ServerSideEncryptionConfiguration"); len(v.List()) == 0 {
			p.Broken(r, r.Pos, "bucket %s does not say how it is encrypted", r.ID)
		}
	}, "AWS::S3::Bucket")
}

func checkBucketTLS(p *perimeter.Pass) error {
	return p.Every("whether plain HTTP is refused by bucket", func(r *template.Resource) {
		if !refusesHTTP(p.BucketStatements(r), p.Access.ARN(r)) {
			p.Broken(r, r.Pos, "bucket %s answers plain HTTP", r.ID)
		}
	}, "AWS::S3::Bucket")
}

func checkBucketBlock(p *perimeter.Pass) error {
	return p.Every("the public access block of bucket", func(r *template.Resource) {
		for _, f := range []string{"BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"} {
			p.Must(r, "does not have "+f, "PublicAccessBlockConfiguration", f)
		}
	}, "AWS::S3::Bucket")
}

func checkFileEncryption(p *perimeter.Pass) error {
	return p.Every("the encryption of file system", func(r *template.Resource) {
		p.Must(r, "is not encrypted on disk", "Encrypted")
	}, "AWS::EFS::FileSystem")
}
