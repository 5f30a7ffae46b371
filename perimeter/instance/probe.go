package instance

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"

	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

var controls = []*perimeter.Control{
	{
		ID:      "instance/beside-to-instances",
		Needs:   []string{"firewall"},
		Doc:     "Another edge next to ours reaches the balancer, which asks for the secret, and no instance.",
		Why:     "Whoever rents a place in the same network goes around the balancer's secret.",
		Vantage: perimeter.Beside,
		AWS:     noBeside,
		Probe: func(ctx context.Context, t *perimeter.Target) error {
			if len(t.Instances) == 0 {
				return errors.New("no instance is running, so there is nobody to dial")
			}
			var places []perimeter.Place
			for name, a := range t.Instances {
				places = append(places, on(name, a, t.Plan.Balancer.TargetPort, 22, 80, 9000)...)
			}
			return beside(ctx, t, places)
		},
	},
	{
		ID:      "instance/beside-to-database",
		Needs:   []string{"firewall"},
		Applies: func(p *plan.Plan) bool { return p.Database.Reached() },
		Doc:     "Another edge next to ours does not reach the database.",
		Why:     "A stolen database password is worth nothing to whoever cannot dial the server.",
		Vantage: perimeter.Beside,
		AWS:     noBeside,
		Probe: func(ctx context.Context, t *perimeter.Target) error {
			return beside(ctx, t, on("database", t.Plan.VPC.Database, t.Plan.Database.Port, 22, 3306, 5432))
		},
	},
	{
		ID:      "instance/fleet-to-admin",
		Needs:   []string{"firewall"},
		Doc:     "A fleet instance cannot dial an admin instance.",
		Why:     "A captured fleet instance would log in where only administrators may, and write.",
		Vantage: perimeter.InFleet,
		AWS:     tiersOnAWS(plan.Fleet, plan.Admin),
		Probe:   toTier(plan.Admin),
	},
	{
		ID:      "instance/fleet-to-fleet",
		Needs:   []string{"firewall"},
		Doc:     "A fleet instance cannot dial another one.",
		Why:     "One captured instance would become all of them.",
		Vantage: perimeter.InFleet,
		AWS:     tiersOnAWS(plan.Fleet, plan.Fleet),
		Probe:   toTier(plan.Fleet),
	},
	{
		ID:      "instance/fleet-to-edge",
		Needs:   []string{"firewall"},
		Doc:     "A fleet instance cannot dial the edge or the balancer.",
		Why:     "Requests that come from inside would count as the site's own, and loop.",
		Vantage: perimeter.InFleet,
		AWS:     frontOnAWS,
		Probe:   toFront,
	},
	{
		ID:      "instance/admin-to-edge",
		Needs:   []string{"firewall"},
		Doc:     "An admin instance cannot dial the edge or the balancer.",
		Why:     "A forged request from the server's side would come back in as a visitor with the site's own address.",
		Vantage: perimeter.InAdmin,
		AWS:     frontOnAWS,
		Probe:   toFront,
	},
	{
		ID:      "instance/admin-to-fleet",
		Needs:   []string{"firewall"},
		Doc:     "An admin instance cannot dial a fleet instance.",
		Why:     "A captured admin session would spread to what visitors see, past the tree's manifest.",
		Vantage: perimeter.InAdmin,
		AWS:     tiersOnAWS(plan.Admin, plan.Fleet),
		Probe:   toTier(plan.Fleet),
	},
	{
		ID:      "instance/fleet-other-ports",
		Needs:   []string{"firewall"},
		Doc:     "Of the database's host a fleet instance reaches the database's port and no other.",
		Why:     "Remote shells, monitors and replication of a database host are older doors than its own.",
		Vantage: perimeter.InFleet,
		AWS:     portsOnAWS,
		Probe:   otherPorts,
	},
	{
		ID:        "instance/fleet-connections",
		Intrusive: true, // while it holds them, the instance's app gets none
		Needs:     []string{"firewall"},
		Applies:   func(p *plan.Plan) bool { return p.Database.Present() },
		Doc:       "A fleet instance can hold no more connections to the database open than its tier's share, and half as many that are closing.",
		Why:       "A captured instance that takes every connection shuts admin and the other instances out, without a password.",
		Vantage:   perimeter.InFleet,
		AWS:       perimeter.NotOnAWS("on AWS the server itself bounds each tier's users (the keeper sets it); holding that many connections would leave the app none, so it is not tried"),
		Probe:     connections,
	},
	{
		ID:      "instance/admin-other-ports",
		Needs:   []string{"firewall"},
		Doc:     "Of the database's host an admin instance reaches the database's port and no other.",
		Why:     "Remote shells, monitors and replication of a database host are older doors than its own.",
		Vantage: perimeter.InAdmin,
		AWS:     portsOnAWS,
		Probe:   otherPorts,
	},
}

