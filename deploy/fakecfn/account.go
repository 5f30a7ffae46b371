package fakecfn

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// An account is what the server keeps of services other than CloudFormation.
type account struct {
	objects  map[string][]byte // by bucket/key
	ebs      map[string]bool   // encryption by default, by Region
	block    *PublicAccessBlock
	password map[string]string // the password policy; nil: none
	zones    map[string]string // Route 53: id by name
	closed   map[string]bool   // sides of default security groups without a rule: sg-<vpc>/in
	prefixes map[string]string // EC2: prefix list id by Region/name

	inspected map[string][]string // what Inspector scans, by Region
	fleet
}

// PublicAccessBlock is S3's setting for an account.
type PublicAccessBlock struct {
	XMLName               xml.Name `xml:"PublicAccessBlockConfiguration"`
	BlockPublicAcls       bool
	IgnorePublicAcls      bool
	BlockPublicPolicy     bool
	RestrictPublicBuckets bool
}

func (a *account) init() {
	a.objects, a.ebs, a.closed = map[string][]byte{}, map[string]bool{}, map[string]bool{}
	a.zones, a.prefixes, a.inspected = map[string]string{}, map[string]string{}, map[string][]string{}
}

func (a *account) holds(bucket string) bool {
	for k := range a.objects {
		if strings.HasPrefix(k, bucket+"/") {
			return true
		}
	}
	return false
}

// other answers the calls of services other than CloudFormation.
func (s *Server) other(q Request, r *http.Request) (any, *Error) {
	a := &s.account
	switch q.Service {
	case "sts":
		if q.Action == "GetCallerIdentity" {
			return struct{ Account, Arn, UserId string }{Account, "arn:aws:iam::" + Account + ":user/ops", "AIDA"}, nil
		}
	case "ec2":
		return s.ec2(q)
	case "iam":
		return s.iam(q)
	case "ssm":
		return s.ssm(q)
	case "inspector2":
		return a.inspector(q)
	case "route53":
		return a.route53(r)
	case "s3":
		if strings.HasPrefix(r.URL.Path, "/v20180820/configuration/publicAccessBlock") {
			return a.accessBlock(q, r)
		}
		return a.s3(q, r)
	}
	return nil, &Error{Code: "InvalidAction", Message: q.Service + " " + q.Action + " is not supported by this server"}
}

func (a *account) accessBlock(q Request, r *http.Request) (any, *Error) {
	switch r.Method {
	case "GET":
		if a.block == nil {
			return nil, &Error{Status: 404, Code: "NoSuchPublicAccessBlockConfiguration", Message: "The public access block configuration was not found"}
		}
		b, _ := xml.Marshal(a.block)
		return rawReply{contentType: "application/xml", body: b}, nil
	case "PUT":
		var v PublicAccessBlock
		if err := xml.Unmarshal(q.Body, &v); err != nil {
			return nil, &Error{Code: "MalformedXML", Message: err.Error()}
		}
		a.block = &v
		return rawReply{status: 201}, nil
	case "DELETE":
		a.block = nil
		return rawReply{status: 204}, nil
	}
	return nil, &Error{Status: 405, Code: "MethodNotAllowed"}
}

func (a *account) s3(q Request, r *http.Request) (any, *Error) {
	path := strings.TrimPrefix(r.URL.Path, "/")
	bucket, key, _ := strings.Cut(path, "/")
	switch {
	case r.Method == "PUT" && key != "":
		a.objects[bucket+"/"+key] = q.Body
		return rawReply{}, nil
	case r.Method == "DELETE" && key != "":
		delete(a.objects, bucket+"/"+key)
		return rawReply{status: 204}, nil
	case r.Method == "GET" && key == "":
		type content struct{ Key string }
		var list struct {
			XMLName  xml.Name `xml:"ListBucketResult"`
			Contents []content
		}
		for k := range a.objects {
			if rest, ok := strings.CutPrefix(k, bucket+"/"); ok {
				list.Contents = append(list.Contents, content{rest})
			}
		}
		slices.SortFunc(list.Contents, func(x, y content) int { return strings.Compare(x.Key, y.Key) })
		b, _ := xml.Marshal(list)
		return rawReply{contentType: "application/xml", body: b}, nil
	}
	return nil, &Error{Status: 404, Code: "NoSuchKey", Message: "The specified key does not exist."}
}

