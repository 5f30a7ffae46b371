package template

// linked is the value of a parameter that our own deploy fills from another
// stack's output, as the template's metadata says.
func (w *World) linked(st *Stack, p *Parameter) *Value {
	l := st.Template.Metadata.Get("Ringwall").Get("Parameters").Get(p.Name)
	from, ok := l.Get("Stack").text()
	if !ok {
		return nil
	}
	name, _ := l.Get("Output").text()
	other := w.byStack[from]
	if other == nil || other.Template.Outputs.Get(name) == nil {
		return nil
	}
	return w.output(p.Pos, other, name)
}

// Lookup is the text that stands for what deploy finds in the account under a
// name: Lookup("prefix-list", "com.amazonaws.global.cloudfront.origin-facing").
func Lookup(kind, name string) string { return token(kindPseudo, kind+":"+name) }
