package perimeter

import (
	"testing"

	"github.com/ringwall/ringwall/internal/template"
)

func TestFunctionSets(t *testing.T) {
	for _, x := range []struct {
		code string
		want template.Tri
	}{
		{"function handler(event) { var r = event.request; r.headers['true-client-ip'] = {value: event.viewer.ip}; return r; }", template.Yes},
		{`function handler(e) { var h = e.request.headers; h["True-Client-IP"]={value: e.viewer.ip}; return e.request; }`, template.Yes},
		{"function handler(e) { if (e.x) { e.request.headers['true-client-ip'] = {value: '1'}; } return e.request; }", template.Maybe},
		{"function handler(e) { if (e.request.headers['true-client-ip'] == null) { return e.request; } return e.request; }", template.No},
		{"function handler(e) { return e.request; }", template.No},
		{"function other(e) { h['true-client-ip'] = 1; } function handler(e) { return e.request; }", template.No},
		{"function handler(e) { // e.request.headers['true-client-ip'] = {value: '1'};\n return e.request; }", template.No},
		{"function handler(e) { /* h['true-client-ip'] = 1; */ return e.request; }", template.No},
		{"function handler(e) { var p = /['\"]\\//; e.request.headers['true-client-ip'] = {value: '1'}; return e.request; }", template.Yes},
		{"function handler(e) { var u = 'https://x'; e.request.headers['true-client-ip'] = {value: '1'}; return e.request; }", template.Yes},
		{"function handler(e) { if (e.x) return e.request; e.request.headers['true-client-ip'] = {value: '1'}; return e.request; }", template.Maybe},
		{"function handler(e) { if (e.x) return {statusCode: 403}; e.request.headers['true-client-ip'] = {value: '1'}; return e.request; }", template.Yes},
		{"function handler(e) { var was = e.request.headers['true-client-ip']; e.request.headers['true-client-ip'] = was; return e.request; }", template.Maybe},
		{"function handler(e) { delete e.request.headers['true-client-ip']; e.request.headers['true-client-ip'] = {value: '1'}; return e.request; }", template.Yes},
		{"", template.No},
		{"function handler(e) { // true-client-ip\n delete e.request.headers['true-client-ip']; return e.request; }", template.No},
	} {
		if got, _ := FunctionSets(x.code, "true-client-ip"); got != x.want {
			t.Errorf("%q: got %s, want %s", x.code, got, x.want)
		}
	}
}
