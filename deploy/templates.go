package deploy

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
)

// Templates reads what is deployed of a site: by the stack's name, its template as it
// was sent. A stack that is not there, or of which nothing was ever made, is left out.
func (c *Client) Templates(ctx context.Context, site Site) (map[string][]byte, error) {
	if err := c.identify(ctx, site.Account); err != nil {
		return nil, err
	}
	out := map[string][]byte{}
	for _, s := range site.Stacks {
		cur, err := c.describe(ctx, s.Region, s.Name)
		if err != nil {
			return nil, err
		}
		if cur == nil {
			continue
		}
		switch cur.StackStatus {
		case types.StackStatusReviewInProgress, types.StackStatusRollbackComplete, types.StackStatusDeleteComplete:
			continue
		}
		if out[s.Name], err = c.deployed(ctx, s.Region, aws.ToString(cur.StackId)); err != nil {
			return nil, err
		}
	}
	return out, nil
}
