# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Object storage on loopback: moto's server, with a front that can refuse, fail and be as strict as AWS."""

from __future__ import annotations

import collections
import functools
import io
import json
import threading
from typing import Any, Callable, Iterable, Iterator
from urllib.parse import parse_qs

import boto3
from moto import backends
from moto.backends import get_backend
from moto.moto_api._internal.models import moto_api_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

# At each request moto looks through its own folder and asks of 200 entries whether they are directories.
backends.list_of_moto_modules = functools.lru_cache(maxsize=None)(
    functools.partial(tuple, backends.list_of_moto_modules())
)

Rule = Callable[[str, str, bytes], "tuple[int, str] | None"]

# The query by which a request is told from others, and the name that it has in AWS's documentation.
_QUERIES = {
    "acl": "BucketAcl",
    "policy": "BucketPolicy",
    "policyStatus": "BucketPolicyStatus",
    "publicAccessBlock": "PublicAccessBlock",
    "ownershipControls": "BucketOwnershipControls",
    "encryption": "BucketEncryption",
    "versioning": "BucketVersioning",
    "object-lock": "ObjectLockConfiguration",
    "logging": "BucketLogging",
    "lifecycle": "BucketLifecycleConfiguration",
}
# The answer of a store that ignores a query which it does not know.
OTHER = "ListBucketResult"
_VERBS = {"GET": "Get", "PUT": "Put", "DELETE": "Delete", "HEAD": "Head"}


def operation(verb: str, path: str, query: str) -> tuple[str, str]:
    """The bucket and the operation of a request, as AWS names it."""
    bucket = path.strip("/").split("/")[0]
    for key, name in _QUERIES.items():
        if key in query.split("&") or any(part.startswith(key + "=") for part in query.split("&")):
            made = _VERBS[verb] + name
            return bucket, made.replace(
                "DeleteBucketLifecycleConfiguration", "DeleteBucketLifecycle"
            )
    if "publicAccessBlock" in path:
        return "", _VERBS[verb] + "AccountPublicAccessBlock"
    if verb == "POST":
        return "", "GetCallerIdentity"
    if not bucket:
        return "", "ListBuckets"
    return bucket, "HeadBucket" if verb == "HEAD" else "CreateBucket"


class Front:
    """The server's application, with rules before it and a count of what it was asked."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.rules: list[Rule] = []
        self.asked: collections.Counter[str] = collections.Counter()
        self.log: list[tuple[str, str]] = []
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        """Answer one request."""
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length) if length else b""
        environ["wsgi.input"] = io.BytesIO(body)
        bucket, name = operation(
            environ["REQUEST_METHOD"], environ["PATH_INFO"], environ.get("QUERY_STRING", "")
        )
        with self._lock:
            self.asked[name] += 1
            self.log.append((bucket, name))
            refused = next(filter(None, (rule(bucket, name, body) for rule in self.rules)), None)
        if refused is None and name == "ListBuckets":
            return self._respond(start, 200, listed(environ.get("QUERY_STRING", "")))
        if refused is None:
            return self.app(environ, start)
        status, code = refused
        if code == OTHER:
            return self._respond(start, status, f"<{OTHER}><Name>x</Name></{OTHER}>".encode())
        text = f"<Error><Code>{code}</Code><Message>refused by the test</Message></Error>"
        return self._respond(start, status, b"" if name == "HeadBucket" else text.encode())

    def _respond(self, start: Any, status: int, body: bytes) -> list[bytes]:
        headers = [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))]
        start(f"{status} X", headers)
        return [body]


def listed(query: str) -> bytes:
    """The account's buckets in pages, which moto cuts off without a way to go on."""
    asked = {key: values[0] for key, values in parse_qs(query).items()}
    names = [
        name
        for name in sorted(get_backend("s3")["123456789012"]["aws"].buckets)
        if name.startswith(asked.get("prefix", "")) and name > asked.get("continuation-token", "")
    ]
    size = int(asked.get("max-buckets", "10000"))
    rows = "".join(f"<Bucket><Name>{name}</Name></Bucket>" for name in names[:size])
    more = f"<ContinuationToken>{names[size - 1]}</ContinuationToken>" if names[size:] else ""
    page = f"<ListAllMyBucketsResult><Buckets>{rows}</Buckets>{more}</ListAllMyBucketsResult>"
    return page.encode()


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002
        """Say nothing: a failing test would end in pages of requests."""


class Server:
    """moto's server in a thread of this process, on a free port of loopback."""

    def __init__(self) -> None:
        self.front = Front(DomainDispatcherApplication(create_backend_app))
        self._server = make_server(
            "127.0.0.1", 0, self.front, threaded=True, request_handler=_Quiet
        )
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def reset(self) -> None:
        """Forget all buckets, rules and counts."""
        moto_api_backend.reset()
        self.front.rules.clear()
        self.forget()

    def forget(self) -> None:
        """Count anew."""
        self.front.asked.clear()
        self.front.log.clear()

    def stop(self) -> None:
        """Free the port."""
        self._server.shutdown()
        self._server.server_close()

    def options(self) -> dict[str, Any]:
        """What the modules need to reach it."""
        return {
            "endpoint_url": self.url,
            "region": "us-east-1",
            "access_key": "test",
            "secret_key": "hunter2-secret",
        }

    def client(self) -> Any:
        """A plain client, for making and looking at buckets."""
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )


def served() -> Iterator[Server]:
    """For a fixture: one server for many tests."""
    server = Server()
    yield server
    server.stop()


def denies(*names: str, bucket: str = "") -> Rule:
    """A rule: these operations are not allowed."""
    return answers(403, "AccessDenied", *names, bucket=bucket)


def answers(status: int, code: str, *names: str, bucket: str = "") -> Rule:
    """A rule: these operations are answered with this error."""

    def rule(asked_bucket: str, name: str, _body: bytes) -> tuple[int, str] | None:
        hit = name in names and bucket in ("", asked_bucket)
        return (status, code) if hit else None

    return rule


def flaky(every: int, status: int = 503, code: str = "SlowDown") -> Rule:
    """A rule: every so many requests fail, whatever they are."""
    count = iter(range(1, 10**9))

    def rule(_bucket: str, _name: str, _body: bytes) -> tuple[int, str] | None:
        return (status, code) if next(count) % every == 0 else None

    return rule


def strict(server: Server) -> Rule:
    """A rule: what AWS refuses about ownership, ACLs and public access, and moto takes."""

    def state(bucket: str) -> dict[str, Any]:
        found = get_backend("s3")["123456789012"]["aws"].buckets[bucket]
        block = found.public_access_block
        return {
            "enforced": "BucketOwnerEnforced"
            in json.dumps(found.ownership_rule or "", default=str),
            "block": bool(block and block.block_public_policy in (True, "true")),
            "public_acl": any(
                "AllUsers" in str(grantee.uri)
                for grant in (found.acl.grants if found.acl else [])
                for grantee in grant.grantees
            ),
        }

    def rule(bucket: str, name: str, body: bytes) -> tuple[int, str] | None:
        if not name.startswith("Put") or not bucket:
            return None
        now = state(bucket)
        if name == "PutBucketAcl" and now["enforced"]:
            return 400, "AccessControlListNotSupported"
        if name == "PutBucketOwnershipControls" and b"Enforced" in body and now["public_acl"]:
            return 400, "InvalidBucketAclWithObjectOwnership"
        if name == "PutBucketPolicy" and now["block"]:
            opened = any(
                one["Effect"] == "Allow" and one["Principal"] == "*"
                for one in json.loads(body)["Statement"]
            )
            return (403, "AccessDenied") if opened else None
        return None

    return rule
