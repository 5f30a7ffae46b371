package deploy

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
)

// A Setting is one of the account's that CloudFormation has no resource for. Values
// are short texts, so that they can be shown, compared and recorded.
type Setting struct {
	ID     string   // letters only: the name of its output in the record
	Doc    string   // what it is, in words
	CIS    []string // CIS AWS Foundations 1.5.0
	Region string   // empty: the whole account
	Want   string

	read  func(context.Context, *Client, string) (string, error)
	write func(context.Context, *Client, string, string) error
}

// place is the Region whose record remembers the setting's former value.
func (s *Setting) place() string {
	if s.Region == "" {
		return Edge
	}
	return s.Region
}

// where says in words what a setting is of.
func (s *Setting) where() string {
	if s.Region == "" {
		return "the whole account"
	}
	return s.Region
}

// Settings are those that a site in a Region needs.
func Settings(region string) []Setting {
	return []Setting{
		{ID: "EbsEncryptionByDefault", Doc: "new volumes are encrypted", CIS: []string{"2.2.1"}, Region: region, Want: "on", read: readEBS, write: writeEBS},
		{ID: "S3PublicAccessBlock", Doc: "no bucket of the account can be made public", CIS: []string{"2.1.5"}, Want: allBlocked, read: readBlock, write: writeBlock},
		{ID: "PasswordPolicy", Doc: "console passwords have 14 characters and differ from the last 24", CIS: []string{"1.8", "1.9"}, Want: "MinimumPasswordLength=14&PasswordReusePrevention=24", read: readPassword, write: writePassword},
		{ID: "Inspector", Doc: "instances and functions are looked through for known holes, which costs extra for each of them", Region: region, Want: "EC2,LAMBDA", read: readInspector, write: writeInspector},
	}
}

func readEBS(ctx context.Context, c *Client, region string) (string, error) {
	b, err := c.send(ctx, call{service: "ec2", region: region, form: url.Values{"Action": {"GetEbsEncryptionByDefault"}, "Version": {"2016-11-15"}}})
	if err != nil {
		return "", err
	}
	var x struct {
		On bool `xml:"ebsEncryptionByDefault"`
	}
	if err := xml.Unmarshal(b, &x); err != nil {
		return "", err
	}
	if x.On {
		return "on", nil
	}
	return "off", nil
}

func writeEBS(ctx context.Context, c *Client, region, v string) error {
	action := "EnableEbsEncryptionByDefault"
	if v == "off" {
		action = "DisableEbsEncryptionByDefault"
	}
	_, err := c.send(ctx, call{service: "ec2", region: region, form: url.Values{"Action": {action}, "Version": {"2016-11-15"}}})
	return err
}

// accessBlock is S3's setting in its own form.
type accessBlock struct {
	XMLName               xml.Name `xml:"http://awss3control.amazonaws.com/doc/2018-08-20/ PublicAccessBlockConfiguration"`
	BlockPublicAcls       bool
	IgnorePublicAcls      bool
	BlockPublicPolicy     bool
	RestrictPublicBuckets bool
}

const (
	allBlocked = "BlockPublicAcls,IgnorePublicAcls,BlockPublicPolicy,RestrictPublicBuckets"
	none       = "none"
	blockPath  = "v20180820/configuration/publicAccessBlock"
)

func readBlock(ctx context.Context, c *Client, region string) (string, error) {
	b, err := c.send(ctx, call{service: "s3-control", region: region, method: "GET", path: blockPath})
	if isCode(err, "NoSuchPublicAccessBlockConfiguration") {
		return none, nil
	}
	if err != nil {
		return "", err
	}
	var x struct{ BlockPublicAcls, IgnorePublicAcls, BlockPublicPolicy, RestrictPublicBuckets bool }
	if err := xml.Unmarshal(b, &x); err != nil {
		return "", err
	}
	var on []string
	for i, v := range []bool{x.BlockPublicAcls, x.IgnorePublicAcls, x.BlockPublicPolicy, x.RestrictPublicBuckets} {
		if v {
			on = append(on, strings.Split(allBlocked, ",")[i])
		}
	}
	if len(on) == 0 {
		return none, nil
	}
	return strings.Join(on, ","), nil
}

