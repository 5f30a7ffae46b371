// Package rdsca has the certificates of the authorities that sign those of RDS
// servers, one for each Region.
//
// They are the roots "RSA2048 G1" of the bundle that AWS publishes
// (docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html), valid until
// 2061 and later; the name of a server's authority is rds-ca-rsa2048-g1.
package rdsca

import (
	"bytes"
	_ "embed"
	"encoding/pem"
	"errors"
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
		// The name is a text in the certificate's bytes; a test reads all of it.
		_, name, ok := bytes.Cut(block.Bytes, []byte("Amazon RDS "))
		region, _, ok2 := strings.Cut(string(name[:min(len(name), 64)]), " Root CA RSA2048 G1")
		if !ok || !ok2 {
			return nil, errors.New("reading the authorities of RDS: got a certificate without the name of a Region")
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
