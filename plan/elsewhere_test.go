package plan

import (
	"net/url"
	"testing"
)

func TestElsewhere(t *testing.T) {
	u, _ := url.Parse("https://www.example.com:8443")
	p, err := Elsewhere(u)
	if err != nil {
		t.Fatal(err)
	}
	if p.Network.Host != "www.example.com:8443" || p.Network.MaxHeaderBytes == 0 || p.Edge.MaxBody == 0 || !p.Edge.Allowed.Any {
		t.Errorf("got host %q, header limit %d, body limit %d; want the name and the limits of any site", p.Network.Host, p.Network.MaxHeaderBytes, p.Edge.MaxBody)
	}
	if _, err := Elsewhere(&url.URL{Scheme: "https"}); err == nil {
		t.Error("an address without a name: got no error")
	}
}
