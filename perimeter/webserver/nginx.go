package webserver

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/ringwall/ringwall/plan"
)

// NginxOptions say where an instance's nginx finds its things. The zero value has
// the places of an instance on AWS.
type NginxOptions struct {
	Listen string // empty: the plan's target port, on every address
	Tree   string // the site's tree; empty: the plan's mount point
	Socket string // FastCGI socket of kind php; empty: /run/app/php.sock
	App    string // address of kind command's program; empty: 127.0.0.1:<NginxAppPort>
	Run    string // directory of the process id and of temporary files; empty: /run/nginx
	Log    string // directory; empty: /var/log/nginx
	User   string // of the workers; empty: nginx
}

// NginxAppPort is where a program of kind command listens on an instance on AWS.
const NginxAppPort = 3000

func (o *NginxOptions) fill(p *plan.Plan) {
	set := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	set(&o.Listen, fmt.Sprint(p.Balancer.TargetPort))
	set(&o.Tree, p.Files.Mount)
	set(&o.Socket, "/run/app/php.sock")
	set(&o.App, fmt.Sprintf("127.0.0.1:%d", NginxAppPort))
	set(&o.Run, "/run/nginx")
	set(&o.Log, "/var/log/nginx")
	set(&o.User, "nginx")
}

// Nginx is the whole configuration of an instance's nginx (1.22 or later): the
// route table of a tier, hardened by the CIS benchmark for nginx 2.1 where it
// applies to a server behind a balancer. What the local web server refuses this
// one refuses too; where nginx cannot tell two requests apart it refuses both.
//
//   - A path with an escape behind an escape (%2541) is refused as ambiguous.
//   - A path with empty or dotted segments and escapes at once is redirected to
//     its tidy form; other methods than GET and HEAD get 400.
//   - Symbolic links in the tree are not followed.
//   - nginx does not read forms. For php the guard does (Guard); for other kinds a
//     tier with ?key=value routes takes no form where such a route may be asked.
func Nginx(p *plan.Plan, tier string, o NginxOptions) (string, error) {
	r, err := newRoutes(p, tier)
	if err != nil {
		return "", fmt.Errorf("configuring nginx: %w", err)
	}
	if p.Kind == plan.PHP && p.Webserver.Docroot == "-" {
		return "", fmt.Errorf("configuring nginx: kind php needs routes.docroot, got %q", "-")
	}
	o.fill(p)
	for _, s := range []string{o.Listen, o.Tree, o.Socket, o.App, o.Run, o.Log, o.User, p.Webserver.Docroot, p.Webserver.Front, p.Balancer.HealthPath} {
		if strings.ContainsAny(s, "\"\\;{}$'\n\r\x00 ") {
			return "", fmt.Errorf("configuring nginx: got %q, want a name without spaces, quotes, braces, $, ; and \\", s)
		}
	}
	g := &nginx{p: p, r: r, o: o, tier: tier}
	return g.write(), nil
}

// An nginx is one configuration while it is written.
type nginx struct {
	p    *plan.Plan
	r    *routes
	o    NginxOptions
	tier string
	b    strings.Builder
	in   int // depth
}

func (g *nginx) line(format string, args ...any) {
	s := fmt.Sprintf(format, args...)
	if strings.HasPrefix(s, "}") {
		g.in--
	}
	if s != "" {
		for range g.in {
			g.b.WriteString("    ")
		}
	}
	g.b.WriteString(s)
	g.b.WriteByte('\n')
	if strings.HasSuffix(s, "{") {
		g.in++
	}
}

// A refusal is an answer of the web server's own: by the code that sends a request
// to its page, the status and the words that the visitor gets.
type nginxPage struct {
	code, status int
	class        string
}

// Codes of our own, which no app can send us into: nginx looks at a page's code
// only for what it answers itself.
const (
	pageHost = 460 + iota
	pageMethod
	pageAdmin
	pageUploads
	pageDenied
	pageOdd
)

