package plan

// HasAppSecret says whether a tier's app has a secret of its own on AWS: the seed
// of WordPress's keys, or the login of Node-RED's editor.
func (p *Plan) HasAppSecret(t Tier) bool {
	return p.Application.Setup == PresetWordPress || p.Application.Setup == PresetNodeRED && t.Write
}
