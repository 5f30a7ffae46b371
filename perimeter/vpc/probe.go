package vpc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

var controls = []*perimeter.Control{
	{
		ID:      "vpc/internet-to-balancer",
		Needs:   []string{"firewall"},
		Doc:     "Nobody outside reaches the balancer's listener: every request passes the edge.",
		Why:     "A request that goes around the edge meets no rule engine, no allow list and no limit.",
		Vantage: perimeter.Internet,
		AWS:     hostOnAWS("BalancerHost", "balancer", func(*plan.Plan) []uint16 { return []uint16{443, 80} }),
		Probe: func(ctx context.Context, t *perimeter.Target) error {
			p := t.Plan
			return fromOutside(ctx, t, at("balancer", p.VPC.Balancer, p.Balancer.Port), at("edge", p.VPC.Edge, p.Balancer.Port))
		},
	},
	{
		ID:      "vpc/internet-to-instances",
		Needs:   []string{"firewall"},
		Doc:     "Nobody outside reaches an instance's web server, app or any other port of it.",
		Why:     "A visitor who dials the admin instance is an administrator as far as the network is concerned.",
		Vantage: perimeter.Internet,
		AWS:     instancesOnAWS,
		Probe: func(ctx context.Context, t *perimeter.Target) error {
			if len(t.Instances) == 0 {
				return errors.New("no instance is running, so there is nobody to dial")
			}
			var places []perimeter.Place
			for name, addr := range t.Instances {
				for _, port := range []uint16{t.Plan.Balancer.TargetPort, 22, 80, 9000} {
					places = append(places, at(name, addr, port))
				}
			}
			return fromOutside(ctx, t, places...)
		},
	},
	{
		ID:      "vpc/internet-to-database",
		Needs:   []string{"firewall"},
		Applies: hasDatabase,
		Doc:     "Nobody outside reaches the database, on any port.",
		Why:     "A database that can be dialled can be guessed at, and a stolen password is enough.",
		Vantage: perimeter.Internet,
		AWS:     hostOnAWS("Host", "database", func(p *plan.Plan) []uint16 { return ports(p.Database.Port, 3306, 5432) }),
		Probe: func(ctx context.Context, t *perimeter.Target) error {
			var places []perimeter.Place
			for _, port := range ports(t.Plan.Database.Port, 22, 3306, 5432) {
				places = append(places, at("database", t.Plan.VPC.Database, port))
			}
			return fromOutside(ctx, t, places...)
		},
	},
	{
		ID:      "vpc/database-dials-nothing",
		Needs:   []string{"firewall"},
		Applies: hasDatabase,
		Doc:     "The database opens no connection: to no instance, not to the edge, the machine or the outside.",
		Why:     "Rows that were read by an injected query leave through a connection that the server opens.",
		Vantage: perimeter.InDatabase,
		AWS:     noDatabase,
		Probe: func(ctx context.Context, t *perimeter.Target) error {
			places := append(outside(t.Plan), metadata...)
			places = append(places, machine...)
			for name, a := range t.Inside.Services {
				if name != plan.NodeDatabase {
					places = append(places, perimeter.Place{Name: name, Addr: a}, at(name, a.Addr(), 22))
				}
			}
			return t.Refused(ctx, perimeter.Own, places...)
		},
	},
	inside(perimeter.InFleet, "vpc/no-host-loopback",
		"What listens on the machine's own loopback cannot be reached from fleet.",
		"Development servers, mail relays and databases on 127.0.0.1 trust whoever can dial them.", loopback, noLoopback),
	inside(perimeter.InAdmin, "vpc/admin-no-host-loopback",
		"What listens on the machine's own loopback cannot be reached from admin.",
		"An administrator's session, or a plugin installed in it, becomes a foothold on the machine.", loopback, noLoopback),
	inside(perimeter.InFleet, "vpc/no-metadata",
		"The metadata address of cloud machines does not answer fleet.",
		"One forged request from the server's side (SSRF) reads the machine's role credentials.", noMetadata, metadataOnAWS),
	inside(perimeter.InAdmin, "vpc/admin-no-metadata",
		"The metadata address of cloud machines does not answer admin.",
		"A link preview or an import by address in the admin area reads the machine's role credentials.", noMetadata, metadataOnAWS),
	inside(perimeter.InFleet, "vpc/no-dns",
		"Fleet asks no name server, over TCP or UDP.",
		"Data leaves in the names that are asked for, past every rule on connections.", noDNS, noResolver),
	inside(perimeter.InAdmin, "vpc/admin-no-dns",
		"Admin asks no name server, over TCP or UDP.",
		"Data leaves in the names that are asked for, past every rule on connections.", noDNS, noResolver),
	inside(perimeter.InFleet, "vpc/no-internet",
		"Fleet opens no connection to the outside, over IPv4 or IPv6.",
		"A captured instance fetches its tools from outside and sends away what it finds.", noInternet, internetOnAWS),
	inside(perimeter.InAdmin, "vpc/admin-no-internet",
		"Admin opens no connection to the outside, over IPv4 or IPv6.",
		"A captured admin area fetches its tools from outside and sends away what it finds.", noInternet, internetOnAWS),
}

