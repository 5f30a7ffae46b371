package plan

import (
	"embed"
	"fmt"
	"maps"
)

// Presets: what is known of an app before its configuration is read. Each is a
// file in the format of ringwall.yaml, laid between the defaults and the user's file.
const (
	PresetGeneric   = "generic"
	PresetWordPress = "wordpress"
	PresetNodeRED   = "node-red"
)

var presetNames = []string{PresetGeneric, PresetWordPress, PresetNodeRED}

// Presets lists the presets that a configuration may name.
func Presets() []string { return append([]string(nil), presetNames...) }

//go:embed presets/*.yaml
var presetFiles embed.FS

// presetLayer reads a preset; a name that nobody knows has none.
func presetLayer(name string) layer {
	data, err := presetFiles.ReadFile("presets/" + name + ".yaml")
	if err != nil {
		return layer{}
	}
	l := &loader{source: "preset", show: name}
	doc := l.readYAML(data)
	if len(l.problems) > 0 {
		panic(fmt.Sprintf("plan: the preset %s: %v", name, l.problems)) // the files are ours; a test reads them all
	}
	return maps.Clone(doc.base)
}
