package balancer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

var controls = []*perimeter.Control{
	{
		ID:      "balancer/origin-secret",
		Doc:     "Only who shows the edge's secret gets an answer.",
		Why:     "Anyone next to the edge would pass by its rules, and be whichever visitor it likes.",
		Vantage: perimeter.Beside,
		AWS:     noBeside,
		Probe:   probeSecret,
	},
	{
		ID:      "balancer/no-rule",
		Doc:     "A request that does not say in one way who asks gets no answer.",
		Why:     "A request of nobody would be sent somewhere all the same.",
		Vantage: perimeter.Beside,
		AWS:     noBeside,
		Probe:   probeNoRule,
	},
	{
		ID:      "balancer/admin-tier",
		Doc:     "Only the administrators' addresses are sent to the admin instance.",
		Why:     "The one instance that may write would be open to every visitor.",
		Vantage: perimeter.Beside,
		AWS:     noBeside,
		Probe:   probeAdminTier,
	},
}

// On AWS the balancer's group admits CloudFront alone.
var noBeside = perimeter.NotOnAWS("the balancer's group admits CloudFront alone: nobody of ours stands beside the edge, and check reads its rules in the templates (balancer/only-our-distribution, balancer/admin-selection)")

const nothing = "nothing here"

// A door is the balancer's own listener, as another edge sees it.
type door struct {
	*perimeter.Asker
	t      *perimeter.Target
	secret string
}

func open(t *perimeter.Target) (*door, error) {
	if t.Site == nil {
		return nil, errors.New("the site is elsewhere; its secret is not ours to know")
	}
	b, err := os.ReadFile(filepath.Join(t.Site.State, "secrets", "origin.json"))
	if err != nil {
		return nil, fmt.Errorf("reading the origin secret: %w", err)
	}
	var s [2]string
	if err := json.Unmarshal(b, &s); err != nil || s[0] == "" {
		return nil, errors.New("reading the origin secret: the file holds none")
	}
	address := net.JoinHostPort(t.Plan.VPC.Balancer.String(), strconv.Itoa(int(t.Plan.Balancer.Port)))
	return &door{t.AskerAt(plan.Beside, address), t, s[0]}, nil
}

const probeURI = "/ringwall-probe-beside"

// as is a request of a visitor that another edge vouches for.
func (d *door) as(viewer string) perimeter.Request {
	return perimeter.Request{URI: probeURI, Header: []string{plan.HeaderSecret + ": " + d.secret, plan.HeaderViewer + ": " + viewer}}
}

func (d *door) visitor() string {
	if v := d.t.Plan.Network.Visitor; v.IsValid() {
		return v.String()
	}
	return "198.51.100.7"
}

func probeSecret(ctx context.Context, t *perimeter.Target) error {
	d, err := open(t)
	if err != nil {
		return err
	}
	viewer := plan.HeaderViewer + ": " + d.visitor()
	flipped := []byte(d.secret)
	flipped[len(flipped)-1] ^= 1
	h := plan.HeaderSecret + ": "
	var attacks []perimeter.Attack
	for _, x := range []struct {
		name   string
		header []string
	}{
		{"no secret", nil},
		{"an empty secret", []string{h}},
		{"a wrong secret", []string{h + strings.Repeat("0", len(d.secret))}},
		{"the secret with its last letter changed", []string{h + string(flipped)}},
		{"the first half of the secret", []string{h + d.secret[:len(d.secret)/2]}},
		{"the secret and more", []string{h + d.secret + "0"}},
		{"the secret twice", []string{h + d.secret, h + d.secret}},
		{"a wrong secret and the right one", []string{h + "0", h + d.secret}},
		{"both in one line", []string{h + "0, " + d.secret}},
		{"the secret under a name with underscores", []string{strings.ReplaceAll(plan.HeaderSecret, "-", "_") + ": " + d.secret}},
	} {
		attacks = append(attacks, perimeter.Attack{Name: x.name, Status: http.StatusNotFound, Class: nothing,
			Request: perimeter.Request{URI: probeURI, Header: append(x.header, viewer)}})
	}
	return t.Refuses(ctx, d.Asker, []perimeter.Request{d.as(d.visitor())}, attacks)
}

