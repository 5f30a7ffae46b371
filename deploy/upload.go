package deploy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
)

// Limits of CloudFormation, in bytes.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
const (
	maxBody     = 51_200
	maxTemplate = 1_000_000
)

// template returns a change set's template: as text, or where that is too long as
// the address of an object in the site's bucket for templates.
func (r *run) template(ctx context.Context, s *Stack) (body, at *string, err error) {
	b, err := r.recorded(s)
	if err != nil {
		return nil, nil, err
	}
	if len(b) <= maxBody {
		return aws.String(string(b)), nil, nil
	}
	if len(b) > maxTemplate {
		return nil, nil, fmt.Errorf("sending the template of %s: got %d bytes, want at most %d: CloudFormation takes no more in one stack; split it", s.Name, len(b), maxTemplate)
	}
	bucket, err := r.bucket(ctx, s.Region)
	if err != nil {
		return nil, nil, err
	}
	sum := sha256.Sum256(b)
	key := s.Name + "/" + hex.EncodeToString(sum[:]) + ".json"
	_, err = r.send(ctx, call{service: "s3", region: s.Region, method: "PUT", path: bucket + "/" + key, body: b,
		header: map[string]string{"Content-Type": "application/json"}})
	if err != nil {
		return nil, nil, plain("sending the template of "+s.Name+" to the bucket "+bucket, err)
	}
	suffix := "amazonaws.com"
	if len(s.Region) > 3 && s.Region[:3] == "cn-" {
		suffix = "amazonaws.com.cn"
	}
	return nil, aws.String(fmt.Sprintf("https://%s.s3.%s.%s/%s", bucket, s.Region, suffix, key)), nil
}

// recorded is a stack's template in its short form, with the overrides of this run in
// its metadata: whoever reads the stack sees them. (A tag of the stack would become
// one of every resource, and change them all.)
func (r *run) recorded(s *Stack) ([]byte, error) {
	if len(r.opt.Overrides) == 0 {
		return compact(s.Template), nil
	}
	fail := func(err error) ([]byte, error) {
		return nil, fmt.Errorf("recording the overrides in the template of %s: %w", s.Name, err)
	}
	var t, meta map[string]json.RawMessage
	if err := json.Unmarshal(s.Template, &t); err != nil {
		return fail(err)
	}
	if m := t["Metadata"]; m != nil {
		if err := json.Unmarshal(m, &meta); err != nil {
			return fail(err)
		}
	}
	if meta == nil {
		meta = map[string]json.RawMessage{}
	}
	var err error
	if meta["RingwallOverrides"], err = json.Marshal(r.opt.Overrides); err != nil {
		return fail(err)
	}
	if t["Metadata"], err = json.Marshal(meta); err != nil {
		return fail(err)
	}
	b, err := json.Marshal(t)
	if err != nil {
		return fail(err)
	}
	return compact(b), nil
}

// templatesStack is the stack with the bucket for templates that are too long to send.
func templatesStack(site, region string) *Stack {
	enabled := map[string]any{"BlockPublicAcls": true, "BlockPublicPolicy": true, "IgnorePublicAcls": true, "RestrictPublicBuckets": true}
	doc := map[string]any{
		"AWSTemplateFormatVersion": "2010-09-09",
		"Description":              "Templates of " + site + " that are too long to send with a call. ringwall deploy made it, ringwall destroy removes it.",
		"Resources": map[string]any{
			"Templates": map[string]any{
				"Type": "AWS::S3::Bucket",
				"Properties": map[string]any{
					"PublicAccessBlockConfiguration": enabled,
					"OwnershipControls":              map[string]any{"Rules": []any{map[string]any{"ObjectOwnership": "BucketOwnerEnforced"}}},
					"BucketEncryption":               map[string]any{"ServerSideEncryptionConfiguration": []any{map[string]any{"ServerSideEncryptionByDefault": map[string]any{"SSEAlgorithm": "AES256"}}}},
					"LifecycleConfiguration":         map[string]any{"Rules": []any{map[string]any{"Id": "old", "Status": "Enabled", "ExpirationInDays": 7}}},
				},
			},
			"TemplatesPolicy": map[string]any{
				"Type": "AWS::S3::BucketPolicy",
				"Properties": map[string]any{
					"Bucket": map[string]any{"Ref": "Templates"},
					"PolicyDocument": map[string]any{"Version": "2012-10-17", "Statement": []any{map[string]any{
						"Effect": "Deny", "Principal": "*", "Action": "s3:*",
						"Resource": []any{
							map[string]any{"Fn::Sub": "arn:${AWS::Partition}:s3:::${Templates}"},
							map[string]any{"Fn::Sub": "arn:${AWS::Partition}:s3:::${Templates}/*"},
						},
						"Condition": map[string]any{"Bool": map[string]any{"aws:SecureTransport": "false"}},
					}}},
				},
			},
		},
		"Outputs": map[string]any{"Bucket": map[string]any{"Value": map[string]any{"Ref": "Templates"}}},
	}
	b, err := json.Marshal(doc)
	if err != nil {
		panic(err)
	}
	return &Stack{Name: site + "-templates-stack", Region: region, Template: b}
}

