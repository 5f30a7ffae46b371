// Command gen writes the embedded resource schema and the typed structs from the
// CloudFormation service database, npm package @aws-cdk/aws-service-spec (Apache 2.0).
//
//	npm pack @aws-cdk/aws-service-spec@0.1.216 && tar xzf aws-cdk-aws-service-spec-0.1.216.tgz package/db.json.gz
//	go run ./internal/schema/gen -db package/db.json.gz
//
// It runs from the top of the repository. types.txt lists the resource types.
package main

import (
	"compress/gzip"
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

//go:embed types.txt
var wanted string

func main() {
	log.SetFlags(0)
	db := flag.String("db", "", "`file`: db.json.gz of the npm package")
	flag.Parse()
	if err := run(*db); err != nil {
		log.Fatalf("gen: %v", err)
	}
}

func run(file string) error {
	s, err := read(file)
	if err != nil {
		return fmt.Errorf("reading the database %s: %w", file, err)
	}
	resources, err := s.extract(strings.Fields(wanted))
	if err != nil {
		return err
	}
	var text strings.Builder
	for _, r := range resources {
		if err := r.write(&text); err != nil {
			return err
		}
	}
	if err := os.WriteFile("internal/schema/schema.txt", []byte(text.String()), 0o644); err != nil {
		return err
	}
	return writeStructs(filepath.Join("internal", "cfn", "res"), resources)
}

// The database's own shape, as far as it is read.
type (
	database struct {
		Schema struct {
			Resource       table[rawResource] `json:"resource"`
			TypeDefinition table[rawType]     `json:"typeDefinition"`
		} `json:"schema"`
	}
	table[T any] struct {
		Entities []T `json:"entities"`
	}
	rawResource struct {
		Type       string             `json:"cloudFormationType"`
		Properties map[string]rawProp `json:"properties"`
		Attributes map[string]rawProp `json:"attributes"`
		Stateful   bool               `json:"isStateful"`
		Scrutiny   string             `json:"scrutinizable"`
		ID         []string           `json:"primaryIdentifier"`
		Tag        *struct {
			Name    string `json:"tagPropertyName"`
			Variant string `json:"variant"`
		} `json:"tagInformation"`
		MoreReplace json.RawMessage `json:"additionalReplacementProperties"`
	}
	rawType struct {
		ID         string             `json:"$id"`
		Name       string             `json:"name"`
		Properties map[string]rawProp `json:"properties"`
	}
	rawProp struct {
		Type       rawKind         `json:"type"`
		Required   bool            `json:"required"`
		Replace    string          `json:"causesReplacement"`
		Deprecated string          `json:"deprecated"`
		Scrutiny   string          `json:"scrutinizable"`
		Default    json.RawMessage `json:"defaultValue"`
		Refs       []struct {
			Type     string `json:"cloudFormationType"`
			Property string `json:"propertyName"`
		} `json:"relationshipRefs"`
	}
	rawKind struct {
		Type      string `json:"type"`
		Reference struct {
			ID string `json:"$ref"`
		} `json:"reference"`
		Element *rawKind  `json:"element"`
		Types   []rawKind `json:"types"`
		Allowed []any     `json:"allowedValues"`
	}
)

// What is kept of the database; write gives it the form that internal/schema reads.
type (
	resource struct {
		name     string
		P        map[string]*property
		A        map[string]string
		T        map[string]map[string]*property
		Stateful bool
		Scrutiny string
		ID       []string
		Tags     string
		TagKind  string
		More     json.RawMessage
	}
	property struct {
		T string   // s i n b j d tag, #nested, [list, {map, |union
		R bool     // required
		C string   // y: replaces, m: may replace
		E []string // the words it may be
		D bool     // deprecated
		S string   // scrutiny
		V string   // default
		F []string // resource types it refers to
	}
)

type source struct {
	resources map[string]rawResource
	types     map[string]rawType
}

func read(file string) (*source, error) {
	if file == "" {
		return nil, errors.New("got no -db, want db.json.gz of @aws-cdk/aws-service-spec")
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(z)
	if err != nil {
		return nil, err
	}
	var db database
	if err := json.Unmarshal(data, &db); err != nil {
		return nil, err
	}
	s := &source{map[string]rawResource{}, map[string]rawType{}}
	for _, r := range db.Schema.Resource.Entities {
		s.resources[r.Type] = r
	}
	for _, t := range db.Schema.TypeDefinition.Entities {
		s.types[t.ID] = t
	}
	return s, nil
}

func (s *source) extract(names []string) ([]*resource, error) {
	slices.Sort(names)
	var out []*resource
	for _, name := range names {
		raw, ok := s.resources[name]
		if !ok {
			return nil, fmt.Errorf("types.txt names %s, which the database does not have", name)
		}
		r := &resource{name: name, T: map[string]map[string]*property{}, A: map[string]string{},
			Stateful: raw.Stateful, Scrutiny: scrutiny(raw.Scrutiny), ID: raw.ID, More: raw.MoreReplace}
		if raw.Tag != nil {
			r.Tags, r.TagKind = raw.Tag.Name, raw.Tag.Variant
		}
		ids := map[string]string{} // type name → id, to notice two of one name
		var walk func(map[string]rawProp) (map[string]*property, error)
		kind := func(k rawKind) (string, []string, error) { return s.kind(r, k, ids, walk) }
		walk = func(in map[string]rawProp) (map[string]*property, error) {
			props := map[string]*property{}
			for n, p := range in {
				t, enum, err := kind(p.Type)
				if err != nil {
					return nil, fmt.Errorf("%s.%s: %w", name, n, err)
				}
				props[n] = compact(p, t, enum)
			}
			return props, nil
		}
		var err error
		if r.P, err = walk(raw.Properties); err != nil {
			return nil, err
		}
		for n, a := range raw.Attributes {
			t := a.Type.Type
			if t == "array" {
				t = "[" + a.Type.Element.Type[:1]
			} else if t != "tag" {
				t = t[:1]
			}
			r.A[n] = t
		}
		out = append(out, r)
	}
	return out, nil
}

func compact(p rawProp, t string, enum []string) *property {
	out := &property{T: t, R: p.Required, E: enum, S: scrutiny(p.Scrutiny), D: p.Deprecated != "" && p.Deprecated != "NONE"}
	if p.Replace == "yes" || p.Replace == "maybe" {
		out.C = p.Replace[:1]
	}
	var def any
	if json.Unmarshal(p.Default, &def) == nil && def != nil {
		out.V = strings.Trim(fmt.Sprint(def), `"`)
	}
	for _, f := range p.Refs {
		if !slices.Contains(out.F, f.Type) {
			out.F = append(out.F, f.Type)
		}
	}
	slices.Sort(out.F)
	return out
}

func scrutiny(s string) string {
	if s == "None" {
		return ""
	}
	return s
}

// kind writes a type in the compact form and takes the nested types along.
func (s *source) kind(r *resource, k rawKind, ids map[string]string, walk func(map[string]rawProp) (map[string]*property, error)) (string, []string, error) {
	switch k.Type {
	case "array", "map":
		t, enum, err := s.kind(r, *k.Element, ids, walk)
		return map[string]string{"array": "[", "map": "{"}[k.Type] + t, enum, err
	case "ref":
		def, ok := s.types[k.Reference.ID]
		if !ok {
			return "", nil, fmt.Errorf("no type %s", k.Reference.ID)
		}
		if id, ok := ids[def.Name]; ok {
			if id != def.ID {
				return "", nil, fmt.Errorf("two nested types named %s", def.Name)
			}
			return "#" + def.Name, nil, nil
		}
		ids[def.Name] = def.ID
		props, err := walk(def.Properties)
		r.T[def.Name] = props
		return "#" + def.Name, nil, err
	case "union":
		var alternatives []string
		for _, x := range k.Types {
			t, _, err := s.kind(r, x, ids, walk)
			if err != nil {
				return "", nil, err
			}
			alternatives = append(alternatives, t)
		}
		return "|" + strings.Join(alternatives, "|"), nil, nil
	case "tag":
		return "tag", nil, nil
	case "string", "number", "integer", "boolean", "json", "date-time", "null":
		var enum []string
		for _, v := range k.Allowed {
			enum = append(enum, fmt.Sprint(v))
		}
		return k.Type[:1], enum, nil
	}
	return "", nil, fmt.Errorf("a property of kind %q", k.Type)
}
