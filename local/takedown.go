//go:build linux && walldown

package local

import (
	"context"
	"net/url"
	"strings"
)

// TakeDown takes the walls of these controls down on the running site, and puts
// all others up.
func (c *Client) TakeDown(ctx context.Context, ids []string) error {
	return c.call(ctx, "POST", "/walls?down="+url.QueryEscape(strings.Join(ids, " ")), nil)
}
