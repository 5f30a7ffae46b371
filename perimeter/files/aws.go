package files

import (
	"strconv"

	"github.com/ringwall/ringwall/internal/cfn"
	"github.com/ringwall/ringwall/internal/cfn/res"
	"github.com/ringwall/ringwall/plan"
)

const (
	clientMount = "elasticfilesystem:ClientMount"
	clientWrite = "elasticfilesystem:ClientWrite"
	clientRoot  = "elasticfilesystem:ClientRootAccess"
)

// Numbers of the users that access points act as. They share a group, so that
// fleet reads what admin keeps from the rest of the world.
const (
	adminUser = 1000
	fleetUser = 1001
	siteGroup = 1000
)

// synth adds the file system. Its policy refuses what no role allows: a client
// without a signature, one without TLS, one beside the access points, and every
// writer but the admin tier; without a policy EFS lets any client in the network
// write (docs.aws.amazon.com/efs, default file system policy).
func synth(p *plan.Plan, s *cfn.Stacks) error {
	st := s.Stack(plan.StackNetwork)
	var roles, writers []cfn.String
	for _, t := range p.Tiers {
		arn := s.Use(plan.RefRoleARN(t.Name), st)
		roles = append(roles, arn)
		if t.Write {
			writers = append(writers, arn)
		}
	}
	fs := st.Add("FileSystem", &res.EFSFileSystem{
		Encrypted:       cfn.B(true),
		KmsKeyId:        s.Use(plan.RefDataKey, st),
		PerformanceMode: cfn.S("generalPurpose"),
		BackupPolicy:    &res.EFSFileSystem_BackupPolicy{Status: cfn.S("ENABLED")},
		LifecyclePolicies: []*res.EFSFileSystem_LifecyclePolicy{
			{TransitionToIA: cfn.S("AFTER_30_DAYS")}, {TransitionToPrimaryStorageClass: cfn.S("AFTER_1_ACCESS")},
		},
		FileSystemPolicy: cfn.Policy{
			{Sid: "TLSOnly", Deny: true, Principal: cfn.Anyone, Action: []string{"*"},
				Condition: cfn.M{"Bool": cfn.M{"aws:SecureTransport": "false"}}},
			{Sid: "AccessPointsOnly", Deny: true, Principal: cfn.Anyone, Action: []string{clientMount, clientWrite, clientRoot},
				Condition: cfn.M{"Null": cfn.M{"elasticfilesystem:AccessPointArn": "true"}}},
			{Sid: "TiersOnly", Deny: true, Principal: cfn.Anyone, Action: []string{clientMount, clientWrite, clientRoot},
				Condition: cfn.M{"ArnNotEquals": cfn.M{"aws:PrincipalArn": roles}}},
			{Sid: "WritersOnly", Deny: true, Principal: cfn.Anyone, Action: []string{clientWrite},
				Condition: cfn.M{"ArnNotEquals": cfn.M{"aws:PrincipalArn": writers}}},
			{Sid: "NobodyIsRoot", Deny: true, Principal: cfn.Anyone, Action: []string{clientRoot}},
		},
		FileSystemTags: []*res.EFSFileSystem_ElasticFileSystemTag{
			{Key: cfn.S("Name"), Value: cfn.S(p.Site())}, {Key: cfn.S(plan.BackupTag), Value: cfn.S(p.Site())},
		},
	}, cfn.RetainUnlessNew())
	e := fs.Resource().(*res.EFSFileSystem)
	e.ThroughputMode = cfn.S("bursting")
	if mb := p.AWS.EFSThroughputMB; mb > 0 {
		e.ThroughputMode, e.ProvisionedThroughputInMibps = cfn.S("provisioned"), cfn.N(float64(mb))
	}
	for z := range p.AWS.Zones() {
		st.Add("MountTarget"+strconv.Itoa(z), &res.EFSMountTarget{
			FileSystemId: fs.Ref(), SubnetId: s.Use(plan.RefIsolatedSubnet(z), st),
			SecurityGroups: []cfn.String{s.Use(plan.RefFilesGroup, st)},
		})
	}
	s.Provide(plan.RefFileSystem, st, fs.Ref())
	st.Output("FileSystemId", "file system of the app's files", fs.Ref())
	for _, t := range p.Tiers {
		door(p, s, st, fs, t)
	}
	return nil
}

// door gives a tier its access point of the one tree, and its role the right to
// mount through it and nowhere else. Whoever the client says it is, the access point
// acts as the tier's own user.
func door(p *plan.Plan, s *cfn.Stacks, st *cfn.Stack, fs *cfn.Handle, t plan.Tier) {
	user, actions := fleetUser, []string{clientMount}
	if t.Write {
		user, actions = adminUser, []string{clientMount, clientWrite}
	}
	ref := plan.RefAccessPoint(t.Name)
	point := st.Add(ref.Name, &res.EFSAccessPoint{
		FileSystemId: fs.Ref(),
		PosixUser:    &res.EFSAccessPoint_PosixUser{Uid: cfn.S(strconv.Itoa(user)), Gid: cfn.S(strconv.Itoa(siteGroup))},
		RootDirectory: &res.EFSAccessPoint_RootDirectory{
			Path: cfn.S("/site"),
			CreationInfo: &res.EFSAccessPoint_CreationInfo{
				OwnerUid: cfn.S(strconv.Itoa(adminUser)), OwnerGid: cfn.S(strconv.Itoa(siteGroup)), Permissions: cfn.S("0750"),
			},
		},
		AccessPointTags: []*res.EFSAccessPoint_AccessPointTag{{Key: cfn.S("Name"), Value: cfn.S(p.Site() + " " + t.Name)}},
	})
	s.Provide(ref, st, point.Ref())
	st.Add(ref.Name+"Right", &res.IAMRolePolicy{
		RoleName: s.Use(plan.RefRole(t.Name), st), PolicyName: cfn.S("files"),
		PolicyDocument: cfn.Policy{{
			Action: actions, Resource: []cfn.String{fs.Att("Arn")},
			Condition: cfn.M{"StringEquals": cfn.M{"elasticfilesystem:AccessPointArn": point.Att("Arn")}},
		}},
	})
}
