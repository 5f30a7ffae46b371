package vpc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

var (
	noLoopback = perimeter.NotOnAWS("an instance is a machine of its own: there is no other one whose loopback it could reach")
	noResolver = perimeter.NotOnAWS("instances ask the VPC's own resolver, which no security group can keep from them: on AWS nothing of ours stops data that leaves in names")
	noDatabase = perimeter.NotOnAWS("RDS lets nobody stand beside its server; its group and its subnets are read in the templates (database/isolated)")
)

// App processes of an instance are in this control group.
const appGroup = "/sys/fs/cgroup/system.slice/ringwall-app.service/cgroup.procs"

// metadataOnAWS: no request without a session's token is answered, and the app is
// answered nothing at all: its unit refuses the address.
var metadataOnAWS = &perimeter.AWS{Try: func(p *plan.Plan, _ *perimeter.Cloud, s *perimeter.Script) {
	const from = "http://169.254.169.254/latest/"
	s.Works("get a session's token of the metadata service, as root", "curl -sS -f -m 3 -o /dev/null -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' "+from+"api/token")
	s.Denied("401", "ask for metadata without a session's token (IMDSv1)", "curl -sS -f -m 3 -o /dev/null "+from+"meta-data/")
	if p.Kind == plan.Static {
		s.Add("say note 'no app runs on this tier' ''")
		return
	}
	s.Add(`as_app() { # COMMAND...: as the app's user, within the walls of its unit's control group
  sh -c 'echo $$ >>%s && exec setpriv --reuid=app --regid=app --clear-groups "$@"' sh "$@"
}`, appGroup)
	s.Works("be the app", "as_app true")
	s.Add("AS=as_app")
	s.Silent("the metadata address, as the app", "169.254.169.254", 80)
	s.Add("wait\nAS=''")
}}

// internetOnAWS tries ports outside that the tier's security group does not name.
// The places answer whoever reaches them: silence is a wall's.
var internetOnAWS = &perimeter.AWS{Try: func(p *plan.Plan, c *perimeter.Cloud, s *perimeter.Script) {
	s.Reaches("Systems Manager's endpoint", c.Endpoint("ssm"), 443)
	s.Silent("the internet", "checkip.amazonaws.com", 80)
	s.Silent("the internet", "a.root-servers.net", 53)
	if t := p.Tier(s.Tier); t != nil && perimeter.FetchesOnAWS(p, *t) {
		s.Add("say note 'port 443 was not tried' 'the plan lets this tier fetch over HTTPS through NAT, to install and update'")
		return
	}
	s.Silent("the internet", "checkip.amazonaws.com", 443)
}}

// What has no address that the internet knows cannot be dialled from it.

var instancesOnAWS = &perimeter.AWS{Probe: func(ctx context.Context, t *perimeter.Target) error {
	if t.Cloud == nil || len(t.Cloud.Instances) == 0 {
		return errors.New("no instance is running, so there is nobody to dial")
	}
	for _, i := range t.Cloud.Instances {
		t.Tried("find an address of %s (%s) that the internet knows", i.ID, i.Tier)
		if len(i.Public) == 0 {
			t.Saw("%s has none: EC2 knows it by %s alone", i.ID, i.Addr)
		}
		for _, a := range i.Public {
			if err := dialled(ctx, t, i.ID, a, t.Plan.Balancer.TargetPort, 22, 80, 443, 9000); err != nil {
				return err
			}
		}
	}
	return nil
}}

// hostOnAWS dials what a name of the site's stacks stands for.
func hostOnAWS(output, what string, ports func(*plan.Plan) []uint16) *perimeter.AWS {
	return &perimeter.AWS{Probe: func(ctx context.Context, t *perimeter.Target) error {
		if t.Cloud == nil || t.Cloud.Outputs[output] == "" {
			return fmt.Errorf("the stacks have no output %s, so where the %s is cannot be told; deploy again, then probe", output, what)
		}
		name := t.Cloud.Outputs[output]
		t.Tried("find an address of %s that the internet knows", name)
		look := t.Cloud.Resolve
		if look == nil {
			look = net.DefaultResolver.LookupNetIP
		}
		addrs, err := look(ctx, "ip", name)
		if err != nil {
			return fmt.Errorf("looking up the %s: %w", what, err)
		}
		for _, a := range addrs {
			if a = a.Unmap(); a.IsPrivate() || a.IsLinkLocalUnicast() {
				t.Saw("%s is %s, which the internet knows no way to", what, a)
				continue
			}
			if err := dialled(ctx, t, what, a, ports(t.Plan)...); err != nil {
				return err
			}
		}
		return nil
	}}
}

// dialled dials ports of a public address, after the edge, which answers. Silence
// is a security group's refusal.
func dialled(ctx context.Context, t *perimeter.Target, name string, a netip.Addr, ports ...uint16) error {
	dial, err := t.From(plan.Internet)
	if err != nil {
		return err
	}
	c, err := dial(ctx, "tcp", t.HTTPSAddress(plan.Internet))
	if err != nil {
		return fmt.Errorf("reaching the edge, so that silence elsewhere means something: %w", err)
	}
	c.Close()
	for _, port := range ports {
		place := netip.AddrPortFrom(a, port)
		t.Tried("connect to %s (%s)", name, place)
		short, cancel := context.WithTimeout(ctx, 2*time.Second)
		c, err := dial(short, "tcp", place.String())
		cancel()
		var late net.Error
		switch {
		case err == nil:
			c.Close()
			t.Broken("%s (%s) accepts a connection", name, place)
		case errors.As(err, &late) && late.Timeout():
			t.Saw("%s (%s): no answer in 2 seconds", name, place)
		case perimeter.Refuses(err):
			t.Broken("%s (%s): the packet arrived; only nobody listens there now", name, place)
		default:
			return fmt.Errorf("connecting to %s (%s): %w", name, place, err)
		}
	}
	return nil
}
