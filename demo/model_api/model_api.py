# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small real model API: the digital twin of a pump, served over HTTP.

It stands behind the gateway in the demo and in the tests. Standard library only, Python 3.9 or newer.

    POST /v1/predict        {"features": [118.0, 6.1, 3.0, 60.0]} -> {"failure_probability": 0.18, ...}
    GET  /v1/stream?steps=n server-sent events, one predicted step every 0.2 seconds
    GET  /v1/echo-headers   the request headers as this service received them
    GET  /healthz           {"status": "ok", "model": "pump-twin", "version": 3}
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Callable, Dict, List, Sequence, Tuple
from urllib.parse import parse_qs, urlsplit

BODY_MAX = 1024 * 1024  # bytes
STEPS_MAX = 100
STEP_SECONDS = 0.2


class RequestError(ValueError):
    """A request this service refuses; `status` is the HTTP status, the text one sentence."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True)
class Feature:
    """One measured input; `drift` is how much it moves in one step of wear."""

    name: str
    mean: float
    scale: float
    weight: float
    drift: float


@dataclass(frozen=True)
class Model:
    """A logistic model of a pump; `predict` gives the probability (0 to 1) of a failure within a week."""

    name: str
    version: int
    output: str
    bias: float
    features: Tuple[Feature, ...]

    def predict(self, values: Sequence[float]) -> float:
        score = self.bias + sum(
            feature.weight * (value - feature.mean) / feature.scale
            for feature, value in zip(self.features, values)
        )
        # Two forms of one function: neither overflows where the other would.
        if score >= 0:
            return 1 / (1 + math.exp(-score))
        return math.exp(score) / (1 + math.exp(score))

    def after(self, steps: int) -> List[float]:
        """The inputs of an average pump after so many steps of wear."""
        return [feature.mean + steps * feature.drift for feature in self.features]


def load_model(path: Path) -> Model:
    """Read a model file. Raises SystemExit with one sentence when it cannot be used."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        features = tuple(Feature(**feature) for feature in data.pop("features"))
        model = Model(features=features, **data)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise SystemExit(f"cannot load the model file {path}: {error}") from error
    if not features or any(feature.scale <= 0 for feature in features):
        raise SystemExit(f"cannot use the model file {path}: every feature needs a scale above 0")
    return model


def parse_features(body: bytes, model: Model) -> List[float]:
    """The numbers of a prediction request. Raises RequestError naming what is wrong."""
    try:
        data = json.loads(body)
    except ValueError as error:
        raise RequestError(HTTPStatus.BAD_REQUEST, f"the body is not JSON: {error}") from error
    values = data.get("features") if isinstance(data, dict) else None
    names = ", ".join(feature.name for feature in model.features)
    if not isinstance(values, list) or len(values) != len(model.features):
        raise RequestError(
            HTTPStatus.BAD_REQUEST,
            f"'features' must be a list of {len(model.features)} numbers: {names}",
        )
    for feature, value in zip(model.features, values):
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not _finite(value):
            raise RequestError(
                HTTPStatus.BAD_REQUEST,
                f"{feature.name} = {json.dumps(value)} is not a number this model can use",
            )
    return [float(value) for value in values]


def _finite(value: float) -> bool:
    try:
        return math.isfinite(float(value))
    except OverflowError:  # an integer too large for a float
        return False


def parse_steps(query: str) -> int:
    """The `steps` of a stream request, 10 when not given. Raises RequestError."""
    text = parse_qs(query).get("steps", ["10"])[-1]
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= STEPS_MAX):
        raise RequestError(
            HTTPStatus.BAD_REQUEST,
            f"steps = {text[:40]!r}: use a whole number from 1 to {STEPS_MAX}",
        )
    return int(text)


class Handler(BaseHTTPRequestHandler):
    """Answers one connection; the server holds the model."""

    protocol_version = "HTTP/1.1"
    server_version = "twinguard-model-api"
    sys_version = ""
    timeout = 75  # seconds an idle kept-alive connection may stay
    disable_nagle_algorithm = True  # each streamed event leaves at once
    server: Server

    def do_GET(self) -> None:
        self._answer(
            {"/healthz": self._health, "/v1/echo-headers": self._echo, "/v1/stream": self._stream}
        )

    def do_POST(self) -> None:
        self._answer({"/v1/predict": self._predict})

    def _answer(self, routes: Dict[str, Callable[[str], None]]) -> None:
        url = urlsplit(self.path)
        try:
            routes.get(url.path, self._unknown)(url.query)
        except RequestError as error:
            # The request's body may be unread: what follows on this connection cannot be trusted.
            self.close_connection = True
            self._send(error.status, {"error": str(error)})
        except ConnectionError:
            self.close_connection = (
                True  # the client went away in the middle: nobody is left to tell
            )

    def _unknown(self, _query: str) -> None:
        path = urlsplit(self.path).path
        raise RequestError(HTTPStatus.NOT_FOUND, f"{self.command} {path} is not part of this API")

    def _health(self, _query: str) -> None:
        model = self.server.model
        self._send(HTTPStatus.OK, {"status": "ok", "model": model.name, "version": model.version})

    def _echo(self, _query: str) -> None:
        self._send(HTTPStatus.OK, {"headers": [list(item) for item in self.headers.items()]})

    def _predict(self, _query: str) -> None:
        model = self.server.model
        values = parse_features(self._body(), model)
        answer = {
            "model": model.name,
            "version": model.version,
            model.output: round(model.predict(values), 6),
        }
        self._send(HTTPStatus.OK, answer)

    def _stream(self, query: str) -> None:
        steps = parse_steps(query)
        model = self.server.model
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for step in range(1, steps + 1):
            event = {"step": step, model.output: round(model.predict(model.after(step)), 6)}
            self._chunk(f"data: {json.dumps(event)}\n\n".encode())
            if step < steps:
                time.sleep(STEP_SECONDS)
        self._chunk(b"")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def _body(self) -> bytes:
        text = self.headers.get("Content-Length", "")
        if not (text.isascii() and text.isdigit()):
            raise RequestError(
                HTTPStatus.LENGTH_REQUIRED, "send the body with a Content-Length header"
            )
        if int(text) > BODY_MAX:
            raise RequestError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"the body has {text} bytes, the most is {BODY_MAX}",
            )
        return self.rfile.read(int(text))

    def _send(self, status: HTTPStatus, answer: Dict[str, Any]) -> None:
        body = json.dumps(answer).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        """Nothing: the gateway writes the access log."""


class Server(ThreadingHTTPServer):
    """The HTTP server with its model."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: Tuple[str, int], model: Model) -> None:
        super().__init__(address, Handler)
        self.model = model


def main(arguments: Sequence[str]) -> int:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(description="Serve the digital twin of a pump over HTTP.")
    parser.add_argument(
        "--address", default="127.0.0.1", help="address to listen on (default: loopback)"
    )
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--model", type=Path, default=Path(__file__).with_name("pump_twin.json"))
    options = parser.parse_args(arguments)
    model = load_model(options.model)
    try:
        server = Server((options.address, options.port), model)
    except (OSError, OverflowError) as error:
        raise SystemExit(
            f"cannot listen on {options.address} port {options.port}: {error}"
        ) from error
    print(
        f"serving {model.name} version {model.version} on {options.address} port {server.server_port}",
        flush=True,
    )
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