func probeNoRule(ctx context.Context, t *perimeter.Target) error {
	d, err := open(t)
	if err != nil {
		return err
	}
	secret := plan.HeaderSecret + ": " + d.secret
	v := plan.HeaderViewer + ": "
	var attacks []perimeter.Attack
	for _, x := range []struct {
		name   string
		header []string
	}{
		{"nobody", nil},
		{"an empty name", []string{v}},
		{"a word", []string{v + "localhost"}},
		{"an address with a port", []string{v + d.visitor() + ":443"}},
		{"a list", []string{v + d.visitor() + ", 127.0.0.1"}},
		{"two headers", []string{v + d.visitor(), v + "127.0.0.1"}},
		{"a block", []string{v + "0.0.0.0/0"}},
		{"an address with a zone", []string{v + "fe80::1%eth0"}},
		{"an octal address", []string{v + "0300.0.02.01"}},
		{"X-Forwarded-For alone", []string{"X-Forwarded-For: " + d.visitor()}},
	} {
		attacks = append(attacks, perimeter.Attack{Name: "a request of " + x.name, Status: http.StatusNotFound, Class: nothing,
			Request: perimeter.Request{URI: probeURI, Header: append(x.header, secret)}})
	}
	return t.Refuses(ctx, d.Asker, []perimeter.Request{d.as(d.visitor())}, attacks)
}

func probeAdminTier(ctx context.Context, t *perimeter.Target) error {
	d, err := open(t)
	if err != nil {
		return err
	}
	defer d.Close()
	office := t.Plan.Network.Office
	if !office.IsValid() {
		return errors.New("the plan has no administrators' address to compare with")
	}
	ask := func(viewer string, more ...string) (string, *perimeter.Answer, error) {
		r := d.as(viewer)
		r.Header = append(r.Header, more...)
		ans, err := d.Ask(ctx, r)
		if err != nil {
			return "", nil, err
		}
		tier, err := t.TierOf(ans.ID)
		return tier, ans, err
	}
	tier, ans, err := ask(office.String())
	if err != nil {
		return err
	}
	if tier != plan.Admin {
		return fmt.Errorf("an administrator's request went to %q (%s), want admin, so that a visitor's would prove nothing", tier, ans)
	}
	t.Saw("an administrator's request → admin (%s)", ans)
	near := office.Next()
	if t.Plan.Balancer.Admins.Has(near) {
		near = office.Prev()
	}
	for _, x := range []struct {
		name, viewer string
		more         []string
	}{
		{"a visitor", d.visitor(), nil},
		{"the loopback address", "127.0.0.1", nil},
		{"the balancer's own address", t.Plan.VPC.Balancer.String(), nil},
		{"the admin instance's address", t.Plan.VPC.Instance(plan.Admin, 1).String(), nil},
		{"the address next to an administrator's", near.String(), nil},
		{"no particular address", "0.0.0.0", nil},
		{"the IPv6 loopback address", "::1", nil},
		{"a visitor who says to be an administrator", d.visitor(), []string{"X-Forwarded-For: " + office.String(), "X_Ringwall_Viewer: " + office.String()}},
	} {
		if a, err := netip.ParseAddr(x.viewer); err != nil || t.Plan.Balancer.Admins.Has(a) {
			continue
		}
		t.Tried("a request of %s, %s", x.name, x.viewer)
		tier, ans, err := ask(x.viewer, x.more...)
		switch {
		case err != nil:
			return err
		case tier == plan.Fleet:
			t.Saw("%s → fleet (%s)", x.name, ans)
		default:
			t.Broken("%s → %q (%s), want fleet", x.name, tier, ans)
		}
	}
	return nil
}
