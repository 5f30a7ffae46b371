"""Changes a secret that only this site's own parts know: one value of its JSON.

Where RULES names rules of a balancer, the value is what an edge shows to it: the
rules take the old and the new value until every place of the edge sends the new one.
"""
import json
import os
import time

import boto3

secrets = boto3.client("secretsmanager")


def handler(event, context):
    secret, token = event["SecretId"], event["ClientRequestToken"]
    versions = secrets.describe_secret(SecretId=secret)["VersionIdsToStages"]
    if token not in versions:
        raise ValueError("the version %s is none of this secret's" % token)
    if "AWSCURRENT" in versions[token]:
        return  # done by an earlier attempt
    {"createSecret": create, "setSecret": send, "testSecret": test, "finishSecret": finish}[event["Step"]](secret, token, versions, context)


def value(secret, **which):
    return json.loads(secrets.get_secret_value(SecretId=secret, **which)["SecretString"])


def create(secret, token, versions, context):
    try:
        value(secret, VersionId=token, VersionStage="AWSPENDING")
    except secrets.exceptions.ResourceNotFoundException:
        new = value(secret, VersionStage="AWSCURRENT")
        new[os.environ["KEY"]] = secrets.get_random_password(PasswordLength=64, ExcludePunctuation=True)["RandomPassword"]
        secrets.put_secret_value(SecretId=secret, ClientRequestToken=token, SecretString=json.dumps(new), VersionStages=["AWSPENDING"])


def pair(secret, token):
    key = os.environ["KEY"]
    return value(secret, VersionStage="AWSCURRENT")[key], value(secret, VersionId=token, VersionStage="AWSPENDING")[key]


def send(secret, token, versions, context):
    if not os.environ.get("RULES"):
        return
    old, new = pair(secret, token)
    accept([old, new])
    edge = distribution()
    if edge is None:
        return  # there is no edge yet; its stack reads the secret when it is made
    front = boto3.client("cloudfront", region_name="us-east-1")
    answer = front.get_distribution_config(Id=edge)
    config, changed = answer["DistributionConfig"], False
    for header in headers(config):
        if header["HeaderValue"] != new:
            header["HeaderValue"], changed = new, True
    if changed:
        front.update_distribution(Id=edge, IfMatch=answer["ETag"], DistributionConfig=config)
    while front.get_distribution(Id=edge)["Distribution"]["Status"] != "Deployed":
        if context.get_remaining_time_in_millis() < 30000:
            raise TimeoutError("the edge takes long; Secrets Manager asks again")
        time.sleep(10)


def test(secret, token, versions, context):
    if not os.environ.get("RULES"):
        return
    edge = distribution()
    if edge is None:
        return
    new = pair(secret, token)[1]
    front = boto3.client("cloudfront", region_name="us-east-1")
    sent = [h["HeaderValue"] for h in headers(front.get_distribution_config(Id=edge)["DistributionConfig"])]
    if not sent or any(v != new for v in sent):
        raise ValueError("the edge does not send the new value")


def finish(secret, token, versions, context):
    if os.environ.get("RULES"):
        accept([pair(secret, token)[1]])
    current = next(v for v, stages in versions.items() if "AWSCURRENT" in stages)
    secrets.update_secret_version_stage(SecretId=secret, VersionStage="AWSCURRENT", MoveToVersionId=token, RemoveFromVersionId=current)


def accept(values):
    balancer = boto3.client("elbv2")
    for rule in balancer.describe_rules(RuleArns=os.environ["RULES"].split(","))["Rules"]:
        conditions = []
        for c in rule["Conditions"]:
            header = c["HttpHeaderConfig"]
            if header["HttpHeaderName"].lower() == os.environ["HEADER"].lower():
                header = dict(header, Values=values)
            conditions.append({"Field": c["Field"], "HttpHeaderConfig": header})
        balancer.modify_rule(RuleArn=rule["RuleArn"], Conditions=conditions)


def headers(config):
    for origin in config["Origins"]["Items"]:
        for header in origin.get("CustomHeaders", {}).get("Items", []):
            if header["HeaderName"].lower() == os.environ["HEADER"].lower():
                yield header


def distribution():
    front = boto3.client("cloudfront", region_name="us-east-1")
    for page in front.get_paginator("list_distributions").paginate():
        for d in page["DistributionList"].get("Items", []):
            if os.environ["HOST"] in d["Aliases"].get("Items", []):
                return d["Id"]
    return None