func inside(v perimeter.Vantage, id, doc, why string, probe func(context.Context, *perimeter.Target) error, aws *perimeter.AWS) *perimeter.Control {
	return &perimeter.Control{ID: id, Doc: doc, Why: why, Vantage: v, AWS: aws, Needs: []string{"firewall"}, Probe: func(ctx context.Context, t *perimeter.Target) error {
		if err := alive(ctx, t); err != nil {
			return err
		}
		return probe(ctx, t)
	}}
}

func at(name string, a netip.Addr, port uint16) perimeter.Place {
	return perimeter.Place{Name: name, Addr: netip.AddrPortFrom(a, port)}
}

func ports(list ...uint16) []uint16 {
	slices.Sort(list)
	return slices.DeleteFunc(slices.Compact(list), func(p uint16) bool { return p == 0 })
}

// fromOutside tries places from every address that stands for the world outside.
func fromOutside(ctx context.Context, t *perimeter.Target, places ...perimeter.Place) error {
	var nodes []string
	for node, a := range map[string]netip.Addr{plan.Internet: t.Plan.Network.Visitor, plan.Office: t.Plan.Network.Office, "stranger": t.Plan.Network.Stranger} {
		if a.IsValid() {
			nodes = append(nodes, node)
		}
	}
	if len(nodes) == 0 {
		return errors.New("the plan has no address outside to stand at")
	}
	errs := make(chan error, len(nodes))
	for _, node := range nodes {
		go func() {
			errs <- func() error {
				dial, err := t.From(node)
				if err != nil {
					return fmt.Errorf("standing at %s: %w", node, err)
				}
				edge, err := netip.ParseAddrPort(t.EdgeAddr(node, 443))
				if err != nil {
					return fmt.Errorf("finding the edge: %w", err)
				}
				if err := t.Reaches(ctx, dial, perimeter.Place{Name: "edge from " + node, Addr: edge}); err != nil {
					return err
				}
				named := slices.Clone(places)
				for i := range named {
					named[i].Name += " from " + node
				}
				return t.Silent(ctx, dial, named...)
			}()
		}()
	}
	var err error
	for range nodes {
		err = errors.Join(err, <-errs)
	}
	return err
}

// alive shows that the instance's network works, where it may dial anything at
// all: in a dead network everything is refused.
func alive(ctx context.Context, t *perimeter.Target) error {
	db, ok := t.Inside.Services[plan.NodeDatabase]
	if !ok || !t.Plan.MayDial(t.Inside.Tier, plan.NodeDatabase, db.Port()) {
		return nil
	}
	return t.Reaches(ctx, perimeter.Own, perimeter.Place{Name: plan.NodeDatabase, Addr: db})
}

// The world outside, as documentation has it (RFC 5737, RFC 3849): addresses
// that are nobody's, in case a wall is down.
func outside(p *plan.Plan) []perimeter.Place {
	places := []perimeter.Place{
		{Name: "an address outside", Addr: netip.MustParseAddrPort("198.51.100.1:443")},
		{Name: "an address outside", Addr: netip.MustParseAddrPort("203.0.113.1:80")},
		{Name: "an address outside", Addr: netip.MustParseAddrPort("[2001:db8:f00d::1]:443")},
	}
	for name, a := range map[string]netip.Addr{"a visitor": p.Network.Visitor, "an administrator": p.Network.Office, "a stranger": p.Network.Stranger} {
		if a.IsValid() {
			places = append(places, at(name, a, 443), at(name, a, 80))
		}
	}
	return places
}

