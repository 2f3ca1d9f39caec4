# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a probe reports is what a real server on loopback did."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
import time
import warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Iterator

import pytest

from ansible_collections.twinguard.hardening.plugins.module_utils._nginx import probe_io
from ansible_collections.twinguard.hardening.plugins.module_utils._nginx.probe_io import (
    marker,
    probe,
    read_tail,
)

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed here")


class Handler(BaseHTTPRequestHandler):
    """Answers a path that is a number with that status; the marker only for its own Host."""

    server: Server

    def do_GET(self) -> None:
        # Before the answer, after which the test goes on.
        self.server.seen.append((self.command, self.path, self.headers["Host"]))
        status, body = 404, b""
        if self.path.strip("/").isdigit():
            status = int(self.path.strip("/"))
        elif self.path == "/twinguard/demo" and self.headers["Host"] == "demo.twinguard.invalid":
            status, body = 200, b"0123456789abcdef\n"
        self.send_response(status)
        self.send_header("X-Request-Id", "id-of-" + self.path.strip("/"))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815

    def log_message(self, *_words: Any) -> None:
        """Keep quiet."""


class Server(ThreadingHTTPServer):
    """HTTP, with TLS when a context is given."""

    daemon_threads = True

    def __init__(self, context: ssl.SSLContext | None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.context = context
        self.seen: list[tuple[str, str, str]] = []

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Shake hands in the connection's own thread; a refused handshake ends it."""
        if self.context:
            try:
                request = self.context.wrap_socket(request, server_side=True)
            except OSError:
                return
        super().finish_request(request, client_address)
        if self.context:
            with contextlib.suppress(OSError):
                request.unwrap()


@contextlib.contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[Server]:
    server = Server(context)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    new = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    new += ["-days", "30", "-subj", "/CN=x", "-keyout", str(path) + ".key", "-out", str(path)]
    subprocess.run(new, check=True, stdin=subprocess.DEVNULL, capture_output=True)
    path.write_text(path.read_text() + Path(str(path) + ".key").read_text())
    return path


def context_of(certificate: Path, low: ssl.TLSVersion, high: ssl.TLSVersion) -> ssl.SSLContext:
    """A server that knows the name models.example.com alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # old protocols are what is tested here
        context.minimum_version, context.maximum_version = low, high

    def named(_socket: Any, name: str | None, _context: Any) -> int | None:
        return None if name == "models.example.com" else ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME

    context.sni_callback = named
    return context


@pytest.fixture
def tls(certificate: Path) -> Iterator[Server]:
    with serving(context_of(certificate, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2)) as server:
        yield server


@pytest.fixture
def plain() -> Iterator[Server]:
    with serving() as server:
        yield server


def asked(server: Server, **changes: Any) -> dict[str, Any]:
    question = {
        "id": "q",
        "kind": "handshake",
        "address": "127.0.0.1",
        "port": server.server_address[1],
        "server_name": "models.example.com",
        "tls": server.context is not None,
        "method": "GET",
        "path": "/401",
        "expect": ["accepted"],
        "protocol": None,
        "log": None,
    }
    return probe(dict(question, **changes))


def test_a_handshake_reports_protocol_cipher_and_the_certificates_end(tls: Server) -> None:
    answer = asked(tls)
    assert (answer["id"], answer["outcome"], answer["met"]) == ("q", "accepted", True)
    assert answer["protocol"] == "TLSv1.2"
    assert answer["cipher"].startswith("ECDHE-ECDSA-")
    assert 29 * 86400 < answer["not_after"] - answer["now"] <= 30 * 86400


@pytest.mark.parametrize("expect", [["refused"], ["accepted"]])
def test_a_name_that_the_server_does_not_know_is_refused(tls: Server, expect: list[str]) -> None:
    answer = asked(tls, server_name="unknown.twinguard.invalid", expect=expect)
    assert (answer["outcome"], answer["met"]) == ("refused", expect == ["refused"])
    assert "UNRECOGNIZED_NAME" in answer["detail"]


def test_a_protocol_that_the_server_does_not_speak_is_refused(tls: Server) -> None:
    assert asked(tls, protocol="TLSv1.3", expect=["refused"])["met"] is True
    assert asked(tls, protocol="TLSv1.2")["met"] is True


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1:DeprecationWarning")
def test_an_old_protocol_that_the_server_still_speaks_is_found_out(certificate: Path) -> None:
    context = context_of(certificate, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_3)
    with serving(context) as server:
        answer = asked(server, protocol="TLSv1.1", expect=["refused"])
    if answer["outcome"] == "unsupported":
        pytest.skip("this host's TLS library knows no TLS 1.1: " + answer["detail"])
    assert (answer["outcome"], answer["met"], answer["protocol"]) == ("accepted", False, "TLSv1.1")


def test_a_server_that_hangs_up_has_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            listener.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        question = {
            "id": "q",
            "kind": "handshake",
            "address": "127.0.0.1",
            "server_name": "x",
            "expect": ["refused"],
        }
        answer = probe(dict(question, port=listener.getsockname()[1]))
        thread.join()
    assert (answer["outcome"], answer["met"]) == ("refused", True)


def test_a_server_that_says_nothing_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_io, "_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        question = {
            "id": "q",
            "kind": "handshake",
            "address": "127.0.0.1",
            "server_name": "x",
            "expect": ["refused"],
        }
        answer = probe(dict(question, port=listener.getsockname()[1]))
    assert (answer["outcome"], answer["met"]) == ("unreachable", False)


@pytest.mark.parametrize("kind", ["handshake", "request"])
def test_a_closed_port_is_unreachable_and_never_as_expected(plain: Server, kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    answer = asked(plain, kind=kind, port=port, expect=["accepted", "refused", "401"])
    assert (answer["outcome"], answer["met"]) == ("unreachable", False)
    assert answer["detail"]


@pytest.mark.parametrize("kind_of_server", ["tls", "plain"])
def test_the_outcome_of_a_request_is_its_status(
    request: pytest.FixtureRequest, kind_of_server: str
) -> None:
    server: Server = request.getfixturevalue(kind_of_server)
    answer = asked(server, kind="request", method="POST", path="/401", expect=["401", "429"])
    assert (answer["outcome"], answer["met"], answer["request_id"]) == ("401", True, "id-of-401")
    assert asked(server, kind="request", path="/200", expect=["401"])["met"] is False
    assert server.seen[0] == ("POST", "/401", "models.example.com")


def test_a_request_that_is_logged_soon_after_its_answer_counts_as_logged(
    plain: Server, tmp_path: Path
) -> None:
    log = tmp_path / "access.log"
    log.write_text("another line\n")

    def write() -> None:
        time.sleep(0.1)
        with log.open("a") as handle:
            handle.write('{"request_id":"id-of-401"}\n')

    thread = threading.Thread(target=write)
    thread.start()
    answer = asked(plain, kind="request", expect=["401"], log=str(log))
    thread.join()
    assert answer["met"] is True


@pytest.mark.parametrize("content", [None, "", '{"request_id":"id-of-another"}\n'])
def test_a_request_that_is_not_in_the_log_is_not_as_expected(
    plain: Server, tmp_path: Path, content: str | None
) -> None:
    log = tmp_path / "access.log"
    if content is not None:
        log.write_text(content)
    answer = asked(plain, kind="request", expect=["401"], log=str(log))
    assert answer["met"] is False
    assert answer["detail"] == "the request did not appear in %s" % log


def test_the_marker_is_asked_as_its_own_host(plain: Server) -> None:
    port = plain.server_address[1]
    assert marker(port, "demo", "demo.twinguard.invalid") == "0123456789abcdef"
    assert marker(port, "demo", "other.twinguard.invalid") is None
    assert marker(port, "other", "demo.twinguard.invalid") is None


def test_no_marker_is_none(tls: Server) -> None:
    assert marker(tls.server_address[1], "demo", "demo.twinguard.invalid") is None
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert marker(port, "demo", "demo.twinguard.invalid") is None


def test_the_tail_of_a_log_is_what_came_since_and_at_most_64_kib(tmp_path: Path) -> None:
    log = tmp_path / "error.log"
    log.write_bytes(b"before\nafter\n")
    assert read_tail(str(log), 7) == b"after\n"
    assert read_tail(str(log)) == b"before\nafter\n"
    # Shorter than before: it was rotated, so all of it is new.
    assert read_tail(str(log), 999) == b"before\nafter\n"
    log.write_bytes(b"x" * 100_000 + b"end")
    assert read_tail(str(log)) == b"x" * 65533 + b"end"


def test_what_is_no_readable_file_has_no_tail(tmp_path: Path) -> None:
    assert [read_tail(path) for path in (str(tmp_path), str(tmp_path / "gone"), "/dev/zero")] == [
        b""
    ] * 3