func (g *nginx) pages() []nginxPage {
	own := func(code int, control string) nginxPage {
		ref := refuse(control)
		return nginxPage{code, ref.Status, ref.Reason}
	}
	list := []nginxPage{
		{pageHost, 421, "this site does not answer to that name"},
		{pageMethod, 405, "this method is not answered here"},
		own(pageAdmin, ctlAdmin), own(pageUploads, ctlUploads), own(pageDenied, ctlDenied), own(pageOdd, ctlPath),
	}
	for _, c := range []struct {
		status int
		class  string
	}{
		{400, "the request is not well formed"}, {403, "this file is not for visitors"}, {404, "there is nothing at this address"},
		{405, "a file can only be read"}, {408, "the request took too long to arrive"}, {411, "the request must say its length"},
		{412, "the file has changed"}, {413, "the request is too large"}, {414, "the address is too long"}, {415, "this kind of content is not taken"},
		{416, "the file has no such part"}, {429, "too many requests from this address"}, {431, "the header is too large"}, {494, ""},
		{500, "internal error"}, {501, "this is not done here"}, {502, "the app did not answer properly"},
		{503, "the app does not answer at the moment"}, {504, "the app took too long to answer"}, {505, "this version of HTTP is not spoken here"},
	} {
		status, class := c.status, c.class
		if status == 494 { // nginx's own name for a header that is too large
			status, class = 431, "the header is too large"
		}
		list = append(list, nginxPage{c.status, status, class})
	}
	return list
}

func (g *nginx) write() string {
	g.b.Grow(64 << 10)
	g.line("# The web server of tier %s of %s. Made by ringwall synth; changes here are lost.", g.tier, g.p.Site())
	g.line("user %s;", g.o.User)
	g.line("worker_processes auto;")
	g.line("worker_rlimit_nofile 8192;")
	g.line("worker_rlimit_core 0;")
	g.line("pid %s/nginx.pid;", g.o.Run)
	g.line("error_log %s/error.log info;", g.o.Log)
	g.line("pcre_jit on;")
	g.line("events {")
	g.line("worker_connections %d;", max(g.p.Network.MaxConns, 1024)*2)
	g.line("}")
	g.line("http {")
	g.base()
	g.viewer()
	g.verdicts()
	g.texts()
	if g.p.Kind == plan.Command {
		g.line("upstream app {")
		g.line("server %s;", g.o.App)
		g.line("keepalive 32;")
		g.line("}")
	}
	g.server()
	g.line("}")
	return g.b.String()
}

func (g *nginx) base() {
	g.line("server_tokens off;")
	g.line("autoindex off;")
	g.line("absolute_redirect off;")
	g.line("sendfile on;")
	g.line("tcp_nopush on;")
	g.line("gzip off;")
	g.line("ignore_invalid_headers on;")
	g.line("underscores_in_headers off;")
	g.line("merge_slashes on;")
	g.line("")
	g.line("# Longer than the balancer keeps an idle connection (60 s): it must be the one that")
	g.line("# closes, or a request is lost on the way.")
	g.line("keepalive_timeout 75s;")
	g.line("keepalive_requests 10000;")
	g.line("client_header_timeout 10s;")
	g.line("client_body_timeout 10s;")
	g.line("send_timeout 10s;")
	g.line("reset_timedout_connection on;")
	g.line("client_header_buffer_size 4k;")
	g.line("large_client_header_buffers 8 16k;")
	body := g.p.Edge.MaxBody
	if g.tier == plan.Admin {
		body = max(body, g.p.Edge.MaxUpload)
	}
	g.line("client_max_body_size %d;", max(body, 1))
	for _, t := range []string{"client_body", "fastcgi", "proxy", "scgi", "uwsgi"} {
		g.line("%s_temp_path %s/%s;", t, g.o.Run, t)
	}
	g.line("map_hash_bucket_size 256;")
	g.line("variables_hash_max_size 2048;")
	g.line("server_names_hash_bucket_size 256;")
	g.line("")
	g.line("types {")
	byType := map[string][]string{}
	for ext, t := range types {
		byType[t] = append(byType[t], ext[1:])
	}
	for _, t := range sortedKeys(byType) {
		slices.Sort(byType[t])
		g.line("%q %s;", t, strings.Join(byType[t], " "))
	}
	g.line("}")
	g.line("default_type application/octet-stream;")
	g.line("")
	// Headers and values of queries may be secrets; the path is not.
	g.line(`log_format ringwall escape=json '{"time":"$time_iso8601","request_id":"$rw_id","viewer":"$rw_viewer","host":"$host","method":"$request_method","path":"$uri","status":$status,"bytes":$body_bytes_sent,"seconds":$request_time,"upstream":"$upstream_status","tier":"%s"}';`, g.tier)
	g.line("access_log %s/access.log ringwall;", g.o.Log)
	g.line("")
}

