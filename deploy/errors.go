package deploy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/aws/smithy-go"

	"github.com/ringwall/ringwall/internal/lazy"
)

// An Interrupted says what a run that was stopped left.
type Interrupted struct {
	Site  string
	Undo  bool     // a Destroy was stopped
	Left  []string // what goes on without this program, in words
	Clean []string // what was cleaned away
	Cause error
}

func (e *Interrupted) Error() string {
	s := "stopped before the end"
	if len(e.Left) > 0 {
		s += ": " + strings.Join(e.Left, "; ")
	} else {
		s += "; nothing is left half-done"
	}
	if e.Undo {
		return s + fmt.Sprintf("; the next destroy of %s takes it up from here", e.Site)
	}
	return s + fmt.Sprintf("; the next deploy of %s takes it up from here, deploy --cancel rolls it back", e.Site)
}

func (e *Interrupted) Unwrap() error { return e.Cause }

// A Failure is a stack's operation that CloudFormation ended as failed.
type Failure struct {
	Stack, Region, Status string
	Resource, Type        string // what failed first; empty: the stack itself
	Reason                string // in plain words
	Next                  string // what to do
	Others                int    // how many more failed for reasons of their own
}

func (e *Failure) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s in %s is %s", e.Stack, e.Region, e.Status)
	if e.Resource != "" {
		fmt.Fprintf(&b, ": %s (%s)", e.Resource, e.Type)
	}
	fmt.Fprintf(&b, ": %s", e.Reason)
	if e.Others > 0 {
		fmt.Fprintf(&b, " (and %d more failed)", e.Others)
	}
	if e.Next != "" {
		b.WriteString("; " + e.Next)
	}
	return b.String()
}

// A StateError is a stack in a state from which no deployment starts.
type StateError struct {
	Stack, Region, Status, Reason, Next string
}

func (e *StateError) Error() string {
	s := fmt.Sprintf("%s in %s is %s", e.Stack, e.Region, e.Status)
	if e.Reason != "" {
		s += ": " + e.Reason
	}
	return s + "; " + e.Next
}

// tails are what services append to their messages for their own staff.
var (
	tails   = lazy.Regexp(`\s*[.,;]?\s*\((Service: |RequestToken: |SDK Attempt Count|Status Code: |Request ID: )[^()]*\)`)
	handler = lazy.Regexp(`^(?:Resource handler returned message|Properties validation failed for resource \S+ with message): "?(.*?)"?\s*$`)
)

// words says a reason of CloudFormation's in plain words.
func words(reason string) string {
	s := tails().ReplaceAllString(strings.TrimSpace(reason), "")
	if m := handler().FindStringSubmatch(s); m != nil {
		s = m[1]
	}
	return strings.TrimRight(strings.TrimSpace(s), ". ")
}

// advice are the next steps for reasons that are known. The first that fits is
// taken. The codes are those of the CloudFormation registry's contract:
// https://docs.aws.amazon.com/cloudformation-cli/latest/userguide/resource-type-test-contract-errors.html
var advice = []struct{ has, next string }{
	{"CNAMEAlreadyExists", "another distribution serves that name: take the name off it first"},
	{"detector already exists", once},
	{"already subscribed to Security Hub", once},
	{"maximum number of configuration recorders", once},
	{"maximum number of delivery channels", once},
	{"AlreadyExists", "something of that name is there and belongs to no stack: delete or rename it, then deploy again"},
	{"already exists", "something of that name is there and belongs to no stack: delete or rename it, then deploy again"},
	{"ServiceLimitExceeded", "ask for a higher quota in the console's Service Quotas for this Region, then deploy again"},
	{"limit exceeded", "ask for a higher quota in the console's Service Quotas for this Region, then deploy again"},
	{"LimitExceeded", "ask for a higher quota in the console's Service Quotas for this Region, then deploy again"},
	{"maximum number of", "ask for a higher quota in the console's Service Quotas for this Region, then deploy again"},
	{"not authorized to perform", "give the deploying role that permission, then deploy again"},
	{"AccessDenied", "give the deploying role that permission, then deploy again"},
	{"security token included in the request is expired", "renew the credentials (aws sso login), then deploy again"},
	{"InsufficientInstanceCapacity", "the zone has no room for this instance type: choose another type or try later"},
	{"insufficient capacity", "the zone has no room for this instance type: choose another type or try later"},
	{"please disable deletion protection", "set database.protect: false in the configuration and deploy that, then destroy"},
	{"deletion protection", "set database.protect: false in the configuration and deploy that, then destroy"},
	{"bucket you tried to delete is not empty", "empty the bucket, then run the same command again"},
	{"No export named", "the stack that exports it is not deployed: deploy the whole site"},
	{"as it is in use by", "delete the stack that uses it first"},
	{"DNS validation", "check that the hosted zone of the site's name is in this account and is the one that the registrar points to"},
	{"did not receive SUCCESS signal", "an instance did not start in time: its log is in CloudWatch Logs"},
	{"Failed to receive", "an instance did not start in time: its log is in CloudWatch Logs"},
}

