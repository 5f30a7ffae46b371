package host

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"

	"github.com/ringwall/ringwall/internal/cfn"
	"github.com/ringwall/ringwall/internal/cfn/res"
	"github.com/ringwall/ringwall/plan"
)

// refImage is the id of the golden image for a processor.
func refImage(arch string) plan.Ref {
	if arch == "arm64" {
		return plan.RefImage
	}
	return plan.Ref{Owner: plan.RefImage.Owner, Name: plan.RefImage.Name + "X8664"}
}

// image adds the golden images, one for each processor that a tier runs on: made
// and tested by EC2 Image Builder, so that instances install nothing at their
// start, and made anew every week with the patches of that week.
func image(p *plan.Plan, s *cfn.Stacks) {
	st := s.Stack(plan.StackImage)
	role := st.Add("BuildRole", &res.IAMRole{
		Description:              cfn.S("Instances that build the golden image of " + p.Site() + "."),
		AssumeRolePolicyDocument: cfn.Assume("ec2.amazonaws.com"),
		ManagedPolicyArns:        []cfn.String{cfn.AWSPolicy("EC2InstanceProfileForImageBuilder"), cfn.AWSPolicy("AmazonSSMManagedInstanceCore")},
		Policies: []*res.IAMRole_Policy{{PolicyName: cfn.S("build"), PolicyDocument: cfn.Policy{
			{Sid: "FilesOfTheImage", Action: []string{"ssm:GetParameter"}, Resource: []cfn.String{parameters(p.Site(), "image")}},
		}}},
	})
	profile := st.Add("BuildProfile", &res.IAMInstanceProfile{Roles: []cfn.String{role.Ref()}})
	var done []string
	for _, t := range p.Tiers {
		kind := instanceType(p, t.Name)
		a := arch(kind)
		if slices.Contains(done, a) {
			continue
		}
		done = append(done, a)
		built := golden(p, s, st, profile, a, kind, t.Name)
		s.Provide(refImage(a), st, built.Att("ImageId"))
	}
}

