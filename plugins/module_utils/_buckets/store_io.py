# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The store: one session, one client for each region, and one answer for each request (I/O)."""

from __future__ import annotations

import collections
import os
import re
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Callable, Iterable, Iterator, Mapping, NoReturn, TypeVar
from urllib.parse import urlsplit

from .._core.error import HardeningError
from . import answers
from .policy import common_prefix, is_pattern, select
from .types import ABSENT, FAILED, FOUND, READS, UNSUPPORTED, Answer, Step, method

try:
    import boto3
    from botocore import exceptions as errors
    from botocore.config import Config
except ImportError:
    HAS_BOTO3 = False
else:
    HAS_BOTO3 = True

NO_BOTO3 = (
    "boto3 is not installed for the Python that runs this module; install boto3 for it, "
    "or set ansible_python_interpreter to a Python that has it"
)
OLD_BOTO3 = "boto3 {} is too old for the bucket guard; install boto3 1.36 or newer for the Python that runs this module"
_OLDEST = (1, 36)  # the first in which the newer checksums can be turned off
_ATTEMPTS = 7
_PAGE = 10000  # the maximum of AWS
_ACCOUNT_HOST = "before-sign.s3-control"
Item = TypeVar("Item")
Result = TypeVar("Result")


class S3Error(HardeningError):
    """An error that stops the whole run, in one sentence: no credentials, no endpoint, a wrong region."""


