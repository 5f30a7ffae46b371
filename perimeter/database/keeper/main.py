# What AWS calls: a deployment that wants its users made, Secrets Manager that wants a
# secret rotated, and a clock, since the app makes tables when it likes.
import json
import urllib.request


def settings(owner):
    """The plan's part, and where the server is: that of the stack, or the one that the given secret names."""
    config = json.loads(CONFIG)
    config["host"] = os.environ.get("DATABASE_HOST") or owner["host"]
    config["port"] = os.environ.get("DATABASE_PORT") or owner.get("port") or config["port"]
    config["authority"] = os.environ.get("DATABASE_AUTHORITY") or AUTHORITY
    return config


def vault():
    import boto3
    return boto3.client("secretsmanager")


def read(client, arn, stage="AWSCURRENT", version=None):
    args = {"SecretId": arn, "VersionStage": stage}
    if version:
        args["VersionId"] = version
    return json.loads(client.get_secret_value(**args)["SecretString"])


def master(client):
    return read(client, os.environ["MASTER_ARN"])


def secrets_of(config):
    return {t["name"]: os.environ[t["name"].upper() + "_ARN"] for t in config["tiers"]}


def reconcile(force):
    client = vault()
    owner = master(client)
    config, current = settings(owner), {}
    for tier, arn in secrets_of(config).items():
        s = read(client, arn)
        current[tier] = (s["username"], s["password"])
    sync(config, owner, current, force)


def rotate(event):
    """The four steps of a rotation (docs.aws.amazon.com/secretsmanager, rotation by
    Lambda function). A tier has two users; the one that is not in use gets a new
    password and becomes the current one. The former works until the next rotation."""
    client = vault()
    owner = master(client)
    config = settings(owner)
    arn, token, step = event["SecretId"], event["ClientRequestToken"], event["Step"]
    tier = next((t for t, a in secrets_of(config).items() if a == arn), None)
    if tier is None:
        raise ValueError("the secret is not one of this site's")
    stages = client.describe_secret(SecretId=arn)["VersionIdsToStages"]
    if "AWSCURRENT" in stages.get(token, []):
        return
    if "AWSPENDING" not in stages.get(token, []):
        raise ValueError("the version is not pending")
    if step == "createSecret":
        try:
            read(client, arn, "AWSPENDING", token)
        except client.exceptions.ResourceNotFoundException:
            s = read(client, arn)
            s["username"], s["password"] = other(s["username"]), password()
            client.put_secret_value(SecretId=arn, ClientRequestToken=token, SecretString=json.dumps(s), VersionStages=["AWSPENDING"])
    elif step == "setSecret":
        s = read(client, arn, "AWSPENDING", token)
        sync(config, owner, {tier: (s["username"], s["password"])}, False)
    elif step == "testSecret":
        try:
            s = read(client, arn, "AWSPENDING", token)
        except client.exceptions.ResourceNotFoundException:
            s = read(client, arn)  # Secrets Manager tries a new schedule with a version that is empty
        db = connect(config, s["username"], s["password"], config["database"])
        db.query("SELECT 1")
        db.close()
    elif step == "finishSecret":
        former = next(v for v, st in stages.items() if "AWSCURRENT" in st)
        client.update_secret_version_stage(SecretId=arn, VersionStage="AWSCURRENT", MoveToVersionId=token, RemoveFromVersionId=former)


def answer(event, context, status, reason):
    body = json.dumps({
        "Status": status, "Reason": reason[:500], "PhysicalResourceId": event.get("PhysicalResourceId", "database-users"),
        "StackId": event["StackId"], "RequestId": event["RequestId"], "LogicalResourceId": event["LogicalResourceId"],
    }).encode()
    request = urllib.request.Request(event["ResponseURL"], data=body, method="PUT", headers={"Content-Type": ""})
    urllib.request.urlopen(request, timeout=20).close()


def handler(event, context):
    if "ResponseURL" in event:
        try:
            if event["RequestType"] != "Delete":
                reconcile(True)
            answer(event, context, "SUCCESS", "the users and their rights are as planned")
        except Exception as e:
            answer(event, context, "FAILED", "making the database's users: %s: %s" % (type(e).__name__, e))
        return
    if "Step" in event:
        rotate(event)
        return
    reconcile(False)
