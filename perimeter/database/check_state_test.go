package database

import (
	"strings"
	"testing"

	"github.com/ringwall/ringwall/internal/template"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/verify"
)

// TestTransit: what is taken in clear, or in a way that no template decides, is not
// called protected.
func TestTransit(t *testing.T) {
	const listener = "  L: {Type: 'AWS::ElasticLoadBalancingV2::Listener', Properties: {Protocol: PROTO, DefaultActions: [{Type: ACTION}]}}\n"
	of := func(proto, action string) string {
		return strings.NewReplacer("PROTO", proto, "ACTION", action).Replace(listener)
	}
	for _, x := range []struct {
		name, resources string
		want            perimeter.Verdict
		words           string
	}{
		{"HTTP that is redirected", of("HTTP", "redirect"), perimeter.Held, ""},
		{"HTTP that is forwarded", of("HTTP", "forward"), perimeter.Broken, "L takes and forwards plain HTTP"},
		{"HTTP that a rule forwards", of("HTTP", "redirect") + "  R: {Type: 'AWS::ElasticLoadBalancingV2::ListenerRule', Properties: {ListenerArn: !Ref L, Actions: [{Type: forward}]}}\n", perimeter.Broken, "R takes and forwards"},
		{"TCP", of("TCP", "forward"), perimeter.Unknown, "only what is behind it decides"},
		{"HTTPS of a good policy", of("HTTPS, SslPolicy: ELBSecurityPolicy-TLS13-1-2-2021-06", "forward"), perimeter.Held, ""},
		{"HTTPS of the default policy", of("HTTPS", "forward"), perimeter.Broken, "TLS 1.0"},
		{"a first-generation balancer", "  L: {Type: 'AWS::ElasticLoadBalancing::LoadBalancer', Properties: {Listeners: [{Protocol: http, LoadBalancerPort: 80}]}}\n", perimeter.Broken, "plain HTTP"},
		{"a first-generation balancer with TLS", "  L: {Type: 'AWS::ElasticLoadBalancing::LoadBalancer', Properties: {Listeners: [{Protocol: HTTPS, LoadBalancerPort: 443}]}}\n", perimeter.Unknown, "first generation"},
	} {
		set, err := template.New([]template.File{{Name: "s.yaml", Text: []byte("Resources:\n" + x.resources)}})
		if err != nil {
			t.Fatalf("%s: %v", x.name, err)
		}
		_, results, _ := verify.Check(nil, set, verify.Jobs([]*perimeter.Perimeter{{Name: "database", Controls: checks}}))
		var got *perimeter.Result
		for i := range results {
			if results[i].ID == "database/restorable" {
				got = &results[i]
			}
		}
		if got == nil || got.Verdict != x.want || !strings.Contains(strings.Join(got.Evidence, "\n"), x.words) {
			t.Errorf("%s: got %+v, want %s with %q", x.name, got, x.want, x.words)
		}
	}
}