// viewer is what is known of a request before it is judged.
func (g *nginx) viewer() {
	g.line("# The visitor's address is the edge's word: nobody but the balancer reaches this")
	g.line("# server, and the edge overwrites the header.")
	g.line("map $http_x_ringwall_viewer $rw_viewer {")
	g.line("default 0.0.0.0;")
	g.line(`"~^[0-9a-fA-F:.]{2,45}$" $http_x_ringwall_viewer;`)
	g.line("}")
	g.line("map $http_x_request_id $rw_id {")
	g.line("default $request_id;")
	g.line(`"~^[0-9A-Za-z_=-]{8,64}$" $http_x_request_id;`)
	g.line("}")
	g.line("map $host $rw_known {")
	g.line("default 0;")
	for _, h := range g.p.PublicHosts() {
		g.line("%q 1;", h)
	}
	g.line("}")
	g.line("# The balancer asks for the site's health under the instance's own address.")
	g.line(`map "$rw_known$request_uri" $rw_misdirected {`)
	g.line("default 1;")
	g.line(`"~^1" 0;`)
	g.line("0 0; # what could not be read at all")
	g.line("%q 0;", "0"+g.p.Balancer.HealthPath)
	g.line("}")
	g.line("map $rw_known $rw_host {")
	g.line("1 $http_host;")
	g.line("default %s;", g.p.Network.Host)
	g.line("}")
	g.line("# Health is asked without a visitor; an empty key is not counted.")
	g.line("map $rw_viewer $rw_counted {")
	g.line("default $rw_viewer;")
	g.line(`0.0.0.0 "";`)
	g.line("}")
	g.line("limit_conn_zone $rw_counted zone=conns:4m;")
	g.line("limit_conn_status 429;")
	g.line("limit_req_zone $rw_counted zone=requests:8m rate=%dr/m;", max(g.p.Network.Rate.PerMinute, 1))
	g.line("limit_req_status 429;")
	g.line("")
	g.line("map $http_upgrade $rw_upgrade {")
	g.line(`default "";`)
	g.line(`"~*^websocket$" websocket;`)
	g.line("}")
	g.line("map $rw_upgrade $rw_connection {")
	g.line(`default "";`)
	g.line("websocket upgrade;")
	g.line("}")
	g.line("# What was made for one visitor is stored by nobody.")
	g.line(`map "$upstream_http_set_cookie$http_authorization" $rw_store {`)
	g.line(`default "private, no-store";`)
	if g.tier != plan.Admin {
		g.line(`"" "";`)
	}
	g.line("}")
	g.line("map $upstream_http_x_frame_options$upstream_http_content_security_policy $rw_frame {")
	g.line("default SAMEORIGIN;")
	g.line(`"~*(?:sameorigin|deny|frame-ancestors)" "";`)
	g.line("}")
	g.line("map $upstream_http_x_content_type_options $rw_sniff {")
	g.line("default nosniff;")
	g.line(`"~*nosniff" "";`)
	g.line("}")
	g.line("map $upstream_http_referrer_policy $rw_referrer {")
	g.line(`default "";`)
	g.line(`"" strict-origin-when-cross-origin;`)
	g.line("}")
	g.line("map $sent_http_content_type $rw_upload {")
	g.line(`default "";`)
	g.line(`"" "sandbox; default-src 'none'";`)
	g.line(`"~*(?:html|xml)" "sandbox; default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'";`)
	g.line("}")
	g.line("")
	g.line("# A page of this server's own, in the form that was asked for.")
	g.line("map $http_accept $rw_want {")
	g.line("default text;")
	g.line(`"~*^[^,]*\+?json" json;`)
	g.line(`"~*html" html;`)
	g.line(`"~*json" json;`)
	g.line("}")
	g.line("map $rw_want $rw_type {")
	g.line(`default "text/plain; charset=utf-8";`)
	g.line(`html "text/html; charset=utf-8";`)
	g.line("json application/json;")
	g.line("}")
	g.line("")
}

