"""As much of boto3 as rotate.py uses, with a secret, two rules and an edge in memory."""
import copy
import json


class Missing(Exception):
    pass


class World:
    def __init__(self):
        self.versions = {"v1": ["AWSCURRENT"], "v2": ["AWSPENDING"]}
        self.texts = {"v1": json.dumps({"secret": "old", "kept": 1})}
        self.rules = [{"RuleArn": n, "Conditions": [
            {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X-Secret", "Values": ["old"]}},
            {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X-Tier", "Values": [n]}}]} for n in ("admin", "fleet")]
        self.edge = {"Aliases": {"Items": ["www.example.com"]}, "Origins": {"Items": [{"Id": "o", "CustomHeaders": {"Items": [{"HeaderName": "X-Secret", "HeaderValue": "old"}]}}]}}
        self.deploying = 0
        self.sent = "old"
        self.lost = []

    def check(self):
        """No request may be lost: what the edge's places send, old or new, the rules take."""
        for r in self.rules:
            takes = r["Conditions"][0]["HttpHeaderConfig"]["Values"]
            for v in {self.sent, self.edge["Origins"]["Items"][0]["CustomHeaders"]["Items"][0]["HeaderValue"]} if self.edge else set():
                if v not in takes:
                    self.lost.append((r["RuleArn"], v, list(takes)))


world = World()


class Secrets:
    class exceptions:
        ResourceNotFoundException = Missing

    def describe_secret(self, SecretId):
        return {"VersionIdsToStages": copy.deepcopy(world.versions)}

    def get_secret_value(self, SecretId, VersionId=None, VersionStage=None):
        for v, stages in world.versions.items():
            if VersionStage in stages and VersionId in (None, v) and v in world.texts:
                return {"SecretString": world.texts[v]}
        raise Missing()

    def get_random_password(self, PasswordLength, ExcludePunctuation):
        return {"RandomPassword": "n" * PasswordLength}

    def put_secret_value(self, SecretId, ClientRequestToken, SecretString, VersionStages):
        world.texts[ClientRequestToken] = SecretString

    def update_secret_version_stage(self, SecretId, VersionStage, MoveToVersionId, RemoveFromVersionId):
        world.versions[RemoveFromVersionId].remove(VersionStage)
        world.versions[MoveToVersionId].append(VersionStage)


class Balancer:
    def describe_rules(self, RuleArns):
        return {"Rules": [dict(copy.deepcopy(r), Priority="1") for r in world.rules if r["RuleArn"] in RuleArns]}

    def modify_rule(self, RuleArn, Conditions):
        for r in world.rules:
            if r["RuleArn"] == RuleArn:
                r["Conditions"] = Conditions
        world.check()


class Pages:
    def paginate(self):
        yield {"DistributionList": {}}
        if world.edge:
            yield {"DistributionList": {"Items": [{"Id": "other", "Aliases": {}}, {"Id": "E1", "Aliases": world.edge["Aliases"]}]}}


class Front:
    def get_paginator(self, name):
        return Pages()

    def get_distribution_config(self, Id):
        return {"ETag": "tag", "DistributionConfig": copy.deepcopy(world.edge)}

    def update_distribution(self, Id, IfMatch, DistributionConfig):
        assert IfMatch == "tag"
        world.edge, world.deploying = DistributionConfig, 2
        world.check()

    def get_distribution(self, Id):
        world.deploying -= 1
        if world.deploying <= 0:
            world.sent = world.edge["Origins"]["Items"][0]["CustomHeaders"]["Items"][0]["HeaderValue"]
        world.check()
        return {"Distribution": {"Status": "Deployed" if world.deploying <= 0 else "InProgress"}}


def client(name, region_name=None):
    return {"secretsmanager": Secrets, "elbv2": Balancer, "cloudfront": Front}[name]()
