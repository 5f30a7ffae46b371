package reach

import (
	"slices"
	"strings"

	"github.com/ringwall/ringwall/internal/template"
)

// CloudFrontList is the name of the prefix list of the servers with which
// CloudFront asks origins (CloudFront guide, LocationsOfEdgeServers).
const CloudFrontList = "com.amazonaws.global.cloudfront.origin-facing"

// cloudFront are the ids of that list by Region. They differ per Region and do not
// change; gathered 2026-11-22 from public configurations that agree with each other.
// A Region that is not here is unknown, never right.
var cloudFront = map[string]string{
	"pl-c0aa4fa9": "af-south-1", "pl-14b2577d": "ap-east-1", "pl-58a04531": "ap-northeast-1",
	"pl-22a6434b": "ap-northeast-2", "pl-9aa247f3": "ap-south-1", "pl-31a34658": "ap-southeast-1",
	"pl-b8a742d1": "ap-southeast-2", "pl-38a64351": "ca-central-1", "pl-a3a144ca": "eu-central-1",
	"pl-fab65393": "eu-north-1", "pl-1bbc5972": "eu-south-1", "pl-4fa04526": "eu-west-1",
	"pl-93a247fa": "eu-west-2", "pl-75b1541c": "eu-west-3", "pl-17b2577e": "me-south-1",
	"pl-5da64334": "sa-east-1", "pl-3b927c52": "us-east-1", "pl-b6a144df": "us-east-2",
	"pl-4ea04527": "us-west-1", "pl-82a045eb": "us-west-2",
}

// IsCloudFront says whether a prefix list is CloudFront's. Maybe: it is another
// account's or Region's list, of which a template says nothing.
func IsCloudFront(list string) template.Tri {
	if _, ok := cloudFront[list]; ok || list == template.Lookup("prefix-list", CloudFrontList) {
		return template.Yes
	}
	return template.Maybe
}

// listInside says whether a list may have addresses of the templates' own networks
// in it. AWS's lists have none.
func listInside(list string) template.Tri {
	if IsCloudFront(list) == template.Yes || strings.HasPrefix(list, strings.TrimSuffix(template.Lookup("prefix-list", "com.amazonaws."), "\x03")) {
		return template.No
	}
	return template.Maybe
}

// ListName is a prefix list's id, and whose it is where that is known.
func ListName(list string) string {
	if IsCloudFront(list) == template.Yes {
		if region := cloudFront[list]; region != "" {
			return list + " (CloudFront's, in " + region + ")"
		}
		return "of CloudFront"
	}
	return template.Show(list)
}

// CloudFrontLists are the known ids, for tests and for messages.
func CloudFrontLists() []string {
	var out []string
	for id := range cloudFront {
		out = append(out, id)
	}
	slices.SortFunc(out, strings.Compare)
	return out
}
