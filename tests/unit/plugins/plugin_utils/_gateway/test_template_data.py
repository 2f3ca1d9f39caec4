# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rendered configuration holds what the policy says, in every syntax, and never a key."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.twinguard.hardening.plugins.module_utils._nginx.syntax import (
    Directive,
    directives,
)
from ansible_collections.twinguard.hardening.plugins.plugin_utils._gateway.keys import digest_of
from ansible_collections.twinguard.hardening.plugins.plugin_utils._gateway.policy import (
    parse_policy,
)
from ansible_collections.twinguard.hardening.plugins.plugin_utils._gateway.render_io import Renderer
from ansible_collections.twinguard.hardening.plugins.plugin_utils._gateway.template_data import (
    FILES,
    LOGROTATE,
    SYNTAXES,
    Syntax,
    error_log_path,
    template_data,
    zone_name,
)
from ansible_collections.twinguard.hardening.tests.unit.support.gateway import (
    GOOD,
    TEMPLATES,
    checked,
    key_of,
    policies,
)

OLD, DEBIAN_12, DEBIAN_13 = SYNTAXES
RENDERER = Renderer(TEMPLATES)


def rendered(options: dict[str, Any], syntax: Syntax = DEBIAN_13) -> dict[str, str]:
    """Every file of a gateway by name, the one for logrotate too."""
    data = template_data(parse_policy(options), syntax)
    return {
        name: RENDERER.render(name, data) for name in [name for name, _s in FILES] + [LOGROTATE]
    }


def read(text: str) -> list[Directive]:
    assert text.endswith("\n")
    return list(directives(text))


def block(found: list[Directive], name: str, *args: str) -> list[Directive]:
    """What stands directly inside the one block with this name and these first arguments."""
    starts = [
        i for i, one in enumerate(found) if one.name == name and one.args[: len(args)] == args
    ]
    assert len(starts) == 1, (name, args, len(starts))
    (start,) = starts
    inside = []
    for one in found[start + 1 :]:
        if one.depth <= found[start].depth:
            break
        if one.depth == found[start].depth + 1:
            inside.append(one)
    return inside


def values(found: list[Directive], name: str) -> list[str]:
    return [" ".join(one.args) for one in found if one.name == name]


def server(**changes: Any) -> list[Directive]:
    return read(rendered(checked(**changes))["server.conf"])


@given(policies(), st.sampled_from(SYNTAXES))
@settings(max_examples=50)
def test_no_rendered_file_holds_a_key_whatever_the_policy(
    options: dict[str, Any], syntax: Syntax
) -> None:
    files = rendered(options, syntax)
    for client in options["clients"]:
        for entry in client["keys"]:
            key = entry["key"]
            assert not [name for name, text in files.items() if key in text or key[:-6] in text]
            assert digest_of(key) in files["clients.conf"]
            assert not [
                n for n, text in files.items() if n != "clients.conf" and digest_of(key) in text
            ]


@given(policies(), st.sampled_from(SYNTAXES))
@settings(max_examples=50)
def test_every_policy_becomes_balanced_configuration_and_the_same_bytes_each_time(
    options: dict[str, Any], syntax: Syntax
) -> None:
    files = rendered(options, syntax)
    assert files == rendered(options, syntax)
    for name, text in files.items():
        assert "{{" not in text
        assert "None" not in text
        assert not re.search(r"[ \t]$", text, re.MULTILINE), name
        found = read(text)
        if name != LOGROTATE:
            # A file that closes more or fewer blocks than it opens leaves this one at another depth.
            assert list(directives(text + "end;"))[-1].depth == 0
            assert {one.name for one in found if one.depth == 0} <= {
                "map", "limit_req_zone", "limit_conn_zone", "log_format", "upstream", "server",
            }  # fmt: skip


@given(policies())
@settings(max_examples=50)
def test_what_is_used_is_defined(options: dict[str, Any]) -> None:
    files = rendered(options)
    text = "".join(files[name] for name, _secret in FILES)
    found = read(text)
    zones = set(re.findall(r"zone=(\w+):", text))
    used = re.findall(r"limit_req zone=(\w+)", text) + re.findall(r"limit_conn (\w+) \d", text)
    assert set(used) <= zones
    made = {one.args[1] for one in found if one.name == "map"}
    made |= {"$" + name for name in re.findall(r"\(\?<(\w+)>", text)}
    own = set(re.findall(r"\$tg_\w+", text))
    assert own <= made, own - made
    upstreams = set(values(found, "upstream"))
    assert {one.partition("://")[2] for one in values(found, "proxy_pass")} <= upstreams
    assert {one.split()[-1] for one in values(found, "error_page")} <= set(
        values(found, "location")
    )


