package database

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ringwall/ringwall/perimeter"
)

// A pgRight is one right as PostgreSQL lists it. kind is that of pg_class, or n
// for a schema and d for what new tables give by themselves.
type pgRight struct{ kind, schema, name, grantee, word string }

const public = "PUBLIC"

// pgRights lists every right that anybody but the owner has on something of the
// app's: those on columns as rights on the table, with the word COLUMN. The lines
// that begin with "serial" say which sequence feeds which table.
const pgRights = `
SELECT c.relkind::text, n.nspname, c.relname, coalesce(r.rolname, 'PUBLIC'), a.privilege_type
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND a.grantee <> c.relowner AND %[1]s
UNION ALL
SELECT c.relkind::text, n.nspname, c.relname, coalesce(r.rolname, 'PUBLIC'), 'COLUMN'
FROM pg_attribute t JOIN pg_class c ON c.oid = t.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN aclexplode(t.attacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
WHERE NOT t.attisdropped AND a.grantee <> c.relowner AND %[1]s
UNION ALL
SELECT 'n', n.nspname, '', coalesce(r.rolname, 'PUBLIC'), a.privilege_type
FROM pg_namespace n CROSS JOIN aclexplode(n.nspacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee WHERE a.grantee <> n.nspowner AND %[1]s
UNION ALL
SELECT 'd', '', '', coalesce(r.rolname, 'PUBLIC'), a.privilege_type
FROM pg_default_acl d CROSS JOIN aclexplode(d.defaclacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
WHERE d.defaclrole = '%[2]s'::regrole AND d.defaclnamespace = 0 AND d.defaclobjtype = 'r' AND a.grantee <> d.defaclrole
UNION ALL
SELECT 'serial', sn.nspname, s.relname, n.nspname, c.relname
FROM pg_depend d JOIN pg_class s ON s.oid = d.objid JOIN pg_namespace sn ON sn.oid = s.relnamespace
	JOIN pg_class c ON c.oid = d.refobjid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i') AND s.relkind = 'S' AND c.relkind IN ('r', 'p') AND %[1]s`

// listRights returns the rights, the sequences of each table, and the kind of
// each table. Names come in hexadecimal.
func (p *postgres) listRights(ctx context.Context) (have map[pgRight]bool, serials map[[2]string][][2]string, err error) {
	var cols []string
	for _, c := range []string{"relkind", "nspname", "relname", "coalesce", "privilege_type"} {
		cols = append(cols, "encode(convert_to("+c+"::text, 'UTF8'), 'hex')")
	}
	out, err := p.sql(ctx, p.s.plan.Database.Name, "SELECT "+strings.Join(cols, ", ")+" FROM ("+fmt.Sprintf(pgRights, appSchemas, ownerRole)+") AS x;")
	if err != nil {
		return nil, nil, err
	}
	have, serials = map[pgRight]bool{}, map[[2]string][][2]string{}
	for line := range strings.Lines(out) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 5 {
			return nil, nil, fmt.Errorf("reading the server's list of rights: got %d columns, want 5", len(f))
		}
		for i := range f {
			if f[i], _, err = unhex2(f[i], ""); err != nil {
				return nil, nil, err
			}
		}
		if f[0] == "serial" {
			serials[[2]string{f[3], f[4]}] = append(serials[[2]string{f[3], f[4]}], [2]string{f[1], f[2]})
			continue
		}
		have[pgRight{f[0], f[1], f[2], f[3], f[4]}] = true
	}
	return have, serials, nil
}