// bucket returns the name of the site's bucket for templates, and makes it.
func (r *run) bucket(ctx context.Context, region string) (string, error) {
	r.making.Lock()
	defer r.making.Unlock()
	s := templatesStack(r.site.Name, region)
	if v, ok := r.output(Output{s.Name + "/" + region, "Bucket"}); ok {
		return v, nil
	}
	out, err := r.small(ctx, s, nil)
	if err != nil {
		return "", fmt.Errorf("making a bucket for templates that are too long to send: %w", err)
	}
	if out["Bucket"] == "" {
		return "", fmt.Errorf("making a bucket for templates: stack %s put out no name of it", s.Name)
	}
	r.mu.Lock()
	r.result.Outputs[s.Name+"/"+region] = out
	r.mu.Unlock()
	return out["Bucket"], nil
}

// errOvertaken says that somebody changed a stack between our reading and our writing.
var errOvertaken = errors.New("somebody else changed it at the same time; run the same command again")

// small ships a stack of our own making, and returns its outputs. It is not judged
// for drift or loss: it holds nothing of the site's. Guard, which may be nil, is asked
// once the change set is there: CloudFormation drops it when another one is executed
// from then on, so that nobody's change is overwritten unseen.
func (r *run) small(ctx context.Context, s *Stack, guard func(context.Context) error) (map[string]string, error) {
	begun := time.Now()
	r.tell(Event{Stack: s.Name, Region: s.Region, State: Running})
	out, changed, err := r.shipSmall(ctx, s, guard)
	e := Event{Stack: s.Name, Region: s.Region, State: Same, Took: time.Since(begun)}
	switch {
	case ctx.Err() != nil:
		e.State = Stopped
	case errors.Is(err, errOvertaken):
		e.State, e.Text = Waiting, "another site's deployment"
	case err != nil:
		e.State, e.Text = Failed, err.Error()
	case changed:
		e.State, e.Verb = Done, "update"
	}
	r.tell(e)
	return out, err
}

func (r *run) shipSmall(ctx context.Context, s *Stack, guard func(context.Context) error) (out map[string]string, changed bool, err error) {
	cur, err := r.ready(ctx, s)
	if err != nil {
		return nil, false, err
	}
	params, err := r.parameters(ctx, s, cur)
	if err != nil {
		return nil, false, err
	}
	set, err := r.propose(ctx, s, cur, params)
	if err != nil && !errors.Is(err, ErrNoChange) {
		return nil, false, err
	}
	if changed = err == nil; changed {
		if guard != nil {
			if err := guard(ctx); err != nil {
				return nil, false, errors.Join(err, r.discard(ctx, s, set))
			}
		}
		token, from := newToken(), time.Now()
		if err := r.execute(ctx, s, set, token); err != nil {
			if isCode(err, "ChangeSetNotFound", "ChangeSetNotFoundException") {
				err = errOvertaken
			}
			return nil, false, errors.Join(err, r.discard(ctx, s, set))
		}
		if cur, err = r.watch(ctx, s, set.stackARN, token, from); err != nil {
			if ctx.Err() != nil {
				return nil, false, r.interrupted(ctx, s, "CloudFormation goes on with "+s.Name)
			}
			return nil, false, err
		}
		if cur.StackStatus != types.StackStatusCreateComplete && cur.StackStatus != types.StackStatusUpdateComplete {
			return nil, false, r.failure(ctx, s, cur, token, from)
		}
	}
	return outputs(cur), changed, nil
}

func outputs(cur *types.Stack) map[string]string {
	out := map[string]string{}
	if cur != nil {
		for _, o := range cur.Outputs {
			out[aws.ToString(o.OutputKey)] = aws.ToString(o.OutputValue)
		}
	}
	return out
}

// empty deletes the objects of a bucket for templates.
func (r *run) empty(ctx context.Context, region, bucket string) error {
	for {
		b, err := r.send(ctx, call{service: "s3", region: region, method: "GET", path: bucket, query: url.Values{"list-type": {"2"}}})
		if isCode(err, "NoSuchBucket") {
			return nil
		}
		if err != nil {
			return plain("listing the bucket "+bucket, err)
		}
		var list struct{ Contents []struct{ Key string } }
		if err := xml.Unmarshal(b, &list); err != nil {
			return fmt.Errorf("listing the bucket %s: %w", bucket, err)
		}
		if len(list.Contents) == 0 {
			return nil
		}
		for _, o := range list.Contents {
			if _, err := r.send(ctx, call{service: "s3", region: region, method: "DELETE", path: bucket + "/" + o.Key}); err != nil {
				return plain("emptying the bucket "+bucket, err)
			}
		}
	}
}
