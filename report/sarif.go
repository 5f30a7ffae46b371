package report

import (
	"cmp"
	"fmt"
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
	}
	sarifLocation struct {
		Physical sarifPhysical  `json:"physicalLocation"`
		Logical  []sarifLogical `json:"logicalLocations"`
	}
	sarifPhysical struct {
		Artifact struct {
			URI string `json:"uri"`
		} `json:"artifactLocation"`
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
		if c.Verdict == perimeter.Held {
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

// pascal makes EdgeWafXss of edge/waf-xss.
func pascal(id string) string {
	var b strings.Builder
	for _, w := range strings.FieldsFunc(id, func(r rune) bool { return r == '/' || r == '-' }) {
		b.WriteString(strings.ToUpper(w[:1]) + w[1:])
	}
	return b.String()
}