def test_a_closed_route_is_limited_before_its_key_is_asked_and_hands_no_key_on() -> None:
    inside = block(server(), "location", "/v1/")
    limits = values(inside, "limit_req")
    assert [re.sub(r"_[0-9a-f]{8}", "", one) for one in limits] == [
        "zone=tg_gateway_rejected burst=10 nodelay",
        "zone=tg_gateway_address burst=100 nodelay",
        "zone=tg_gateway_tier_standard burst=20 nodelay",
    ]
    assert [re.sub(r"_[0-9a-f]{8}", "", one) for one in values(inside, "limit_conn")] == [
        "tg_gateway_address_conn 50",
        "tg_gateway_tier_standard_conn 10",
    ]
    # An `if` or `return` here would run before the limits, so a flood of bad keys would not be limited.
    assert not values(inside, "return")
    assert values(inside, "auth_request") == ["/_twinguard/authorized"]
    headers = dict(one.split(" ", 1) for one in values(inside, "proxy_set_header"))
    assert (headers["X-API-Key"], headers["Authorization"]) == ("", "")
    assert headers["X-Client-Id"] == "$tg_gateway_client"


def test_an_open_route_asks_no_key_and_claims_no_client() -> None:
    inside = block(server(), "location", "=", "/healthz")
    assert not values(inside, "auth_request")
    assert ["address" in one for one in values(inside, "limit_req")] == [True]
    headers = dict(one.split(" ", 1) for one in values(inside, "proxy_set_header"))
    assert (headers["X-API-Key"], headers["Authorization"], headers["X-Client-Id"]) == ("", "", "")


def test_the_question_for_the_key_cannot_be_asked_from_outside() -> None:
    assert "internal" in [
        one.name for one in block(server(), "location", "=", "/_twinguard/authorized")
    ]


def test_an_unknown_path_is_not_found_unless_the_policy_opens_everything() -> None:
    assert values(block(server(), "location", "/"), "return") == ["404"]
    everything = server(routes=[{"path": "/", "upstream": "model"}])
    assert values(block(everything, "location", "/"), "auth_request") == ["/_twinguard/authorized"]
    exact = server(routes=[{"path": "/", "upstream": "model", "match": "exact"}])
    assert values(block(exact, "location", "/"), "return") == ["404"]
    assert values(block(exact, "location", "=", "/"), "auth_request") == ["/_twinguard/authorized"]


def test_methods_that_are_not_named_are_refused() -> None:
    text = rendered(
        checked(routes=[{"path": "/", "upstream": "model", "methods": ["POST", "GET"]}])
    )["server.conf"]
    assert 'if ($request_method !~ "^(GET|POST)$") {' in text
    assert "$request_method" not in rendered(checked())["server.conf"]


def test_a_streaming_route_is_not_buffered_and_lets_websockets_through() -> None:
    inside = block(
        server(routes=[{"path": "/s", "upstream": "model", "streaming": True}]), "location", "/s"
    )
    assert values(inside, "proxy_buffering") == ["off"]
    headers = dict(one.split(" ", 1) for one in values(inside, "proxy_set_header"))
    assert (headers["Upgrade"], headers["Connection"]) == (
        "$tg_gateway_upgrade",
        "$tg_gateway_connection",
    )
    plain = dict(
        one.split(" ", 1) for one in values(block(server(), "location", "/v1/"), "proxy_set_header")
    )
    assert (plain["Upgrade"], plain["Connection"]) == ("", "")
    assert not values(block(server(), "location", "/v1/"), "proxy_buffering")


def test_an_upstream_with_authorities_is_spoken_to_in_tls_and_verified() -> None:
    found = server(
        upstreams=[dict(GOOD["upstreams"][0], tls={"ca": "/ca.pem", "server_name": "m.example"})]
    )
    inside = block(found, "location", "/v1/")
    assert values(inside, "proxy_pass") == ["https://tg_gateway_model"]
    assert values(inside, "proxy_ssl_verify") == ["on"]
    assert values(inside, "proxy_ssl_trusted_certificate") == ["/ca.pem"]
    assert values(inside, "proxy_ssl_name") == ["m.example"]


