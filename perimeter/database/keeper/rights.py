# Users and their rights. The plan says what each tier may do; everything here leads
# from what is to what should be, and changes nothing where nothing differs.
#
# config: engine, database, network (whence users log in, MySQL), tiers: [{name,
# write, iam, limit, grants: [{tables, rights}]}], masks: [{tier, table, view,
# columns, where}].

OWNER = "ringwall_owner"  # PostgreSQL: whose tables the app's are
ROWS = ("select", "insert", "update", "delete")
DDL = ("CREATE", "ALTER", "DROP", "INDEX", "REFERENCES", "CREATE TEMPORARY TABLES", "LOCK TABLES", "CREATE VIEW", "SHOW VIEW")


def connect(config, user, password, database=""):
    kind = MySQL if config["engine"] == "mysql" else PostgreSQL
    return kind(config["host"], int(config["port"]), user, password, database, config.get("authority"))


def matches(pattern, name):
    """Whether a name fits a pattern in which * stands for any text."""
    parts = pattern.split("*")
    if len(parts) == 1:
        return pattern == name
    if not name.startswith(parts[0]) or not name.endswith(parts[-1]) or len(name) < len(parts[0]) + len(parts[-1]):
        return False
    name = name[len(parts[0]):len(name) - len(parts[-1])]
    for part in parts[1:-1]:
        at = name.find(part)
        if at < 0:
            return False
        name = name[at + len(part):]
    return True


def masked(config, tier, table):
    return any(m["tier"] == tier and m["table"] == table for m in config["masks"])


def rights(config, tier, table):
    """What a tier may do with a table: the most specific pattern decides; of two
    that are as specific, what both give."""
    for m in config["masks"]:
        if m["view"] == table:
            return {"select"} if m["tier"] == tier["name"] else set()
    best, found, exact = -1, set(), False
    for g in tier["grants"]:
        if not matches(g["tables"], table):
            continue
        wild = "*" in g["tables"]
        n = len(g["tables"].replace("*", "")) + (0 if wild else 1)
        if n > best:
            best, found, exact = n, set(g["rights"]), not wild
        elif n == best:
            found &= set(g["rights"])
    if masked(config, tier["name"], table):
        found = found - {"select"} if exact else set()
    return found


def uniform(config, tier):
    """What a tier may do with every table alike; nothing where tables differ."""
    g = tier["grants"]
    if len(g) != 1 or g[0]["tables"] != "*" or any(m["tier"] == tier["name"] for m in config["masks"]):
        return set()
    return set(g[0]["rights"])


def words(found):
    return {r.upper() for r in found if r in ROWS}


def password():
    letters = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"
    return "".join(secrets.choice(letters) for _ in range(32))


def logs_in(config, user, word):
    try:
        connect(config, user, word, config["database"]).close()
        return True
    except Refused:
        return False


def names(tier):
    return [tier["name"] + "_a", tier["name"] + "_b"]


def other(user):
    return user[:-1] + ("b" if user.endswith("_a") else "a")


def select(mask, columns, quote, cast):
    """The statement of a mask's view."""
    list_ = []
    for name, kind in columns:
        if name in mask["columns"]:
            list_.append("%s AS %s" % (cast(mask["columns"][name], kind), quote(name)))
        else:
            list_.append(quote(name))
    where = " WHERE " + mask["where"] if mask["where"] else ""
    return "SELECT %s FROM %s%s" % (", ".join(list_), quote(mask["table"]), where)


# MySQL

def my_name(s):
    return "`" + s.replace("`", "``") + "`"


def my_text(s):
    return "X'%s'" % s.encode().hex() if s else "''"


def my_user(config, user):
    return "%s@%s" % (my_name(user), my_name(config["network"]))