// grant sets the rights of all tiers in one transaction: there is no moment at
// which a tier has too much, or too little. It touches only what differs, since
// a GRANT makes an ALTER TABLE that the app runs meanwhile fail; tables that it
// does touch are locked against that.
func (p *postgres) grant(ctx context.Context, tables []table) error {
	have, serials, err := p.listRights(ctx)
	if err != nil {
		return err
	}
	var q strings.Builder
	// An app that holds a table is let through: the next call tries again, before
	// the server would call it a deadlock.
	q.WriteString("BEGIN;\nSET LOCAL lock_timeout = '700ms';\n")
	logins := []string{pgText(superuser), pgText(ownerRole)}
	for _, t := range p.s.plan.Tiers {
		fmt.Fprintf(&q, "REVOKE ALL ON DATABASE %s FROM %s;\n", pgIdent(p.s.plan.Database.Name), p.roles(t.Name))
		fmt.Fprintf(&q, "GRANT CONNECT ON DATABASE %s TO %s;\n", pgIdent(p.s.plan.Database.Name), pgIdent(t.Name))
		switch {
		case perimeter.Down("database/server-files"):
			fmt.Fprintf(&q, "GRANT pg_read_server_files, pg_execute_server_program TO %s;\n", pgIdent(t.Name))
		case perimeter.Down("database/other-databases"):
			fmt.Fprintf(&q, "GRANT pg_read_all_data TO %s;\n", pgIdent(t.Name))
		default:
			fmt.Fprintf(&q, `SELECT format('REVOKE %%I FROM %%I', r.rolname, m.rolname)
FROM pg_auth_members a JOIN pg_roles r ON r.oid = a.roleid JOIN pg_roles m ON m.oid = a.member
WHERE m.rolname IN (%[1]s, %[2]s, %[3]s) AND NOT (r.rolname = %[1]s AND m.rolname <> %[1]s) AND NOT (r.rolname = '%[4]s' AND m.rolname = %[1]s AND %[5]t) \gexec
`, pgText(t.Name), pgText(t.Name+"_a"), pgText(t.Name+"_b"), ownerRole, defines(p.s.plan, t.Name))
		}
		if defines(p.s.plan, t.Name) {
			fmt.Fprintf(&q, "REASSIGN OWNED BY %s TO %s;\n", p.roles(t.Name), ownerRole)
		}
		logins = append(logins, pgText(t.Name+"_a"), pgText(t.Name+"_b"))
	}
	fmt.Fprintf(&q, "SELECT format('ALTER ROLE %%I NOLOGIN', rolname) FROM pg_roles WHERE rolcanlogin AND rolname NOT IN (%s) \\gexec\n", strings.Join(logins, ", "))
	// A function with its owner's rights is the owner's to call.
	fmt.Fprintf(&q, `SELECT format('REVOKE ALL ON ROUTINE %%s FROM PUBLIC', p.oid::regprocedure)
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE p.prosecdef AND (p.proacl IS NULL OR EXISTS (SELECT FROM aclexplode(p.proacl) a WHERE a.grantee = 0)) AND %s \gexec
`, appSchemas)
	views := p.makeViews(&q, tables)
	want := p.wanted(tables, views, serials)
	p.change(&q, have, want)
	q.WriteString("COMMIT;\n")
	if _, err := p.sql(ctx, p.s.plan.Database.Name, q.String()); err != nil {
		return err
	}
	p.views = views
	return nil
}

// makeViews makes the views of masked tables where they are missing or the table
// has changed. It returns what each is made of, by schema and view.
func (p *postgres) makeViews(q *strings.Builder, tables []table) map[[2]string]string {
	views := map[[2]string]string{}
	for _, m := range p.s.plan.Database.Mask {
		for _, t := range tables {
			if t.name != m.Table || len(t.columns) == 0 {
				continue
			}
			at := [2]string{t.schema, m.View}
			view := pgIdent(t.schema) + "." + pgIdent(m.View)
			views[at] = maskSelect(m, t, pgIdent, func(expr, kind string) string { return "(" + expr + ")::" + kind })
			if p.views[at] == views[at] && slices.ContainsFunc(tables, func(v table) bool { return v.schema == t.schema && v.name == m.View }) {
				continue
			}
			fmt.Fprintf(q, "DROP VIEW IF EXISTS %s;\nCREATE VIEW %s WITH (security_barrier) AS %s;\nALTER VIEW %s OWNER TO %s;\n",
				view, view, views[at], view, maskRole)
		}
	}
	return views
}

// roles lists a tier's group and its two users.
func (p *postgres) roles(tier string) string {
	return pgIdent(tier) + ", " + pgIdent(tier+"_a") + ", " + pgIdent(tier+"_b")
}