@pytest.mark.parametrize(
    ("profile", "protocols"), [("modern", "TLSv1.3"), ("intermediate", "TLSv1.2 TLSv1.3")]
)
def test_a_profile_decides_the_protocols_and_ciphers(profile: str, protocols: str) -> None:
    found = server(tls=dict(GOOD["tls"], profile=profile))
    # The default server too: the first server of a socket decides the protocol for all of them.
    assert values(found, "ssl_protocols") == [protocols, protocols]
    ciphers = ":".join(values(found, "ssl_ciphers")).split(":") if profile == "intermediate" else []
    assert all(one.startswith("ECDHE-") and ("GCM" in one or "CHACHA20" in one) for one in ciphers)
    assert bool(ciphers) is (profile == "intermediate")


def test_hsts_is_sent_with_every_answer_or_not_at_all() -> None:
    hsts = "Strict-Transport-Security max-age=63072000 always"
    answers = len(values(server(), "error_page")) + 1
    assert values(server(), "add_header").count(hsts) == answers
    assert "Strict" not in rendered(checked(tls=dict(GOOD["tls"], hsts_max_age=0)))["server.conf"]
    assert "Strict" not in rendered(checked(tls=None, plaintext=True))["server.conf"]


@pytest.mark.parametrize(
    ("verify", "wanted"),
    [
        ({}, "on"),
        ({"client_verify": "required"}, "on"),
        ({"client_verify": "optional"}, "optional"),
    ],
)
def test_client_certificates_are_verified_as_the_policy_says(
    verify: dict[str, str], wanted: str
) -> None:
    found = server(tls=dict(GOOD["tls"], client_ca="/ca.pem", **verify))
    assert values(found, "ssl_verify_client") == [wanted]
    assert values(found, "ssl_client_certificate") == ["/ca.pem"]
    assert not values(server(), "ssl_verify_client")


def test_plaintext_has_nothing_of_tls() -> None:
    text = rendered(checked(plaintext=True, tls=None))["server.conf"]
    assert "ssl_" not in text
    assert "http2" not in text
    assert "listen 0.0.0.0:443 default_server;" in text


def test_each_range_of_versions_gets_the_syntax_it_knows() -> None:
    old, twelve, thirteen = (rendered(checked(), syntax)["server.conf"] for syntax in SYNTAXES)
    for text in (old, twelve):
        assert values(read(text), "listen") == [
            "0.0.0.0:443 ssl http2 default_server",
            "0.0.0.0:443 ssl http2",
        ]
        assert not values(read(text), "http2")
    assert values(read(thirteen), "listen") == ["0.0.0.0:443 ssl default_server", "0.0.0.0:443 ssl"]
    assert values(read(thirteen), "http2") == ["on", "on"]
    assert [
        len(values(read(text), "ssl_reject_handshake")) for text in (old, twelve, thirteen)
    ] == [0, 1, 1]
    assert [len(values(read(text), "ssl_certificate")) for text in (old, twelve, thirteen)] == [
        2,
        1,
        1,
    ]


def test_the_ranges_of_versions_leave_no_gap_and_do_not_overlap() -> None:
    assert SYNTAXES[0].since is None
    assert SYNTAXES[-1].before is None
    assert [one.before for one in SYNTAXES[:-1]] == [one.since for one in SYNTAXES[1:]]


def test_every_error_is_json_and_a_limit_says_when_to_come_back() -> None:
    found = server()
    kinds = {}
    for one in found:
        if one.name == "location" and one.args[0].startswith("@"):
            inside = block(found, "location", *one.args)
            status, body = next(i.args for i in inside if i.name == "return")
            kinds[status] = json.loads(body.replace("\\n", ""))["error"]
            assert values(inside, "default_type") == ["application/json"]
            assert (
                "Retry-After $tg_gateway_retry_after always" in values(inside, "add_header")
            ) is (status == "429")
    assert kinds["401"] == "unauthorized"
    assert kinds["429"] == "rate_limited"
    assert set(kinds) >= {"400", "404", "405", "413", "502", "503", "504"}
    paged = [code for one in values(found, "error_page") for code in one.split()[:-1]]
    assert len(paged) == len(set(paged))