func (s *Server) ec2(q Request) (any, *Error) {
	a := &s.account
	flat := func(inner string) (any, *Error) {
		return rawReply{contentType: "text/xml", body: []byte("<" + q.Action + "Response xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>r-1</requestId>" + inner + "</" + q.Action + "Response>")}, nil
	}
	state := func() (any, *Error) {
		v := "false"
		if a.ebs[q.Region] {
			v = "true"
		}
		return flat("<ebsEncryptionByDefault>" + v + "</ebsEncryptionByDefault>")
	}
	switch q.Action {
	case "GetEbsEncryptionByDefault":
		return state()
	case "EnableEbsEncryptionByDefault":
		a.ebs[q.Region] = true
		return state()
	case "DisableEbsEncryptionByDefault":
		a.ebs[q.Region] = false
		return state()
	}
	switch q.Action {
	case "DescribeSecurityGroups":
		vpc := q.Params.Get("Filter.1.Value.1")
		return flat("<securityGroupInfo><item><groupId>sg-" + vpc + "</groupId><groupName>default</groupName></item></securityGroupInfo>")
	case "DescribeSecurityGroupRules":
		items := ""
		for _, side := range []string{"in", "out"} {
			if g := q.Params.Get("Filter.1.Value.1"); !a.closed[g+"/"+side] {
				items += "<item><securityGroupRuleId>sgr-" + side + "</securityGroupRuleId><isEgress>" + fmt.Sprint(side == "out") + "</isEgress></item>"
			}
		}
		return flat("<securityGroupRuleSet>" + items + "</securityGroupRuleSet>")
	case "RevokeSecurityGroupIngress", "RevokeSecurityGroupEgress":
		key := q.Params.Get("GroupId") + "/" + strings.TrimPrefix(q.Params.Get("SecurityGroupRuleId.1"), "sgr-")
		if a.closed[key] {
			return nil, &Error{Code: "InvalidSecurityGroupRuleId.NotFound", Message: "The specified rule does not exist in this security group."}
		}
		a.closed[key] = true
		return flat("<return>true</return>")
	}
	if q.Action == "DescribeInstances" {
		return flat(a.describeInstances(q))
	}
	if q.Action == "DescribeManagedPrefixLists" {
		name, items := q.Params.Get("Filter.1.Value.1"), ""
		if id := a.prefixes[q.Region+"/"+name]; id != "" {
			items = "<item><prefixListId>" + id + "</prefixListId><prefixListName>" + name + "</prefixListName></item>"
		}
		return flat("<prefixListSet>" + items + "</prefixListSet>")
	}
	return nil, &Error{Code: "InvalidAction", Message: "The action " + q.Action + " is not valid for this web service."}
}

func (s *Server) iam(q Request) (any, *Error) {
	a := &s.account
	switch q.Action {
	case "GetAccountPasswordPolicy":
		if a.password == nil {
			return nil, &Error{Status: 404, Code: "NoSuchEntity", Message: "The Password Policy with domain name " + Account + " cannot be found."}
		}
		var b strings.Builder
		for k, v := range a.password {
			b.WriteString("<" + k + ">" + v + "</" + k + ">")
		}
		return rawReply{contentType: "text/xml", body: []byte("<GetAccountPasswordPolicyResponse><GetAccountPasswordPolicyResult><PasswordPolicy>" + b.String() + "</PasswordPolicy></GetAccountPasswordPolicyResult></GetAccountPasswordPolicyResponse>")}, nil
	case "UpdateAccountPasswordPolicy":
		a.password = map[string]string{}
		for k := range q.Params {
			if k != "Action" && k != "Version" {
				a.password[k] = q.Params.Get(k)
			}
		}
		return nil, nil
	case "DeleteAccountPasswordPolicy":
		a.password = nil
		return nil, nil
	}
	return nil, &Error{Code: "InvalidAction", Message: q.Action}
}

// route53 lists hosted zones from a name on, in the order of their labels from the
// right, as Route 53 does.
func (a *account) route53(r *http.Request) (any, *Error) {
	if r.URL.Path != "/2013-04-01/hostedzonesbyname" {
		return nil, &Error{Status: 404, Code: "NotFound"}
	}
	backwards := func(s string) string {
		l := strings.Split(s, ".")
		slices.Reverse(l)
		return strings.Join(l, ".")
	}
	names := slices.SortedFunc(maps.Keys(a.zones), func(x, y string) int { return strings.Compare(backwards(x), backwards(y)) })
	type zone struct{ Id, Name string }
	var list struct {
		XMLName     xml.Name `xml:"ListHostedZonesByNameResponse"`
		HostedZones []zone   `xml:"HostedZones>HostedZone"`
	}
	from := backwards(r.URL.Query().Get("dnsname"))
	for _, n := range names {
		if backwards(n) >= from {
			list.HostedZones = append(list.HostedZones, zone{"/hostedzone/" + a.zones[n], n})
		}
	}
	b, _ := xml.Marshal(list)
	return rawReply{contentType: "text/xml", body: b}, nil
}

// AddZone adds a public hosted zone; its name ends in a dot.
func (s *Server) AddZone(name, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.account.zones[name] = id
}

// AddPrefixList adds a managed prefix list to a Region.
func (s *Server) AddPrefixList(region, name, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.account.prefixes[region+"/"+name] = id
}

// AccountState is what a test may ask about the account, or set beforehand.
type AccountState struct {
	EBS       map[string]bool
	Block     *PublicAccessBlock
	Password  map[string]string
	Objects   int
	Inspected map[string][]string // what Inspector scans, by Region
	Closed    int                 // sides of default security groups that have no rule any more
}

// Account returns the account's settings.
func (s *Server) Account() AccountState {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := AccountState{EBS: map[string]bool{}, Inspected: maps.Clone(s.account.inspected), Password: s.account.password, Objects: len(s.account.objects), Closed: len(s.account.closed)}
	for k, on := range s.account.ebs {
		v.EBS[k] = on
	}
	if s.account.block != nil {
		b := *s.account.block
		v.Block = &b
	}
	return v
}

// SetAccount replaces the account's settings, objects apart.
func (s *Server) SetAccount(v AccountState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.account.ebs, s.account.block, s.account.password = v.EBS, v.Block, v.Password
	s.account.inspected = v.Inspected
	if s.account.ebs == nil {
		s.account.ebs = map[string]bool{}
	}
	if s.account.inspected == nil {
		s.account.inspected = map[string][]string{}
	}
}

func replyJSONError(w http.ResponseWriter, e *Error) {
	status := e.Status
	if status == 0 {
		status = http.StatusBadRequest
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]string{"__type": e.Code, "message": e.Message})
}
