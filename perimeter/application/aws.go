package application

import (
	"fmt"

	"github.com/ringwall/ringwall/internal/bundle"
	"github.com/ringwall/ringwall/internal/cfn"
	"github.com/ringwall/ringwall/internal/cfn/res"
	"github.com/ringwall/ringwall/internal/nodered"
	"github.com/ringwall/ringwall/internal/rotator"
	"github.com/ringwall/ringwall/internal/wordpress"
	"github.com/ringwall/ringwall/plan"
)

// Where the app's own files lie on an instance before its set-up copies them.
const (
	filesDir   = "/opt/ringwall/application"
	nodeREDDir = "/opt/ringwall/node-red"
)

// synth adds what a preset's app needs beside the tree: the configuration that the
// admin tier puts into it, the lock file that its installation follows, and a
// secret of each tier's own that its keys are made of. A session that one tier
// signs is therefore none on the other.
func synth(p *plan.Plan, s *cfn.Stacks) error {
	st := s.Stack(plan.StackCompute)
	var secrets []*cfn.Handle
	for _, t := range p.Tiers {
		files, err := tierFiles(p, t)
		if err != nil {
			return err
		}
		if err := publish(p, s, st, t.Name, files); err != nil {
			return err
		}
		if p.HasAppSecret(t) {
			secrets = append(secrets, appSecret(p, s, st, t))
		}
	}
	if len(secrets) > 0 {
		key := "seed"
		if p.Application.Setup == plan.PresetNodeRED {
			key = "password"
		}
		rotator.Add(st, rotator.Rotation{ID: "AppSecretRotator", About: "Changes what the app of " + p.Site() + " makes its keys of.", Secrets: secrets, Key: key, LogsKey: s.Use(plan.RefLogsKey, st)})
	}
	where := st
	if p.AWS.Image == plan.ImageBuild {
		where = s.Stack(plan.StackImage)
	}
	image, err := imageFiles(p)
	if err != nil {
		return err
	}
	return publish(p, s, where, "image", image)
}

func publish(p *plan.Plan, s *cfn.Stacks, st *cfn.Stack, tier string, files []bundle.File) error {
	ref := plan.RefInstanceFiles("application", tier)
	if len(files) == 0 {
		s.Provide(ref, st, cfn.S("0 none"))
		return nil
	}
	b, err := bundle.Pack(files)
	if err != nil {
		return fmt.Errorf("packing the app's files of %s: %w", tier, err)
	}
	b.Publish(st, "Application"+ref.Name, plan.FilesPrefix(p.Site(), tier, "application"), "The app's own files for "+tier+" of "+p.Site())
	s.Provide(ref, st, cfn.S(b.String()))
	return nil
}

// tierFiles are those that the tier with the right to write puts into the tree.
func tierFiles(p *plan.Plan, t plan.Tier) ([]bundle.File, error) {
	if !t.Write {
		return nil, nil
	}
	add := func(dir string, files map[string]string, names []string) (out []bundle.File) {
		for _, n := range names {
			out = append(out, bundle.File{Path: dir + "/" + n, Mode: 0o644, Text: files[n]})
		}
		return out
	}
	switch p.Application.Setup {
	case plan.PresetWordPress:
		files, names, err := wordpress.Own()
		return add(filesDir, files, names), err
	case plan.PresetNodeRED:
		files, names, err := nodered.Own()
		return add(filesDir+"/node-red", files, names), err
	}
	return nil, nil
}

// imageFiles are those that the installation of the app follows.
func imageFiles(p *plan.Plan) ([]bundle.File, error) {
	if p.Application.Setup != plan.PresetNodeRED {
		return nil, nil
	}
	files, names, err := nodered.Lock()
	var out []bundle.File
	for _, n := range names {
		out = append(out, bundle.File{Path: nodeREDDir + "/" + n, Mode: 0o644, Text: files[n]})
	}
	return out, err
}

func appSecret(p *plan.Plan, s *cfn.Stacks, st *cfn.Stack, t plan.Tier) *cfn.Handle {
	ref := plan.RefAppSecret(t.Name)
	generate := &res.SecretsManagerSecret_GenerateSecretString{
		SecretStringTemplate: cfn.S("{}"), GenerateStringKey: cfn.S("seed"), PasswordLength: cfn.I(64), ExcludePunctuation: cfn.B(true),
	}
	if p.Application.Setup == plan.PresetNodeRED {
		generate.SecretStringTemplate, generate.GenerateStringKey = cfn.S(`{"username":"admin"}`), cfn.S("password")
	}
	secret := st.Add(ref.Name, &res.SecretsManagerSecret{
		Name:                 cfn.S(p.Site() + "/" + t.Name + "/app"),
		Description:          cfn.S("What the app makes its keys of on " + t.Name + " of " + p.Site() + "."),
		KmsKeyId:             s.Use(plan.RefDataKey, st),
		GenerateSecretString: generate,
	})
	st.Add(ref.Name+"Right", &res.IAMRolePolicy{
		RoleName: s.Use(plan.RefRole(t.Name), st), PolicyName: cfn.S("app-secret"),
		PolicyDocument: cfn.Policy{{Sid: "OwnAppSecret", Action: []string{"secretsmanager:GetSecretValue"}, Resource: []cfn.String{secret.Ref()}}},
	})
	s.Provide(ref, st, secret.Ref())
	return secret
}
