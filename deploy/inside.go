package deploy

import (
	"cmp"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

// Look reads in the account where the parts of a deployed site are. It changes
// nothing.
func (c *Client) Look(ctx context.Context, site Site, region string) (*perimeter.Cloud, error) {
	if err := c.identify(ctx, site.Account); err != nil {
		return nil, err
	}
	cloud := &perimeter.Cloud{Region: region, Names: map[string]string{}, Outputs: map[string]string{}}
	for _, s := range site.Stacks {
		cur, err := c.describe(ctx, s.Region, s.Name)
		if err != nil {
			return nil, err
		}
		if cur == nil {
			return nil, fmt.Errorf("looking for %s: account %s has no stack %s in %s; deploy the site first", site.Name, c.Account, s.Name, s.Region)
		}
		maps.Copy(cloud.Outputs, outputs(cur))
		have, err := c.resources(ctx, s.Region, aws.ToString(cur.StackId))
		if err != nil {
			return nil, err
		}
		for id, x := range have {
			cloud.Names[id] = aws.ToString(x.PhysicalResourceId)
		}
	}
	var err error
	if cloud.Instances, err = c.instances(ctx, site.Name, region); err != nil {
		return nil, err
	}
	cloud.Self = c.self(ctx)
	return cloud, nil
}

// instances are the running ones of a site, those that run longest first.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstances.html
func (c *Client) instances(ctx context.Context, site, region string) ([]perimeter.CloudInstance, error) {
	type item struct {
		ID      string `xml:"instanceId"`
		Addr    string `xml:"privateIpAddress"`
		Public  string `xml:"ipAddress"`
		Started string `xml:"launchTime"`
		Tags    []struct {
			Key   string `xml:"key"`
			Value string `xml:"value"`
		} `xml:"tagSet>item"`
		Six []string `xml:"networkInterfaceSet>item>ipv6AddressesSet>item>ipv6Address"`
	}
	var all []item
	for next := ""; ; {
		form := url.Values{"Action": {"DescribeInstances"}, "Version": {"2016-11-15"},
			"Filter.1.Name": {"tag:ringwall:site"}, "Filter.1.Value.1": {site}, "Filter.2.Name": {"instance-state-name"}, "Filter.2.Value.1": {"running"}}
		if next != "" {
			form.Set("NextToken", next)
		}
		b, err := c.send(ctx, call{service: "ec2", region: region, form: form})
		if err != nil {
			return nil, plain("looking for the instances of "+site, err)
		}
		var x struct {
			Items []item `xml:"reservationSet>item>instancesSet>item"`
			Next  string `xml:"nextToken"`
		}
		if err := xml.Unmarshal(b, &x); err != nil {
			return nil, fmt.Errorf("looking for the instances of %s: %w", site, err)
		}
		all = append(all, x.Items...)
		if next = x.Next; next == "" {
			break
		}
	}
	slices.SortFunc(all, func(a, b item) int {
		return cmp.Or(strings.Compare(a.Started, b.Started), strings.Compare(a.ID, b.ID))
	})
	var out []perimeter.CloudInstance
	for _, x := range all {
		i := perimeter.CloudInstance{ID: x.ID}
		for _, t := range x.Tags {
			if t.Key == plan.TierTag {
				i.Tier = t.Value
			}
		}
		i.Addr, _ = netip.ParseAddr(x.Addr)
		for _, a := range append(x.Six, x.Public) {
			if a, err := netip.ParseAddr(a); err == nil {
				i.Public = append(i.Public, a)
			}
		}
		if i.Tier != "" && i.Addr.IsValid() { // what builds a golden image has no tier
			out = append(out, i)
		}
	}
	return out, nil
}

// self asks AWS from which address this machine asks; not valid: it cannot be told.
func (c *Client) self(ctx context.Context) netip.Addr {
	u := "https://checkip.amazonaws.com"
	if c.cfg.BaseEndpoint != nil { // a server of ours in the place of AWS
		u = *c.cfg.BaseEndpoint + "/checkip"
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
	if err != nil {
		return netip.Addr{}
	}
	resp, err := c.http().Do(req)
	if err != nil {
		return netip.Addr{}
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(io.LimitReader(resp.Body, 64))
	a, _ := netip.ParseAddr(strings.TrimSpace(string(b)))
	return a
}

// Limits of what Systems Manager is asked to run.
const (
	runTime   = 4 * time.Minute  // of a script, on the instance
	startTime = 45 * time.Second // until the agent has taken it
)

// Run runs a shell script as root on an instance by Systems Manager's Run Command and
// returns what it printed, of which 24,000 characters are kept.
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_SendCommand.html
func (c *Client) Run(ctx context.Context, region, instance, about, script string) (string, error) {
	doing := "running a script on " + instance + " by Systems Manager"
	var sent struct {
		Command struct{ CommandId string }
	}
	err := c.ssm(ctx, region, "SendCommand", map[string]any{
		"DocumentName": "AWS-RunShellScript", "InstanceIds": []string{instance}, "Comment": about[:min(len(about), 100)],
		"Parameters": map[string][]string{"commands": {script}, "executionTimeout": {fmt.Sprint(int(runTime.Seconds()))}}, "TimeoutSeconds": int(startTime.Seconds()),
	}, &sent)
	if isCode(err, "InvalidInstanceId") {
		return "", fmt.Errorf("%s: its agent has not reported; it may still be starting: try again in a minute, and see with: aws ssm describe-instance-information --region %s", doing, region)
	}
	if err != nil {
		return "", plain(doing, err)
	}
	out, err := c.result(ctx, region, instance, sent.Command.CommandId, doing)
	if ctx.Err() != nil { // nobody waits for it any more
		short, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		return out, errors.Join(fmt.Errorf("%s: stopped: %w", doing, ctx.Err()), c.ssm(short, region, "CancelCommand", map[string]any{"CommandId": sent.Command.CommandId}, nil))
	}
	return out, err
}

// result waits for the end of a command and gives what it printed.
func (c *Client) result(ctx context.Context, region, instance, command, doing string) (string, error) {
	id := map[string]any{"CommandId": command, "InstanceId": instance}
	end := time.Now().Add(runTime + startTime + 15*time.Second)
	for {
		if err := wait(ctx, c.poll); err != nil {
			return "", err
		}
		var got struct {
			Status, StatusDetails, StandardOutputContent, StandardErrorContent string
			ResponseCode                                                       int
		}
		err := c.ssm(ctx, region, "GetCommandInvocation", id, &got)
		if isCode(err, "InvocationDoesNotExist") && time.Now().Before(end) {
			continue // it is not known at once
		}
		if err != nil {
			return "", plain(doing, err)
		}
		switch got.Status {
		case "Pending", "InProgress", "Delayed", "Cancelling":
			if time.Now().After(end) {
				return got.StandardOutputContent, fmt.Errorf("%s: it has no end after %v (%s)", doing, runTime, got.StatusDetails)
			}
		case "Success":
			return got.StandardOutputContent, nil
		case "TimedOut":
			return got.StandardOutputContent, fmt.Errorf("%s: its time was over (%s)", doing, cmp.Or(got.StatusDetails, got.Status))
		default:
			why := strings.TrimSpace(got.StandardErrorContent)
			return got.StandardOutputContent, fmt.Errorf("%s: it ended as %s with code %d: %.200s", doing, cmp.Or(got.StatusDetails, got.Status), got.ResponseCode, why)
		}
	}
}

func (c *Client) ssm(ctx context.Context, region, action string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	b, err := c.send(ctx, call{service: "ssm", region: region, body: body,
		header: map[string]string{"X-Amz-Target": "AmazonSSM." + action, "Content-Type": "application/x-amz-json-1.1"}})
	if err != nil || out == nil {
		return err
	}
	return json.Unmarshal(b, out)
}
