// Package res has a struct for each resource type that templates may contain, with
// a field for each property; internal/schema/gen writes them. A property that takes
// any JSON has the type any. An empty field is left out of the template.
package res