func writeBlock(ctx context.Context, c *Client, region, v string) error {
	if v == none {
		_, err := c.send(ctx, call{service: "s3-control", region: region, method: "DELETE", path: blockPath})
		return err
	}
	x := accessBlock{BlockPublicAcls: strings.Contains(v, "BlockPublicAcls"), IgnorePublicAcls: strings.Contains(v, "IgnorePublicAcls"),
		BlockPublicPolicy: strings.Contains(v, "BlockPublicPolicy"), RestrictPublicBuckets: strings.Contains(v, "RestrictPublicBuckets")}
	b, err := xml.Marshal(x)
	if err != nil {
		return err
	}
	_, err = c.send(ctx, call{service: "s3-control", region: region, method: "PUT", path: blockPath, body: b})
	return err
}

// passwordFields are the parts of a password policy that can be set.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateAccountPasswordPolicy.html
var passwordFields = []string{"AllowUsersToChangePassword", "HardExpiry", "MaxPasswordAge", "MinimumPasswordLength", "PasswordReusePrevention",
	"RequireLowercaseCharacters", "RequireNumbers", "RequireSymbols", "RequireUppercaseCharacters"}

func readPassword(ctx context.Context, c *Client, _ string) (string, error) {
	b, err := c.send(ctx, call{service: "iam", region: Edge, form: url.Values{"Action": {"GetAccountPasswordPolicy"}, "Version": {"2010-05-08"}}})
	if isCode(err, "NoSuchEntity") {
		return none, nil
	}
	if err != nil {
		return "", err
	}
	var x struct {
		Policy struct {
			Any []struct {
				XMLName xml.Name
				Value   string `xml:",chardata"`
			} `xml:",any"`
		} `xml:"GetAccountPasswordPolicyResult>PasswordPolicy"`
	}
	if err := xml.Unmarshal(b, &x); err != nil {
		return "", err
	}
	v := url.Values{}
	for _, f := range x.Policy.Any {
		if slices.Contains(passwordFields, f.XMLName.Local) && f.Value != "false" && f.Value != "0" {
			v.Set(f.XMLName.Local, f.Value)
		}
	}
	return v.Encode(), nil
}

func writePassword(ctx context.Context, c *Client, _, v string) error {
	form := url.Values{"Action": {"DeleteAccountPasswordPolicy"}, "Version": {"2010-05-08"}}
	if v != none {
		var err error
		if form, err = url.ParseQuery(v); err != nil {
			return err
		}
		form.Set("Action", "UpdateAccountPasswordPolicy")
		form.Set("Version", "2010-05-08")
	}
	_, err := c.send(ctx, call{service: "iam", region: Edge, form: form})
	return err
}

// strict says whether a value is at least what is wanted, and merged is the value to
// write so that nothing that is stricter already gets weaker.
func (s *Setting) merged(now string) (v string, strict bool) {
	if s.ID != "PasswordPolicy" || now == none {
		return s.Want, now == s.Want
	}
	have, err := url.ParseQuery(now)
	want, _ := url.ParseQuery(s.Want)
	if err != nil {
		return s.Want, false
	}
	strict = true
	for k := range want {
		if atoi(have.Get(k)) < atoi(want.Get(k)) {
			have.Set(k, want.Get(k))
			strict = false
		}
	}
	return have.Encode(), strict
}

func atoi(s string) int {
	n := 0
	fmt.Sscanf(s, "%d", &n)
	return n
}

// A SettingChange is one setting as it is and as it is to be.
type SettingChange struct {
	Setting
	Now string
	New string // empty: nothing to change
}

// String says the change: the setting, where, and both values.
func (s SettingChange) String() string {
	return fmt.Sprintf("account setting %s in %s: %s → %s (%s; destroy puts it back)", s.ID, s.where(), s.Now, s.New, s.Doc)
}