def my_sync(db, config, current, force):
    """current: tier → the user and password that its secret names."""
    database = config["database"]
    pattern = database.replace("_", "\\_")
    if db.query("SELECT GET_LOCK('ringwall_keeper', 60)") != [["1"]]:
        raise RuntimeError("another keeper is at work")
    db.query("CREATE DATABASE IF NOT EXISTS %s CHARACTER SET utf8mb4" % my_name(database))
    db.query("USE " + my_name(database))
    for tier in config["tiers"]:
        for user in names(tier):
            my_account(db, config, tier, user, current.get(tier["name"], (None, None)))
        if tier["iam"]:
            db.query("CREATE USER IF NOT EXISTS %s IDENTIFIED WITH AWSAuthenticationPlugin AS 'RDS' REQUIRE SSL" % my_user(config, tier["name"] + "_iam"))
    tables = [r[0] for r in db.query("SELECT table_name FROM information_schema.tables WHERE table_schema = %s" % my_text(database))]
    for mask in config["masks"]:
        if mask["table"] in tables and (force or mask["view"] not in tables):
            columns = db.query("SELECT column_name, column_type FROM information_schema.columns WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position"
                               % (my_text(database), my_text(mask["table"])))
            db.query("CREATE OR REPLACE SQL SECURITY DEFINER VIEW %s AS %s" % (my_name(mask["view"]), select(mask, columns, my_name, lambda e, kind: "(" + e + ")")))
            if mask["view"] not in tables:
                tables.append(mask["view"])
    for tier in config["tiers"]:
        users = names(tier) + ([tier["name"] + "_iam"] if tier["iam"] else [])
        same = uniform(config, tier)
        want = {("schema", pattern, w) for w in words(same)}
        if "ddl" in same:
            want |= {("schema", pattern, w) for w in DDL}
        if not same:
            want = {("table", t, w) for t in tables for w in words(rights(config, tier, t))}
        for user in users:
            my_rights(db, config, user, want, pattern)
    db.query("DO RELEASE_LOCK('ringwall_keeper')")


def my_account(db, config, tier, user, current):
    there = db.query("SELECT 1 FROM mysql.user WHERE user = %s AND host = %s" % (my_text(user), my_text(config["network"])))
    who, opened = my_user(config, user), user == current[0]
    limit = "REQUIRE SSL WITH MAX_USER_CONNECTIONS %d" % tier["limit"]
    if not there:
        db.query("CREATE USER %s IDENTIFIED BY '%s' %s ACCOUNT %s" % (who, current[1] if opened else password(), limit, "UNLOCK" if opened else "LOCK"))
    elif opened and not logs_in(config, user, current[1]):
        db.query("ALTER USER %s IDENTIFIED BY '%s' %s ACCOUNT UNLOCK" % (who, current[1], limit))


def my_rights(db, config, user, want, pattern):
    who = my_user(config, user)
    grantee = my_text("'%s'@'%s'" % (user, config["network"]))
    have = set()
    for privilege, in db.query("SELECT privilege_type FROM information_schema.user_privileges WHERE grantee = %s" % grantee):
        if privilege != "USAGE":
            db.query("REVOKE %s ON *.* FROM %s" % (privilege, who))
    for schema, privilege in db.query("SELECT table_schema, privilege_type FROM information_schema.schema_privileges WHERE grantee = %s" % grantee):
        if schema == pattern:
            have.add(("schema", schema, privilege))
        else:
            db.query("REVOKE %s ON %s.* FROM %s" % (privilege, my_name(schema), who))
    for schema, table, privilege in db.query("SELECT table_schema, table_name, privilege_type FROM information_schema.table_privileges WHERE grantee = %s" % grantee):
        if schema == config["database"]:
            have.add(("table", table, privilege))
        else:
            db.query("REVOKE %s ON %s.%s FROM %s" % (privilege, my_name(schema), my_name(table), who))

    def on(place, name):
        return my_name(name) + ".*" if place == "schema" else my_name(config["database"]) + "." + my_name(name)

    for verb, to, changes in (("GRANT", "TO", want - have), ("REVOKE", "FROM", have - want)):
        for place, name in sorted({(p, n) for p, n, _ in changes}):
            list_ = sorted(w for p, n, w in changes if (p, n) == (place, name))
            db.query("%s %s ON %s %s %s" % (verb, ", ".join(list_), on(place, name), to, who))


# PostgreSQL

def pg_name(s):
    return '"' + s.replace('"', '""') + '"'


def pg_text(s):
    return "'" + s.replace("'", "''") + "'"


def pg_role(db, name, options):
    if not db.query("SELECT 1 FROM pg_roles WHERE rolname = %s" % pg_text(name)):
        db.query("CREATE ROLE %s %s" % (pg_name(name), options))
        return True
    return False


