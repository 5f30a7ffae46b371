package edge

import (
	"fmt"
	"strings"
)

// adminRules are the exclusion sets of the admin profile: what the editors of
// known apps send in their daily work and the core rule set takes for attacks.
// Each is bound to the editor's own paths and to the fields that hold what the
// user writes; every other field, header and path is judged as ever.
var adminRules = map[string]string{
	"wordpress": wordpress(),
	"node-red":  "", // its deploy is not inspected (AdminBodySkips); nothing else needs an exception
}

// wordpress writes the set for WordPress: block editor and REST interface,
// classic editor, theme and plugin editors, settings, users.
func wordpress() string {
	var b strings.Builder
	id := 9990000
	// on adds a rule that leaves fields of requests to some paths out of the
	// rules with a tag; all core rules have the tag OWASP_CRS.
	on := func(variable, operator string, actions ...string) {
		id++
		t := "t:none"
		if variable == "REQUEST_FILENAME" {
			t = "t:none,t:urlDecodeUni,t:normalizePath"
		}
		fmt.Fprintf(&b, "SecRule %s \"%s\" \"id:%d,phase:1,pass,nolog,%s,%s\"\n", variable, operator, id, t, strings.Join(actions, ","))
	}
	fields := func(names ...string) []string {
		var a []string
		for _, n := range names {
			a = append(a, "ctl:ruleRemoveTargetByTag=OWASP_CRS;ARGS:"+n)
		}
		return a
	}
	rest := append(fields(`/^json\.(requests\.[0-9]+\.body\.)?(content|title|excerpt|description|caption|alt_text|name|attributes|styles|settings|css|meta|instance|form_data|post_content|post_title|post_excerpt)(\.|$)/`),
		"ctl:ruleRemoveById=920450", // X-HTTP-Method-Override, which the editor sends with every save
	)
	on("REQUEST_FILENAME", `@rx ^/(?:index\.php/)?wp-json/(?:wp|wp-block-editor|batch|oembed)/`, rest...)
	on("REQUEST_FILENAME", `@rx ^/(?:index\.php/)?wp-json/wp/v2/media$`, "ctl:ruleRemoveById=920420") // a picture as the body
	on("ARGS_GET:rest_route", `@rx ^/(?:wp|wp-block-editor|batch|oembed)/`, rest...)
	on("REQUEST_FILENAME", `@rx ^/wp-admin/(?:post|post-new|admin-ajax|async-upload)\.php$`,
		fields("content", "post_title", "post_content", "excerpt", "post_excerpt", "/^data\\[wp_autosave\\]/", "/^meta\\[/", "metavalue", "caption", "description", "/^attachments\\[/", "/^changes\\[/", "/^newtag\\[/", "/^tax_input\\[/")...)
	on("REQUEST_FILENAME", `@rx ^/wp-admin/(?:theme-editor|plugin-editor|admin-ajax)\.php$`, fields("newcontent")...)
	on("REQUEST_FILENAME", `@rx ^/wp-admin/(?:widgets|customize|admin-ajax)\.php$`,
		fields("/^widget-/", "customized", "/^partials/")...)
	on("REQUEST_FILENAME", `@rx ^/wp-admin/(?:comment|edit-comments|admin-ajax)\.php$`, fields("content", "newcomment_author_url")...)
	on("REQUEST_FILENAME", `@rx ^/wp-admin/(?:edit-tags|term)\.php$`, fields("description", "name", "tag-name")...)
	on("REQUEST_FILENAME", `@rx ^/wp-admin/(?:options|options-permalink)\.php$`,
		fields("blogname", "blogdescription", "siteurl", "home", "moderation_keys", "disallowed_keys", "ping_sites", "date_format_custom", "time_format_custom", "permalink_structure", "mailserver_url", "mailserver_pass")...)
	on("REQUEST_FILENAME", `@rx ^/(?:wp-login\.php|wp-admin/(?:profile|user-new|user-edit|install)\.php)$`,
		fields("pwd", "pass1", "pass2", "pass1-text", "admin_password", "admin_password2", "description", "redirect_to")...)
	on("REQUEST_FILENAME", `@beginsWith /wp-admin/`, fields("_wp_http_referer", "wp_http_referer", "_wp_original_http_referer")...)
	return b.String()
}
