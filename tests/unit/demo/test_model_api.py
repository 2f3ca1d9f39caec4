# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo's model API, asked over real HTTP on loopback."""

from __future__ import annotations

import importlib.util
import json
import socket
import sys
import threading
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Iterator

import pytest

FOLDER = Path(__file__).parents[3] / "demo" / "model_api"
AVERAGE = [120.0, 6.0, 2.8, 58.0]


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("model_api", FOLDER / "model_api.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their own module up
    spec.loader.exec_module(module)
    return module


api = _load()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    server = api.Server(("127.0.0.1", 0), api.load_model(FOLDER / "pump_twin.json"))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def connection(port: int) -> Iterator[HTTPConnection]:
    client = HTTPConnection("127.0.0.1", port, timeout=10)
    yield client
    client.close()


def ask(client: HTTPConnection, method: str, path: str, body: Any = None) -> HTTPResponse:
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    client.request(method, path, body=data)
    return client.getresponse()


def more(raw: socket.socket) -> bytes:
    piece = raw.recv(65536)
    assert piece, "the server closed the connection in the middle of the stream"
    return piece


def answer(response: HTTPResponse) -> Any:
    return json.loads(response.read())


def predicted(client: HTTPConnection, features: list[float]) -> float:
    response = ask(client, "POST", "/v1/predict", {"features": features})
    assert response.status == 200
    return float(answer(response)["failure_probability"])


def test_health_names_the_model(connection: HTTPConnection) -> None:
    response = ask(connection, "GET", "/healthz")
    assert (response.status, answer(response)) == (
        200,
        {"status": "ok", "model": "pump-twin", "version": 3},
    )


def test_an_average_pump_has_the_probability_of_the_bias(connection: HTTPConnection) -> None:
    assert predicted(connection, AVERAGE) == pytest.approx(0.099750, abs=1e-6)


def test_a_shaking_pump_is_more_likely_to_fail_than_a_calm_one(connection: HTTPConnection) -> None:
    shaking, calm = [*AVERAGE], [*AVERAGE]
    shaking[2], calm[2] = 6.0, 1.0
    assert (
        predicted(connection, calm)
        < predicted(connection, AVERAGE)
        < predicted(connection, shaking)
    )


def test_extreme_inputs_saturate_and_do_not_overflow(connection: HTTPConnection) -> None:
    assert predicted(connection, [-1e9, -1e9, 1e9, 1e9]) == 1.0
    assert predicted(connection, [1e9, 1e9, -1e9, -1e9]) == 0.0


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"{", "the body is not JSON"),
        (b"\xff", "the body is not JSON"),
        (b"[]", "'features' must be a list of 4 numbers: flow_m3_per_h"),
        ({"features": [1, 2, 3]}, "'features' must be a list of 4 numbers: flow_m3_per_h"),
        ({"features": [1, "2", 3, 4]}, 'pressure_bar = "2" is not a number'),
        ({"features": [1, 2, True, 4]}, "vibration_mm_per_s = true is not a number"),
        (b'{"features": [NaN, 1, 1, 1]}', "flow_m3_per_h = NaN is not a number"),
        ({"features": [10**400, 1, 1, 1]}, "is not a number this model can use"),
    ],
)
def test_a_bad_prediction_request_gets_one_sentence(
    connection: HTTPConnection, body: Any, sentence: str
) -> None:
    response = ask(connection, "POST", "/v1/predict", body)
    assert response.status == 400
    assert sentence in answer(response)["error"]


def test_a_body_beyond_the_limit_is_refused_unread(connection: HTTPConnection) -> None:
    connection.putrequest("POST", "/v1/predict")
    connection.putheader("Content-Length", str(api.BODY_MAX + 1))
    connection.endheaders()
    response = connection.getresponse()
    assert response.status == 413
    assert response.getheader("Connection") == "close"


def test_a_body_without_a_length_is_refused(connection: HTTPConnection) -> None:
    connection.putrequest("POST", "/v1/predict")
    connection.endheaders()
    assert connection.getresponse().status == 411


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/"), ("GET", "/v1/predict"), ("POST", "/healthz")]
)
def test_what_is_not_part_of_the_api_is_not_found(
    connection: HTTPConnection, method: str, path: str
) -> None:
    response = ask(connection, method, path)
    assert response.status == 404
    assert f"{method} {path} is not part of this API" in answer(response)["error"]


def test_a_stream_sends_each_event_before_it_waits_for_the_next(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pause between two events lasts until this test has read the first: buffering would hang."""
    read_one = threading.Semaphore(0)
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        assert read_one.acquire(timeout=10), "the event before this pause never arrived"

    monkeypatch.setattr(api, "time", SimpleNamespace(sleep=pause))
    with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
        raw.sendall(b"GET /v1/stream?steps=3 HTTP/1.1\r\nHost: x\r\n\r\n")
        received = b""
        for event in range(1, 4):
            while received.count(b"data: ") < event:
                received += more(raw)
            assert received.count(b"data: ") == event
            read_one.release()
        while not received.endswith(b"0\r\n\r\n"):
            received += more(raw)
    assert pauses == [api.STEP_SECONDS] * 2


def test_a_stream_shows_the_pump_wearing_out(connection: HTTPConnection) -> None:
    response = ask(connection, "GET", "/v1/stream?steps=4")
    assert response.getheader("Content-Type") == "text/event-stream"
    lines = [line for line in response.read().decode().splitlines() if line]
    events = [json.loads(line[len("data: ") :]) for line in lines]
    assert [event["step"] for event in events] == [1, 2, 3, 4]
    risks = [event["failure_probability"] for event in events]
    assert risks == sorted(set(risks))


@pytest.mark.parametrize("steps", ["0", "101", "-1", "two", "", "1.5", "9" * 5000])
def test_an_impossible_number_of_steps_is_refused(connection: HTTPConnection, steps: str) -> None:
    response = ask(connection, "GET", f"/v1/stream?steps={steps}")
    expected = 200 if steps == "" else 400  # an empty value counts as not given
    assert response.status == expected
    response.read()


def test_echo_shows_every_header_that_arrived_twice_too(connection: HTTPConnection) -> None:
    connection.putrequest("GET", "/v1/echo-headers")
    connection.putheader("X-Client-Id", "one")
    connection.putheader("X-Client-Id", "two")
    connection.endheaders()
    headers = answer(connection.getresponse())["headers"]
    assert [value for name, value in headers if name.lower() == "x-client-id"] == ["one", "two"]


def test_a_connection_stays_usable_for_many_requests(connection: HTTPConnection) -> None:
    assert [predicted(connection, AVERAGE) for _unused in range(3)] == [
        predicted(connection, AVERAGE)
    ] * 3


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"features": [{"name": "x"}]}',
        '{"name": "x", "version": 1, "output": "y", "bias": 0, "features": []}',
    ],
)
def test_an_unusable_model_file_stops_the_start_with_its_path(tmp_path: Path, content: str) -> None:
    path = tmp_path / "model.json"
    path.write_text(content)
    with pytest.raises(SystemExit, match=r"cannot (load|use) the model file .*model\.json"):
        api.load_model(path)


def test_a_missing_model_file_stops_the_start_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"none\.json.*No such file"):
        api.load_model(tmp_path / "none.json")


def test_an_occupied_port_stops_the_start_with_its_number() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        with pytest.raises(SystemExit, match=f"cannot listen on 127.0.0.1 port {number}"):
            api.main(["--port", str(number)])