def pg_member(db, role, member):
    if not db.query("SELECT 1 FROM pg_auth_members a JOIN pg_roles r ON r.oid = a.roleid JOIN pg_roles m ON m.oid = a.member "
                    "WHERE r.rolname = %s AND m.rolname = %s" % (pg_text(role), pg_text(member))):
        db.query("GRANT %s TO %s" % (pg_name(role), pg_name(member)))


def pg_join(db, role):
    """Lets us act as a role. Who makes one may since version 16 hand it out, and not act as it."""
    db.query("GRANT %s TO current_user" % pg_name(role))


APP = "n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'"


def pg_database(config, user, word):
    """A connection to the site's database, which is made where there is none."""
    try:
        return connect(config, user, word, config["database"])
    except Refused as e:
        if e.code != "3D000":
            raise
    db = connect(config, user, word, "postgres")
    db.query("CREATE DATABASE " + pg_name(config["database"]))
    db.close()
    return connect(config, user, word, config["database"])


def pg_sync(db, config, current, force):
    database = pg_name(config["database"])
    db.query("SELECT pg_advisory_lock(8241)")
    db.query("SET lock_timeout = '5s'")
    pg_role(db, OWNER, "NOLOGIN")
    pg_join(db, OWNER)
    me = db.query("SELECT current_user")[0][0]
    db.query("REVOKE ALL ON DATABASE %s FROM PUBLIC" % database)
    db.query("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    db.query("GRANT ALL ON SCHEMA public TO " + OWNER)
    db.query("GRANT CREATE, TEMPORARY ON DATABASE %s TO %s" % (database, OWNER))
    logins = []
    for tier in config["tiers"]:
        name = tier["name"]
        pg_role(db, name, "NOLOGIN")
        db.query("GRANT CONNECT ON DATABASE %s TO %s" % (database, pg_name(name)))
        db.query("GRANT USAGE ON SCHEMA public TO " + pg_name(name))
        for user in names(tier):
            pg_account(db, config, tier, user, current.get(name, (None, None)))
        mine = names(tier)
        if tier["iam"]:
            pg_role(db, name + "_iam", "LOGIN CONNECTION LIMIT %d" % tier["limit"])
            pg_member(db, "rds_iam", name + "_iam")
            mine = mine + [name + "_iam"]
        defines = "ddl" in uniform(config, tier)
        if defines:
            pg_member(db, OWNER, name)
        for user in mine:
            pg_member(db, name, user)
            # What a tier that may define tables makes belongs to the owner, not to one of its two users.
            db.query("ALTER ROLE %s IN DATABASE %s %s" % (pg_name(user), database, "SET role = " + OWNER if defines else "RESET role"))
        for role, member in db.query("SELECT r.rolname, m.rolname FROM pg_auth_members a JOIN pg_roles r ON r.oid = a.roleid JOIN pg_roles m ON m.oid = a.member "
                                     "WHERE m.rolname IN (%s)" % ", ".join(pg_text(u) for u in mine + [name])):
            if role != name and not (role == OWNER and member == name and defines) and role != "rds_iam":
                db.query("REVOKE %s FROM %s" % (pg_name(role), pg_name(member)))
        logins += mine
    pg_own(db, me)
    tables = db.query("SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND %s" % APP)
    for mask in config["masks"]:
        for schema, table in list(tables):
            if table != mask["table"] or not force and [schema, mask["view"]] in tables:
                continue
            columns = db.query("SELECT a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute a WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
                               % pg_text(pg_name(schema) + "." + pg_name(table)))
            view = pg_name(schema) + "." + pg_name(mask["view"])
            body = select(mask, columns, lambda n: pg_name(schema) + "." + pg_name(n) if n == mask["table"] else pg_name(n), lambda e, kind: "(%s)::%s" % (e, kind))
            db.query("BEGIN; DROP VIEW IF EXISTS %s; CREATE VIEW %s WITH (security_barrier) AS %s; ALTER VIEW %s OWNER TO %s; COMMIT" % (view, view, body, view, OWNER))
            if [schema, mask["view"]] not in tables:
                tables.append([schema, mask["view"]])
    for tier in config["tiers"]:
        pg_rights(db, config, tier, tables)
    db.query("SELECT pg_advisory_unlock(8241)")


def pg_account(db, config, tier, user, current):
    opened = user == current[0]
    if pg_role(db, user, "NOLOGIN CONNECTION LIMIT %d" % tier["limit"]) and not opened:
        return
    if opened and not logs_in(config, user, current[1]):
        pg_member(db, tier["name"], user)
        db.query("ALTER ROLE %s LOGIN PASSWORD %s" % (pg_name(user), pg_text(current[1])))


def pg_own(db, me):
    """Tables of another's, such as a snapshot's, become the owner's."""
    rows = db.query("SELECT c.relkind, n.nspname, c.relname, r.rolname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles r ON r.oid = c.relowner "
                    "WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND r.rolname <> %s AND %s "
                    "AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype IN ('a', 'i', 'e'))" % (pg_text(OWNER), APP))
    for owner in sorted({r[3] for r in rows}):
        if owner != me and owner != "rdsadmin":
            pg_join(db, owner)
    for kind, schema, name, owner in rows:
        word = {"v": "VIEW", "m": "MATERIALIZED VIEW", "f": "FOREIGN TABLE", "S": "SEQUENCE"}.get(kind, "TABLE")
        if owner != "rdsadmin":
            db.query("ALTER %s %s.%s OWNER TO %s" % (word, pg_name(schema), pg_name(name), OWNER))


def pg_rights(db, config, tier, tables):
    name, want = tier["name"], set()
    for schema, table in tables:
        want |= {("TABLE", schema, table, w) for w in words(rights(config, tier, table))}
    if any(w == "INSERT" for _, _, _, w in want):
        inserts = {(s, t) for _, s, t, w in want if w == "INSERT"}
        for schema, sequence, s, t in db.query(
                "SELECT sn.nspname, s.relname, n.nspname, c.relname FROM pg_depend d JOIN pg_class s ON s.oid = d.objid JOIN pg_namespace sn ON sn.oid = s.relnamespace "
                "JOIN pg_class c ON c.oid = d.refobjid JOIN pg_namespace n ON n.oid = c.relnamespace "
                "WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i') AND s.relkind = 'S' AND " + APP):
            if (s, t) in inserts:
                want.add(("SEQUENCE", schema, sequence, "USAGE"))
    have = {("SEQUENCE" if kind == "S" else "TABLE", schema, table, w) for kind, schema, table, w in db.query(
        "SELECT c.relkind, n.nspname, c.relname, a.privilege_type FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN aclexplode(c.relacl) a "
        "JOIN pg_roles r ON r.oid = a.grantee WHERE r.rolname = %s AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND %s" % (pg_text(name), APP))}
    for verb, to, changes in (("GRANT", "TO", want - have), ("REVOKE", "FROM", have - want)):
        for kind, schema, table in sorted({c[:3] for c in changes}):
            list_ = sorted(w for k, s, t, w in changes if (k, s, t) == (kind, schema, table))
            db.query("%s %s ON %s %s.%s %s %s" % (verb, ", ".join(list_), kind, pg_name(schema), pg_name(table), to, pg_name(name)))
    for schema in sorted({s for _, s, _, _ in want} - {"public"}):
        db.query("GRANT USAGE ON SCHEMA %s TO %s" % (pg_name(schema), pg_name(name)))
    future = words(uniform(config, tier))
    default = "ALTER DEFAULT PRIVILEGES FOR ROLE %s " % OWNER
    db.query(default + "REVOKE ALL ON TABLES FROM " + pg_name(name))
    db.query(default + "REVOKE ALL ON SEQUENCES FROM " + pg_name(name))
    if future:
        db.query(default + "GRANT %s ON TABLES TO %s" % (", ".join(sorted(future)), pg_name(name)))
    if "INSERT" in future:
        db.query(default + "GRANT USAGE ON SEQUENCES TO " + pg_name(name))


def sync(config, master, current, force):
    """Makes the database, the users and exactly the rights of the plan."""
    if config["engine"] == "mysql":
        db, work = connect(config, master["username"], master["password"]), my_sync
    else:
        db, work = pg_database(config, master["username"], master["password"]), pg_sync
    try:
        work(db, config, current, force)
    finally:
        db.close()
