package deploy

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// readInspector lists what of instances and functions Amazon Inspector looks
// through in a Region. What else it does is nobody's matter here.
// https://docs.aws.amazon.com/inspector/v2/APIReference/API_BatchGetAccountStatus.html
func readInspector(ctx context.Context, c *Client, region string) (string, error) {
	b, err := c.inspector(ctx, region, "status/batch/get", map[string]any{"accountIds": []string{c.Account}})
	if err != nil {
		return "", err
	}
	type state struct {
		Status string `json:"status"`
	}
	var x struct {
		Accounts []struct {
			State struct {
				EC2    state `json:"ec2"`
				Lambda state `json:"lambda"`
			} `json:"resourceState"`
		} `json:"accounts"`
		Failed []struct {
			Code    string `json:"errorCode"`
			Message string `json:"errorMessage"`
		} `json:"failedAccounts"`
	}
	if err := json.Unmarshal(b, &x); err != nil {
		return "", err
	}
	if len(x.Accounts) == 0 {
		if len(x.Failed) > 0 && x.Failed[0].Code != "RESOURCE_NOT_FOUND" {
			return "", fmt.Errorf("inspector tells nothing of account %s: %s %s", c.Account, x.Failed[0].Code, x.Failed[0].Message)
		}
		return none, nil
	}
	var on []string
	for _, k := range []struct {
		name  string
		state state
	}{{"EC2", x.Accounts[0].State.EC2}, {"LAMBDA", x.Accounts[0].State.Lambda}} {
		if k.state.Status == "ENABLED" || k.state.Status == "ENABLING" {
			on = append(on, k.name)
		}
	}
	if len(on) == 0 {
		return none, nil
	}
	return strings.Join(on, ","), nil
}

// writeInspector turns on what v has, and off what it has not.
func writeInspector(ctx context.Context, c *Client, region, v string) error {
	now, err := readInspector(ctx, c, region)
	if err != nil {
		return err
	}
	without := func(list, other string) (out []string) {
		for k := range strings.SplitSeq(list, ",") {
			if k != none && k != "" && !slices.Contains(strings.Split(other, ","), k) {
				out = append(out, k)
			}
		}
		return out
	}
	for _, x := range []struct {
		path  string
		types []string
	}{{"enable", without(v, now)}, {"disable", without(now, v)}} {
		if len(x.types) == 0 {
			continue
		}
		if _, err := c.inspector(ctx, region, x.path, map[string]any{"accountIds": []string{c.Account}, "resourceTypes": x.types}); err != nil {
			return err
		}
	}
	return nil
}

func (c *Client) inspector(ctx context.Context, region, path string, in any) ([]byte, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	return c.send(ctx, call{service: "inspector2", region: region, path: path, body: body, header: map[string]string{"Content-Type": "application/json"}})
}
