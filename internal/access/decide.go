package access

import (
	"fmt"
	"strings"

	"github.com/ringwall/ringwall/internal/template"
)

// A Request is something that somebody tries.
type Request struct {
	Who      *Principal // nil: nobody that AWS knows
	Action   string     // service:Action
	Resource string     // in the form of Model.Text
	Context  Context
}

// A Decision is what IAM answers. Maybe: it rests on something that a template
// does not say.
type Decision struct {
	Allowed template.Tri
	By      *Statement // what decides: the Allow, or the Deny
	Why     string     // in words
}

// At is where what decides is written, or else the one who asks.
func (d Decision) At(who *Principal) template.Pos {
	if d.By != nil {
		return d.By.Pos
	}
	return who.Res.Pos
}

// covers says whether a statement is about an action, in small letters, on a resource.
func (s *Statement) covers(action, resource string) template.Tri {
	if s.Unsure != "" {
		return template.Maybe
	}
	act := template.No
	for _, a := range s.Actions {
		act = act.Or(matches(a, action))
	}
	if len(s.NotActions) > 0 {
		hit := template.No
		for _, a := range s.NotActions {
			hit = hit.Or(matches(a, action))
		}
		act = hit.Not()
	}
	if act == template.No {
		return template.No
	}
	res := template.No
	for _, r := range s.Resources {
		res = res.Or(matches(r, resource))
	}
	if len(s.NotResources) > 0 {
		hit := template.No
		for _, r := range s.NotResources {
			hit = hit.Or(matches(r, resource))
		}
		res = hit.Not()
	}
	if len(s.Resources) == 0 && len(s.NotResources) == 0 {
		res = template.Yes // a policy on a resource may leave it out
	}
	return act.And(res)
}

// named says whether a statement of a resource's policy is about a principal;
// account is Yes when it names the principal's whole account.
func (s *Statement) named(p *Principal) (who, account template.Tri) {
	match := func(ws []Who) (who, account template.Tri) {
		who, account = template.No, template.No
		for _, w := range ws {
			switch {
			case w.Everyone():
				who = template.Yes
			case p == nil || w.Kind != "AWS":
			case w.Name == template.Pseudo("AccountId"), strings.HasSuffix(w.Name, ":root") && strings.Contains(w.Name, template.Pseudo("AccountId")):
				account = template.Yes
			case strings.HasSuffix(w.Name, ":root"), len(w.Name) == 12 && strings.Trim(w.Name, "0123456789") == "":
				account = template.Maybe // an account by its number: perhaps this one
			default:
				who = who.Or(same(w.Name, p.ARN))
			}
		}
		return who, account
	}
	if len(s.NotWho) > 0 {
		who, account = match(s.NotWho)
		return who.Or(account).Not(), template.No
	}
	return match(s.Who)
}

// pass runs over statements: the strongest Deny and Allow of a request.
func pass(ss []*Statement, q Request, counts func(*Statement) template.Tri) (deny, allow template.Tri, byDeny, byAllow *Statement) {
	deny, allow = template.No, template.No
	action := lower(q.Action)
	for _, s := range ss {
		t := counts(s)
		if t == template.No {
			continue
		}
		t = t.And(s.covers(action, q.Resource))
		if t == template.No {
			continue
		}
		t = t.And(holds(s.Conditions, q.Context))
		if s.Allow {
			if byAllow == nil || t > allow {
				if t != template.No {
					byAllow = s
				}
			}
			allow = allow.Or(t)
		} else {
			if byDeny == nil || t > deny {
				if t != template.No {
					byDeny = s
				}
			}
			deny = deny.Or(t)
		}
	}
	return deny, allow, byDeny, byAllow
}

func always(*Statement) template.Tri { return template.Yes }

// Mode is how a service combines its resource's policy with the identity's.
type Mode int

const (
	Either  Mode = iota // the identity's policy or the resource's is enough
	KeyOnly             // the resource's policy must allow, itself or by naming the account (KMS)
)

// Decide answers a request. resource is the policy on the resource itself.
func (m *Model) Decide(q Request, resource []*Statement, mode Mode) Decision {
	q.Context = withPrincipal(q.Who, q.Context)
	denyR, allowR, byDenyR, byAllowR := pass(resource, q, func(s *Statement) template.Tri { who, account := s.named(q.Who); return denying(s, who, account) })
	_, allowAccount, _, byAccount := pass(resource, q, func(s *Statement) template.Tri { _, account := s.named(q.Who); return account })
	var denyI, allowI = template.No, template.No
	var byDenyI, byAllowI *Statement
	limit := template.Yes
	var limitedBy *Statement
	if q.Who != nil {
		denyI, allowI, byDenyI, byAllowI = pass(q.Who.Identity, q, always)
		if len(q.Who.Unsure) > 0 && allowI != template.Yes {
			allowI = allowI.Or(template.Maybe)
		}
		if q.Who.HasBoundary {
			var denyB template.Tri
			denyB, limit, limitedBy, _ = pass(q.Who.Boundary, q, always)
			limit = limit.And(denyB.Not())
			if len(q.Who.Unsure) > 0 && limit == template.No {
				limit = template.Maybe
			}
		}
	}
	for _, d := range []struct {
		t  template.Tri
		by *Statement
	}{{denyR, byDenyR}, {denyI, byDenyI}} {
		if d.t == template.Yes {
			return Decision{template.No, d.by, d.by.String()}
		}
	}
	granted, by := allowI.Or(allowR), byAllowI
	if mode == KeyOnly {
		granted, by = allowR.Or(allowAccount.And(allowI)), byAccount
	}
	if allowR == template.Yes || by == nil {
		by = byAllowR
	}
	granted = granted.And(limit)
	if granted == template.No {
		if limitedBy != nil {
			return Decision{template.No, limitedBy, "the boundary ends it: " + limitedBy.String()}
		}
		return Decision{template.No, nil, "no policy allows it"}
	}
	if granted == template.Yes {
		if d, limited := m.limited(q); limited {
			return d
		}
	}
	if denyR == template.Maybe || denyI == template.Maybe {
		granted = template.Maybe
	}
	why := ""
	switch {
	case by != nil && by.Unsure != "":
		why = by.Unsure
	case by != nil:
		why = by.String()
	case q.Who != nil && len(q.Who.Unsure) > 0:
		why = q.Who.Unsure[0]
	}
	if granted == template.Maybe && by != nil && len(by.Conditions) > 0 {
		why += fmt.Sprintf(", under a condition on %s", by.Conditions[0].Key)
	}
	return Decision{granted, by, why}
}

// limited says whether an organization's policy refuses what is granted. The answer is
// then Maybe and not No: it binds the accounts that are under its targets, which only
// the organization knows, and never the account that manages it.
func (m *Model) limited(q Request) (Decision, bool) {
	if q.Who == nil || len(m.limits) == 0 {
		return Decision{}, false
	}
	deny, _, by, _ := pass(m.limits, q, always)
	if deny != template.Yes {
		return Decision{}, false
	}
	s := *by
	s.Unsure = by.Policy + " refuses it, if it binds this account, which only the organization knows"
	return Decision{template.Maybe, &s, s.Unsure}, true
}

// denying: a Deny that names an account binds everyone in it.
func denying(s *Statement, who, account template.Tri) template.Tri {
	if s.Allow {
		return who
	}
	return who.Or(account)
}

// About says whether a statement is about an action on a resource, whoever asks.
func About(s *Statement, action, resource string) template.Tri {
	return s.covers(lower(action), resource)
}