// ReadSettings compares settings with the account. It changes nothing.
func (c *Client) ReadSettings(ctx context.Context, all []Setting) ([]SettingChange, error) {
	if c.Account == "" && len(all) > 0 {
		if err := c.identify(ctx, ""); err != nil {
			return nil, err
		}
	}
	var out []SettingChange
	for _, s := range all {
		now, err := s.read(ctx, c, s.place())
		if err != nil {
			return nil, plain("reading the account's setting "+s.ID, err)
		}
		ch := SettingChange{Setting: s, Now: now}
		if v, ok := s.merged(now); !ok {
			ch.New = v
		}
		out = append(out, ch)
	}
	return out, nil
}

// The record is a stack that remembers what the account's settings were before the
// first site came, and which sites want them. It is shared by the sites of a Region.
const recordName = "ringwall-account-stack"

// A record is what that stack remembers.
type record struct {
	former map[string]string // by setting
	set    map[string]string // what was written
	sites  []string
}

func (r *run) readRecord(ctx context.Context, region string) (*record, error) {
	cur, err := r.settled(ctx, &Stack{Name: recordName, Region: region})
	return recordOf(cur), err
}

// recordOf reads the record from its stack; nil: there is none.
func recordOf(cur *types.Stack) *record {
	rec := &record{former: map[string]string{}, set: map[string]string{}}
	for k, v := range outputs(cur) {
		if k == "Sites" {
			rec.sites = strings.Split(v, ",")
		} else if id, ok := strings.CutPrefix(k, "Former"); ok {
			rec.former[id] = v
		} else if id, ok := strings.CutPrefix(k, "Set"); ok {
			rec.set[id] = v
		}
	}
	return rec
}

// Undone says in words what Destroy would do with the account's settings. It
// changes nothing.
func (c *Client) Undone(ctx context.Context, site Site) ([]string, error) {
	groups := byPlace(site.Settings)
	var out []string
	for _, region := range slices.Sorted(maps.Keys(groups)) {
		cur, err := c.describe(ctx, region, recordName)
		if err != nil {
			return nil, err
		}
		rec := recordOf(cur)
		if !slices.Contains(rec.sites, site.Name) {
			continue
		}
		for _, s := range groups[region] {
			others := slices.DeleteFunc(slices.Clone(rec.sites), func(n string) bool { return n == site.Name })
			former, ok := rec.former[s.ID]
			switch {
			case !ok || former == rec.set[s.ID]:
			case len(others) > 0:
				out = append(out, fmt.Sprintf("account setting %s in %s: stays, %s want it", s.ID, s.where(), strings.Join(others, ", ")))
			default:
				out = append(out, fmt.Sprintf("account setting %s in %s: put back from %s to %s", s.ID, s.where(), rec.set[s.ID], former))
			}
		}
	}
	return out, nil
}

func (rec *record) stack(region string) *Stack {
	out := map[string]any{"Sites": map[string]any{"Description": "sites that want these settings", "Value": strings.Join(rec.sites, ",")}}
	for k, v := range rec.former {
		out["Former"+k] = map[string]any{"Description": "before the first site", "Value": v}
	}
	for k, v := range rec.set {
		out["Set"+k] = map[string]any{"Description": "what was set", "Value": v}
	}
	b, err := json.Marshal(map[string]any{
		"AWSTemplateFormatVersion": "2010-09-09",
		"Description":              "What the account's settings were before ringwall. The last ringwall destroy puts them back and removes this.",
		// A stack needs a resource; this one is nothing.
		"Resources": map[string]any{"Nothing": map[string]any{"Type": "AWS::CloudFormation::WaitConditionHandle"}},
		"Outputs":   out,
	})
	if err != nil {
		panic(err)
	}
	return &Stack{Name: recordName, Region: region, Template: b}
}

// byPlace groups settings by the Region of their record.
func byPlace(all []Setting) map[string][]Setting {
	m := map[string][]Setting{}
	for _, s := range all {
		m[s.place()] = append(m[s.place()], s)
	}
	return m
}

