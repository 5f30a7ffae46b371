package webserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path"
	"strings"

	"github.com/ringwall/ringwall/internal/proxy"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

// An App is what stands behind the web server of one instance.
type App struct {
	Dial   func(context.Context) (net.Conn, error) // FastCGI for kind php, HTTP for kind command; not used for static
	Root   string                                  // the tree as the web server sees it
	Temp   string                                  // directory for bodies of unknown length; empty: the system's
	Report func(line string)                       // what a PHP script reports; nil: dropped
}

// A server is one instance's web server.
type server struct {
	plan   *plan.Plan
	tier   string
	routes *routes
	root   *os.Root // the docroot; nil: no static files
	app    func(w http.ResponseWriter, r *http.Request, q *question) error
}

// A question is a request that the route table lets through.
type question struct {
	path   string // the one reading of its path
	script string // URL path of the script that it names; empty: none
	viewer string // the visitor's address
	upload bool   // the path lies where users put their files
}

// New returns the web server of an instance of a tier. What it refuses it returns
// as a proxy.Refusal, before it has written anything.
func New(p *plan.Plan, tier string, app App) (proxy.Handler, error) {
	r, err := newRoutes(p, tier)
	if err != nil {
		return nil, err
	}
	s := &server{plan: p, tier: tier, routes: r}
	docroot := p.Webserver.Docroot
	// A command's tree holds its program and its data; only a directory that the
	// plan names is for everybody's eyes.
	if docroot != "-" && (p.Kind != plan.Command || docroot != "") {
		dir := path.Join(app.Root, path.Clean("/"+docroot))
		if s.root, err = os.OpenRoot(dir); err != nil {
			return nil, fmt.Errorf("opening the directory of static files: %w; check webserver.docroot", err)
		}
	}
	if app.Dial == nil && p.Kind != plan.Static {
		return nil, fmt.Errorf("building the web server of %s: no way to reach the app", tier)
	}
	switch p.Kind {
	case plan.PHP:
		if s.root == nil {
			return nil, errors.New(`building the web server: kind php needs a docroot, got "-"`)
		}
		s.app = newPHP(s, app)
	case plan.Command:
		s.app = newCommand(s, app)
	case plan.Static:
		s.app = func(w http.ResponseWriter, _ *http.Request, _ *question) error { return notFound(w) }
	default:
		return nil, fmt.Errorf("building the web server: got kind %q, want php, command or static", p.Kind)
	}
	return s, nil
}

// ServeHTTP judges a request by the route table and answers it.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) error {
	if r.Method == http.MethodTrace || r.Method == http.MethodConnect {
		return &proxy.Refusal{Status: http.StatusMethodNotAllowed, Control: ctlPath, Reason: "this method is not answered here"}
	}
	rd := read(r.URL)
	if c := s.routes.judge(&rd); c != "" {
		ref := refuse(c)
		if c == ctlPath {
			ref.Detail = rd.odd
		}
		return ref
	}
	if err := s.routes.judgeQuery(&rd, r); err != nil {
		return err
	}
	q := &question{path: rd.path, viewer: viewer(r), upload: s.routes.inUploads(rd.path)}
	cleanHeaders(r.Header)
	if s.root != nil {
		if done, err := s.serveFile(w, r, q); done || err != nil {
			return err
		}
	}
	return s.app(w, r, q)
}

// refuse words the refusal of each control for a visitor.
func refuse(control string) *proxy.Refusal {
	r := &proxy.Refusal{Status: http.StatusForbidden, Control: control}
	switch control {
	case ctlAdmin:
		r.Reason = "this part of the site is open to its administrators only"
	case ctlUploads:
		r.Reason = "uploaded programs are neither run nor shown"
	case ctlPath:
		r.Status, r.Reason = http.StatusBadRequest, "the address can be read in more than one way"
	default:
		r.Reason = "this file is not for visitors"
	}
	return r
}

// unreached tells the balancer that another instance may be asked.
func unreached(w http.ResponseWriter, err error) error {
	w.Header().Set(plan.HeaderUnreached, "1")
	return &proxy.Refusal{Status: http.StatusServiceUnavailable, Control: ctlApp, Reason: "the app does not answer at the moment", Detail: err.Error(), Retry: 1}
}

func failed(err error) error {
	return &proxy.Refusal{Status: http.StatusBadGateway, Control: ctlApp, Reason: "the app did not answer properly", Detail: err.Error()}
}

func notFound(w http.ResponseWriter) error {
	http.Error(w, "404 not found", http.StatusNotFound)
	return nil
}

// viewer is the visitor's address: the balancer's word, since nobody else can
// reach this server.
func viewer(r *http.Request) string {
	if a, err := netip.ParseAddr(r.Header.Get(plan.HeaderViewer)); err == nil {
		return a.Unmap().String()
	}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		return host
	}
	return "0.0.0.0"
}

// Headers that some app takes for the visitor's address, for another path or for
// a proxy of its own. What the app needs of them it gets from us.
var claimed = []string{
	"Proxy", "Forwarded", "Via", "True-Client-Ip", "Client-Ip", "X-Client-Ip", "X-Real-Ip", "X-Cluster-Client-Ip",
	"Cf-Connecting-Ip", "Fastly-Client-Ip", "X-Original-Url", "X-Rewrite-Url", "X-Original-Host", "X-Host",
	"X-Remote-Ip", "X-Remote-Addr", "X-Originating-Ip",
}

// cleanHeaders takes out what only the walls may say, and every name that CGI
// could take for another.
func cleanHeaders(h http.Header) {
	if perimeter.Down(ctlHeaders) {
		return
	}
	for k := range h {
		if strings.HasPrefix(k, "X-Ringwall-") || strings.HasPrefix(k, "X-Forwarded-") || !plainName(k) {
			delete(h, k)
		}
	}
	for _, k := range claimed {
		delete(h, k)
	}
}

// plainName says whether a header's name has letters, digits and hyphens only.
// With an underscore it would become the same variable as the one with a hyphen.
func plainName(k string) bool {
	for i := 0; i < len(k); i++ {
		c := k[i]
		if c != '-' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return k != ""
}