const pageCSP = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"

// security is the headers of every answer. add_header in a location replaces those
// of the server, so each location has them all.
func (g *nginx) security(upload bool) {
	g.line("add_header X-Request-Id $rw_id always;")
	g.line("add_header X-Content-Type-Options $rw_sniff always;")
	g.line("add_header X-Frame-Options $rw_frame always;")
	g.line("add_header Referrer-Policy $rw_referrer always;")
	g.line("add_header Cache-Control $rw_store always;")
	if upload {
		g.line("add_header Content-Security-Policy $rw_upload always;")
	}
}

func (g *nginx) server() {
	g.line("server {")
	g.line("listen %s default_server;", g.o.Listen)
	g.line("server_name _;")
	g.line("limit_conn conns %d;", max(g.p.Network.MaxConnsPerIP, 1))
	g.line("limit_req zone=requests burst=%d nodelay;", max(g.p.Network.Rate.Burst, 1))
	if root := g.root(); root != "" {
		g.line("root %s;", root)
		g.line("disable_symlinks on from=$document_root;")
	}
	if g.p.Kind == plan.PHP {
		g.line("index index.php index.html;")
	} else {
		g.line("index index.html;")
	}
	g.line("")
	g.line("# The table. It is asked again for the index of a directory, which is another path.")
	for _, v := range []struct {
		name string
		page int
	}{
		{"misdirected", pageHost}, {"method", pageMethod},
		{"admin", pageAdmin}, {"admin_loose", pageAdmin}, {"query", pageAdmin}, {"query_path", pageAdmin}, {"query_loose", pageAdmin}, {"form", pageAdmin}, {"form_loose", pageAdmin},
		{"uploads", pageUploads}, {"uploads_loose", pageUploads},
		{"denied", pageDenied}, {"denied_loose", pageDenied}, {"denied_raw", pageDenied}, {"odd", pageOdd}, {"odd_uri", pageOdd},
	} {
		if g.used(v.name) {
			g.line("if ($rw_%s) { return %d; }", v.name, v.page)
		}
	}
	if g.p.Kind == plan.PHP {
		g.line("if ($rw_untidy) { rewrite ^(.*)$ $1 permanent; }")
	}
	g.line("")
	g.locations()
	g.line("")
	for _, pg := range g.pages() {
		if pg.code == 403 && g.root() != "" {
			// A directory without an index, or a link: as if it were not there. Whom
			// the table refuses never comes here.
			g.line("error_page 403 %s;", map[plan.Kind]string{plan.PHP: "= @front", plan.Command: "= @app", plan.Static: "=404 @page404"}[g.p.Kind])
			continue
		}
		if pg.code == 400 || pg.code == 414 {
			// Not a name: nginx knows no path of a request that it could not read.
			g.line("error_page %d =%d /ringwall-page-%d;", pg.code, pg.status, pg.code)
			g.line("location = /ringwall-page-%d {", pg.code)
			g.line("internal;")
		} else {
			g.line("error_page %d =%d @page%d;", pg.code, pg.status, pg.code)
			g.line("location @page%d {", pg.code)
		}
		g.line("types { }")
		g.line(`default_type "";`)
		if pg.code == 400 || pg.code == 414 { // what could not be read has no id, and asks for no form
			g.line(`add_header Content-Type "text/plain; charset=utf-8" always;`)
		} else {
			g.line("add_header Content-Type $rw_type always;")
			g.line("add_header X-Request-Id $rw_id always;")
		}
		g.line("add_header X-Content-Type-Options nosniff always;")
		g.line("add_header Cache-Control no-store always;")
		g.line("add_header Content-Security-Policy %q always;", pageCSP)
		if pg.status == 429 || pg.status == 503 {
			g.line("add_header Retry-After 1 always;")
		}
		g.line("return %d $rw_page%d;", pg.status, pg.code)
		g.line("}")
	}
	g.line("}")
}