class Store:
    """One store, used with one set of credentials. Safe for use by several threads."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        if not HAS_BOTO3:
            raise S3Error(NO_BOTO3)
        if tuple(int(part) for part in re.findall(r"\d+", boto3.__version__)[:2]) < _OLDEST:
            raise S3Error(OLD_BOTO3.format(boto3.__version__))
        self._params = params
        self._lock = threading.Lock()
        self._clients: dict[tuple[str, str], Any] = {}
        self.calls: collections.Counter[str] = collections.Counter()
        try:
            self._session: Any = boto3.session.Session(
                aws_access_key_id=params.get("access_key"),
                aws_secret_access_key=params.get("secret_key"),
                aws_session_token=params.get("session_token"),
                profile_name=params.get("profile"),
            )
            region = params.get("region") or os.environ.get("AWS_REGION")
            self.region = region or self._session.region_name or "us-east-1"
            self._assume_role()
            client = self.client()
        except (errors.BotoCoreError, ValueError) as error:
            raise S3Error(_error_text(error)) from error
        self.endpoint = str(client.meta.endpoint_url)
        self.custom = "amazonaws." not in (urlsplit(self.endpoint).hostname or "")
        self.partition = str(client.meta.partition)
        self.account: str | None = None

    def client(self, region: str | None = None, service: str = "s3") -> Any:
        """The client for a region; requests for a bucket go to its own region."""
        key = (service, region or self.region)
        with self._lock:  # boto3 clients must not be created in several threads at once
            if key not in self._clients:
                self._clients[key] = self._session.client(
                    service,
                    region_name=key[1],
                    endpoint_url=self._params.get("endpoint_url"),
                    verify=self._verify(),
                    config=self._config(),
                )
                if service == "s3control":
                    self._clients[key].meta.events.register(_ACCOUNT_HOST, self._plain_host)
            return self._clients[key]

    def _verify(self) -> bool | str | None:
        if self._params.get("validate_certs") is False:
            return False
        return self._params.get("aws_ca_bundle") or None

    def _config(self) -> Config:
        return Config(
            retries={"mode": "adaptive", "total_max_attempts": _ATTEMPTS},
            max_pool_connections=max(10, int(self._params.get("max_workers") or 16)),
            connect_timeout=10,
            read_timeout=60,
            # Stores other than AWS refuse the newer checksums; every change is read back anyway.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            # The options are validated already; validating them again costs more than signing.
            parameter_validation=False,
            # A fixed text: the SDK builds its own twice for each request, a tenth of the request's time.
            user_agent=f"twinguard.hardening boto3/{boto3.__version__}",
        )

    def _assume_role(self) -> None:
        role, external = (
            self._params.get("assume_role_arn"),
            self._params.get("assume_role_external_id"),
        )
        if not role:
            return
        arguments = {"RoleArn": role, "RoleSessionName": "twinguard-hardening"}
        if external:
            arguments["ExternalId"] = external
        try:
            given = self.client(service="sts").assume_role(**arguments)["Credentials"]
        except errors.ClientError as error:
            code, _status, message = _details(error)
            raise S3Error(f"the role {role} could not be assumed: {code}: {message}") from error
        self._clients.clear()
        self._session = boto3.session.Session(
            aws_access_key_id=given["AccessKeyId"],
            aws_secret_access_key=given["SecretAccessKey"],
            aws_session_token=given["SessionToken"],
        )

    def _plain_host(self, request: Any, **_rest: Any) -> None:
        # The SDK prefixes the host name with the account number; only AWS resolves such names.
        url = urlsplit(request.url)
        number, _dot, host = url.netloc.partition(".")
        if self.custom and number.isdigit() and number == self.account:
            request.url = url._replace(netloc=host).geturl()

    def ask(self, operation: str, region: str | None = None, **arguments: Any) -> Mapping[str, Any]:
        """Call the store. Raises ClientError if it refuses, S3Error for an error that every call would get."""
        service, name = "s3", operation
        if operation.endswith("AccountPublicAccessBlock"):
            service, name = "s3control", operation.replace("Account", "")
        elif operation == "GetCallerIdentity":
            service = "sts"
        if service == "s3" and self.account and "Bucket" in arguments:
            arguments["ExpectedBucketOwner"] = self.account
        client = self.client(region, service)
        with self._lock:
            self.calls[operation] += 1
        try:
            return getattr(client, method(name))(**arguments)
        except errors.ClientError as error:
            code, _status, message = _details(error)
            if code in answers.FATAL:
                raise S3Error(f"{answers.FATAL[code]} ({code}: {message})") from error
            raise
        except errors.BotoCoreError as error:
            if _stops_everything(error):
                raise S3Error(_error_text(error)) from error
            raise

    def _answer(
        self, setting: str, operation: str, absent: str, act: Callable[[], Answer]
    ) -> Answer:
        """The answer of `act`, or the meaning of its error; `setting` is empty if the user's value may be the cause."""
        try:
            answer = act()
        except errors.ClientError as error:
            code, status, message = _details(error)
            if self.custom and answers.without_setting(code, status, setting):
                return Answer(
                    UNSUPPORTED, reason=f"this store does not support {operation} ({code})"
                )
            return answers.meaning(operation, code, status, message, absent)
        except errors.BotoCoreError as error:
            return Answer(FAILED, reason=f"{operation} failed: {_error_text(error)}")
        if answer.kind == answers.UNEXPECTED:
            return replace(answer, kind=UNSUPPORTED if self.custom else FAILED)
        return answer

    def read(self, bucket: str, setting: str, region: str | None = None) -> Answer:
        """One setting of one bucket, or why it could not be read. Raises S3Error."""
        question = READS[setting]

        def act() -> Answer:
            return answers.value(setting, self.ask(question.operation, region, Bucket=bucket))

        return self._answer(setting, question.operation, question.absent, act)

    def write(self, bucket: str, step: Step, region: str | None = None) -> Answer:
        """Make one change; the answer says whether the store accepted it. Raises S3Error."""

        def act() -> Answer:
            self.ask(step.operation, region, Bucket=bucket, **step.arguments)
            return Answer(FOUND)

        given = step.setting == "encryption" and (step.after or {}).get("kms_key_id")
        return self._answer("" if given else step.setting, step.operation, "", act)

    def know_account(self) -> str | None:
        """Find out the account of the credentials; None if the store does not tell."""
        try:
            self.account = str(self.ask("GetCallerIdentity")["Account"])
        except (errors.ClientError, errors.BotoCoreError, KeyError):
            self.account = None
        return self.account

    def read_account(self) -> Answer:
        """The account's own block of public access."""
        if not self.account:
            return Answer(
                UNSUPPORTED, reason="this store does not report the account of the credentials"
            )

        def act() -> Answer:
            given = self.ask("GetAccountPublicAccessBlock", AccountId=self.account)
            return Answer(FOUND, answers.blocks(given))

        return self._answer(
            answers.ACCOUNT,
            "GetAccountPublicAccessBlock",
            READS["public_access_block"].absent,
            act,
        )

    def block_account(self, switches: Mapping[str, bool]) -> Answer:
        """Block public access for the whole account."""

        def act() -> Answer:
            self.ask(
                "PutAccountPublicAccessBlock",
                AccountId=self.account,
                PublicAccessBlockConfiguration=dict(switches),
            )
            return Answer(FOUND)

        return self._answer(answers.ACCOUNT, "PutAccountPublicAccessBlock", "", act)

    def _listed(self, prefix: str) -> dict[str, str | None]:
        found: dict[str, str | None] = {}
        arguments: dict[str, Any] = {"MaxBuckets": _PAGE}
        if prefix:
            arguments["Prefix"] = prefix
        while True:
            page = self.ask("ListBuckets", **arguments)
            for one in page.get("Buckets", []):
                found[one["Name"]] = one.get("BucketRegion")
            if not page.get("ContinuationToken"):
                return found
            arguments["ContinuationToken"] = page["ContinuationToken"]

    def find(self, patterns: list[str]) -> tuple[dict[str, str | None], dict[str, Answer]]:
        """The account's matching buckets with their regions, and the names that it does not have, with the reason."""
        names = [name for name in patterns if not is_pattern(name)]
        try:
            listed = self._listed(common_prefix(patterns))
        except errors.ClientError as error:
            code, status, message = _details(error)
            reason = answers.meaning("ListBuckets", code, status, message).reason
            if len(names) < len(patterns):
                raise S3Error(
                    f"{reason}; grant that permission, or name the buckets instead of using patterns"
                ) from error
            # It is unknown who owns the buckets; each call will show whether it is permitted.
            return dict.fromkeys(names), {}
        except errors.BotoCoreError as error:
            _stop(error)
        chosen = select(patterns, listed)
        missing = {name: self._missing_reason(name) for name in names if name not in listed}
        return {name: listed[name] for name in chosen}, missing

    def _missing_reason(self, bucket: str) -> Answer:
        try:
            self.ask("HeadBucket", Bucket=bucket)
        except errors.ClientError as error:
            _code, status, _message = _details(error)
            if status == 404:
                return Answer(ABSENT, reason="the bucket does not exist")
        except errors.BotoCoreError as error:
            return Answer(FAILED, reason=_error_text(error))
        return Answer(UNSUPPORTED, reason="the bucket belongs to another account")