func (p *postgres) wanted(tables []table, views map[[2]string]string, serials map[[2]string][][2]string) map[pgRight]bool {
	want := map[pgRight]bool{}
	for at := range views {
		for _, m := range p.s.plan.Database.Mask {
			if m.View == at[1] {
				want[pgRight{"r", at[0], m.Table, maskRole, "SELECT"}] = true
				want[pgRight{"n", at[0], "", maskRole, "USAGE"}] = true
			}
		}
	}
	for _, t := range p.s.plan.Tiers {
		if !defines(p.s.plan, t.Name) {
			for _, w := range uniform(p.s.plan, t.Name).words() {
				want[pgRight{"d", "", "", t.Name, w}] = true
				want[pgRight{"n", "public", "", t.Name, "USAGE"}] = true
			}
		}
		on := func(kind, schema, name string) {
			for _, w := range rightsOn(p.s.plan, t.Name, name).words() {
				want[pgRight{kind, schema, name, t.Name, w}] = true
				want[pgRight{"n", schema, "", t.Name, "USAGE"}] = true
				if w == "INSERT" { // a serial column's next value is part of inserting a row
					for _, s := range serials[[2]string{schema, name}] {
						want[pgRight{"S", s[0], s[1], t.Name, "USAGE"}] = true
						want[pgRight{"n", s[0], "", t.Name, "USAGE"}] = true
					}
				}
			}
		}
		for _, tab := range tables {
			if !isMaskView(p.s.plan, tab.name) {
				on("r", tab.schema, tab.name)
			}
		}
		for at := range views {
			on("v", at[0], at[1])
		}
	}
	return want
}

// change writes the statements that lead from what is to what is wanted.
func (p *postgres) change(q *strings.Builder, have, want map[pgRight]bool) {
	type place struct{ kind, schema, name, grantee string }
	type words struct{ grant, revoke []string }
	edits := map[place]*words{}
	at := func(r pgRight) *words {
		switch r.kind {
		case "p", "v", "m", "f": // one name space
			r.kind = "r"
		}
		k := place{r.kind, r.schema, r.name, r.grantee}
		if edits[k] == nil {
			edits[k] = &words{}
		}
		return edits[k]
	}
	same := func(r pgRight, set map[pgRight]bool) bool {
		if r.kind == "n" || r.kind == "d" || r.kind == "S" {
			return set[r]
		}
		for _, kind := range []string{"r", "p", "v", "m", "f"} {
			r.kind = kind
			if set[r] {
				return true
			}
		}
		return false
	}
	for r := range have {
		if !same(r, want) {
			at(r).revoke = append(at(r).revoke, r.word)
		}
	}
	for r := range want {
		if !same(r, have) {
			at(r).grant = append(at(r).grant, r.word)
		}
	}
	places := slices.SortedFunc(maps.Keys(edits), func(a, b place) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.schema, b.schema), cmp.Compare(a.name, b.name), cmp.Compare(a.grantee, b.grantee))
	})
	for _, k := range places {
		on, before := "", ""
		switch k.kind {
		case "n":
			on = "ON SCHEMA " + pgIdent(k.schema)
		case "d":
			on, before = "ON TABLES", "ALTER DEFAULT PRIVILEGES FOR ROLE "+ownerRole+" "
		case "S":
			on = "ON SEQUENCE " + pgIdent(k.schema) + "." + pgIdent(k.name)
		default:
			on = "ON TABLE " + pgIdent(k.schema) + "." + pgIdent(k.name)
			name := pgIdent(k.schema) + "." + pgIdent(k.name)
			fmt.Fprintf(q, "SELECT %s FROM pg_class WHERE oid = to_regclass(%s) AND relkind IN ('r', 'p') \\gexec\n",
				pgText("LOCK TABLE "+name+" IN SHARE UPDATE EXCLUSIVE MODE"), pgText(name))
		}
		grantee := public
		if k.grantee != public {
			grantee = pgIdent(k.grantee)
		}
		e := edits[k]
		if slices.Contains(e.revoke, "COLUMN") { // goes with the whole table's rights only
			fmt.Fprintf(q, "REVOKE ALL %s FROM %s;\n", on, grantee)
			e.revoke, e.grant = nil, nil
			for r := range want {
				if r.schema == k.schema && r.name == k.name && r.grantee == k.grantee && r.name != "" && r.kind != "S" {
					e.grant = append(e.grant, r.word)
				}
			}
		}
		if len(e.revoke) > 0 {
			slices.Sort(e.revoke)
			fmt.Fprintf(q, "%sREVOKE %s %s FROM %s;\n", before, strings.Join(e.revoke, ", "), on, grantee)
		}
		if len(e.grant) > 0 {
			slices.Sort(e.grant)
			fmt.Fprintf(q, "%sGRANT %s %s TO %s;\n", before, strings.Join(e.grant, ", "), on, grantee)
		}
	}
}
