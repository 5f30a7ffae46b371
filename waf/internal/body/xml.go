package body

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
)

// XML gives the values of all attributes (XML://@*) and all text that is more
// than space (XML:/*). A document that ends too early gives what there is.
func XML(b []byte, l Limits) (attributes, texts []string, err error) {
	d := xml.NewDecoder(bytes.NewReader(b))
	d.Strict = false
	d.AutoClose = xml.HTMLAutoClose
	d.Entity = xml.HTMLEntity
	depth := 0
	for {
		token, err := d.Token()
		if err != nil && err != io.EOF && !endsEarly(err) {
			return nil, nil, err
		}
		switch t := token.(type) {
		case nil:
			return attributes, texts, nil
		case xml.StartElement:
			if depth++; l.Depth > 0 && depth > l.Depth {
				return nil, nil, &LimitError{"levels of elements", int64(depth), int64(l.Depth)}
			}
			for _, a := range t.Attr {
				attributes = append(attributes, a.Value)
			}
		case xml.EndElement:
			depth--
		case xml.CharData:
			if s := strings.TrimSpace(string(t)); s != "" {
				texts = append(texts, s)
			}
		}
	}
}

func endsEarly(err error) bool {
	s, ok := errors.AsType[*xml.SyntaxError](err)
	return ok && s.Msg == "unexpected EOF"
}