def _details(error: Any) -> tuple[str, int, str]:
    given = error.response.get("Error", {})
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return str(given.get("Code", "")), int(status), str(given.get("Message", ""))


def _stops_everything(error: Exception) -> bool:
    return isinstance(
        error,
        (
            errors.NoCredentialsError,
            errors.PartialCredentialsError,
            errors.CredentialRetrievalError,
            errors.EndpointConnectionError,
            errors.ConnectTimeoutError,
            errors.SSLError,
            errors.ProxyConnectionError,
        ),
    )


def _stop(error: Exception) -> NoReturn:
    raise S3Error(_error_text(error)) from error


def _error_text(error: Exception) -> str:
    if isinstance(error, errors.NoCredentialsError):
        return "no credentials were found; give profile or access_key and secret_key, or set boto3's environment"
    text = " ".join(str(error).split())
    if isinstance(error, (errors.EndpointConnectionError, errors.ConnectTimeoutError)):
        return f"the store does not answer; check endpoint_url, region and network: {text}"
    return text


def each(
    items: Iterable[Item], work: Callable[[Item], Result], workers: int
) -> Iterator[tuple[Item, Result]]:
    """Work on up to `workers` items at the same time; results come in the order of the items.

    Only a few results are held at any time, so that memory does not grow with the number of items.
    """
    with ThreadPoolExecutor(max_workers=workers) as pool:
        waiting: collections.deque[tuple[Item, Future[Result]]] = collections.deque()
        for item in items:
            waiting.append((item, pool.submit(work, item)))
            if len(waiting) >= 4 * workers:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()
