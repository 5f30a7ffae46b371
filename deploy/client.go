package deploy

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/logging"
)

// A Client speaks to one account. It is safe for concurrent use.
type Client struct {
	cfg     aws.Config
	Account string // of the credentials; set by the first call
	Who     string // ARN of the credentials' owner

	poll  time.Duration // between two looks at a stack
	drift time.Duration // the longest that a drift detection may take

	mu  sync.Mutex
	cfn map[string]*cloudformation.Client // by Region
}

// Open reads credentials where the AWS command line reads them: environment,
// profile, single sign-on, instance role. No call is made.
func Open(ctx context.Context, region string) (*Client, error) {
	return open(ctx, region, 20*time.Second, 2*time.Second)
}

func open(ctx context.Context, region string, backoff, poll time.Duration) (*Client, error) {
	cfg, err := config.LoadDefaultConfig(ctx, config.WithRegion(region), config.WithLogger(logging.Nop{}),
		// A connection that goes silent is tried again.
		config.WithHTTPClient(awshttp.NewBuildableClient().WithTimeout(time.Minute)), config.WithRetryer(func() aws.Retryer {
			// Throttling may last for minutes when several deployments run in an account:
			// the wait grows, and no budget of the client's own ends it sooner.
			return retry.NewStandard(func(o *retry.StandardOptions) {
				o.MaxAttempts, o.MaxBackoff, o.RateLimiter = 12, backoff, ratelimit.None
			})
		}))
	if err != nil {
		return nil, fmt.Errorf("reading AWS credentials: %w; set AWS_PROFILE, or run aws configure", err)
	}
	return &Client{cfg: cfg, poll: poll, drift: 10 * time.Minute, cfn: map[string]*cloudformation.Client{}}, nil
}

// in returns CloudFormation in a Region.
func (c *Client) in(region string) *cloudformation.Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cfn[region] == nil {
		c.cfn[region] = cloudformation.NewFromConfig(c.cfg, func(o *cloudformation.Options) { o.Region = region })
	}
	return c.cfn[region]
}

// identify asks whose credentials these are, and refuses another account's.
func (c *Client) identify(ctx context.Context, want string) error {
	// The first call of a run: where there is no network it is not tried for minutes.
	out, err := sts.NewFromConfig(c.cfg, func(o *sts.Options) { o.Retryer = retry.AddWithMaxAttempts(c.cfg.Retryer(), 4) }).GetCallerIdentity(ctx, nil)
	if err != nil {
		return plain("asking AWS whose credentials these are", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Account, c.Who = aws.ToString(out.Account), aws.ToString(out.Arn)
	if want != "" && c.Account != want {
		return fmt.Errorf("checking the account: the credentials are of %s (%s), the site's account is %s; set AWS_PROFILE to one of that account", c.Account, c.Who, want)
	}
	return nil
}

// endpoint is the address of a service that is called without its SDK package.
func (c *Client) endpoint(service, region string) string {
	if e := os.Getenv("AWS_ENDPOINT_URL_" + strings.ToUpper(strings.ReplaceAll(service, "-", "_"))); e != "" {
		return e
	}
	if c.cfg.BaseEndpoint != nil {
		return *c.cfg.BaseEndpoint
	}
	suffix := "amazonaws.com"
	if strings.HasPrefix(region, "cn-") {
		suffix = "amazonaws.com.cn"
	}
	switch {
	case service == "iam" || service == "route53":
		return "https://" + service + "." + suffix
	case service == "s3-control":
		return "https://" + c.Account + ".s3-control." + region + "." + suffix
	}
	return "https://" + service + "." + region + "." + suffix
}

func (c *Client) http() aws.HTTPClient {
	if c.cfg.HTTPClient != nil {
		return c.cfg.HTTPClient
	}
	return http.DefaultClient
}

// wait sleeps, or returns when ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
