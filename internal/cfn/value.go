package cfn

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A Value is what a property holds: a literal, or an expression that
// CloudFormation works out. The zero Value is absent from the template.
type Value[T string | int | float64 | bool] struct {
	literal T
	expr    expr
	set     bool
}

// The four kinds of plain property.
type (
	String = Value[string]
	Int    = Value[int]
	Number = Value[float64]
	Bool   = Value[bool]
)

// S is a literal string. S("") is an empty string, not an absent one.
func S(s string) String { return String{literal: s, set: true} }

// Strs is a list of literal strings.
func Strs(list ...string) []String {
	out := make([]String, len(list))
	for i, s := range list {
		out[i] = S(s)
	}
	return out
}

// I is a literal integer.
func I(n int) Int { return Int{literal: n, set: true} }

// N is a literal number.
func N(f float64) Number { return Number{literal: f, set: true} }

// B is a literal boolean.
func B(b bool) Bool { return Bool{literal: b, set: true} }

// IsSet says whether the value is in the template.
func (v Value[T]) IsSet() bool { return v.set }

// Literal returns the literal, and whether the value is one.
func (v Value[T]) Literal() (T, bool) { return v.literal, v.set && v.expr == nil }

func (v Value[T]) tree(b *builder) any {
	switch {
	case !v.set:
		return nil
	case v.expr != nil:
		return v.expr(b)
	}
	return any(v.literal)
}

// As takes a value for one of another kind, such as a parameter of type Number for
// a port. A literal stays as it was written.
func As[T, F string | int | float64 | bool](v Value[F]) Value[T] {
	if !v.set {
		return Value[T]{}
	}
	return Value[T]{set: true, expr: v.tree}
}

// An expr gives its form in the template of the stack being built.
type expr func(*builder) any

func stringOf(e expr) String { return String{expr: e, set: true} }

// call is the form of an intrinsic function.
func call(name string, arg any) any { return object{{name, arg}} }

func pseudo(name string) String {
	return stringOf(func(*builder) any { return call("Ref", "AWS::"+name) })
}

// Pseudo parameters.
var (
	Region    = pseudo("Region")
	AccountID = pseudo("AccountId")
	Partition = pseudo("Partition")
	StackName = pseudo("StackName")
	StackID   = pseudo("StackId")
	URLSuffix = pseudo("URLSuffix")
)

// Join puts values together (Fn::Join).
func Join(sep string, list ...String) String {
	return stringOf(func(b *builder) any {
		parts := make([]any, len(list))
		for i, v := range list {
			parts[i] = v.tree(b)
		}
		return call("Fn::Join", []any{sep, parts})
	})
}

// With gives the values of the names in a Sub.
type With map[string]String

// Sub fills ${Name} from the values given, ${AWS::…} from the stack, and writes
// ${!Name} as ${Name} (Fn::Sub). A name that is neither given nor of the stack
// fails synthesis.
func Sub(format string, with ...With) String {
	vars := With{}
	for _, w := range with {
		maps.Copy(vars, w)
	}
	return stringOf(func(b *builder) any {
		if len(vars) == 0 {
			return call("Fn::Sub", format)
		}
		var o object
		for _, n := range slices.Sorted(maps.Keys(vars)) {
			if !strings.Contains(format, "${"+n+"}") {
				b.errorf("Fn::Sub: the value %s is given and not used in %q", n, short(format))
			}
			o = append(o, member{n, vars[n].tree(b)})
		}
		return call("Fn::Sub", []any{format, o})
	})
}

// Split cuts a value and takes its n-th part, from 0 (Fn::Select of Fn::Split).
func Split(n int, sep string, v String) String {
	return stringOf(func(b *builder) any {
		return call("Fn::Select", []any{n, call("Fn::Split", []any{sep, v.tree(b)})})
	})
}

// Zone is the n-th availability zone, from 0, of the stack's Region.
func Zone(n int) String {
	return stringOf(func(*builder) any {
		return call("Fn::Select", []any{n, call("Fn::GetAZs", "")})
	})
}

// Base64 encodes a value when the stack is made (Fn::Base64): user data.
func Base64(v String) String {
	return stringOf(func(b *builder) any { return call("Fn::Base64", v.tree(b)) })
}

// SecretValue is one key of a secret's JSON, filled in by CloudFormation at the
// moment of deployment, and shown by none of its calls. The key "" is the whole text.
func SecretValue(arn String, key string) String {
	if key == "" {
		return Join("", S("{{resolve:secretsmanager:"), arn, S(":SecretString}}"))
	}
	return Join("", S("{{resolve:secretsmanager:"), arn, S(":SecretString:"+key+"}}"))
}

// ARN is an ARN of this partition, Region and account: ARN("logs", "log-group:", name).
func ARN(service string, resource ...String) String {
	parts := append([]String{S("arn:"), Partition, S(":" + service + ":"), Region, S(":"), AccountID, S(":")}, resource...)
	return Join("", parts...)
}

// AWSPolicy is the ARN of a policy that AWS keeps: AWSPolicy("AmazonSSMManagedInstanceCore").
func AWSPolicy(name string) String {
	return Sub("arn:${AWS::Partition}:iam::aws:policy/" + name)
}

// M is a JSON object in a property that takes any JSON. Its keys are written sorted.
type M = map[string]any

// A Tag is a tag of a resource.
type Tag struct{ Key, Value String }

func short(s string) string {
	if len(s) > 60 {
		return s[:57] + "…"
	}
	return s
}

// A Note tells the user of something that synthesis did on its own account: a value
// of the configuration that it replaced, or a price it decided on.
type Note struct {
	Key string // of the configuration: database.full
	Was string // empty: there was nothing
	Now string // empty: nothing was put in its place
	Why string // in a few words, lower case
}

func (n Note) String() string {
	switch {
	case n.Was == "" && n.Now == "":
		return fmt.Sprintf("%s: %s", n.Key, n.Why)
	case n.Was == "":
		return fmt.Sprintf("%s: %s: %s", n.Key, n.Now, n.Why)
	case n.Now == "":
		return fmt.Sprintf("%s: %s is left out: %s", n.Key, short(n.Was), n.Why)
	}
	return fmt.Sprintf("%s: %s instead of %s: %s", n.Key, n.Now, short(n.Was), n.Why)
}