// settings brings the account's settings to what the site needs. What they were is
// recorded first: a run that ends between the two leaves a record, never a setting
// that nobody can put back.
func (r *run) settings(ctx context.Context) error {
	groups := byPlace(r.site.Settings)
	for _, region := range slices.Sorted(maps.Keys(groups)) {
		changes, err := r.ReadSettings(ctx, groups[region])
		if err != nil {
			return err
		}
		err = r.editRecord(ctx, region, func(rec *record) {
			if !slices.Contains(rec.sites, r.site.Name) {
				rec.sites = append(rec.sites, r.site.Name)
				slices.Sort(rec.sites)
			}
			for _, ch := range changes {
				if _, ok := rec.former[ch.ID]; !ok {
					rec.former[ch.ID] = ch.Now
				}
				if ch.New != "" {
					rec.set[ch.ID] = ch.New
				} else if _, ok := rec.set[ch.ID]; !ok {
					rec.set[ch.ID] = ch.Now
				}
			}
		})
		if err != nil {
			return fmt.Errorf("recording the account's settings in %s: %w", region, err)
		}
		for _, ch := range changes {
			if ch.New == "" {
				continue
			}
			if err := ch.write(ctx, r.Client, region, ch.New); err != nil {
				return plain("setting the account's "+ch.ID, err)
			}
			r.result.Settings = append(r.result.Settings, ch.ID)
			r.tell(Event{Stack: "account", Region: ch.Region, Resource: ch.ID, Verb: "update", State: Done, Text: fmt.Sprintf("%s (was %s)", ch.New, ch.Now)})
		}
	}
	return nil
}

// editRecord changes the record, again and again until nobody else did meanwhile.
func (r *run) editRecord(ctx context.Context, region string, edit func(*record)) error {
	for try := 0; ; try++ {
		rec, err := r.readRecord(ctx, region)
		if err != nil {
			return err
		}
		before := string(rec.stack(region).Template)
		edit(rec)
		_, err = r.small(ctx, rec.stack(region), func(ctx context.Context) error {
			now, err := r.readRecord(ctx, region)
			if err == nil && string(now.stack(region).Template) != before {
				err = errOvertaken
			}
			return err
		})
		if !errors.Is(err, errOvertaken) || try == 5 {
			return err
		}
	}
}

// restore puts the account's settings back once the last site is gone.
func (r *run) restore(ctx context.Context) error {
	groups := byPlace(r.site.Settings)
	var errs []error
	for _, region := range slices.Sorted(maps.Keys(groups)) {
		if err := r.restoreIn(ctx, region, groups[region]); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (r *run) restoreIn(ctx context.Context, region string, all []Setting) error {
	rec, err := r.readRecord(ctx, region)
	if err != nil || len(rec.sites) == 0 {
		return err
	}
	i := slices.Index(rec.sites, r.site.Name)
	if i < 0 {
		return nil
	}
	rec.sites = slices.Delete(rec.sites, i, i+1)
	note := func(s Setting, st State, text string) {
		r.tell(Event{Stack: "account", Region: s.Region, Resource: s.ID, Verb: "update", State: st, Text: text})
	}
	if len(rec.sites) > 0 {
		for _, s := range all {
			note(s, Kept, "still wanted by "+strings.Join(rec.sites, ", "))
		}
		return r.editRecord(ctx, region, func(rec *record) {
			rec.sites = slices.DeleteFunc(rec.sites, func(n string) bool { return n == r.site.Name })
		})
	}
	for _, s := range all {
		former, ok := rec.former[s.ID]
		if !ok || former == rec.set[s.ID] {
			continue
		}
		now, err := s.read(ctx, r.Client, region)
		if err != nil {
			return plain("reading the account's setting "+s.ID, err)
		}
		switch now {
		case former:
		case rec.set[s.ID]:
			if err := s.write(ctx, r.Client, region, former); err != nil {
				return plain("putting the account's "+s.ID+" back", err)
			}
			note(s, Done, "put back to "+former)
			r.result.Settings = append(r.result.Settings, s.ID)
		default:
			note(s, Kept, "somebody has changed it since to "+now+": left as it is (it was "+former+")")
		}
	}
	st := &Stack{Name: recordName, Region: region}
	cur, err := r.settled(ctx, st)
	if err != nil || cur == nil {
		return err
	}
	return r.remove(ctx, st, cur, nil)
}
