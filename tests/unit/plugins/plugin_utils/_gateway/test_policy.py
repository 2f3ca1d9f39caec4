# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A policy that cannot hold is refused in one sentence; a good one becomes typed values."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.twinguard.hardening.plugins.module_utils._core.plan import ControlError
from ansible_collections.twinguard.hardening.plugins.plugin_utils._gateway.policy import (
    check_path,
    parse_policy,
    parse_rate,
    parse_size,
)
from ansible_collections.twinguard.hardening.tests.unit.support.gateway import (
    GOOD,
    checked,
    key_of,
    policies,
    policy,
)


def refusal(**changes: Any) -> str:
    """The sentence with which a policy is refused; fails unless it is one line of the agreed shape."""
    options = checked(**changes)
    with pytest.raises(ControlError) as caught:
        parse_policy(options)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert key_of("acme") not in sentence
    assert caught.value.fix
    return sentence


def route(**changes: Any) -> list[dict[str, Any]]:
    return [dict(GOOD["routes"][0], **changes)]


def upstream(**changes: Any) -> list[dict[str, Any]]:
    return [dict(GOOD["upstreams"][0], **changes)]


def client(**changes: Any) -> dict[str, Any]:
    return dict(GOOD["clients"][0], **changes)


def tls(**changes: Any) -> dict[str, Any]:
    return dict(GOOD["tls"], **changes)


