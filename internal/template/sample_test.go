package template

import "testing"

func TestSample(t *testing.T) {
	s, err := Load("../../examples/sample-aws")
	if err != nil {
		t.Fatal(err)
	}
	ws, all := s.Worlds()
	if !all {
		t.Error("got some of the worlds, want all")
	}
	for _, w := range ws {
		a := w.Resource("wp-dev-compute-stack/Balancer")
		if got := w.Of(a.Get("SecurityGroups").List()[0]); got == nil || got.ID != "BalancerSecurityGroup" {
			t.Errorf("the balancer's group: got %v, want BalancerSecurityGroup of the network stack", got)
		}
		if got := len(a.Get("Subnets").List()); got != 2 {
			t.Errorf("the balancer's subnets: got %d, want 2", got)
		}
		if got := a.Place("Scheme").Line; got != 33 {
			t.Logf("scheme at line %d", got)
		}
	}
}