// on lists a host's places, each port once.
func on(name string, a netip.Addr, ports ...uint16) []perimeter.Place {
	slices.Sort(ports)
	var places []perimeter.Place
	for _, port := range slices.Compact(ports) {
		if port != 0 {
			places = append(places, perimeter.Place{Name: name, Addr: netip.AddrPortFrom(a, port)})
		}
	}
	return places
}

func beside(ctx context.Context, t *perimeter.Target, places []perimeter.Place) error {
	dial, err := t.From(plan.Beside)
	if err != nil {
		return fmt.Errorf("standing beside the edge: %w", err)
	}
	p := t.Plan
	if p.MayDial(plan.Beside, plan.NodeBalancer, p.Balancer.Port) {
		balancer := perimeter.Place{Name: plan.NodeBalancer, Addr: netip.AddrPortFrom(p.VPC.Balancer, p.Balancer.Port)}
		if err := t.Reaches(ctx, dial, balancer); err != nil {
			return err
		}
	}
	return t.Refused(ctx, dial, places...)
}

// refused tries places from inside an instance, leaving out what the plan
// allows, after it has shown that the network works where anything is allowed.
func refused(ctx context.Context, t *perimeter.Target, to string, places []perimeter.Place) error {
	places = slices.DeleteFunc(places, func(p perimeter.Place) bool { return t.Plan.MayDial(t.Inside.Tier, to, p.Addr.Port()) })
	db, ok := t.Inside.Services[plan.NodeDatabase]
	if ok && t.Plan.MayDial(t.Inside.Tier, plan.NodeDatabase, db.Port()) {
		if err := t.Reaches(ctx, perimeter.Own, perimeter.Place{Name: plan.NodeDatabase, Addr: db}); err != nil {
			return err
		}
	}
	return t.Refused(ctx, perimeter.Own, places...)
}

func toTier(tier string) func(context.Context, *perimeter.Target) error {
	return func(ctx context.Context, t *perimeter.Target) error {
		var places []perimeter.Place
		highest := 0
		for name, a := range t.Inside.Services {
			if of, n, ok := strings.Cut(name, "/"); ok && of == tier {
				var number int
				fmt.Sscan(n, &number)
				highest = max(highest, number)
				if name != t.Inside.Self {
					places = append(places, on(name, a.Addr(), t.Plan.Balancer.TargetPort, a.Port(), 22, 9000)...)
				}
			}
		}
		if len(places) == 0 && tier == t.Inside.Tier && highest > 0 {
			// Alone: the place of the next instance is refused like an instance's.
			t.Saw("no other instance of %s runs; its next one's place was tried", tier)
			places = on(fmt.Sprintf("%s/%d, which does not run", tier, highest+1), t.Plan.VPC.Instance(tier, highest+1), t.Plan.Balancer.TargetPort, 22, 9000)
		}
		if len(places) == 0 {
			return fmt.Errorf("no instance of %s is running, so there is nobody to dial", tier)
		}
		return refused(ctx, t, tier, places)
	}
}

func toFront(ctx context.Context, t *perimeter.Target) error {
	v, port := t.Plan.VPC, t.Plan.Balancer.Port
	err := refused(ctx, t, plan.NodeEdge, on("edge", v.Edge, 80, 443, port, 22))
	if v.Edge6.IsValid() {
		err = errors.Join(err, refused(ctx, t, plan.NodeEdge, on("edge", v.Edge6, 80, 443, port)))
	}
	return errors.Join(err, refused(ctx, t, plan.NodeBalancer, on("balancer", v.Balancer, 80, 443, port, 22)))
}

func otherPorts(ctx context.Context, t *perimeter.Target) error {
	return refused(ctx, t, plan.NodeDatabase, on("the database's host", t.Plan.VPC.Database, 21, 22, 25, 53, 80, 111, 443, 2049, 3306, 4444, 5432, 5433, 6379, 8080, 9100, 33060))
}

// connections opens one more than an instance may have, and closes them at once.
func connections(ctx context.Context, t *perimeter.Target) error {
	tier := t.Plan.Tier(t.Inside.Tier)
	db, ok := t.Inside.Services[plan.NodeDatabase]
	if tier == nil || !ok {
		return errors.New("the site's database is not there to be dialled")
	}
	most := tier.InstanceConnections()
	t.Tried("open %d connections to %s, which lets an instance have %d", most+1, db, most)
	for n := range most + 1 {
		c, err := perimeter.Own(ctx, "tcp", db.String())
		if err != nil && n > 0 && errors.Is(err, syscall.EHOSTUNREACH) {
			t.Saw("connection %d: %v", n+1, syscall.EHOSTUNREACH)
			return nil
		}
		if err != nil {
			return fmt.Errorf("opening connection %d of %d to %s: %w", n+1, most+1, db, err)
		}
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // gone at once, and not when the server has noticed
		}
		defer c.Close()
	}
	t.Broken("%d connections are open at once", most+1)
	return nil
}
