# What a keeper has to do, tried on a running server. The keeper's program stands in
# front of this file. TRIAL in the environment is a JSON object: config, master.
import copy
import os
import sys

trial = json.loads(os.environ["TRIAL"])
config, owner = trial["config"], trial["master"]
current = {"admin": ("admin_a", "admin-first"), "fleet": ("fleet_a", "fleet-first")}
failures = []


def check(what, ok):
    print(("ok    " if ok else "WRONG ") + what)
    if not ok:
        failures.append(what)


def refused(user, word, *statements):
    """Whether the last statement is refused, and the ones before it are not."""
    try:
        db = connect(config, user, word, config["database"])
    except Refused:
        return "login"
    try:
        for s in statements[:-1]:
            db.query(s)
        try:
            db.query(statements[-1])
        except Refused as e:
            return e.code
        return None
    finally:
        db.close()


def recorded(work):
    """The statements that a piece of work sends, but for the questions."""
    sent = []
    for kind in (MySQL, PostgreSQL):
        def spy(self, sql, real=kind.__dict__["query"]):
            if not sql.startswith(("SELECT", "USE", "DO", "SET")):
                sent.append(sql)
            return real(self, sql)
        spy.real = kind.query
        kind.query = spy
    try:
        work()
    finally:
        for kind in (MySQL, PostgreSQL):
            kind.query = kind.query.real
    return sent


sync(config, owner, current, True)
sync(config, owner, current, True)
check("admin makes tables", refused("admin_a", "admin-first",
      "CREATE TABLE posts (id INT PRIMARY KEY, title VARCHAR(20))", "CREATE TABLE comments (id INT PRIMARY KEY, body VARCHAR(20))",
      "CREATE TABLE users (id INT PRIMARY KEY, name VARCHAR(20), hash VARCHAR(20))", "INSERT INTO users VALUES (1, 'ann', 'secret')") is None)
sync(config, owner, current, False)
check("fleet reads posts", refused("fleet_a", "fleet-first", "SELECT * FROM posts") is None)
check("fleet adds a comment", refused("fleet_a", "fleet-first", "INSERT INTO comments VALUES (1, 'hello')") is None)
check("fleet changes no post", refused("fleet_a", "fleet-first", "SELECT 1", "UPDATE posts SET title = 'x'") not in (None, "login"))
check("fleet makes no table", refused("fleet_a", "fleet-first", "SELECT 1", "CREATE TABLE evil (id INT)") not in (None, "login"))
check("fleet reads no users", refused("fleet_a", "fleet-first", "SELECT 1", "SELECT * FROM users") not in (None, "login"))
check("fleet reads the mask", refused("fleet_a", "fleet-first", "SELECT name FROM users_public") is None)
view = connect(config, "fleet_a", "fleet-first", config["database"])
check("the mask hides the hash", view.query("SELECT hash FROM users_public") == [["-"]])
view.close()
check("the other user of fleet is shut", refused("fleet_b", "fleet-first", "SELECT 1") == "login")
check("a wrong password is refused", refused("fleet_a", "wrong", "SELECT 1") == "login")

again = recorded(lambda: sync(config, owner, current, False))
changes = [s for s in again if s.startswith(("CREATE USER", "ALTER USER", "CREATE ROLE")) or " ON TABLE " in s or (config["engine"] == "mysql" and s.startswith(("GRANT", "REVOKE")))]
check("nothing to change changes nothing: %s" % changes, not changes)

# What somebody else has opened is shut again.
db = connect(config, owner["username"], owner["password"], config["database"])
if config["engine"] == "mysql":
    db.query("GRANT DELETE ON %s.posts TO %s" % (my_name(config["database"]), my_user(config, "fleet_a")))
    db.query("GRANT SELECT ON mysql.* TO %s" % my_user(config, "fleet_a"))
    check("fleet reads the server's own tables before", refused("fleet_a", "fleet-first", "SELECT 1 FROM mysql.user") is None)
else:
    db.query("GRANT DELETE ON posts TO fleet")
    db.query("GRANT ringwall_owner TO fleet")
db.close()
check("fleet deletes before", refused("fleet_a", "fleet-first", "DELETE FROM posts") is None)
sync(config, owner, current, False)
check("fleet deletes no more", refused("fleet_a", "fleet-first", "SELECT 1", "DELETE FROM posts") not in (None, "login"))
check("fleet is nobody else", refused("fleet_a", "fleet-first", "SELECT 1", "SELECT 1 FROM mysql.user" if config["engine"] == "mysql" else "SET ROLE ringwall_owner") not in (None, "login"))

# A password that the secret has and the server has not.
current["fleet"] = ("fleet_a", "fleet-second")
sync(config, owner, current, False)
check("the secret's password is the server's", refused("fleet_a", "fleet-second", "SELECT 1") is None)


class NotFound(Exception):
    pass


class Vault:
    """Secrets Manager, as far as a rotation asks it."""

    class exceptions:
        ResourceNotFoundException = NotFound

    def __init__(self, text):
        self.versions, self.stages = {"v1": text}, {"v1": ["AWSCURRENT"], "v2": ["AWSPENDING"]}

    def get_secret_value(self, SecretId, VersionStage, VersionId=None):
        if SecretId == "master":
            return {"SecretString": json.dumps(owner)}
        for v, st in self.stages.items():
            if VersionStage in st and v in self.versions and VersionId in (None, v):
                return {"SecretString": self.versions[v]}
        raise NotFound

    def describe_secret(self, SecretId):
        return {"VersionIdsToStages": copy.deepcopy(self.stages)}

    def put_secret_value(self, SecretId, ClientRequestToken, SecretString, VersionStages):
        self.versions[ClientRequestToken] = SecretString

    def update_secret_version_stage(self, SecretId, VersionStage, MoveToVersionId, RemoveFromVersionId):
        self.stages = {MoveToVersionId: ["AWSCURRENT"], RemoveFromVersionId: ["AWSPREVIOUS"]}


CONFIG, AUTHORITY = json.dumps(config), config["authority"]
os.environ.update(DATABASE_HOST=config["host"], DATABASE_PORT=str(config["port"]), MASTER_ARN="master", ADMIN_ARN="arn:admin", FLEET_ARN="arn:fleet")
store = Vault(json.dumps({"username": "fleet_a", "password": "fleet-second", "host": config["host"]}))
vault = lambda: store
for step in ("createSecret", "createSecret", "setSecret", "testSecret", "finishSecret", "finishSecret"):
    handler({"SecretId": "arn:fleet", "ClientRequestToken": "v2", "Step": step}, None)
new = json.loads(store.versions["v2"])
check("the rotation takes the other user", new["username"] == "fleet_b" and store.stages["v2"] == ["AWSCURRENT"])
check("the new user reads posts", refused("fleet_b", new["password"], "SELECT * FROM posts") is None)
check("the new user changes no post", refused("fleet_b", new["password"], "SELECT 1", "UPDATE posts SET title = 'x'") not in (None, "login"))
check("the former user works until the next rotation", refused("fleet_a", "fleet-second", "SELECT 1") is None)
try:
    handler({"SecretId": "arn:another", "ClientRequestToken": "v2", "Step": "createSecret"}, None)
    check("another's secret is refused", False)
except ValueError:
    check("another's secret is refused", True)

stranger = dict(config, authority=trial["stranger"])
try:
    connect(stranger, "fleet_b", new["password"], config["database"])
    check("a server of another authority is refused", False)
except ssl.SSLError:
    check("a server of another authority is refused", True)
sys.exit(1 if failures else 0)
