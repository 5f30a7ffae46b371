package cis

import (
	"slices"
	"testing"
)

func TestAll(t *testing.T) {
	count := map[string]int{}
	for _, r := range All() {
		count[r.By]++
		if r.Title == "" || r.Level != "L1" && r.Level != "L2" || r.In[Base] != r.ID {
			t.Errorf("%+v: want a title, a level and its own id", r)
		}
		for v := range r.In {
			if !slices.Contains(Versions, v) {
				t.Errorf("%s: version %q, want one of %v", r.ID, v, Versions)
			}
		}
	}
	for by, want := range map[string]int{ByTemplate: 44, ByAccount: 16, ByPerson: 3} {
		if count[by] != want {
			t.Errorf("decided by %s: got %d, want %d", by, count[by], want)
		}
	}
}

func TestRename(t *testing.T) {
	got := Rename([]string{"INV-01", "CIS 5.2", "CIS 3.4"}, "5.0")
	if want := []string{"INV-01", "CIS 5.3 (5.0)"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := Rename([]string{"CIS 5.4"}, "1.4"); !slices.Equal(got, []string{"CIS 5.3 (1.4)"}) {
		t.Errorf("got %q, want 5.3, which the default group had in 1.4", got)
	}
}