def test_retry_after_follows_the_tier_and_the_slowest_limit_for_others() -> None:
    options = checked(tiers={"standard": {"rate": "7r/m"}}, limits={"address": {"rate": "6r/m"}})
    inside = block(
        read(rendered(options)["limits.conf"]),
        "map",
        "$tg_gateway_client",
        "$tg_gateway_retry_after",
    )
    assert [(one.name, one.args) for one in inside] == [("acme", ("9",)), ("default", ("10",))]


def test_the_access_log_is_one_json_object_without_header_or_query() -> None:
    (log_format,) = [
        one for one in read(rendered(checked())["limits.conf"]) if one.name == "log_format"
    ]
    assert log_format.args[:2] == ("tg_gateway", "escape=json")
    line = "".join(log_format.args[2:])
    entry = json.loads(re.sub(r"\$\w+", "1", line))
    assert set(entry) >= {
        "time", "client", "address", "method", "path", "status", "limit", "bytes_in", "bytes_out", "duration",
        "upstream", "upstream_status", "upstream_duration", "tls", "request_id",
    }  # fmt: skip
    unsafe = {
        "$request",
        "$request_uri",
        "$uri",
        "$args",
        "$query_string",
        "$http_x_api_key",
        "$http_authorization",
    }
    assert not unsafe & set(re.findall(r"\$\w+", line))


def test_an_expiry_stands_beside_the_digest_and_a_handle_is_no_regular_expression() -> None:
    key = "A" + key_of("x")[:30] + "~tilde"
    clients = [
        {
            "id": "acme",
            "tier": "standard",
            "keys": [{"key": key, "not_after": "2027-06-30T12:00:00Z"}],
        }
    ]
    found = read(rendered(checked(clients=clients))["clients.conf"])
    expected = block(found, "map", "$tg_gateway_handle", "$tg_gateway_expected")
    assert (expected[0].name, expected[0].args) == ("\\~tilde", (digest_of(key) + ",1814356800",))
    claimed = block(found, "map", "$tg_gateway_handle", "$tg_gateway_claimed")
    assert (claimed[0].name, claimed[0].args) == ("\\~tilde", ("acme",))


def test_a_dry_run_counts_and_refuses_nothing() -> None:
    for dry, word in ((True, "on"), (False, "off")):
        for name in ("limit_req_dry_run", "limit_conn_dry_run"):
            assert values(server(dry_run=dry), name) == [word]


def test_only_named_proxies_are_believed() -> None:
    assert "real_ip" not in rendered(checked())["server.conf"]
    found = server(trusted_proxies=["192.0.2.0/24", "2001:db8::/32"])
    assert values(found, "set_real_ip_from") == ["192.0.2.0/24", "2001:db8::/32"]
    assert values(found, "real_ip_header") == ["X-Forwarded-For"]


@given(st.text(max_size=20), st.text(max_size=20))
def test_a_zone_with_another_key_has_another_name(one: str, other: str) -> None:
    names = zone_name("tg_gateway", "address", one), zone_name("tg_gateway", "address", other)
    assert (names[0] == names[1]) is (one == other)
    assert re.fullmatch(r"tg_gateway_address_[0-9a-f]{8}", names[0])


def test_two_gateways_on_one_host_share_no_name() -> None:
    def names(options: dict[str, Any]) -> set[str]:
        text = "".join(rendered(options)[name] for name, _secret in FILES)
        found = read(text)
        made = {one.args[1] for one in found if one.name == "map"} | {
            one.args[0] for one in found if one.name == "upstream"
        }
        return (
            made | set(re.findall(r"zone=(\w+):", text)) | set(re.findall(r"shared:(\w+):", text))
        )

    assert not names(checked(name="one")) & names(checked(name="two"))


@pytest.mark.parametrize(
    ("access", "error"),
    [
        ("/var/log/x/gateway.access.log", "/var/log/x/gateway.error.log"),
        ("/var/log/x/gateway.log", "/var/log/x/gateway.error.log"),
        ("/var/log/x/requests", "/var/log/x/requests.error.log"),
    ],
)
def test_the_error_log_stands_beside_the_access_log(access: str, error: str) -> None:
    assert error_log_path(access) == error
    text = rendered(checked(access_log={"path": access, "keep_days": 3}))[LOGROTATE]
    assert access + " " + error + " {" in text
    assert "rotate 3" in text
