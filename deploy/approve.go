package deploy

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
)

// holds are the kinds of resource whose end is the end of data, or of the key to it.
// Kinds that a newer schema marks as stateful are added by Stateful.
var holds = map[string]bool{
	"AWS::RDS::DBInstance": true, "AWS::RDS::DBCluster": true, "AWS::EFS::FileSystem": true, "AWS::S3::Bucket": true,
	"AWS::KMS::Key": true, "AWS::SecretsManager::Secret": true, "AWS::DynamoDB::Table": true, "AWS::DynamoDB::GlobalTable": true,
	"AWS::Backup::BackupVault": true, "AWS::Logs::LogGroup": true, "AWS::EC2::Volume": true, "AWS::SQS::Queue": true,
	"AWS::ElastiCache::ReplicationGroup": true, "AWS::Cognito::UserPool": true, "AWS::Route53::HostedZone": true,
}

// losses lists what a change set would lose, by CloudFormation's own reckoning.
func losses(s *Stack, set *changeSet) []Loss {
	var all []Loss
	for _, c := range set.changes {
		kind := aws.ToString(c.ResourceType)
		if !holds[kind] {
			continue
		}
		l := Loss{Stack: s.Name, Resource: aws.ToString(c.LogicalResourceId), Type: kind}
		switch {
		case c.Action == types.ChangeActionRemove && (c.PolicyAction == types.PolicyActionRetain || c.PolicyAction == types.PolicyActionSnapshot):
			continue
		case c.Action == types.ChangeActionRemove:
			l.What = "is deleted with what it holds"
		case c.Replacement == types.ReplacementTrue:
			l.What = "is replaced by an empty one" + because(c)
		case c.Replacement == types.ReplacementConditional:
			l.What = "may be replaced by an empty one" + because(c)
		default:
			continue
		}
		all = append(all, l)
	}
	return all
}

// because names the properties that force a replacement.
func because(c types.ResourceChange) string {
	var names []string
	for _, d := range c.Details {
		if d.Target != nil && d.Target.RequiresRecreation != types.RequiresRecreationNever && aws.ToString(d.Target.Name) != "" {
			names = append(names, aws.ToString(d.Target.Name))
		}
	}
	if len(names) == 0 {
		return ""
	}
	return ", because " + strings.Join(names, ", ") + " changes"
}

// approve asks before data is lost.
func (r *run) approve(ctx context.Context, s *Stack, set *changeSet) error {
	all := losses(s, set)
	if len(all) == 0 {
		return nil
	}
	if r.opt.Approve != nil {
		return r.opt.Approve(ctx, all)
	}
	return &NotApproved{all}
}

// NotApproved lists what would be lost. It is ErrApproval.
type NotApproved struct{ Losses []Loss }

func (e *NotApproved) Error() string {
	var all []string
	for _, l := range e.Losses {
		all = append(all, fmt.Sprintf("%s in %s (%s) %s", l.Resource, l.Stack, l.Type, l.What))
	}
	return strings.Join(all, "; ") + "; nothing of this stack was changed; run it again with --yes if that is meant"
}

// Is says that it waits for approval.
func (e *NotApproved) Is(target error) bool { return target == ErrApproval }
