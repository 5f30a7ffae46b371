package edge

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

// A stream is a request over HTTP/2 with fields that become something else when
// the next hop speaks HTTP/1.1.
type stream struct {
	name   string
	fields []hpack.HeaderField
	body   string
}

func streams(host string) []stream {
	with := func(name, body string, more ...string) stream {
		s := stream{name: name, body: body, fields: []hpack.HeaderField{
			{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: "https"}, {Name: ":authority", Value: host}, {Name: ":path", Value: "/ringwall-probe"},
			{Name: "user-agent", Value: "Mozilla/5.0"}, {Name: "accept", Value: "application/json"}, {Name: "content-type", Value: "application/x-www-form-urlencoded"},
		}}
		for i := 0; i+1 < len(more); i += 2 {
			if i == 0 && strings.HasPrefix(more[0], ":") {
				for j := range s.fields {
					if s.fields[j].Name == more[0] {
						s.fields[j].Value = more[1]
					}
				}
				continue
			}
			s.fields = append(s.fields, hpack.HeaderField{Name: more[i], Value: more[i+1]})
		}
		return s
	}
	hidden := "0\r\n\r\nGET /ringwall-hidden HTTP/1.1\r\nHost: " + host + "\r\n\r\n"
	return []stream{
		with("transfer-encoding over HTTP/2", hidden, "transfer-encoding", "chunked"),
		with("a length shorter than the body over HTTP/2", hidden, "content-length", "1"),
		with("a length longer than the body over HTTP/2", "q=1", "content-length", "9999"),
		with("a line break in a header's value over HTTP/2", "", "x-probe", "a\r\nTransfer-Encoding: chunked"),
		with("a line break in a header's name over HTTP/2", "", "x-probe: a\r\ntransfer-encoding", "chunked"),
		with("a second request in the path over HTTP/2", "", ":path", "/ringwall-probe HTTP/1.1\r\nHost: "+host+"\r\n\r\nGET /ringwall-hidden"),
		with("a second request in the method over HTTP/2", "", ":method", "GET /ringwall-hidden HTTP/1.1\r\n\r\nPOST"),
		with("a host with a line break over HTTP/2", "", ":authority", host+"\r\nX-Probe: a"),
	}
}

// overHTTP2 sends one stream on a connection of its own. It returns the status
// of the answer, or 0 and how the stream or connection was ended instead.
func overHTTP2(ctx context.Context, t *perimeter.Target, s stream) (status, how string, err error) {
	for range 8 {
		if status, how, err = overHTTP2Now(ctx, t, s); status != "429" {
			return status, how, err
		}
		if err := t.Ready(ctx, plan.Internet, 20); err != nil {
			return "", "", err
		}
	}
	return "", "", perimeter.ErrTooOften
}

func overHTTP2Now(ctx context.Context, t *perimeter.Target, s stream) (status, how string, err error) {
	l, err := t.TLS(ctx, plan.Internet, func(c *tls.Config) { c.NextProtos = []string{"h2"} })
	if err != nil {
		return "", "", err
	}
	defer l.Close()
	l.SetDeadline(time.Now().Add(6 * time.Second))
	if err := l.Send(http2.ClientPreface); err != nil {
		return "", "", err
	}
	fr := http2.NewFramer(l.Conn, l.Conn)
	fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if err := fr.WriteSettings(); err != nil {
		return "", "", err
	}
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for _, f := range s.fields {
		if err := enc.WriteField(f); err != nil {
			return "", "", err
		}
	}
	err = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: s.body == ""})
	if err == nil && s.body != "" {
		err = fr.WriteData(1, true, []byte(s.body))
	}
	if err != nil {
		return "", "the connection was closed", nil
	}
	for {
		f, err := fr.ReadFrame()
		if err != nil {
			if ne, ok := errors.AsType[net.Error](err); ctx.Err() != nil || ok && ne.Timeout() {
				return "", "", fmt.Errorf("waiting for an answer over HTTP/2: %w", err)
			}
			return "", fmt.Sprintf("the connection ended: %v", err), nil
		}
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			return f.PseudoValue("status"), "", nil
		case *http2.RSTStreamFrame:
			return "", "the stream was reset: " + f.ErrCode.String(), nil
		case *http2.GoAwayFrame:
			if f.ErrCode != http2.ErrCodeNo {
				return "", "the connection was given up: " + f.ErrCode.String(), nil
			}
		}
	}
}

// probeStreams is the part of smuggling that HTTP/2 makes possible.
func probeStreams(ctx context.Context, t *perimeter.Target) error {
	all := streams(t.Host())
	plain := stream{fields: all[0].fields[:7], body: "q=notice"}
	before, how, err := overHTTP2(ctx, t, plain)
	if err != nil {
		return err
	}
	if before == "" || before == "400" || before == "403" {
		return fmt.Errorf("a plain request over HTTP/2 got %q %s, so that a refusal would prove nothing", before, how)
	}
	for _, s := range all {
		t.Tried("%s", s.name)
		status, how, err := overHTTP2(ctx, t, s)
		switch {
		case err != nil:
			return fmt.Errorf("trying %s: %w", s.name, err)
		case status == "":
			t.Saw("%s → %s", s.name, how)
		case status == "400" || status == "403":
			t.Saw("%s → %s", s.name, status)
		default:
			t.Broken("%s → %s", s.name, status)
		}
	}
	return nil
}
