package deploy

import (
	"context"
	"encoding/xml"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// lookups fills the parameters that a template says how to find in the account and
// that nobody has given. They are read anew for each run: a zone that was made again
// has another id.
func (c *Client) lookups(ctx context.Context, site *Site) error {
	for i := range site.Stacks {
		s := &site.Stacks[i]
		for _, name := range slices.Sorted(maps.Keys(s.Lookups)) {
			if _, ok := s.Parameters[name]; ok {
				continue
			}
			how := strings.ReplaceAll(s.Lookups[name], "{region}", s.Region)
			kind, what, _ := strings.Cut(how, ":")
			var v string
			var err error
			switch kind {
			case "prefix-list":
				v, err = c.prefixList(ctx, s.Region, what)
			case "hosted-zone":
				v, err = c.hostedZone(ctx, what)
			default:
				err = fmt.Errorf("this program does not know how to look up %q", how)
			}
			if err != nil {
				return fmt.Errorf("filling parameter %s of %s: %w; or give it as --parameter %s=VALUE", name, s.Name, err, name)
			}
			if s.Parameters == nil {
				s.Parameters = map[string]string{}
			}
			s.Parameters[name] = v
		}
	}
	return nil
}

// prefixList finds the id of a list of addresses that AWS keeps.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeManagedPrefixLists.html
func (c *Client) prefixList(ctx context.Context, region, name string) (string, error) {
	b, err := c.send(ctx, call{service: "ec2", region: region, form: url.Values{"Action": {"DescribeManagedPrefixLists"}, "Version": {"2016-11-15"},
		"Filter.1.Name": {"prefix-list-name"}, "Filter.1.Value.1": {name}}})
	if err != nil {
		return "", plain("looking up the prefix list "+name+" in "+region, err)
	}
	var x struct {
		Items []struct {
			ID   string `xml:"prefixListId"`
			Name string `xml:"prefixListName"`
		} `xml:"prefixListSet>item"`
	}
	if err := xml.Unmarshal(b, &x); err != nil {
		return "", fmt.Errorf("looking up the prefix list %s: %w", name, err)
	}
	for _, i := range x.Items {
		if i.Name == name {
			return i.ID, nil
		}
	}
	return "", fmt.Errorf("looking up the prefix list %s: %s has none of that name", name, region)
}

// hostedZone finds the public zone that a domain belongs to: the longest one that is
// its end.
// https://docs.aws.amazon.com/Route53/latest/APIReference/API_ListHostedZonesByName.html
func (c *Client) hostedZone(ctx context.Context, domain string) (string, error) {
	domain = strings.TrimSuffix(domain, ".") + "."
	for zone := domain; strings.Contains(strings.TrimSuffix(zone, "."), "."); {
		b, err := c.send(ctx, call{service: "route53", region: Edge, method: "GET", path: "2013-04-01/hostedzonesbyname",
			query: url.Values{"dnsname": {zone}, "maxitems": {"10"}}})
		if err != nil {
			return "", plain("looking up the hosted zone of "+domain, err)
		}
		var x struct {
			Zones []struct {
				ID      string `xml:"Id"`
				Name    string
				Private bool `xml:"Config>PrivateZone"`
			} `xml:"HostedZones>HostedZone"`
		}
		if err := xml.Unmarshal(b, &x); err != nil {
			return "", fmt.Errorf("looking up the hosted zone of %s: %w", domain, err)
		}
		var found []string
		for _, z := range x.Zones {
			if z.Name == zone && !z.Private {
				found = append(found, strings.TrimPrefix(z.ID, "/hostedzone/"))
			}
		}
		if len(found) == 1 {
			return found[0], nil
		}
		if len(found) > 1 {
			return "", fmt.Errorf("looking up the hosted zone of %s: there are %d public zones %s: %s", domain, len(found), zone, strings.Join(found, ", "))
		}
		_, zone, _ = strings.Cut(zone, ".")
	}
	return "", fmt.Errorf("looking up the hosted zone of %s: this account has no public zone of that name or above it", domain)
}
