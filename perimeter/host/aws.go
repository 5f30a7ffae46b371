package host

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ringwall/ringwall/internal/cfn"
	"github.com/ringwall/ringwall/internal/cfn/res"
	"github.com/ringwall/ringwall/plan"
)

// groupID is the logical id of a tier's auto scaling group.
func groupID(tier string) string { return title(tier) + "Instances" }

func title(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// synth adds each tier's instances: a launch template that asks for session tokens
// of the metadata service and has no key pair, and an auto scaling group over the
// site's zones. With image: build they start from a golden image.
func synth(p *plan.Plan, s *cfn.Stacks) error {
	if p.AWS.Image == plan.ImageBuild {
		image(p, s)
	}
	if p.AWS.NATGateways == 0 && (p.Application.Setup != "" || p.AWS.Image == plan.ImageBuild) {
		s.Note(cfn.Note{Key: "aws.natGateways", Was: "0", Why: "without one the app cannot be fetched, nor a golden image be built: packages of Amazon Linux alone come through S3"})
	}
	var first *cfn.Handle
	for _, t := range p.Tiers {
		group, err := tier(p, s, t, first)
		if err != nil {
			return err
		}
		if t.Write {
			first = group
		}
	}
	return nil
}

// tier adds the instances of a tier. Those that only read wait for the first that
// writes: it is what puts the app into the tree.
func tier(p *plan.Plan, s *cfn.Stacks, t plan.Tier, after *cfn.Handle) (*cfn.Handle, error) {
	st := s.Stack(plan.StackCompute)
	text, notes, err := userData(p, t)
	if err != nil {
		return nil, err
	}
	imageID, more := startImage(p, s, st, t.Name)
	for _, n := range slices.Concat(notes, more) {
		if !slices.Contains(s.Notes(), n) { // what holds for both tiers is said once
			s.Note(n)
		}
	}
	size := 16
	if !t.Write {
		size = 20 // with room for files that are kept locally
	}
	tags := []cfn.Tag{
		{Key: cfn.S("Name"), Value: cfn.S(p.Site() + " " + t.Name)}, {Key: cfn.S(plan.TierTag), Value: cfn.S(t.Name)},
		{Key: cfn.S("ringwall:site"), Value: cfn.S(p.Site())}, {Key: cfn.S("app"), Value: cfn.S(p.App)}, {Key: cfn.S("environment"), Value: cfn.S(p.Env)},
	}
	template := st.Add(title(t.Name)+"Template", &res.EC2LaunchTemplate{
		LaunchTemplateData: &res.EC2LaunchTemplate_LaunchTemplateData{
			ImageId:            imageID,
			InstanceType:       cfn.S(instanceType(p, t.Name)),
			IamInstanceProfile: &res.EC2LaunchTemplate_IamInstanceProfile{Arn: s.Use(plan.RefInstanceProfile(t.Name), st)},
			SecurityGroupIds:   []cfn.String{s.Use(plan.RefTierGroup(t.Name), st)},
			UserData:           cfn.Base64(sub(text, fill(p, s, st, t, text))),
			// The hop limit keeps a container, or a proxy, on the instance from the role's keys.
			MetadataOptions: &res.EC2LaunchTemplate_MetadataOptions{
				HttpEndpoint: cfn.S("enabled"), HttpTokens: cfn.S("required"), HttpPutResponseHopLimit: cfn.I(1), InstanceMetadataTags: cfn.S("disabled"),
			},
			Monitoring:   &res.EC2LaunchTemplate_Monitoring{Enabled: cfn.B(true)},
			EbsOptimized: cfn.B(true),
			BlockDeviceMappings: []*res.EC2LaunchTemplate_BlockDeviceMapping{{DeviceName: cfn.S("/dev/xvda"),
				Ebs: &res.EC2LaunchTemplate_Ebs{Encrypted: cfn.B(true), VolumeType: cfn.S("gp3"), VolumeSize: cfn.I(size), DeleteOnTermination: cfn.B(true)}}},
			TagSpecifications: []*res.EC2LaunchTemplate_TagSpecification{
				{ResourceType: cfn.S("instance"), Tags: tags}, {ResourceType: cfn.S("volume"), Tags: tags},
			},
		},
	})
	group := &res.AutoScalingAutoScalingGroup{
		MinSize: cfn.S(strconv.Itoa(t.Min)), MaxSize: cfn.S(strconv.Itoa(t.Max)),
		LaunchTemplate:         &res.AutoScalingAutoScalingGroup_LaunchTemplateSpecification{LaunchTemplateId: template.Ref(), Version: template.Att("LatestVersionNumber")},
		TargetGroupARNs:        []cfn.String{s.Use(plan.RefTargetGroup(t.Name), st)},
		HealthCheckType:        cfn.S("ELB"),
		HealthCheckGracePeriod: cfn.I(minutes(p, t.Name) * 60),
		TerminationPolicies:    cfn.Strs("OldestLaunchTemplate", "Default"),
		// No instance grows old: a month at most, and it starts anew with what is patched by then.
		MaxInstanceLifetime: cfn.I(30 * 24 * 3600),
		MetricsCollection:   []*res.AutoScalingAutoScalingGroup_MetricsCollection{{Granularity: cfn.S("1Minute")}},
		NotificationConfigurations: []*res.AutoScalingAutoScalingGroup_NotificationConfiguration{{
			TopicARN: s.Use(plan.RefAlarmTopic, st),
			NotificationTypes: cfn.Strs("autoscaling:EC2_INSTANCE_LAUNCH", "autoscaling:EC2_INSTANCE_LAUNCH_ERROR",
				"autoscaling:EC2_INSTANCE_TERMINATE", "autoscaling:EC2_INSTANCE_TERMINATE_ERROR"),
		}},
		Tags: []*res.AutoScalingAutoScalingGroup_TagProperty{
			{Key: cfn.S("Name"), Value: cfn.S(p.Site() + " " + t.Name), PropagateAtLaunch: cfn.B(true)},
			{Key: cfn.S(plan.TierTag), Value: cfn.S(t.Name), PropagateAtLaunch: cfn.B(true)},
		},
	}
	for z := range p.AWS.Zones() {
		group.VPCZoneIdentifier = append(group.VPCZoneIdentifier, s.Use(plan.RefPrivateSubnet(z), st))
		group.AvailabilityZones = append(group.AvailabilityZones, cfn.Zone(z)) // those of the subnets, for readers who cannot follow an import
	}
	timeout := fmt.Sprintf("PT%dM", minutes(p, t.Name)+2)
	rolling := cfn.M{
		"MinInstancesInService": min(t.Min, t.Max-1), "MaxBatchSize": 1, "PauseTime": timeout, "WaitOnResourceSignals": true,
		"SuspendProcesses": []string{"HealthCheck", "ReplaceUnhealthy", "AZRebalance", "AlarmNotification", "ScheduledActions"},
	}
	opts := []cfn.Option{cfn.Attribute("CreationPolicy", cfn.M{"ResourceSignal": cfn.M{"Count": t.Min, "Timeout": timeout}})}
	if p.AWS.UserDataAs == plan.UserDataVerbatim {
		opts = nil // nothing in it says when the instance is well
		rolling["WaitOnResourceSignals"] = false
	}
	opts = append(opts, cfn.Attribute("UpdatePolicy", cfn.M{"AutoScalingRollingUpdate": rolling}))
	rights := rights(p, s, st, t)
	opts = append(opts, cfn.DependsOn(rights))
	if after != nil && !t.Write {
		opts = append(opts, cfn.DependsOn(after))
	}
	asg := st.Add(groupID(t.Name), group, opts...)
	if t.Max > t.Min {
		scale(p, s, st, t, asg)
	}
	return asg, nil
}

// fill gives what the names in user data stand for; those that a text does not
// have are left out.
func fill(p *plan.Plan, s *cfn.Stacks, st *cfn.Stack, t plan.Tier, text string) cfn.With {
	with := cfn.With{}
	add := func(name string, value func() cfn.String) {
		if strings.Contains(text, "${"+name+"}") {
			with[name] = value()
		}
	}
	use := func(r plan.Ref) func() cfn.String { return func() cfn.String { return s.Use(r, st) } }
	add("FileSystem", use(plan.RefFileSystem))
	add("AccessPoint", use(plan.RefAccessPoint(t.Name)))
	add("Logs", use(plan.RefTierLogs(t.Name)))
	add("Webserver", use(plan.RefInstanceFiles("webserver", t.Name)))
	add("Application", use(plan.RefInstanceFiles("application", t.Name)))
	add("ApplicationImage", use(plan.RefInstanceFiles("application", "image")))
	add("DatabaseSecret", func() cfn.String {
		if !hasSecret(p) {
			return cfn.S("")
		}
		return s.Use(plan.RefDatabaseSecret(t.Name), st)
	})
	add("AppSecret", func() cfn.String {
		if !p.HasAppSecret(t) {
			return cfn.S("")
		}
		return s.Use(plan.RefAppSecret(t.Name), st)
	})
	return with
}

// sub is a text with the names in it filled, or the text where it has none.
func sub(text string, with cfn.With) cfn.String {
	plain := strings.ReplaceAll(text, "${!", "${")
	if strings.Count(text, "${") == strings.Count(text, "${!") {
		return cfn.S(plain)
	}
	return cfn.Sub(text, with)
}

// rights lets a tier's instances fetch their own configuration and answer the
// stack that waits for them; nothing of another tier.
func rights(p *plan.Plan, s *cfn.Stacks, st *cfn.Stack, t plan.Tier) *cfn.Handle {
	paths := []cfn.String{parameters(p.Site(), t.Name)}
	if p.AWS.Image != plan.ImageBuild && p.Application.Setup == plan.PresetNodeRED {
		paths = append(paths, parameters(p.Site(), "image"))
	}
	return st.Add(title(t.Name)+"StartRight", &res.IAMRolePolicy{
		RoleName: s.Use(plan.RefRole(t.Name), st), PolicyName: cfn.S("start"),
		PolicyDocument: cfn.Policy{
			{Sid: "OwnConfiguration", Action: []string{"ssm:GetParameter"}, Resource: paths},
			{Sid: "TellTheStack", Action: []string{"cloudformation:SignalResource"}, Resource: []cfn.String{cfn.StackID}},
		},
	})
}

func parameters(site, tier string) cfn.String {
	return cfn.Sub("arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:parameter" + plan.FilesPrefix(site, tier, "*"))
}

// scale adds fleet instances by requests: as many as keep the plan's requests in
// flight at the plan's time for one.
func scale(p *plan.Plan, s *cfn.Stacks, st *cfn.Stack, t plan.Tier, asg *cfn.Handle) {
	perMinute := 1000.0
	if b := p.Balancer; b.ScaleInFlight > 0 && b.ScaleLatency > 0 {
		perMinute = float64(b.ScaleInFlight) / b.ScaleLatency.Seconds() * 60
	}
	st.Add(title(t.Name)+"Scaling", &res.AutoScalingScalingPolicy{
		AutoScalingGroupName: asg.Ref(), PolicyType: cfn.S("TargetTrackingScaling"),
		EstimatedInstanceWarmup: cfn.I(minutes(p, t.Name) * 60),
		TargetTrackingConfiguration: &res.AutoScalingScalingPolicy_TargetTrackingConfiguration{
			TargetValue: cfn.N(perMinute),
			PredefinedMetricSpecification: &res.AutoScalingScalingPolicy_PredefinedMetricSpecification{
				PredefinedMetricType: cfn.S("ALBRequestCountPerTarget"),
				ResourceLabel:        cfn.Join("/", s.Use(plan.RefBalancerName, st), s.Use(plan.RefTargetGroupName(t.Name), st)),
			},
		},
	})
}

// startImage is the id of the image that a tier starts from.
func startImage(p *plan.Plan, s *cfn.Stacks, st *cfn.Stack, tier string) (cfn.String, []cfn.Note) {
	if p.AWS.Image == plan.ImageBuild {
		return s.Use(refImage(arch(instanceType(p, tier))), st), nil
	}
	path, notes := ami(p, tier)
	return amiParam(st, path), notes
}

// amiParam is the parameter of a stack that stands for what an SSM parameter holds.
func amiParam(st *cfn.Stack, path string) cfn.String {
	id := "Image"
	switch path {
	case amiPath + "arm64":
		id = "ImageArm64"
	case amiPath + "x86_64":
		id = "ImageX8664"
	}
	return st.Param(id, cfn.Parameter{Type: "AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>", Default: path, Description: "Parameter with the id of the image that instances start from."})
}