// root is the directory of static files; empty: none.
func (g *nginx) root() string {
	d := g.p.Webserver.Docroot
	if d == "-" || g.p.Kind == plan.Command && d == "" {
		return ""
	}
	return path.Join(g.o.Tree, path.Clean("/"+d))
}

// locations are what is behind the table.
func (g *nginx) locations() {
	app := map[plan.Kind]string{plan.PHP: "@front", plan.Command: "@app", plan.Static: "=404"}[g.p.Kind]
	root := g.root()
	if root == "" {
		g.line("location / {")
		g.proxy(false)
		g.line("}")
		return
	}
	// Exact letter case: a directory of that name in other letters is another one,
	// and the table refuses scripts there as well.
	for _, u := range g.uploads() {
		g.line("location ^~ %q {", u)
		g.security(true)
		g.line("try_files $uri %s;", g.uploadApp(app))
		g.line("}")
	}
	g.line("location / {")
	g.security(false)
	g.line("try_files $uri $uri/ %s;", app)
	g.line("}")
	switch g.p.Kind {
	case plan.PHP:
		g.line(`location ~ \.php$ {`)
		g.security(false)
		g.line("try_files $uri @front;")
		g.fastcgi("$uri")
		g.line("}")
		g.line("location @front {")
		g.security(false)
		g.fastcgi(path.Clean("/" + g.p.Webserver.Front))
		g.line("}")
		if len(g.r.uploads) > 0 {
			g.line("location @upload {")
			g.security(true)
			g.fastcgi(path.Clean("/" + g.p.Webserver.Front))
			g.line("}")
		}
	case plan.Command:
		g.line("location @app {")
		g.proxy(false)
		g.line("}")
		if len(g.r.uploads) > 0 {
			g.line("location @upload {")
			g.proxy(true)
			g.line("}")
		}
	}
}

func (g *nginx) uploadApp(app string) string {
	if app == "=404" {
		return app
	}
	return "@upload"
}

// uploads are the upload directories' paths as the plan writes them.
func (g *nginx) uploads() (out []string) {
	docroot := strings.Trim(path.Clean("/"+g.p.Webserver.Docroot), "/")
	for _, u := range g.p.Files.Uploads {
		u = strings.Trim(path.Clean("/"+u), "/")
		rest, ok := u+"/", true
		if docroot != "" {
			rest, ok = strings.CutPrefix(u+"/", docroot+"/")
		}
		if ok && rest != "" && rest != "/" {
			out = append(out, "/"+rest)
		}
	}
	return out
}

// named are the headers that the app must not see, or sees as we say.
func named() []string {
	return append(slices.Clone(claimed), "X-Forwarded-Server", "X-Forwarded-Port", "X-Forwarded-User", "X-Forwarded-Scheme", "X-Forwarded-Ssl", "X-Forwarded-Prefix",
		"X-Amzn-Trace-Id", plan.HeaderSecret, plan.HeaderViewer, plan.HeaderTier, plan.HeaderStore, plan.HeaderUnreached)
}