// once is for what an account has one of in a Region.
const once = "the account has this already, from somewhere else: set aws.accountBaseline: false where that looks after the account, then deploy again"

// next is the next step for a reason.
func next(reason, otherwise string) string {
	low := strings.ToLower(reason)
	for _, a := range advice {
		if strings.Contains(low, strings.ToLower(a.has)) {
			return a.next
		}
	}
	return otherwise
}

// ErrCredentials marks errors that new credentials mend.
var ErrCredentials = errors.New("the credentials do not work")

// A CallError is a call that AWS refused.
type CallError struct {
	Doing, Code, Message, Next string
	err                        error
}

func (e *CallError) Error() string {
	s := e.Doing + ": " + e.Message
	if e.Code != "" && !strings.Contains(e.Message, e.Code) {
		s += " (" + e.Code + ")"
	}
	if e.Next != "" {
		s += "; " + e.Next
	}
	return s
}

func (e *CallError) Unwrap() error { return e.err }

// Is says that some codes are ErrCredentials.
func (e *CallError) Is(target error) bool {
	return target == ErrCredentials && credentialCode(e.Code)
}

func credentialCode(code string) bool {
	switch code {
	case "ExpiredToken", "ExpiredTokenException", "RequestExpired", "InvalidClientTokenId", "UnrecognizedClientException",
		"AuthFailure", "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidSignatureException", "MissingAuthenticationToken":
		return true
	}
	return false
}

// plain says a failed call in words; nil stays nil.
func plain(doing string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s: %w", doing, err)
	}
	var api smithy.APIError
	if !errors.As(err, &api) {
		if s := err.Error(); strings.Contains(s, "get identity: get credentials") || strings.Contains(s, "failed to refresh cached credentials") {
			return &CallError{Doing: doing, Code: "InvalidClientTokenId", Message: "there are no credentials that work", err: err,
				Next: "run aws sso login or set AWS_PROFILE, then run the same command again"}
		}
		// The SDK's own words are about attempts and request ids.
		if op, ok := errors.AsType[*net.OpError](err); ok {
			err = op
		}
		return fmt.Errorf("%s: %w; check the network, then run the same command again", doing, err)
	}
	e := &CallError{Doing: doing, Code: api.ErrorCode(), Message: words(api.ErrorMessage()), err: err}
	switch {
	case strings.HasPrefix(e.Code, "ExpiredToken") || e.Code == "RequestExpired":
		e.Next = "renew the credentials (aws sso login, or new keys), then run the same command again: what CloudFormation has in hand goes on"
	case credentialCode(e.Code):
		e.Next = "check the credentials and AWS_PROFILE, then run the same command again"
	case strings.HasPrefix(e.Code, "AccessDenied") || e.Code == "UnauthorizedOperation":
		e.Next = "give the deploying role that permission, then run the same command again"
	case strings.HasPrefix(e.Code, "Throttling") || e.Code == "RequestLimitExceeded" || e.Code == "TooManyRequestsException":
		e.Next = "AWS refused for minutes because of too many calls in the account: try later"
	case e.Code == "LimitExceededException":
		e.Next = "ask for a higher quota in the console's Service Quotas for this Region"
	}
	return e
}

// isCode says whether an error is AWS's with one of the codes.
func isCode(err error, codes ...string) bool {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return false
	}
	for _, c := range codes {
		if api.ErrorCode() == c {
			return true
		}
	}
	return false
}

// says is whether AWS's message has a text.
func says(err error, text string) bool {
	var api smithy.APIError
	return errors.As(err, &api) && strings.Contains(api.ErrorMessage(), text)
}
