package fakecfn

import (
	"encoding/json"
	"fmt"
	"html"
	"slices"
	"strings"
)

// An Instance is a machine of EC2.
type Instance struct {
	ID, Site, Tier, Addr string
	Public               string // empty: none
	NoAgent              bool   // Systems Manager does not know it
}

// A Command is what Run Command makes of a script.
type Command struct {
	Status string // Success, Failed, TimedOut …
	Code   int
	Out    string
	Err    string
}

type command struct {
	instance string
	done     bool
	Command
}

// A fleet is the account's machines, and what runs on them.
type fleet struct {
	instances []Instance
	run       func(instance, script string) Command
	commands  map[string]*command
	self      string // what the account's clients ask from
}

// AddInstance adds a running machine.
func (s *Server) AddInstance(i Instance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.account.instances = append(s.account.instances, i)
}

// OnCommand says what becomes of the scripts that Run Command is given. Without it
// none ever ends.
func (s *Server) OnCommand(run func(instance, script string) Command) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.account.run = run
}

// SetSelf is the address that clients are told to ask from.
func (s *Server) SetSelf(a string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.account.self = a
}

// describeInstances lists the machines that a request's filters are about.
func (a *account) describeInstances(q Request) string {
	var b strings.Builder
	for _, i := range a.instances {
		if q.Params.Get("Filter.1.Name") == "tag:ringwall:site" && q.Params.Get("Filter.1.Value.1") != i.Site {
			continue
		}
		public := ""
		if i.Public != "" {
			public = "<ipAddress>" + i.Public + "</ipAddress>"
		}
		fmt.Fprintf(&b, "<item><instancesSet><item><instanceId>%s</instanceId><privateIpAddress>%s</privateIpAddress>%s<launchTime>2026-01-01T00:00:00.000Z</launchTime>"+
			"<tagSet><item><key>ringwall:tier</key><value>%s</value></item><item><key>ringwall:site</key><value>%s</value></item></tagSet></item></instancesSet></item>",
			i.ID, i.Addr, public, html.EscapeString(i.Tier), html.EscapeString(i.Site))
	}
	return "<reservationSet>" + b.String() + "</reservationSet>"
}

// ssm answers Systems Manager's calls. What a command does takes its time apart from
// the call that gave it.
func (s *Server) ssm(q Request) (any, *Error) {
	a := &s.account
	var in struct {
		CommandId, InstanceId, DocumentName string
		InstanceIds                         []string
		Parameters                          map[string][]string
	}
	if err := json.Unmarshal(q.Body, &in); err != nil {
		return nil, &Error{Code: "ValidationException", Message: err.Error()}
	}
	answer := func(v any) (any, *Error) {
		b, _ := json.Marshal(v)
		return rawReply{contentType: "application/x-amz-json-1.1", body: b}, nil
	}
	switch q.Action {
	case "SendCommand":
		if in.DocumentName != "AWS-RunShellScript" || len(in.InstanceIds) != 1 {
			return nil, &Error{Code: "InvalidDocument", Message: "The specified SSM document doesn't exist."}
		}
		i := slices.IndexFunc(a.instances, func(i Instance) bool { return i.ID == in.InstanceIds[0] && !i.NoAgent })
		if i < 0 {
			return nil, &Error{Code: "InvalidInstanceId", Message: "Instances [[" + in.InstanceIds[0] + "]] not in a valid state for account " + Account}
		}
		id := s.id()
		c := &command{instance: in.InstanceIds[0]}
		if a.commands == nil {
			a.commands = map[string]*command{}
		}
		a.commands[id] = c
		if run := a.run; run != nil {
			s.work(func() {
				out := run(c.instance, strings.Join(in.Parameters["commands"], "\n"))
				s.mu.Lock()
				defer s.mu.Unlock()
				c.Command, c.done = out, true
			})
		}
		return answer(map[string]any{"Command": map[string]string{"CommandId": id, "Status": "Pending"}})
	case "GetCommandInvocation":
		c := a.commands[in.CommandId]
		if c == nil || c.instance != in.InstanceId {
			return nil, &Error{Code: "InvocationDoesNotExist", Message: ""}
		}
		if !c.done {
			return answer(map[string]any{"Status": "InProgress", "StatusDetails": "InProgress", "ResponseCode": -1})
		}
		return answer(map[string]any{"Status": c.Status, "StatusDetails": c.Status, "ResponseCode": c.Code,
			"StandardOutputContent": c.Out[:min(len(c.Out), 24000)], "StandardErrorContent": c.Err[:min(len(c.Err), 8000)]})
	case "CancelCommand":
		return answer(map[string]any{})
	}
	return nil, &Error{Code: "InvalidAction", Message: "ssm " + q.Action + " is not supported by this server"}
}

// inspector answers Amazon Inspector's calls about the account.
// https://docs.aws.amazon.com/inspector/v2/APIReference/API_BatchGetAccountStatus.html
func (a *account) inspector(q Request) (any, *Error) {
	var in struct {
		ResourceTypes []string `json:"resourceTypes"`
	}
	if err := json.Unmarshal(q.Body, &in); err != nil {
		return nil, &Error{Code: "ValidationException", Message: err.Error()}
	}
	on := a.inspected[q.Region]
	switch q.Path {
	case "/status/batch/get":
		state := map[string]any{}
		for _, k := range []string{"EC2", "ECR", "LAMBDA", "LAMBDA_CODE"} {
			name := map[string]string{"EC2": "ec2", "ECR": "ecr", "LAMBDA": "lambda", "LAMBDA_CODE": "lambdaCode"}[k]
			status := "DISABLED"
			if slices.Contains(on, k) {
				status = "ENABLED"
			}
			state[name] = map[string]string{"status": status}
		}
		b, _ := json.Marshal(map[string]any{"accounts": []any{map[string]any{"accountId": Account, "resourceState": state}}})
		return rawReply{contentType: "application/json", body: b}, nil
	case "/enable":
		for _, k := range in.ResourceTypes {
			if !slices.Contains(on, k) {
				on = append(on, k)
			}
		}
	case "/disable":
		on = slices.DeleteFunc(slices.Clone(on), func(k string) bool { return len(in.ResourceTypes) == 0 || slices.Contains(in.ResourceTypes, k) })
	default:
		return nil, &Error{Status: 404, Code: "ResourceNotFoundException", Message: q.Path}
	}
	slices.Sort(on)
	a.inspected[q.Region] = on
	return rawReply{contentType: "application/json", body: []byte(`{"accounts":[]}`)}, nil
}
