package balancer

import (
	"fmt"
	"strconv"
	"time"

	"github.com/ringwall/ringwall/internal/cfn"
	"github.com/ringwall/ringwall/internal/cfn/res"
	"github.com/ringwall/ringwall/internal/rotator"
	"github.com/ringwall/ringwall/plan"
)

// sslPolicy allows TLS 1.2 and 1.3 with ciphers that authenticate and keep past
// sessions secret (docs.aws.amazon.com/elasticloadbalancing, security policies). A
// listener without one gets ELBSecurityPolicy-2016-08, which offers TLS 1.0.
const sslPolicy = "ELBSecurityPolicy-TLS13-1-2-Res-2021-06"

// synth adds the balancer: one listener whose default is 404, and a rule for each
// tier. A rule asks for the origin secret and for the tier that the edge decided on.
//
// The tier cannot be decided here: a source-ip condition sees CloudFront's address
// and an http-header condition compares text, so that a block of administrators
// would become one literal address. The edge function matches blocks, and sets the
// header on every request whatever the viewer sent. Whoever could set it otherwise
// would have to know the secret, without which no rule matches.
func synth(p *plan.Plan, s *cfn.Stacks) error {
	st := s.Stack(plan.StackCompute)
	secret := originSecret(p, s, st)
	b := load(p, s, st)
	listener := st.Add("Listener", &res.ElasticLoadBalancingV2Listener{
		LoadBalancerArn: b.Ref(), Port: cfn.I(443), Protocol: cfn.S("HTTPS"), SslPolicy: cfn.S(sslPolicy),
		Certificates: []*res.ElasticLoadBalancingV2Listener_Certificate{{CertificateArn: s.Use(plan.RefCertificate, st)}},
		DefaultActions: []*res.ElasticLoadBalancingV2Listener_Action{{Type: cfn.S("fixed-response"),
			FixedResponseConfig: &res.ElasticLoadBalancingV2Listener_FixedResponseConfig{StatusCode: cfn.S("404"), ContentType: cfn.S("text/plain"), MessageBody: cfn.S("404 not found\n")}}},
	})
	var rules []*cfn.Handle
	// Administrators first: the rule that asks for more is asked before the other.
	for i, t := range p.Tiers {
		group := targets(p, s, st, t)
		header := func(name, value string) *res.ElasticLoadBalancingV2ListenerRule_RuleCondition {
			return &res.ElasticLoadBalancingV2ListenerRule_RuleCondition{Field: cfn.S("http-header"),
				HttpHeaderConfig: &res.ElasticLoadBalancingV2ListenerRule_HttpHeaderConfig{HttpHeaderName: cfn.S(name), Values: cfn.Strs(value)}}
		}
		rules = append(rules, st.Add(id(t.Name)+"Rule", &res.ElasticLoadBalancingV2ListenerRule{
			ListenerArn: listener.Ref(), Priority: cfn.I(i + 1),
			Conditions: []*res.ElasticLoadBalancingV2ListenerRule_RuleCondition{
				header(plan.HeaderSecret, plan.OriginSecretValue(p.Site())),
				header(plan.HeaderTier, t.Name),
			},
			Actions: []*res.ElasticLoadBalancingV2ListenerRule_Action{{Type: cfn.S("forward"), TargetGroupArn: group.Ref()}},
		}, cfn.DependsOn(secret)))
	}
	rotator.Add(st, rotator.Rotation{
		ID: "OriginSecretRotator", About: "Changes what the edge of " + p.Site() + " shows to its balancer, without a request lost.",
		Secrets: []*cfn.Handle{secret}, Key: "secret", LogsKey: s.Use(plan.RefLogsKey, st),
		Rules: rules, Header: plan.HeaderSecret, Host: p.Network.Host, Site: p.Site(),
	})
	return nil
}

// originSecret is what the edge shows and the rules ask for. us-east-1, where the
// edge's stack is, has a copy of it.
func originSecret(p *plan.Plan, s *cfn.Stacks, st *cfn.Stack) *cfn.Handle {
	r := &res.SecretsManagerSecret{
		Name:        cfn.S(plan.OriginSecretName(p.Site())),
		Description: cfn.S("What the edge of " + p.Site() + " shows to its balancer."),
		KmsKeyId:    s.Use(plan.RefDataKey, st),
		GenerateSecretString: &res.SecretsManagerSecret_GenerateSecretString{
			// A listener's condition takes * and ? for wildcards; there are none among letters and digits.
			SecretStringTemplate: cfn.S("{}"), GenerateStringKey: cfn.S("secret"), PasswordLength: cfn.I(64), ExcludePunctuation: cfn.B(true),
		},
	}
	if p.AWS.Region != plan.EdgeRegion {
		r.ReplicaRegions = []*res.SecretsManagerSecret_ReplicaRegion{{Region: cfn.S(plan.EdgeRegion)}}
	}
	h := st.Add("OriginSecret", r)
	s.Provide(plan.RefOriginSecret, st, h.Ref())
	return h
}

