package nodered

import (
	"embed"
	"io/fs"
	"slices"
)

//go:embed lock
var lock embed.FS

// Own are the files that Fill writes, by slash-separated name, and their names in
// order.
func Own() (map[string]string, []string, error) { return read(content, ".") }

// Lock are package.json and package-lock.json of the Node-RED that is installed on
// AWS: every package with its checksum. npm ci takes nothing else.
func Lock() (map[string]string, []string, error) {
	sub, err := fs.Sub(lock, "lock")
	if err != nil {
		return nil, nil, err
	}
	return read(sub, ".")
}

func read(from fs.FS, root string) (map[string]string, []string, error) {
	files := map[string]string{}
	var names []string
	err := fs.WalkDir(from, root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(from, name)
		files[name] = string(b)
		names = append(names, name)
		return err
	})
	slices.Sort(names)
	return files, names, err
}
