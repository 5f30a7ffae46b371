package people

import (
	"github.com/ringwall/ringwall/internal/cfn"
	"github.com/ringwall/ringwall/internal/cfn/res"
	"github.com/ringwall/ringwall/plan"
)

// synth adds who may do what: keys, evidence and backups in the baseline stack,
// and a role for each tier in the network stack.
func synth(p *plan.Plan, s *cfn.Stacks) error {
	keys(p, s)
	roles(p, s)
	return nil
}

// roles gives each tier an IAM role and an instance profile. A role may be managed
// by Systems Manager and write its own logs; what else it may do, the walls that own
// the thing attach: files its access point, database its secret.
func roles(p *plan.Plan, s *cfn.Stacks) {
	st := s.Stack(plan.StackNetwork)
	for _, t := range p.Tiers {
		ref := plan.RefRole(t.Name)
		role := st.Add(ref.Name, &res.IAMRole{
			Description:              cfn.S("Instances of " + t.Name + " of " + p.Site() + "."),
			AssumeRolePolicyDocument: cfn.Assume("ec2.amazonaws.com"),
		})
		profile := st.Add(plan.RefInstanceProfile(t.Name).Name, &res.IAMInstanceProfile{Roles: []cfn.String{role.Ref()}})
		s.Provide(ref, st, role.Ref())
		s.Provide(plan.RefRoleARN(t.Name), st, role.Att("Arn"))
		s.Provide(plan.RefInstanceProfile(t.Name), st, profile.Att("Arn"))
	}
}
