// Package rdsca has the certificates of the authorities that sign those of RDS
// servers, one for each Region.
//
// They are the roots "RSA2048 G1" of the bundle that AWS publishes
// (docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html), valid until
// 2061 and later; the name of a server's authority is rds-ca-rsa2048-g1.
package rdsca

import (
	"bytes"
	"crypto/x509"
	_ "embed"
	"encoding/pem"
	"fmt"
	"strings"
	"sync"
)

// Name is that of the authority, as RDS takes it for a server.
const Name = "rds-ca-rsa2048-g1"

//go:embed rds.pem
var bundle []byte

var byRegion = sync.OnceValues(func() (map[string]string, error) {
	m := map[string]string{}
	for rest := bundle; len(bytes.TrimSpace(rest)) > 0; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, fmt.Errorf("reading the authorities of RDS: got no certificate in %q", rest)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("reading the authorities of RDS: %w", err)
		}
		region, ok := strings.CutPrefix(cert.Subject.CommonName, "Amazon RDS ")
		region, ok2 := strings.CutSuffix(region, " Root CA RSA2048 G1")
		if !ok || !ok2 {
			return nil, fmt.Errorf("reading the authorities of RDS: got one named %q", cert.Subject.CommonName)
		}
		m[region] = string(pem.EncodeToMemory(block))
	}
	return m, nil
})

// PEM is the certificate of a Region's authority, or "" where none is known: a
// Region that is newer than this table.
func PEM(region string) string {
	m, err := byRegion()
	if err != nil {
		panic("rdsca: " + err.Error()) // the file is ours; a test reads it
	}
	return m[region]
}
