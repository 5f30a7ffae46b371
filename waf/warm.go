package waf

// warm runs requests such as sites get through a new engine, so that the first
// real one finds programs and states made.
func (e *Engine) warm() {
	onMatch := e.onMatch
	e.onMatch = nil
	defer func() { e.onMatch = onMatch }()
	for _, w := range warmUps {
		tx := e.NewTransactionWithID("warm")
		tx.ProcessConnection("192.0.2.1", 40000, "192.0.2.2", 443)
		method := "GET"
		if w.body != "" {
			method = "POST"
		}
		tx.ProcessURI(w.uri, method, "HTTP/1.1")
		for _, h := range warmHeaders {
			tx.AddRequestHeader(h[0], h[1])
		}
		if w.body != "" {
			tx.AddRequestHeader("Content-Type", w.kind)
			tx.AddRequestHeader("Content-Length", "100")
		}
		tx.ProcessRequestHeaders()
		_, _, _ = tx.WriteRequestBody([]byte(w.body))
		_, _ = tx.ProcessRequestBody()
		tx.AddResponseHeader("Content-Type", "text/html")
		tx.ProcessResponseHeaders(200, "HTTP/1.1")
		if tx.IsResponseBodyAccessible() && tx.IsResponseBodyProcessable() {
			_, _, _ = tx.WriteResponseBody([]byte(warmPage))
		}
		_, _ = tx.ProcessResponseBody()
		tx.ProcessLogging()
		_ = tx.Close()
	}
}

type warmUp struct{ uri, kind, body string }

var warmHeaders = [][2]string{
	{"Host", "www.example.com"},
	{"User-Agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"},
	{"Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"},
	{"Accept-Language", "en-GB,en;q=0.9,de;q=0.8"},
	{"Accept-Encoding", "gzip, deflate, br, zstd"},
	{"Referer", "https://www.example.com/blog/2026/10/a-post/?page=2"},
	{"Cookie", "session=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.x-Y_z; theme=dark; _ga=GA1.2.1234567890.1700000000"},
	{"Cache-Control", "no-cache"},
	{"Connection", "keep-alive"},
	{"Upgrade-Insecure-Requests", "1"},
	{"Sec-Fetch-Site", "same-origin"},
}

const warmPage = "<!doctype html><html><head><title>A page</title><link rel=\"stylesheet\" href=\"/a.css?v=12\"></head><body class='x'><p>Some text, 12.50 &euro; &amp; more.</p><script>var a = {\"b\": [1, 2]};</script></body></html>"

var warmUps = []warmUp{
	{uri: "/"},
	{uri: "/assets/app-3f9a.min.js?v=1.2.3"},
	{uri: "/search?q=blue+running+shoes&page=2&sort=price_asc&min=10.5&tags%5B%5D=a&tags%5B%5D=B2&from=2026-11-22T06:33:00Z"},
	{uri: "/wp-json/wp/v2/posts/12?_locale=user&context=edit", kind: "application/json",
		body: `{"id":12,"title":"A title, with \"quotes\" & more","content":"<!-- wp:paragraph -->\n<p>It's a text - nothing else; (really) 100% of it.</p>","tags":["a","b-c"],"price":12.5,"ok":true,"none":null,"at":"2026-11-22T06:33:00Z","url":"https://example.com/a/b?c=d#e","mail":"a.b@example.com"}`},
	{uri: "/contact", kind: "application/x-www-form-urlencoded",
		body: "name=Jane+O%27Neill&email=jane%40example.com&phone=%2B44+20+7946+0000&subject=An+order%3A+%23123&message=Hello%2C%0D%0A%0D%0AI+would+like+to+ask+about+%22the+order%22+%28no.+123%29%3B+it+isn%27t+here+yet%21+Where+is+it%3F+Thanks+%26+regards%2C+J%C3%A9r%C3%B4me+%2F+Z%C3%BCrich+*&csrf=AbC123_-xyz%3D%3D&agree=on"},
}
