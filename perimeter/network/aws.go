package network

import (
	"slices"
	"strings"

	"github.com/ringwall/ringwall/internal/cfn"
	"github.com/ringwall/ringwall/internal/cfn/res"
	"github.com/ringwall/ringwall/plan"
)

// issuers are the names by which Amazon's authorities know themselves in CAA
// records (docs.aws.amazon.com/acm, CAA). Nobody else may issue for the site.
var issuers = []string{"amazon.com", "amazontrust.com", "awstrust.com", "amazonaws.com"}

// reserved are zones that nobody can register (RFC 2606, RFC 6761).
var reserved = []string{".test", ".example", ".invalid", ".localhost", ".example.com", ".example.net", ".example.org"}

// synth adds the site's names: certificates for the balancer and for the edge, the
// records that lead to the edge, who may issue certificates, and an alarm when
// somebody changes DNS.
func synth(p *plan.Plan, s *cfn.Stacks) error {
	home, edge := s.Stack(plan.StackNetwork), s.Stack(plan.StackCDN)
	if z := "." + p.Network.HostedZone; slices.ContainsFunc(reserved, func(r string) bool { return strings.HasSuffix(z, r) }) {
		s.Note(cfn.Note{Key: "network.zone", Why: p.Network.HostedZone + " is a name for examples and tests, which nobody can have: name your own hosted zone before you deploy"})
	}
	var names []string
	for _, h := range p.PublicHosts() {
		if !p.Network.InZone(h) {
			s.Note(cfn.Note{Key: "network.hosts", Was: h, Why: "it is not in the zone " + p.Network.HostedZone + ", so that no certificate can be proved and no record made for it here"})
			continue
		}
		names = append(names, h)
	}
	s.Provide(plan.RefCertificate, home, certificate(p, home, names, "Certificate").Ref())
	s.Provide(plan.RefEdgeCertificate, edge, certificate(p, edge, names, "EdgeCertificate").Ref())
	zone := hostedZone(p, edge)
	for i, n := range names {
		suffix := ""
		if i > 0 {
			suffix = string(rune('A' + (i-1)%26))
			if i > 26 {
				suffix += string(rune('A' + (i-1)/26))
			}
		}
		for _, kind := range []string{"A", "AAAA"} {
			edge.Add("Record"+kind+suffix, &res.Route53RecordSet{
				HostedZoneId: zone, Name: cfn.S(n), Type: cfn.S(kind),
				// The zone of every distribution (docs.aws.amazon.com/general, CloudFront endpoints).
				AliasTarget: &res.Route53RecordSet_AliasTarget{DNSName: s.Use(plan.RefDistributionDomain, edge), HostedZoneId: cfn.S("Z2FDTNDATAQYW2")},
			})
		}
		caa := &res.Route53RecordSet{HostedZoneId: zone, Name: cfn.S(n), Type: cfn.S("CAA"), TTL: cfn.S("3600")}
		for _, issuer := range issuers {
			caa.ResourceRecords = append(caa.ResourceRecords, cfn.S(`0 issue "`+issuer+`"`))
		}
		caa.ResourceRecords = append(caa.ResourceRecords, cfn.S(`0 issuewild ";"`))
		edge.Add("RecordCAA"+suffix, caa)
	}
	edge.Output("Url", "where the site is", cfn.S("https://"+p.Network.Host+"/"))
	dnsAlarm(p, s, home)
	return nil
}

// hostedZone is the zone of the site's name, which exists before the site does.
func hostedZone(p *plan.Plan, st *cfn.Stack) cfn.String {
	return st.Param("HostedZone", cfn.Parameter{
		Type: "AWS::Route53::HostedZone::Id", Description: "Hosted zone of " + p.Network.HostedZone + ".",
		Lookup: "hosted-zone:" + p.Network.HostedZone,
	})
}

func certificate(p *plan.Plan, st *cfn.Stack, names []string, id string) *cfn.Handle {
	c := &res.CertificateManagerCertificate{
		DomainName: cfn.S(names[0]), ValidationMethod: cfn.S("DNS"), CertificateTransparencyLoggingPreference: cfn.S("ENABLED"),
	}
	for i, n := range names {
		if i > 0 {
			c.SubjectAlternativeNames = append(c.SubjectAlternativeNames, cfn.S(n))
		}
		c.DomainValidationOptions = append(c.DomainValidationOptions, &res.CertificateManagerCertificate_DomainValidationOption{DomainName: cfn.S(n), HostedZoneId: hostedZone(p, st)})
	}
	return st.Add(id, c)
}

// dnsAlarm tells of changes to the account's DNS: who can move the name can have
// the site. It reads the trail, so it is there where the trail is this site's.
func dnsAlarm(p *plan.Plan, s *cfn.Stacks, st *cfn.Stack) {
	if !p.AWS.AccountBaseline {
		s.Note(cfn.Note{Key: "aws.accountBaseline", Why: "changes of DNS raise no alarm: the trail that shows them belongs to another stack of the account"})
		return
	}
	const metric, space = "DNSChanges", "Ringwall/Trail"
	st.Add("DNSChanges", &res.LogsMetricFilter{
		LogGroupName: s.Use(plan.RefTrailLogGroup, st),
		FilterPattern: cfn.S(`{ ($.eventSource = "route53.amazonaws.com") && (($.eventName = "ChangeResourceRecordSets") || ($.eventName = "DeleteHostedZone") || ($.eventName = "AssociateVPCWithHostedZone") || ($.eventName = "DisassociateVPCFromHostedZone") || ($.eventName = "DisableHostedZoneDNSSEC")) || ` +
			`($.eventSource = "route53domains.amazonaws.com") && (($.eventName = "UpdateDomainNameservers") || ($.eventName = "TransferDomain*") || ($.eventName = "DisableDomainTransferLock")) }`),
		MetricTransformations: []*res.LogsMetricFilter_MetricTransformation{{MetricName: cfn.S(metric), MetricNamespace: cfn.S(space), MetricValue: cfn.S("1")}},
	})
	st.Add("DNSChangesAlarm", &res.CloudWatchAlarm{
		AlarmDescription: cfn.S("Somebody changed DNS: who can move the name of " + p.Network.Host + " can have the site."),
		MetricName:       cfn.S(metric), Namespace: cfn.S(space), Statistic: cfn.S("Sum"), Period: cfn.I(300), EvaluationPeriods: cfn.I(1),
		Threshold: cfn.N(1), ComparisonOperator: cfn.S("GreaterThanOrEqualToThreshold"), TreatMissingData: cfn.S("notBreaching"),
		AlarmActions: []cfn.String{s.Use(plan.RefAlarmTopic, st)},
	})
}
