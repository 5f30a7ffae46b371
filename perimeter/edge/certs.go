package edge

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/ringwall/ringwall/internal/tlsca"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

// Certs is the certificate in force. Replacing it touches no open connection.
type Certs struct {
	p atomic.Pointer[tls.Certificate]
}

// NewCerts starts with a certificate chain and its key, both PEM.
func NewCerts(certPEM, keyPEM []byte) (*Certs, error) {
	c := &Certs{}
	return c, c.Set(certPEM, keyPEM)
}

// Set puts another certificate in force; when it is not valid the old one stays.
func (c *Certs) Set(certPEM, keyPEM []byte) error {
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return fmt.Errorf("reading the site's certificate: %w", err)
	}
	c.p.Store(&pair)
	return nil
}

// Current is the certificate in force.
func (c *Certs) Current() *tls.Certificate { return c.p.Load() }

// TLS is the edge's configuration: TLS 1.2 and later with forward secrecy and
// authenticated encryption only, HTTP/2 and HTTP/1.1.
func (c *Certs) TLS() *tls.Config {
	t := &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"},
		CipherSuites: []uint16{ // of TLS 1.2; those of 1.3 are all good
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			if p := c.p.Load(); p != nil {
				return p, nil
			}
			return nil, errors.New("the edge has no certificate yet")
		},
	}
	if perimeter.CanTakeDown {
		t.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
			if !perimeter.Down("edge/tls-version") {
				return nil, nil
			}
			old := t.Clone()
			old.GetConfigForClient = nil
			old.MinVersion = tls.VersionTLS10
			old.CipherSuites = append(old.CipherSuites, tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA)
			return old, nil
		}
	}
	return t
}

// Names lists every host name and address of the plan that the certificate must
// be valid for, the site's own first.
func Names(p *plan.Plan) []string {
	var names []string
	add := func(host string) {
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		host = strings.ToLower(strings.Trim(host, "[]"))
		if host != "" && !slices.Contains(names, host) {
			names = append(names, host)
		}
	}
	add(p.Network.Host)
	for _, h := range p.Network.Hosts {
		add(h)
	}
	for _, d := range p.Network.Doors {
		add(d.Host)
		add(d.Listen.Addr().String())
	}
	for _, h := range []string{"localhost", "127.0.0.1", "127.0.0.2", "::1"} {
		add(h)
	}
	return names
}

// A Certificate is what the edge shows, and what a visitor must trust for it.
type Certificate struct {
	Cert, Key []byte // PEM
	Roots     []byte // PEM of the local authority; nil: the certificate is a given one
	RootsFile string // where Roots lies; empty as Roots
}

// Issue reads the plan's certificate, or has the local authority in caDir sign a
// new one. Every call gives a new key, so that calling it is a rotation.
func Issue(p *plan.Plan, caDir string) (*Certificate, error) {
	if p.Edge.CertFile != "" {
		cert, err := os.ReadFile(p.Edge.CertFile)
		if err != nil {
			return nil, fmt.Errorf("reading the site's certificate: %w", err)
		}
		key, err := os.ReadFile(p.Edge.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("reading the site's private key: %w", err)
		}
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("reading %s with %s: %w", p.Edge.CertFile, p.Edge.KeyFile, err)
		}
		if name := Names(p)[0]; pair.Leaf.VerifyHostname(name) != nil {
			return nil, fmt.Errorf("reading %s: it is for %v, want one for %s", p.Edge.CertFile, pair.Leaf.DNSNames, name)
		}
		return &Certificate{Cert: cert, Key: key}, nil
	}
	names := Names(p)
	ca, err := tlsca.Open(caDir, names)
	if err != nil {
		return nil, err
	}
	cert, key, err := ca.Issue(names)
	if err != nil {
		return nil, err
	}
	return &Certificate{Cert: cert, Key: key, Roots: ca.PEM(), RootsFile: filepath.Join(caDir, "ca.pem")}, nil
}
