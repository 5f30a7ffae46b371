package report

import (
	"cmp"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/ringwall/ringwall/perimeter"
)

// sarifSink writes SARIF 2.1.0 for code-scanning services: a rule per control, a
// result per control that is broken or unknown.
type sarifSink struct{ put func([]byte) error }

type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool        sarifTool         `json:"tool"`
		Invocations []sarifInvocation `json:"invocations"`
		Results     []sarifResult     `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name    string      `json:"name"`
		Version string      `json:"version"`
		Rules   []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID         string         `json:"id"`
		Name       string         `json:"name"`
		Short      sarifText      `json:"shortDescription"`
		Full       sarifText      `json:"fullDescription"`
		Help       sarifText      `json:"help"`
		Properties map[string]any `json:"properties"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifInvocation struct {
		ExecutionSuccessful bool   `json:"executionSuccessful"`
		StartTimeUTC        string `json:"startTimeUtc"`
	}
	sarifResult struct {
		RuleID       string            `json:"ruleId"`
		RuleIndex    int               `json:"ruleIndex"`
		Kind         string            `json:"kind"`
		Level        string            `json:"level"`
		Message      sarifText         `json:"message"`
		Locations    []sarifLocation   `json:"locations"`
		Fingerprints map[string]string `json:"partialFingerprints"`

		CodeFlows    []sarifFlow        `json:"codeFlows,omitempty"`
		Suppressions []sarifSuppression `json:"suppressions,omitempty"`
	}
	sarifLocation struct {
		Physical sarifPhysical  `json:"physicalLocation"`
		Logical  []sarifLogical `json:"logicalLocations"`
	}
	sarifPhysical struct {
		Artifact struct {
			URI string `json:"uri"`
		} `json:"artifactLocation"`
		Region *sarifRegion `json:"region,omitempty"`
	}
	sarifRegion struct {
		Line   int `json:"startLine"`
		Column int `json:"startColumn"`
	}
	sarifFlow struct {
		Threads []sarifThread `json:"threadFlows"`
	}
	sarifThread struct {
		Locations []sarifStep `json:"locations"`
	}
	sarifStep struct {
		Location sarifPlace `json:"location"`
	}
	sarifPlace struct {
		Physical *sarifPhysical `json:"physicalLocation,omitempty"`
		Message  sarifText      `json:"message"`
	}
	sarifSuppression struct {
		Kind          string `json:"kind"`
		Justification string `json:"justification"`
	}
	sarifLogical struct {
		Name string `json:"fullyQualifiedName"`
		Kind string `json:"kind"`
	}
)

func (s sarifSink) Write(r *Report) error {
	name, version, _ := strings.Cut(r.Tool, " ")
	run := sarifRun{
		Tool:        sarifTool{sarifDriver{Name: cmp.Or(name, "ringwall"), Version: version, Rules: []sarifRule{}}},
		Invocations: []sarifInvocation{{r.Verdict != perimeter.Unknown, r.Started.UTC().Format("2006-01-02T15:04:05.000Z")}},
		Results:     []sarifResult{},
	}
	for i, c := range r.Controls {
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{
			ID: c.ID, Name: pascal(c.ID), Short: sarifText{c.Doc}, Full: sarifText{c.Doc + " " + c.Why},
			Help:       sarifText{"ringwall explain " + c.ID},
			Properties: map[string]any{"perimeter": c.Perimeter, "vantage": c.Vantage, "tags": []string{"security"}},
		})
		for _, f := range c.Findings {
			run.Results = append(run.Results, sarifFinding(r, c, i, f))
		}
		for _, f := range c.Suppressed {
			x := sarifFinding(r, c, i, f)
			x.Suppressions = []sarifSuppression{{"external", f.Reason}}
			run.Results = append(run.Results, x)
		}
		if c.Verdict == perimeter.Held || len(c.Findings) > 0 {
			continue
		}
		x := sarifResult{RuleID: c.ID, RuleIndex: i, Kind: "fail", Level: "error",
			Fingerprints: map[string]string{"control/v1": r.Site + " " + c.ID}}
		if c.Verdict == perimeter.Unknown {
			// SARIF wants level none with every kind but fail; an unknown that
			// disappears from a list would read as held.
			x.Level = "warning"
			x.Message.Text = fmt.Sprintf("%s Could not be judged: %s.", c.Doc, strings.TrimRight(cmp.Or(c.Error, "no reason was given"), "."))
		} else {
			x.Message.Text = fmt.Sprintf("%s Broken: %s. %s", c.Doc, strings.TrimRight(strings.Join(c.Evidence, "; "), "."), c.Why)
		}
		var at sarifLocation
		at.Physical.Artifact.URI = "ringwall.yaml"
		at.Logical = []sarifLogical{{r.Site + "/" + c.ID, "resource"}}
		x.Locations = []sarifLocation{at}
		run.Results = append(run.Results, x)
	}
	b, err := encode(sarifLog{"https://json.schemastore.org/sarif-2.1.0.json", "2.1.0", []sarifRun{run}})
	if err != nil {
		return fmt.Errorf("writing the report as SARIF: %w", err)
	}
	return s.put(b)
}

// sarifFinding is the result of one place of a template, with its path as a flow.
func sarifFinding(r *Report, c Record, rule int, f perimeter.Finding) sarifResult {
	x := sarifResult{RuleID: c.ID, RuleIndex: rule, Kind: "fail", Level: "error",
		Fingerprints: map[string]string{"finding/v1": r.Site + " " + c.ID + " " + f.Resource + " " + f.Words}}
	x.Message.Text = fmt.Sprintf("%s Broken: %s. %s", c.Doc, strings.TrimRight(f.Words, "."), c.Why)
	if f.Verdict != perimeter.Broken {
		x.Level = "warning"
		x.Message.Text = fmt.Sprintf("%s Could not be judged: %s.", c.Doc, strings.TrimRight(f.Words, "."))
	}
	at := sarifLocation{Physical: *physical(f.File, f.Line, f.Column), Logical: []sarifLogical{{cmp.Or(f.Resource, r.Site+"/"+c.ID), "resource"}}}
	x.Locations = []sarifLocation{at}
	var steps []sarifStep
	for _, h := range f.Path {
		p := sarifPlace{Message: sarifText{h.Words}}
		if h.File != "" {
			p.Physical = physical(h.File, h.Line, h.Column)
		}
		steps = append(steps, sarifStep{p})
	}
	if len(steps) > 0 {
		x.CodeFlows = []sarifFlow{{[]sarifThread{{steps}}}}
	}
	return x
}

func physical(file string, line, column int) *sarifPhysical {
	var p sarifPhysical
	p.Artifact.URI = filepath.ToSlash(cmp.Or(file, "ringwall.yaml"))
	if line > 0 {
		p.Region = &sarifRegion{line, max(1, column)}
	}
	return &p
}

// pascal makes EdgeWafXss of edge/waf-xss.
func pascal(id string) string {
	var b strings.Builder
	for _, w := range strings.FieldsFunc(id, func(r rune) bool { return r == '/' || r == '-' }) {
		b.WriteString(strings.ToUpper(w[:1]) + w[1:])
	}
	return b.String()
}