BAD: dict[str, tuple[dict[str, Any], str, str]] = {
    "a name with capitals": ({"name": "Gateway"}, "name' = 'Gateway'", "make it match"),
    "a name that is too long": ({"name": "g" * 17}, "name' = 'ggg", "make it match"),
    "no server name": ({"server_names": []}, "server_names' = []", "at least one"),
    "a bad server name": ({"server_names": ["a b"]}, "server_names[0]' = 'a b'", "models.example.com"),
    "a server name that injects": (
        {"server_names": ["a;include"]}, "server_names[0]' = 'a;include'", "models.example.com"),
    "a duplicate server name": (
        {"server_names": ["a.example", "A.example"]}, "server_names' = 'a.example'", "keep one"),
    "no socket": ({"listen": []}, "listen' = []", "at least one"),
    "a host name to listen on": (
        {"listen": [{"address": "localhost", "port": 1}]}, "listen[0].address' = 'localhost'", "0.0.0.0"),
    "a port out of range": (
        {"listen": [{"address": "0.0.0.0", "port": 65536}]}, "listen[0].port' = 65536", "1 to 65535"),
    "the marker's port": (
        {"listen": [{"address": "0.0.0.0", "port": 8179}]}, "listen[0].port' = 8179", "change one"),
    "a socket twice": (
        {"listen": [{"address": "[::1]", "port": 1}, {"address": "::1", "port": 1}]},
        "listen' = '[::1]:1'", "keep one"),
    "a marker port out of range": ({"marker_port": 0}, "marker_port' = 0", "1 to 65535"),
    "TLS and plaintext": ({"plaintext": True}, "plaintext' = True", "one of the two"),
    "neither TLS nor plaintext": ({"tls": None}, "tls' = None", "plaintext: true"),
    "a relative certificate": (
        {"tls": tls(certificate="x.pem")}, "tls.certificate' = 'x.pem'", "begin it with /"),
    "a missing certificate": ({"tls": tls(certificate="")}, "tls.certificate' = ''", "begin it with /"),
    "a key path that climbs": (
        {"tls": tls(key="/etc/../x")}, "tls.key' = '/etc/../x'", "absolute path without them"),
    "a path that injects": ({"tls": tls(key="/x;y")}, "tls.key' = '/x;y'", "absolute path without them"),
    "a negative HSTS age": ({"tls": tls(hsts_max_age=-1)}, "tls.hsts_max_age' = -1", "from 0"),
    "verification without authority": (
        {"tls": tls(client_verify="required")}, "tls.client_verify' = 'required'", "tls.client_ca"),
    "no upstream server": (
        {"upstreams": upstream(servers=[])}, "upstreams[0].servers' = ", "at least one"),
    "an upstream without port": (
        {"upstreams": upstream(servers=["model"])}, "upstreams[0].servers[0]' = 'model'", "host:port"),
    "an upstream port out of range": (
        {"upstreams": upstream(servers=["m:70000"])}, "upstreams[0].servers[0]' = 'm:70000'", "host:port"),
    "a bad IPv6 upstream": (
        {"upstreams": upstream(servers=["[::x]:1"])}, "upstreams[0].servers[0]' = '[::x]:1'", "host:port"),
    "an upstream that injects": (
        {"upstreams": upstream(servers=["a;b:1"])}, "upstreams[0].servers[0]' = 'a;b:1'", "host:port"),
    "a relative upstream socket": (
        {"upstreams": upstream(servers=["unix:x"])}, "upstreams[0].servers[0]' = 'x'", "begin it"),
    "a bad upstream name": (
        {"upstreams": upstream(name="no-dash")}, "upstreams[0].name' = 'no-dash'", "make it match"),
    "an upstream twice": ({"upstreams": upstream() + upstream()}, "upstreams' = 'model'", "keep one"),
    "a bad name of the upstream's certificate": (
        {"upstreams": upstream(tls={"ca": "/ca.pem", "server_name": "a b"})},
        "upstreams[0].tls.server_name' = 'a b'", "certificate"),
    "no route": ({"routes": []}, "routes' = []", "at least one"),
    "a relative route": ({"routes": route(path="v1")}, "routes[0].path' = 'v1'", "begin it with /"),
    "a route that climbs": ({"routes": route(path="/a/../b")}, "routes[0].path' = '/a/../b'", "begin it"),
    "a route that injects": ({"routes": route(path="/a{")}, "routes[0].path' = '/a{'", "begin it"),
    "a route twice": ({"routes": route() + route()}, "routes' = '^ /v1/'", "keep one"),
    "an unknown upstream": (
        {"routes": route(upstream="gone")}, "routes[0].upstream' = 'gone'", "use one of: model"),
    "a bad size": ({"routes": route(body_max="10 MB")}, "routes[0].body_max' = '10 MB'", "such as 10m"),
    "a timeout of nothing": (
        {"routes": route(read_timeout=0)}, "routes[0].read_timeout' = 0", "1 to 86400"),
    "a bad rate": (
        {"tiers": {"standard": {"rate": "10/s"}}}, "tiers.standard.rate' = '10/s'", "10r/s or 30r/m"),
    "a tier without rate": (
        {"tiers": {"standard": {}}}, "tiers.standard.rate' = None", "give a rate"),
    "burst without rate": (
        {"tiers": {"standard": {"burst": 5}}}, "tiers.standard.burst' = 5", "add rate"),
    "a negative burst": (
        {"tiers": {"standard": {"rate": "1r/s", "burst": -1}}}, "tiers.standard.burst' = -1", "from 0"),
    "connections of nothing": (
        {"tiers": {"standard": {"rate": "1r/s", "connections": 0}}},
        "tiers.standard.connections' = 0", "from 1"),
    "a bad tier name": (
        {"tiers": {"Standard": {"rate": "1r/s"}}}, "tiers' = 'Standard'", "make it match"),
    "a burst by address without rate": (
        {"limits": {"address": {"burst": 5}}}, "limits.address.burst' = 5", "add rate"),
    "no limit for guesses": (
        {"limits": {"rejected": {}}}, "limits.rejected.rate' = None", "give a rate"),
    "an unknown tier": (
        {"clients": [client(tier="gold")]}, "clients[0].tier' = 'gold'", "use one of: standard"),
    "a word of nginx as client": (
        {"clients": [client(id="default")]}, "clients[0].id' = 'default'", "another id"),
    "a client that injects": (
        {"clients": [client(id='a"')]}, "clients[0].id' = 'a\"'", "make it match"),
    "a client twice": (
        {"clients": [client(), client(keys=[{"key": key_of("b")}])]}, "clients' = 'acme'", "keep one"),
    "a client without keys": ({"clients": [client(keys=[])]}, "clients[0].keys' = ", "at least one"),
    "two clients with one key": (
        {"clients": [client(), client(id="b")]}, "clients' = <secret>", "issue a new key"),
    "two keys that nginx cannot tell apart": (
        {"clients": [client(keys=[{"key": key_of("x") + "AbCdEf"}, {"key": key_of("y") + "aBcDeF"}])]},
        "clients' = <secret>", "issue a new key"),
    "a weak key": (
        {"clients": [client(keys=[{"key": "Ab1Cd2Ef3Gh4Ij5Kl6Mn7"}])]},
        "clients[0].keys[0].key' = <secret>", "openssl rand"),
    "not a network": (
        {"trusted_proxies": ["10.0.0.1/8"]}, "trusted_proxies[0]' = '10.0.0.1/8'", "192.0.2.0/24"),
    "everybody as a trusted proxy": (
        {"trusted_proxies": ["0.0.0.0/0"]}, "trusted_proxies[0]' = '0.0.0.0/0'", "only the networks"),
    "every IPv6 address as a trusted proxy": (
        {"trusted_proxies": ["10.0.0.0/8", "::/0"]}, "trusted_proxies[1]' = '::/0'", "only the networks"),
    "a relative log": ({"access_log": {"path": "a.log"}}, "access_log.path' = 'a.log'", "begin it with /"),
    "logs for ever": ({"access_log": {"keep_days": 0}}, "access_log.keep_days' = 0", "1 to 3650"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_bad_option_is_refused_in_one_sentence_that_names_it_its_value_and_the_fix(
    case: str,
) -> None:
    changes, option_and_value, fix = BAD[case]
    sentence = refusal(**changes)
    assert sentence.startswith("option '" + option_and_value), sentence
    assert fix in sentence


@pytest.mark.parametrize("word", ["default", "include", "hostnames", "volatile"])
def test_every_word_that_nginx_reads_in_a_map_is_refused_as_client(word: str) -> None:
    assert "a keyword of nginx's map" in refusal(clients=[client(id=word)])


def test_the_good_policy_becomes_typed_values_with_the_defaults() -> None:
    made = policy()
    assert (made.name, made.server_names, made.marker_port) == (
        "gateway",
        ("models.example.com",),
        8179,
    )
    assert [one.text for one in made.listen] == ["0.0.0.0:443"]
    assert made.tls is not None
    assert (made.tls.profile, made.tls.client_ca) == ("intermediate", None)
    first, second = made.routes
    assert (first.path, first.exact, first.api_key, first.body_max) == (
        "/v1/",
        False,
        True,
        10 * 1024**2,
    )
    assert (second.exact, second.api_key) == (True, False)
    assert made.address_limit.rate is not None
    assert made.address_limit.rate.text == "50r/s"
    assert made.rejected_limit.rate is not None
    assert (made.rejected_limit.rate.text, made.rejected_limit.burst) == ("30r/m", 10)


def test_plaintext_needs_no_certificate() -> None:
    assert policy(plaintext=True, tls=None).tls is None


def test_mutual_tls_is_required_unless_it_is_said_to_be_optional() -> None:
    made = policy(tls=tls(client_ca="/ca.pem")).tls
    assert made is not None
    assert made.client_verify == "required"
    made = policy(tls=tls(client_ca="/ca.pem", client_verify="optional")).tls
    assert made is not None
    assert made.client_verify == "optional"


@pytest.mark.parametrize(
    ("given_as", "is_read_as"),
    [
        ("Model.Internal:80", "model.internal:80"),
        ("192.0.2.1:8000", "192.0.2.1:8000"),
        ("[2001:DB8:0::1]:80", "[2001:db8::1]:80"),
        ("unix:/run/model.sock", "unix:/run/model.sock"),
    ],
)
def test_an_upstream_may_be_a_name_an_address_or_a_socket(given_as: str, is_read_as: str) -> None:
    assert policy(upstreams=upstream(servers=[given_as])).upstreams[0].servers == (is_read_as,)


def test_ipv6_sockets_carry_their_brackets_once() -> None:
    listen = [{"address": "[::]", "port": 443}, {"address": "2001:db8::1", "port": 443}]
    assert [one.text for one in policy(listen=listen).listen] == ["[::]:443", "[2001:db8::1]:443"]


def test_a_route_may_be_a_prefix_and_an_exact_path_at_once() -> None:
    both = route(path="/v1") + route(path="/v1", match="exact")
    assert [one.exact for one in policy(routes=both).routes] == [False, True]


def test_the_order_in_which_clients_and_methods_are_written_does_not_matter() -> None:
    two = [client(), client(id="beta", keys=[{"key": key_of("beta")}])]
    forward = policy(clients=two, routes=route(methods=["POST", "GET"]))
    backward = policy(clients=two[::-1], routes=route(methods=["GET", "POST"]))
    assert forward == backward


@pytest.mark.parametrize(
    ("text", "means", "retry_after"),
    [
        ("10r/s", "10r/s", 1),
        ("10 r/s", "10r/s", 1),
        ("30r/m", "30r/m", 2),
        ("7r/m", "7r/m", 9),
        ("1r/m", "1r/m", 60),
        ("120r/m", "120r/m", 1),
        ("0.5r/s", "30r/m", 2),
        ("2.0r/s", "2r/s", 1),
    ],
)
def test_a_rate_is_written_in_whole_numbers_and_says_when_the_next_request_fits(
    text: str, means: str, retry_after: int
) -> None:
    rate = parse_rate("rate", text)
    assert (rate.text, rate.retry_after) == (means, retry_after)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "10",
        "0r/s",
        "0.0r/s",
        "-1r/s",
        "10r/h",
        "0.01r/s",
        "0.5r/m",
        "1e3r/s",
        "10r/s;",
        "1000001r/s",
        "٣r/s",
    ],
)
def test_what_nginx_could_not_hold_to_is_no_rate(text: str) -> None:
    with pytest.raises(ControlError, match="option 'rate' = "):
        parse_rate("rate", text)


@given(st.integers(1, 200_000))
def test_a_fraction_that_minutes_can_express_is_exact(twentieths: int) -> None:
    text = "%d.%02dr/s" % divmod(twentieths * 5, 100)
    rate = parse_rate("rate", text)
    assert rate.requests * (60 if rate.unit == "s" else 1) == twentieths * 3


@pytest.mark.parametrize(
    ("text", "size"), [("0", 0), ("1", 1), ("512k", 524288), ("10M", 10485760), ("1g", 1073741824)]
)
def test_a_size_is_read_in_powers_of_1024(text: str, size: int) -> None:
    assert parse_size("body_max", text) == size


@given(st.text(max_size=40))
def test_a_path_is_accepted_only_without_anything_that_nginx_could_read_as_syntax(
    text: str,
) -> None:
    try:
        accepted = check_path("p", text)
    except ControlError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert accepted == text
        assert text.startswith("/")
        assert not set(text) & set(" \t\r\n\0;{}\"'$#\\")
        assert ".." not in text.split("/")


@given(policies())
def test_every_policy_within_the_rules_is_accepted(options: dict[str, Any]) -> None:
    assert parse_policy(options).name == options["name"]