func (g *nginx) proxy(upload bool) {
	g.security(upload)
	g.line("# The path as it was judged, not as it was written.")
	g.line("rewrite ^ $uri break;")
	g.line("proxy_pass http://app;")
	g.line("proxy_http_version 1.1;")
	g.line("proxy_set_header Host $rw_host;")
	g.line("proxy_set_header Upgrade $rw_upgrade;")
	g.line("proxy_set_header Connection $rw_connection;")
	g.line("proxy_set_header X-Forwarded-For $rw_viewer;")
	g.line("proxy_set_header X-Forwarded-Proto https;")
	g.line("proxy_set_header X-Forwarded-Host $rw_host;")
	g.line("proxy_set_header X-Real-Ip $rw_viewer;")
	g.line("proxy_set_header X-Request-Id $rw_id;")
	for _, h := range named() {
		switch h {
		case "X-Real-Ip":
		default:
			g.line(`proxy_set_header %s "";`, h)
		}
	}
	for _, h := range telltale {
		g.line("proxy_hide_header %s;", h)
	}
	g.line("proxy_connect_timeout 2s;")
	g.line("proxy_read_timeout 65s;")
	g.line("proxy_send_timeout 65s;")
	g.line("proxy_buffering off;")
	g.line("proxy_request_buffering off;")
	g.line("proxy_redirect off;")
	g.line("proxy_ignore_headers %s;", accel)
	g.line("proxy_next_upstream off;")
}

// telltale are headers of the app that no visitor gets.
var telltale = []string{"Server", "X-Powered-By", "X-Aspnet-Version", "X-Aspnetmvc-Version", "X-Generator",
	"X-Accel-Redirect", "X-Accel-Expires", "X-Accel-Limit-Rate", "X-Accel-Buffering", "X-Accel-Charset", plan.HeaderRequest, plan.HeaderSecret, plan.HeaderViewer, plan.HeaderTier, plan.HeaderUnreached, plan.HeaderRefused}

// accel are answers of the app that nginx would take for orders.
const accel = "X-Accel-Redirect X-Accel-Expires X-Accel-Limit-Rate X-Accel-Buffering X-Accel-Charset Expires Cache-Control Set-Cookie Vary"

func (g *nginx) fastcgi(script string) {
	set := func(k, v string) { g.line("fastcgi_param %s %s;", k, v) }
	g.line("fastcgi_pass unix:%s;", g.o.Socket)
	set("SCRIPT_FILENAME", g.root()+script)
	set("SCRIPT_NAME", script)
	set("DOCUMENT_URI", script)
	set("DOCUMENT_ROOT", g.root())
	// The path as it was judged: an untidy one has no escapes here.
	set("REQUEST_URI", "$rw_request_uri")
	set("QUERY_STRING", "$query_string")
	set("REQUEST_METHOD", "$request_method")
	set("CONTENT_TYPE", "$content_type")
	set("CONTENT_LENGTH", "$content_length")
	set("SERVER_PROTOCOL", "$server_protocol")
	set("GATEWAY_INTERFACE", "CGI/1.1")
	set("SERVER_SOFTWARE", "ringwall")
	set("REMOTE_ADDR", "$rw_viewer")
	set("REMOTE_PORT", "0")
	set("SERVER_ADDR", "127.0.0.1")
	set("SERVER_NAME", g.p.Network.Host)
	set("SERVER_PORT", "443")
	set("REQUEST_SCHEME", "https")
	set("HTTPS", "on")
	set("REDIRECT_STATUS", "200")
	set("HTTP_HOST", "$rw_host")
	set("HTTP_X_FORWARDED_FOR", "$rw_viewer")
	set("HTTP_X_FORWARDED_PROTO", "https")
	set("HTTP_X_REQUEST_ID", "$rw_id")
	for _, h := range named() {
		set(variable(h), `""`)
	}
	for _, h := range telltale {
		g.line("fastcgi_hide_header %s;", h)
	}
	g.line("fastcgi_connect_timeout 2s;")
	g.line("fastcgi_read_timeout 65s;")
	g.line("fastcgi_send_timeout 65s;")
	g.line("fastcgi_buffers 16 16k;")
	g.line("fastcgi_buffer_size 32k;")
	g.line("fastcgi_next_upstream off;")
	g.line("fastcgi_ignore_headers %s;", accel)
}
