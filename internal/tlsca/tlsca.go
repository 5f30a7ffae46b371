// Package tlsca is a small certificate authority for one machine: a key and a
// certificate kept in a directory, and short-lived leaves signed on demand. It
// is no public authority: its certificate only signs the names it was made for.
package tlsca

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ringwall/ringwall/internal/durable"
)

const (
	caLife   = 2 * 365 * 24 * time.Hour
	leafLife = 90 * 24 * time.Hour
	backdate = time.Hour // for clocks that differ a little
)

// A CA signs leaves. Its methods are safe for concurrent use.
type CA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
	now  func() time.Time
}

// Open reads the authority that lives in dir (ca.pem, and ca.key with mode 0600),
// or makes one. domains are the DNS names, with everything under them, and the addresses
// that it may sign beside localhost and loopback addresses; an authority that may not
// sign all of them, or that expires within a month, is replaced.
func Open(dir string, domains []string) (*CA, error) {
	return openAt(dir, domains, time.Now)
}

func openAt(dir string, domains []string, now func() time.Time) (*CA, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("opening the local certificate authority: %w", err)
	}
	permitted := []string{"localhost"}
	var addrs []netip.Addr
	for _, d := range domains {
		if a, err := netip.ParseAddr(strings.Trim(d, "[]")); err == nil {
			addrs = append(addrs, a.Unmap())
			continue
		}
		if d = strings.ToLower(strings.Trim(d, ".")); d != "" && d != "localhost" {
			permitted = append(permitted, d)
		}
	}
	ca, err := load(dir, now)
	switch {
	case err == nil && ca.covers(permitted, addrs):
		return ca, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("reading the local certificate authority in %s: %w; remove ca.key and ca.pem there to have a new one made", dir, err)
	}
	return create(dir, permitted, addrs, now)
}

func load(dir string, now func() time.Time) (*CA, error) {
	keyFile := filepath.Join(dir, "ca.key")
	info, err := os.Lstat(keyFile)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("ca.key: got mode %v, want a regular file with -rw-------", info.Mode())
	}
	keyPEM, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, err
	}
	certPEM, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, err
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || !pair.Leaf.IsCA {
		return nil, errors.New("ca.pem: want the certificate of an authority with an ECDSA key")
	}
	return &CA{cert: pair.Leaf, key: key, pem: certPEM, now: now}, nil
}

func (ca *CA) covers(permitted []string, addrs []netip.Addr) bool {
	if ca.now().Add(30*24*time.Hour).After(ca.cert.NotAfter) || ca.now().Before(ca.cert.NotBefore) {
		return false
	}
	have := map[string]bool{}
	for _, d := range ca.cert.PermittedDNSDomains {
		have[d] = true
	}
	for _, d := range permitted {
		if !have[d] {
			return false
		}
	}
	for _, a := range addrs {
		if !slices.ContainsFunc(ca.cert.PermittedIPRanges, func(n *net.IPNet) bool { return n.Contains(a.AsSlice()) }) {
			return false
		}
	}
	return true
}

func create(dir string, permitted []string, addrs []netip.Addr, now func() time.Time) (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the local certificate authority's key: %w", err)
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	t := now()
	host, _ := os.Hostname()
	tmpl := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "Local CA of " + host + " for " + permitted[len(permitted)-1]},
		NotBefore:    t.Add(-backdate), NotAfter: t.Add(caLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage:                    x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		PermittedDNSDomainsCritical: true,
		PermittedDNSDomains:         permitted,
		PermittedIPRanges: []*net.IPNet{
			{IP: net.IPv4(127, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)},
			{IP: net.IPv6loopback, Mask: net.CIDRMask(128, 128)},
		},
	}
	for _, a := range addrs {
		tmpl.PermittedIPRanges = append(tmpl.PermittedIPRanges, &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(a.BitLen(), a.BitLen())})
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("making the local certificate authority: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("making the local certificate authority: %w", err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM, err := encodeKey(key)
	if err != nil {
		return nil, err
	}
	// The key goes last: a directory with a certificate and no key is made anew.
	if err := os.Remove(filepath.Join(dir, "ca.key")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("replacing the local certificate authority: %w", err)
	}
	if err := durable.WriteFile(filepath.Join(dir, "ca.pem"), certPEM, 0o644); err != nil {
		return nil, err
	}
	if err := durable.WriteFile(filepath.Join(dir, "ca.key"), keyPEM, 0o600); err != nil {
		return nil, err
	}
	return &CA{cert: cert, key: key, pem: certPEM, now: now}, nil
}

// Due says whether the first certificate of a PEM chain is to be replaced: less
// than a third of its time is left, its time has not begun, or it cannot be read.
func Due(chain []byte, now time.Time) bool {
	block, _ := pem.Decode(chain)
	if block == nil {
		return true
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return true
	}
	return now.Before(c.NotBefore) || now.After(c.NotAfter.Add(-c.NotAfter.Sub(c.NotBefore)/3))
}

// PEM is the authority's certificate, for those who shall trust it.
func (ca *CA) PEM() []byte { return bytes.Clone(ca.pem) }

// Pool trusts this authority and no other.
func (ca *CA) Pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(ca.cert)
	return p
}

// Issue signs a leaf for host names and IP addresses with a new key, and returns
// both as PEM: the leaf with the authority's certificate after it, and the key.
func (ca *CA) Issue(hosts []string) (certPEM, keyPEM []byte, err error) {
	if len(hosts) == 0 {
		return nil, nil, errors.New("signing a certificate: got no host name, want one or more")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("signing a certificate: %w", err)
	}
	serial, err := newSerial()
	if err != nil {
		return nil, nil, err
	}
	t := ca.now()
	end := t.Add(leafLife)
	if end.After(ca.cert.NotAfter) {
		end = ca.cert.NotAfter
	}
	tmpl := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: clip(hosts[0])},
		NotBefore: t.Add(-backdate), NotAfter: end,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, h := range hosts {
		if a, err := netip.ParseAddr(strings.Trim(h, "[]")); err == nil {
			tmpl.IPAddresses = append(tmpl.IPAddresses, net.IP(a.Unmap().AsSlice()))
		} else {
			tmpl.DNSNames = append(tmpl.DNSNames, strings.ToLower(h))
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, ca.cert, &key.PublicKey, ca.key)
	if err != nil {
		return nil, nil, fmt.Errorf("signing a certificate for %v: %w", hosts, err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err == nil {
		_, err = leaf.Verify(x509.VerifyOptions{Roots: ca.Pool(), CurrentTime: t})
	}
	if err != nil {
		return nil, nil, fmt.Errorf("signing a certificate for %v: %w", hosts, err)
	}
	keyPEM, err = encodeKey(key)
	if err != nil {
		return nil, nil, err
	}
	certPEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return append(certPEM, ca.pem...), keyPEM, nil
}

// clip keeps a common name within what X.509 allows.
func clip(s string) string { return s[:min(len(s), 64)] }

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encoding a private key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

func newSerial() (*big.Int, error) {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("making a serial number: %w", err)
	}
	return n.Add(n, big.NewInt(1)), nil
}
