package wordpress

// Own are the files of ours that WordPress gets, by name, and their names in
// order: wp-config.php, and ringwall.php for wp-content/mu-plugins.
func Own() (map[string]string, []string, error) {
	names := []string{"ringwall.php", "wp-config.php"}
	out := map[string]string{}
	for _, n := range names {
		b, err := files.ReadFile("files/" + n)
		if err != nil {
			return nil, nil, err
		}
		out[n] = string(b)
	}
	return out, names, nil
}