func golden(p *plan.Plan, s *cfn.Stacks, st *cfn.Stack, profile *cfn.Handle, arch, kind, tier string) *cfn.Handle {
	suffix := map[string]string{"arm64": "Arm64", "x86_64": "X8664"}[arch]
	path, notes := ami(p, tier)
	for _, n := range notes {
		s.Note(n)
	}
	// A component never changes under its name and version; its text is in its name.
	document := component(p)
	with := cfn.With{}
	if strings.Contains(document, "${ApplicationImage}") {
		with["ApplicationImage"] = s.Use(plan.RefInstanceFiles("application", "image"), st)
	}
	name := p.Site() + "-" + strings.ReplaceAll(arch, "_", "-") + "-" + key(document+path)
	part := st.Add("Install"+suffix, &res.ImageBuilderComponent{
		Name: cfn.S(name), Version: cfn.S("1.0.0"), Platform: cfn.S("Linux"), SupportedOsVersions: cfn.Strs("Amazon Linux 2023"),
		Description: cfn.S("Everything that an instance of " + p.Site() + " needs."),
		Data:        sub(document, with),
	})
	recipe := st.Add("Recipe"+suffix, &res.ImageBuilderImageRecipe{
		Name: cfn.S(name), Version: cfn.S("1.0.0"), ParentImage: amiParam(st, path),
		Components: []*res.ImageBuilderImageRecipe_ComponentConfiguration{
			{ComponentArn: cfn.Sub("arn:${AWS::Partition}:imagebuilder:${AWS::Region}:aws:component/update-linux/x.x.x")},
			{ComponentArn: part.Ref()},
		},
		BlockDeviceMappings: []*res.ImageBuilderImageRecipe_InstanceBlockDeviceMapping{{DeviceName: cfn.S("/dev/xvda"),
			Ebs: &res.ImageBuilderImageRecipe_EbsInstanceBlockDeviceSpecification{Encrypted: cfn.B(true), VolumeType: cfn.S("gp3"), VolumeSize: cfn.I(16), DeleteOnTermination: cfn.B(true)}}},
	})
	place := st.Add("Workshop"+suffix, &res.ImageBuilderInfrastructureConfiguration{
		Name: cfn.S(p.Site() + "-" + strings.ReplaceAll(arch, "_", "-")), InstanceProfileName: profile.Ref(), InstanceTypes: []cfn.String{cfn.S(kind)},
		SubnetId: s.Use(plan.RefPrivateSubnet(0), st), SecurityGroupIds: []cfn.String{s.Use(plan.RefBuildGroup, st)},
		TerminateInstanceOnFailure: cfn.B(true), SnsTopicArn: s.Use(plan.RefAlarmTopic, st),
		InstanceMetadataOptions: &res.ImageBuilderInfrastructureConfiguration_InstanceMetadataOptions{HttpTokens: cfn.S("required"), HttpPutResponseHopLimit: cfn.I(1)},
	})
	tests := func() *res.ImageBuilderImage_ImageTestsConfiguration {
		return &res.ImageBuilderImage_ImageTestsConfiguration{ImageTestsEnabled: cfn.B(true), TimeoutMinutes: cfn.I(60)}
	}
	built := st.Add("GoldenImage"+suffix, &res.ImageBuilderImage{
		ImageRecipeArn: recipe.Ref(), InfrastructureConfigurationArn: place.Ref(), EnhancedImageMetadataEnabled: cfn.B(true), ImageTestsConfiguration: tests(),
	})
	st.Add("Pipeline"+suffix, &res.ImageBuilderImagePipeline{
		Name: cfn.S(p.Site() + "-" + strings.ReplaceAll(arch, "_", "-")), ImageRecipeArn: recipe.Ref(), InfrastructureConfigurationArn: place.Ref(),
		EnhancedImageMetadataEnabled: cfn.B(true), Status: cfn.S("ENABLED"),
		Schedule: &res.ImageBuilderImagePipeline_Schedule{ScheduleExpression: cfn.S("cron(0 3 ? * sun *)"),
			PipelineExecutionStartCondition: cfn.S("EXPRESSION_MATCH_AND_DEPENDENCY_UPDATES_AVAILABLE")},
	})
	return built
}

func key(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])[:10]
}

// component is the document of EC2 Image Builder that installs the image's
// programs. It is JSON, which is YAML as well.
func component(p *plan.Plan) string {
	script := "set -euo pipefail\n"
	if p.Application.Setup == plan.PresetNodeRED {
		script += "export AWS_DEFAULT_REGION='${AWS::Region}'\nAPPLICATION_IMAGE='${ApplicationImage}'\n" + replace(fetchSh, map[string]string{"SITE": p.Site()})
	}
	script += install(p, true)
	step := func(name string, commands ...string) map[string]any {
		return map[string]any{"name": name, "action": "ExecuteBash", "inputs": map[string]any{"commands": commands}}
	}
	check := []string{"nginx -v", "test -x /sbin/mount.efs", "if systemctl is-enabled sshd.service; then exit 1; fi"}
	switch p.Application.Setup {
	case plan.PresetWordPress:
		check = append(check, "php-fpm -t", "test -e /opt/ringwall/wordpress/wp-settings.php")
	case plan.PresetNodeRED:
		check = append(check, "test -e /opt/ringwall/node-red/node_modules/node-red/red.js")
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(map[string]any{
		"name": "install", "schemaVersion": "1.0",
		"phases": []any{
			map[string]any{"name": "build", "steps": []any{step("install", script)}},
			map[string]any{"name": "validate", "steps": []any{step("check", "set -euo pipefail\n"+strings.Join(check, "\n"))}},
		},
	})
	if err != nil {
		panic("host: the component's document: " + err.Error())
	}
	return strings.TrimRight(b.String(), "\n")
}
