package plan

import "time"

// Balancer holds the settings of perimeter 4.
type Balancer struct {
	Admins         Match         // viewers whose requests go to admin; the rest goes to fleet
	Port           uint16        // of its own listener
	TargetPort     uint16        // of every instance's web server
	HealthPath     string        // asked on every instance each second
	HealthInterval time.Duration // between two health requests
	StartTimeout   time.Duration // the longest the app may take until it is healthy for the first time
	DrainTimeout   time.Duration // the longest an instance may finish its requests in
	ScaleInFlight  int           // requests in flight per fleet instance above which one is added
	ScaleQuiet     time.Duration // of little load, after which an added instance is taken away
	ScaleLatency   time.Duration // median time to first byte above which one is added
}

// Headers between edge and balancer. The edge removes them from every request it receives.
const (
	HeaderSecret  = "X-Ringwall-Origin-Secret"
	HeaderViewer  = "X-Ringwall-Viewer"
	HeaderRequest = "X-Request-Id"
	HeaderTier    = "X-Ringwall-Tier"  // AWS: admin or fleet, decided at the edge by the viewer's address
	HeaderStore   = "X-Ringwall-Store" // AWS: what a stored answer is for: "public", or one request alone
)

// HeaderUnreached is set by an instance on a 503 whose request has not reached
// its app: the balancer may send it to another instance, whatever its method.
const HeaderUnreached = "X-Ringwall-Unreached"

// HeaderRefused is set by the web ACL of a site on AWS on what its own rules refuse:
// the words for the visitor, which its page has too. An instance never passes on one.
const HeaderRefused = "X-Ringwall-Refused"

// OriginSecretName is the name of a site's origin secret on AWS: the same in the
// site's Region and in EdgeRegion, which has a copy.
func OriginSecretName(site string) string { return site + "/origin" }

// OriginSecretValue stands in a template for the value of the origin secret.
// CloudFormation fills it in when it deploys, and shows it to nobody.
func OriginSecretValue(site string) string {
	return "{{resolve:secretsmanager:" + OriginSecretName(site) + ":SecretString:secret}}"
}