var metadata = []perimeter.Place{
	{Name: "the metadata address", Addr: netip.MustParseAddrPort("169.254.169.254:80")},
	{Name: "the task metadata address", Addr: netip.MustParseAddrPort("169.254.170.2:80")},
	{Name: "the metadata address", Addr: netip.MustParseAddrPort("[fd00:ec2::254]:80")},
}

// machine is the hub between the networks, where nothing is to be had.
var machine = []perimeter.Place{
	{Name: "the hub", Addr: netip.MustParseAddrPort("169.254.1.1:22")},
	{Name: "the hub", Addr: netip.MustParseAddrPort("169.254.1.1:80")},
}

func noMetadata(ctx context.Context, t *perimeter.Target) error {
	return t.Refused(ctx, perimeter.Own, metadata...)
}

func noInternet(ctx context.Context, t *perimeter.Target) error {
	return t.Refused(ctx, perimeter.Own, outside(t.Plan)...)
}

// Resolver is where a cloud's own resolver would be in the site's network: two
// above its first address.
func Resolver(p *plan.Plan) netip.Addr { return p.VPC.CIDR.Masked().Addr().Next().Next() }

func noDNS(ctx context.Context, t *perimeter.Target) error {
	servers := []perimeter.Place{
		at("the network's resolver", Resolver(t.Plan), 53),
		{Name: "the cloud's resolver", Addr: netip.MustParseAddrPort("169.254.169.253:53")},
		{Name: "a resolver outside", Addr: netip.MustParseAddrPort("198.51.100.53:53")},
		{Name: "the hub", Addr: netip.MustParseAddrPort("169.254.1.1:53")},
	}
	err := t.Refused(ctx, perimeter.Own, servers...)
	for _, s := range servers {
		err = errors.Join(err, ask(ctx, t, s))
	}
	return err
}

// ask sends one question over UDP, where the kernel gives a socket for it at all.
func ask(ctx context.Context, t *perimeter.Target, server perimeter.Place) error {
	t.Tried("ask %s over UDP", server)
	c, err := perimeter.Own(ctx, "udp", server.Addr.String())
	var call *os.SyscallError
	if errors.Is(err, syscall.EACCES) && errors.As(err, &call) && call.Syscall == "socket" {
		t.Saw("%s over UDP: no such socket: %v", server, syscall.EACCES)
		return nil
	}
	if err != nil {
		return fmt.Errorf("asking %s over UDP: %w", server, err)
	}
	defer c.Close()
	// One question for the address of the root, in wire format (RFC 1035).
	question := []byte{0x52, 0x57, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1}
	c.SetDeadline(time.Now().Add(time.Second))
	if _, err = c.Write(question); err == nil {
		_, err = c.Read(make([]byte, 512))
	}
	var refused net.Error
	switch {
	case err == nil, errors.Is(err, syscall.ECONNREFUSED):
		t.Broken("%s over UDP: the question passed the firewall (%v)", server, err)
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		t.Saw("%s over UDP: %v", server, err)
	case errors.As(err, &refused) && refused.Timeout():
		return fmt.Errorf("asking %s over UDP: silence, want the firewall's refusal", server)
	default:
		return fmt.Errorf("asking %s over UDP: %w", server, err)
	}
	return nil
}

// loopback dials the site's own doors, which listen on the machine's loopback
// while the site runs, at the same addresses of the instance's loopback. There
// a closed port is the proof: the listener is in another network.
func loopback(ctx context.Context, t *perimeter.Target) error {
	for _, d := range t.Plan.Network.Doors {
		p := perimeter.Place{Name: "the machine's loopback", Addr: d.Listen}
		t.Tried("connect to %s, where the site's door listens", p)
		c, err := perimeter.Own(ctx, "tcp", d.Listen.String())
		switch {
		case err == nil:
			c.Close()
			t.Broken("%s accepts a connection", p)
		case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENETUNREACH):
			t.Saw("%s: %v", p, err)
		default:
			return fmt.Errorf("connecting to %s: got %w, want %v", p, err, syscall.ECONNREFUSED)
		}
	}
	places := machine
	if l := t.Plan.Network.Listen; l.IsValid() && !l.Addr().IsUnspecified() {
		places = append(slices.Clone(places), perimeter.Place{Name: "the machine's public listener", Addr: l})
	}
	return t.Refused(ctx, perimeter.Own, places...)
}

func hasDatabase(p *plan.Plan) bool { return p.Database.Reached() }
