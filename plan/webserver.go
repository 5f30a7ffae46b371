package plan

// Webserver holds the settings of perimeter 8: the route table, the same for
// this machine and for AWS.
type Webserver struct {
	Docroot     string   // relative to the tree: where static files and PHP scripts lie; "" is the tree's root, "-" no static files
	Front       string   // for php: the script that answers what no file matches (index.php)
	AdminRoutes []string // refused with 403 on fleet: exact paths, "/dir/*" for a directory and everything in it, "*.ext", "/dir/*.ext" for both, "?key=value" for what a query or a form says
	Public      []string // exceptions to AdminRoutes that fleet may serve: same patterns, no query
	Denied      []string // refused with 403 on every tier
	FoldCase    bool     // match without regard to letter case
}
