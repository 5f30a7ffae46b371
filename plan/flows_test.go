package plan

import (
	"bytes"
	"encoding/xml"
	"io"
	"testing"
)

func TestFlowsGolden(t *testing.T) {
	for _, site := range []string{"nodered-dev", "wp-dev"} {
		p, err := Load(Options{File: "testdata/template.properties", Site: site, Getenv: noEnv})
		if err != nil {
			t.Fatal(err)
		}
		var table, svg bytes.Buffer
		if err := FlowsTable(&table, p); err != nil {
			t.Fatal(err)
		}
		if err := FlowsSVG(&svg, p); err != nil {
			t.Fatal(err)
		}
		golden(t, "testdata/flows-"+site+".txt", table.Bytes())
		golden(t, "testdata/flows-"+site+".svg", svg.Bytes())
		d := xml.NewDecoder(&svg)
		for {
			if _, err := d.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("the picture is not XML: %v", err)
			}
		}
	}
}

func TestFlowsOfASiteWithoutDatabase(t *testing.T) {
	p := loadText(t, "app: a\nkind: static\nfiles: {source: .}\n")
	for _, f := range p.Flows {
		if f.To == NodeDatabase {
			t.Errorf("got the flow %v, want none to a database", f)
		}
	}
	for _, want := range []struct {
		from, to string
		port     uint16
		may      bool
	}{
		{Internet, NodeEdge, 443, true},
		{Internet, NodeBalancer, 8080, false},
		{Beside, NodeBalancer, 8080, true},
		{NodeEdge, Fleet, 8080, true},
		{Fleet, Admin, 8080, false},
		{Admin, Fleet, 8080, false},
		{Fleet, NodeDatabase, 5432, false},
		{NodeDatabase, Fleet, 8080, false},
	} {
		if got := p.MayDial(want.from, want.to, want.port); got != want.may {
			t.Errorf("%s → %s:%d: got %v, want %v", want.from, want.to, want.port, got, want.may)
		}
	}
}
