# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Buckets on a store as strict as AWS: a fault at each request that changes one. No file is written here.

What counts is what the store holds. Killed after any of its writes, a run has left each setting as it was or as it is
wanted; no bucket is less guarded than before; and the next run finishes the work.
"""

from __future__ import annotations

import json
import os
import signal
import socket
from typing import Any, Iterable

from agent import Module, Point, Starter

from ansible_collections.twinguard.hardening.tests.unit.support import s3_store

image = None
hosts = 2

POLICY = {
    "acl": "private",
    "public_access_block": True,
    "encryption": {"algorithm": "AES256"},
    "deny_insecure_transport": True,
    "minimum_tls": "1.3",
    "versioning": "enabled",
    "logging": {"bucket": "logs"},
    "abort_incomplete_multipart_days": 7,
}
# Its door stays open, by name; all else is guarded there as well.
OPEN = {
    "bucket": "open",
    "control": "bucket.public_access",
    "reason": "Open weights",
    "expires": "2099-12-31",
}
NAMES = ("bare", "half", "open")
BLOCKED = {
    "BlockPublicAcls": True,
    "IgnorePublicAcls": True,
    "BlockPublicPolicy": True,
    "RestrictPublicBuckets": True,
}
# What is asked of a bucket, and where in the answer the setting is.
READS = {
    "public_access_block": ("get_public_access_block", "PublicAccessBlockConfiguration"),
    "acl": ("get_bucket_acl", "Grants"),
    "ownership": ("get_bucket_ownership_controls", "OwnershipControls"),
    "encryption": ("get_bucket_encryption", "ServerSideEncryptionConfiguration"),
    "policy": ("get_bucket_policy", "Policy"),
    "versioning": ("get_bucket_versioning", "Status"),
    "logging": ("get_bucket_logging", "LoggingEnabled"),
    "lifecycle": ("get_bucket_lifecycle_configuration", "Rules"),
}
State = dict[str, dict[str, Any]]  # bucket -> setting -> what the store answers, None for nothing


class Case:
    """Three buckets and the account's block, from careless to guarded."""

    spread = 3
    # Refused once; taken and not answered; not now; the credentials end here.
    errors = ("DENIED", "CUT", "BUSY", "EXPIRED")

    def __init__(self, work: str) -> None:
        self.agent = Requests(work)