func load(p *plan.Plan, s *cfn.Stacks, st *cfn.Stack) *cfn.Handle {
	scheme, subnet := "internal", plan.RefPrivateSubnet
	if p.AWS.Balancer == plan.BalancerPublic {
		scheme, subnet = "internet-facing", plan.RefPublicSubnet
		s.Note(cfn.Note{Key: "aws.balancer", Now: "public", Why: "the balancer has a public address: its security group lets in every distribution of CloudFront, and the origin secret alone tells ours from others"})
	}
	var attributes []*res.ElasticLoadBalancingV2LoadBalancer_LoadBalancerAttribute
	for _, a := range []struct{ key, value string }{
		{"deletion_protection.enabled", strconv.FormatBool(p.Database.Protect)},
		{"idle_timeout.timeout_seconds", "60"},
		{"routing.http.drop_invalid_header_fields.enabled", "true"},
		{"routing.http.desync_mitigation_mode", "strictest"},
		{"routing.http.preserve_host_header.enabled", "true"},
		{"routing.http2.enabled", "true"},
		{"access_logs.s3.enabled", "true"},
		{"access_logs.s3.prefix", "alb"},
		{"connection_logs.s3.enabled", "true"},
		{"connection_logs.s3.prefix", "alb"},
	} {
		attributes = append(attributes, &res.ElasticLoadBalancingV2LoadBalancer_LoadBalancerAttribute{Key: cfn.S(a.key), Value: cfn.S(a.value)})
	}
	for _, k := range []string{"access_logs.s3.bucket", "connection_logs.s3.bucket"} {
		attributes = append(attributes, &res.ElasticLoadBalancingV2LoadBalancer_LoadBalancerAttribute{Key: cfn.S(k), Value: s.Use(plan.RefAccessLogs, st)})
	}
	b := &res.ElasticLoadBalancingV2LoadBalancer{
		Type: cfn.S("application"), Scheme: cfn.S(scheme), IpAddressType: cfn.S("ipv4"),
		SecurityGroups:         []cfn.String{s.Use(plan.RefBalancerGroup, st)},
		LoadBalancerAttributes: attributes,
	}
	for z := range p.AWS.Zones() {
		b.Subnets = append(b.Subnets, s.Use(subnet(z), st))
	}
	h := st.Add("Balancer", b)
	s.Provide(plan.RefBalancer, st, h.Ref())
	s.Provide(plan.RefBalancerName, st, h.Att("LoadBalancerFullName"))
	s.Provide(plan.RefBalancerDNS, st, h.Att("DNSName"))
	st.Output("BalancerHost", "the balancer's address, for instances of the site", h.Att("DNSName"))
	for _, a := range []struct {
		id, metric, about string
		threshold         float64
	}{
		{"BalancerErrors", "HTTPCode_ELB_5XX_Count", "the balancer has no answer to give", 10},
		{"InstanceErrors", "HTTPCode_Target_5XX_Count", "instances answer with errors", 50},
	} {
		st.Add(a.id, &res.CloudWatchAlarm{
			AlarmDescription: cfn.S(fmt.Sprintf("%s: %s.", p.Site(), a.about)), Namespace: cfn.S("AWS/ApplicationELB"), MetricName: cfn.S(a.metric),
			Dimensions: []*res.CloudWatchAlarm_Dimension{{Name: cfn.S("LoadBalancer"), Value: h.Att("LoadBalancerFullName")}},
			Statistic:  cfn.S("Sum"), Period: cfn.I(300), EvaluationPeriods: cfn.I(1), Threshold: cfn.N(a.threshold),
			ComparisonOperator: cfn.S("GreaterThanOrEqualToThreshold"), TreatMissingData: cfn.S("notBreaching"),
			AlarmActions: []cfn.String{s.Use(plan.RefAlarmTopic, st)},
		})
	}
	return h
}

// targets is a tier's target group, with the health check of the plan. A balancer
// asks every 5 s at the most often.
func targets(p *plan.Plan, s *cfn.Stacks, st *cfn.Stack, t plan.Tier) *cfn.Handle {
	interval := max(int(p.Balancer.HealthInterval/time.Second), 10)
	h := st.Add(id(t.Name)+"Targets", &res.ElasticLoadBalancingV2TargetGroup{
		VpcId: s.Use(plan.RefVPC, st), Port: cfn.I(int(p.Balancer.TargetPort)), Protocol: cfn.S("HTTP"), TargetType: cfn.S("instance"),
		HealthCheckPath: cfn.S(p.Balancer.HealthPath), HealthCheckProtocol: cfn.S("HTTP"), HealthCheckIntervalSeconds: cfn.I(interval), HealthCheckTimeoutSeconds: cfn.I(min(interval-1, 5)),
		HealthyThresholdCount: cfn.I(2), UnhealthyThresholdCount: cfn.I(3), Matcher: &res.ElasticLoadBalancingV2TargetGroup_Matcher{HttpCode: cfn.S("200-399")},
		TargetGroupAttributes: []*res.ElasticLoadBalancingV2TargetGroup_TargetGroupAttribute{
			{Key: cfn.S("deregistration_delay.timeout_seconds"), Value: cfn.S(strconv.Itoa(min(int(p.Balancer.DrainTimeout/time.Second), 3600)))},
			{Key: cfn.S("load_balancing.algorithm.type"), Value: cfn.S("least_outstanding_requests")},
		},
	})
	s.Provide(plan.RefTargetGroup(t.Name), st, h.Ref())
	s.Provide(plan.RefTargetGroupName(t.Name), st, h.Att("TargetGroupFullName"))
	return h
}

func id(tier string) string { return string(tier[0]&^0x20) + tier[1:] }
