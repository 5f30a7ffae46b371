package deploy

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go"
)

// A call is one request to a service of which we use two or three operations. The
// SDK's packages for these services would add ten megabytes to the binary, a minute
// to its build and two milliseconds to every start; the SDK's credentials, signer
// and retryer are used all the same.
type call struct {
	service string // in the host's name: ec2, iam, s3, s3-control, ssm
	region  string
	method  string // empty: POST of form or body
	path    string // empty: /
	query   url.Values
	form    url.Values // Query protocol
	body    []byte
	header  map[string]string
}

// scope is the service's name in the signature.
func (k *call) scope() string {
	if k.service == "s3-control" {
		return "s3"
	}
	return k.service
}

// send makes a call and returns the body of a successful answer.
func (c *Client) send(ctx context.Context, k call) ([]byte, error) {
	retryer := c.cfg.Retryer()
	for attempt := 1; ; attempt++ {
		b, err := c.once(ctx, k)
		if err == nil || ctx.Err() != nil || attempt >= retryer.MaxAttempts() || !retryer.IsErrorRetryable(err) {
			return b, err
		}
		d, e := retryer.RetryDelay(attempt, err)
		if e != nil {
			return nil, err
		}
		if e := wait(ctx, d); e != nil {
			return nil, e
		}
	}
}

func (c *Client) once(ctx context.Context, k call) ([]byte, error) {
	body, kind := k.body, ""
	if k.form != nil {
		body, kind = []byte(k.form.Encode()), "application/x-www-form-urlencoded; charset=utf-8"
	}
	method := k.method
	if method == "" {
		method = http.MethodPost
	}
	u, err := url.Parse(c.endpoint(k.service, k.region))
	if err != nil {
		return nil, fmt.Errorf("reading the endpoint of %s: %w", k.service, err)
	}
	u = u.JoinPath("/", k.path)
	u.RawQuery = k.query.Encode()
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	for h, v := range k.header {
		req.Header.Set(h, v)
	}
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:])
	req.Header.Set("X-Amz-Content-Sha256", hash)
	if k.service == "s3-control" {
		req.Header.Set("X-Amz-Account-Id", c.Account)
	}
	creds, err := c.cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, fmt.Errorf("failed to refresh cached credentials: %w", err)
	}
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = k.scope() == "s3" })
	if err := signer.SignHTTP(ctx, creds, req, hash, k.scope(), k.region, time.Now()); err != nil {
		return nil, err
	}
	resp, err := c.http().Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 8<<20))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 != 2 {
		return nil, refusal(resp.StatusCode, b)
	}
	return b, nil
}

// refusal reads an error in any of the forms that these services use.
func refusal(status int, b []byte) error {
	// Query: ErrorResponse/Error; EC2: Response/Errors/Error; S3: Error or ErrorResponse/Error.
	type detail struct{ Code, Message string }
	var x struct {
		Code, Message string
		Error         detail
		Errors        struct{ Error detail }
	}
	e := &smithy.GenericAPIError{Code: fmt.Sprintf("HTTP%d", status), Message: http.StatusText(status)}
	if status >= 500 {
		e.Fault = smithy.FaultServer
	}
	if j := jsonRefusal(b); j != nil {
		e.Code, e.Message = j.Code, j.Message
		return e
	}
	if xml.Unmarshal(b, &x) != nil {
		return e
	}
	for _, d := range []detail{{x.Code, x.Message}, x.Error, x.Errors.Error} {
		if d.Code != "" {
			e.Code, e.Message = d.Code, d.Message
		}
	}
	return e
}

// jsonRefusal reads an error of a service that speaks JSON.
func jsonRefusal(b []byte) *smithy.GenericAPIError {
	var j struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
		Capital string `json:"Message"`
	}
	if json.Unmarshal(b, &j) != nil || j.Type == "" {
		return nil
	}
	_, code, ok := strings.Cut(j.Type, "#")
	if !ok {
		code = j.Type
	}
	return &smithy.GenericAPIError{Code: code, Message: cmp.Or(j.Message, j.Capital)}
}
