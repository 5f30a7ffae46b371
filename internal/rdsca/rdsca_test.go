package rdsca

import (
	"crypto/x509"
	"encoding/pem"
	"testing"
	"time"
)

func TestAuthorities(t *testing.T) {
	m, err := byRegion()
	if err != nil {
		t.Fatal(err)
	}
	if len(m) < 27 {
		t.Errorf("got %d Regions, want those of the bundle", len(m))
	}
	for region, text := range m {
		block, _ := pem.Decode([]byte(text))
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		if !cert.IsCA || cert.CheckSignatureFrom(cert) != nil {
			t.Errorf("%s: want an authority that signs itself", region)
		}
		if cert.NotAfter.Before(time.Date(2061, 1, 1, 0, 0, 0, 0, time.UTC)) {
			t.Errorf("%s: it ends on %s", region, cert.NotAfter)
		}
		if PEM(region) == "" {
			t.Errorf("PEM(%s) is empty", region)
		}
	}
	if PEM("mars-north-1") != "" {
		t.Error("a Region that nobody knows has an authority")
	}
}
