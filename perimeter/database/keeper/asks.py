# Runs a probe's statements for it, from an instance and with its tier's own
# credentials, and prints what came of each: a line with the verb sql, the control,
# the statement's number and JSON. The password stays here.
import json
import sys


def answer(secret, ask, authority):
    own = lambda text: text.replace("{password}", secret["password"])
    server = PostgreSQL if CONFIG["engine"] == "postgres" else MySQL
    stage = "login"
    try:
        w = server(secret["host"], int(secret.get("port") or CONFIG["port"]), ask["user"], own(ask["password"]), ask["database"], authority)
        try:
            stage = "query"
            rows = []
            for sql in ask["statements"]:
                rows = w.query(sql) or rows
        finally:
            w.close()
    except Refused as e:
        return {"stage": stage, "code": str(e.code), "text": str(e)[:200]}
    except Exception as e:
        return {"text": "%s: %s" % (type(e).__name__, str(e)[:200])}
    if not ask["rows"]:
        return {}
    return {"rows": "\n".join("\t".join("NULL" if c is None else c for c in r) for r in rows)}


def main():
    with open("/run/secrets/database.json") as f:
        secret = json.load(f)
    name = secret.get("dbname") or CONFIG["database"]
    print("sql\t%s\twho\t%s" % (sys.argv[1], json.dumps({"username": secret["username"], "dbname": name})))
    for ask in ASKS:
        print("sql\t%s\t%d\t%s" % (sys.argv[1], ask["number"], json.dumps(answer(secret, ask, AUTHORITY or None))))