class Requests:
    """Makes the trials: a fault at the n-th write that reaches the store."""

    def __init__(self, work: str) -> None:
        self.server = s3_store.Server()
        self.store, self.server.front.app = self.server.front.app, self.answer
        self.s3 = self.server.client()
        environ = {**os.environ, "HOME": work, "AWS_EC2_METADATA_DISABLED": "true"}
        given = {
            "buckets": list(NAMES),
            "policy": POLICY,
            "exceptions": [OPEN],
            "account_public_access_block": True,
            "proof_timeout": 5,
            # One after the other, so that the n-th write is the same one each time.
            "max_workers": 1,
            **self.server.options(),
        }
        self.module = Module("s3_guard", work, new=given)
        self.points: list[Point] = []
        self.written: list[tuple[str, str]] = []
        self.taken: list[tuple[str, str]] = []
        self.fault, self.at = "", 0
        _python, _as_module, name, *_rest = self.module.command()
        self.starter = Starter(name, environ)
        self.process = 0
        self.old: State = {}
        self.new: State = {}

    # --- the store

    def answer(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        """Answer one request, with the fault if its turn has come."""
        verb, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        what = s3_store.operation(verb, path, environ.get("QUERY_STRING", ""))
        if self.fault == "EXPIRED" and len(self.written) >= self.at:
            return refuse(start, 400, "ExpiredToken")
        if verb not in ("PUT", "DELETE") or not self.process:
            return list(self.store(environ, start))
        self.written.append(what)
        fault = self.fault if len(self.written) == self.at else ""
        if fault == "DENIED":
            return refuse(start, 403, "AccessDenied")
        if fault == "BUSY":
            return refuse(start, 503, "SlowDown")
        if fault == "EXPIRED":
            return refuse(start, 400, "ExpiredToken")
        body = list(self.store(environ, start))
        self.taken.append(what)
        if fault == "KILL":
            os.kill(self.process, signal.SIGKILL)
        if fault == "CUT":
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            raise ConnectionResetError("cut off by the test")
        return body

    def reset(self) -> None:
        """The careless buckets."""
        self.server.reset()
        s3 = self.s3
        for name in ("logs", *NAMES):
            s3.create_bucket(Bucket=name)
        s3.put_bucket_policy(Bucket="logs", Policy=allow("logs", "logging.s3.amazonaws.com"))
        s3.put_bucket_acl(Bucket="bare", ACL="public-read")
        s3.put_bucket_policy(Bucket="bare", Policy=allow("bare", "lambda.amazonaws.com"))
        s3.put_bucket_policy(Bucket="open", Policy=allow("open", ""))
        # Guarded already in most of what counts, so that there is something to lose.
        s3.put_public_access_block(Bucket="half", PublicAccessBlockConfiguration=BLOCKED)
        owner = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
        s3.put_bucket_ownership_controls(Bucket="half", OwnershipControls=owner)
        kms = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}
        s3.put_bucket_encryption(Bucket="half", ServerSideEncryptionConfiguration={"Rules": [kms]})
        s3.put_bucket_policy(Bucket="half", Policy=allow("half", "lambda.amazonaws.com", deny=True))
        s3.put_bucket_versioning(Bucket="half", VersioningConfiguration={"Status": "Suspended"})
        self.server.front.rules.append(s3_store.strict(self.server))

    def state(self) -> State:
        """What the store holds, asked by a plain client."""
        s3, found = self.s3, State()
        for name in NAMES:
            found[name] = {}
            for setting, (asked, part) in READS.items():
                try:
                    found[name][setting] = getattr(s3, asked)(Bucket=name).get(part)
                except s3.exceptions.ClientError:
                    found[name][setting] = None
        return found

    # --- the trials

    def run(self, fault: str = "", at: int = 0) -> tuple[int, dict[str, Any]]:
        """One run of the module: how it ended, and its result."""
        self.written, self.taken, self.fault, self.at = [], [], fault, at
        self.process = self.starter.begin(self.module.command()[1:])
        done = self.starter.finish()
        self.process, self.fault = 0, ""
        if "Traceback" in done.output:
            return done.status, {"failed": True, "msg": "", "traceback": done.output[-400:]}
        return done.status, done.result or {}

    def prepare(self) -> None:
        """Learn what old and new look like, and which writes lie between them."""
        self.reset()
        self.old = self.state()
        code, result = self.run()
        self.new = self.state()
        self.points = [
            # One place for each kind of request: the same code makes it for each bucket.
            Point(name, number, bucket, name)
            for number, (bucket, name) in enumerate(self.taken, 1)
        ]
        if code or len(self.points) < 15:
            raise SystemExit(f"an undisturbed run must succeed and change much: {result}")
        if self.run()[1].get("changed") is not False or self.taken:
            raise SystemExit("a second undisturbed run changes something")

    def trial(self, index: int, fault: str) -> list[str]:
        """Reset, run with the fault, look, run again, look."""
        self.reset()
        code, result = self.run(fault, index + 1)
        problems = self.now()
        problems += [] if fault == "KILL" else self.reported(index, fault, code, result)
        if fault == "KILL" and code != -9:
            problems.append(f"the run was not killed: {code}")
        code, result = self.run()
        if code or result.get("failures"):
            problems.append(f"the next run fails: {result.get('msg')}")
        left = [one for one in result.get("controls", []) if one["status"] in ("fail", "unknown")]
        problems += [f"{one['resource']} {one['id']} is {one['status']}" for one in left]
        found = self.state()
        return problems + [
            f"{bucket} {setting} is {found[bucket][setting]} after the next run"
            for bucket, wanted in self.new.items()
            for setting in wanted
            if found[bucket][setting] != wanted[setting]
        ]

    def now(self) -> list[str]:
        """Each setting is old or new, and nothing that closed a bucket is gone."""
        found, problems = self.state(), []
        for bucket, settings in found.items():
            for setting, value in settings.items():
                if value not in (self.old[bucket][setting], self.new[bucket][setting]):
                    problems.append(f"{bucket} {setting} is neither old nor new: {value}")
            lost = guarded(self.old[bucket]) - guarded(settings)
            problems += [f"{bucket} is less guarded than before: {what}" for what in sorted(lost)]
        return problems

    def reported(self, index: int, fault: str, code: int, result: dict[str, Any]) -> list[str]:
        """What is told is what was done: success is the wanted state, and a failure names its bucket."""
        point, problems = self.points[index], []
        if "traceback" in result:
            return [f"there is a traceback: {result['traceback']}"]
        told = sum(len(one["applied"]) for one in result.get("buckets", []))
        taken = len(self.taken) - (1 if fault == "CUT" else 0)  # that one was made twice
        if told != taken:
            problems.append(f"{told} changes are told, and the store took {taken}")
        if fault in ("CUT", "BUSY"):
            if code or self.state() != self.new:
                problems.append(f"what passes by itself was not waited for: {result.get('msg')}")
        elif code == 0:
            problems.append("success is reported, though a change was refused")
        elif (point.shown or "account") not in str(result["msg"]):
            problems.append(f"the message does not name {point.shown}: {result['msg']}")
        return problems


def guarded(settings: dict[str, Any]) -> set[str]:
    """What keeps others out of a bucket, or keeps what is in it."""
    policy = settings["policy"] or ""
    ownership = json.dumps(settings["ownership"])
    grants = json.dumps(settings["acl"])
    return {
        name
        for name, holds in {
            "public access is blocked": settings["public_access_block"] == BLOCKED,
            "no grant to everyone": "AllUsers" not in grants or "Enforced" in ownership,
            "ACLs are disabled": "Enforced" in ownership,
            "a default encryption": settings["encryption"] is not None,
            "plain HTTP is denied": "aws:SecureTransport" in policy,
            "old TLS is denied": "s3:TlsVersion" in policy,
            "the statement of others": '"Theirs"' in policy,
            "versions are kept": settings["versioning"] in ("Enabled", "Suspended"),
        }.items()
        if holds
    }


def allow(bucket: str, service: str, deny: bool = False) -> str:
    """A policy with a statement of others; `deny` adds an older one of ours."""
    arn = f"arn:aws:s3:::{bucket}"
    theirs = {
        "Sid": "Theirs",
        "Effect": "Allow",
        "Principal": {"Service": service} if service else "*",
        "Action": "s3:PutObject" if service else "s3:GetObject",
        "Resource": arn + "/*",
    }
    ours = [
        {
            "Sid": sid,
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [arn, arn + "/*"],
            "Condition": condition,
        }
        for sid, condition in (
            ("TwinguardDenyInsecureTransport", {"Bool": {"aws:SecureTransport": "false"}}),
            ("TwinguardDenyOldTls", {"NumericLessThan": {"s3:TlsVersion": "1.2"}}),
        )
        if deny
    ]
    return json.dumps({"Version": "2012-10-17", "Statement": [theirs, *ours]})


def refuse(start: Any, status: int, code: str) -> list[bytes]:
    """The answer of a store that does not do it."""
    body = f"<Error><Code>{code}</Code><Message>refused by the test</Message></Error>".encode()
    headers = [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))]
    start(f"{status} X", headers)
    return [body]
