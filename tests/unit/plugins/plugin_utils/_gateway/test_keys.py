# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Of a key only a handle and a digest leave; weak, shared and misplaced keys are refused unquoted."""

from __future__ import annotations

import base64
import datetime
import shutil
import subprocess
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.twinguard.hardening.plugins.module_utils._core.plan import ControlError
from ansible_collections.twinguard.hardening.plugins.plugin_utils._gateway.keys import (
    Credential,
    digest_of,
    parse_credential,
    refuse_bare_keys,
    refuse_shared_keys,
    strength,
)
from ansible_collections.twinguard.hardening.tests.unit.support.gateway import key_of

KEY = key_of("acme")
NOON = int(datetime.datetime(2027, 6, 30, 12, tzinfo=datetime.timezone.utc).timestamp())


def refusal(value: dict[str, Any]) -> str:
    with pytest.raises(ControlError) as caught:
        parse_credential("clients[0].keys[0]", value)
    return str(caught.value)


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed here")
@pytest.mark.parametrize("key", [KEY, "a.b_c~d+e/f=g-hIJKLMNOPQRSTUV", "x" * 256])
def test_the_digest_is_the_one_that_openssl_and_the_readme_make(key: str) -> None:
    argv = ["openssl", "dgst", "-md5", "-binary"]
    raw = subprocess.run(argv, input=key.encode(), stdout=subprocess.PIPE, check=True).stdout
    text = base64.b64encode(raw).decode()
    assert digest_of(key) == text.replace("+", "-").replace("/", "_").rstrip("=")


def test_a_key_becomes_its_last_six_characters_and_its_digest() -> None:
    made = parse_credential("k", {"key": KEY})
    assert made == Credential(KEY[-6:], digest_of(KEY), None)
    assert KEY not in repr(made)


def test_a_key_and_its_hash_mean_the_same() -> None:
    given_as_hash = parse_credential("k", {"key_hash": KEY[-6:] + ":" + digest_of(KEY)})
    assert given_as_hash == parse_credential("k", {"key": KEY})


def test_the_fingerprint_names_a_key_and_holds_nothing_of_it() -> None:
    made = parse_credential("k", {"key": KEY})
    assert len(made.fingerprint) == 8
    assert made.fingerprint not in KEY + made.digest
    assert made.fingerprint != parse_credential("k", {"key": key_of("other")}).fingerprint


@pytest.mark.parametrize(
    ("key", "bits"),
    [
        ("1" * 40, 132),
        ("f" * 32, 128),
        ("F" * 32, 128),
        ("z" * 25, 129),
        ("Zz" * 11, 130),
        ("-" * 22, 132),
    ],
)
def test_the_strength_of_a_key_depends_on_its_length_and_alphabet(key: str, bits: int) -> None:
    assert strength(key) == bits


@pytest.mark.parametrize(
    "key",
    [
        "",
        "0123456789" * 3 + "12345678",  # 38 digits hold 126 bits
        "0123456789abcdef" * 2 + "\n",
        "0123456789abcdef0123456789abcde",  # 31 hex digits hold 124 bits
        "Ab1Cd2Ef3Gh4Ij5Kl6Mn7",
        "Secret1" * 10,
        KEY * 5 + KEY[:42],  # 257 characters
        "schlüssel-" * 5,
        "Secret key with spaces in it 123456",
        'Secret";return 200;"' + KEY,
    ],
)
def test_a_weak_or_unusable_key_is_refused_without_being_quoted(key: str) -> None:
    sentence = refusal({"key": key})
    assert sentence.startswith("option 'clients[0].keys[0].key' = <secret>: ")
    assert "openssl rand" in sentence
    assert "Secret" not in sentence
    assert not key or key not in sentence
    assert KEY not in sentence
    assert "\n" not in sentence


def test_what_the_advice_makes_is_a_good_key() -> None:
    advice = refusal({"key": "short"}).partition("make one with: ")[2]
    made = subprocess.run(["sh", "-c", advice], stdout=subprocess.PIPE, check=True).stdout.decode()
    assert strength(made) > 200
    assert parse_credential("k", {"key": made}).digest == digest_of(made)


@pytest.mark.parametrize(
    "key_hash",
    [
        "",
        KEY,
        "abc:" + digest_of(KEY),
        "abcdef:" + digest_of(KEY) + "==",
        'abcde":' + digest_of(KEY),
    ],
)
def test_a_malformed_hash_is_refused_without_being_quoted(key_hash: str) -> None:
    sentence = refusal({"key_hash": key_hash})
    assert sentence.startswith("option 'clients[0].keys[0].key_hash' = <secret>: is not <last 6")
    assert digest_of(KEY) not in sentence
    assert KEY not in sentence


@pytest.mark.parametrize(
    "value", [{}, {"key": None}, {"key": KEY, "key_hash": "abcdef:" + digest_of(KEY)}]
)
def test_a_key_is_given_either_plain_or_hashed(value: dict[str, Any]) -> None:
    sentence = refusal(value)
    assert "give exactly one of the two" in sentence
    assert KEY not in sentence


@pytest.mark.parametrize(
    ("text", "expiry"),
    [
        ("2027-06-30T12:00:00Z", NOON),
        ("2027-06-30T12:00:00z", NOON),
        ("2027-06-30T14:00:00+02:00", NOON),
        ("2027-06-30 12:00:00+00:00", NOON),
        (" 2027-06-30T12:00:00Z ", NOON),
        ("2027-06-30", NOON + 12 * 3600 - 1),
        ("2100-01-01T00:00:00Z", 4102444800),
    ],
)
def test_an_expiry_is_a_moment_with_its_zone_or_a_whole_day(text: str, expiry: int) -> None:
    assert parse_credential("k", {"key": KEY, "not_after": text}).not_after == expiry


@pytest.mark.parametrize(
    "written", ["2027-06-30", "2027-06-30T12:00:00Z", "2027-06-30 14:00:00 +2"]
)
def test_an_expiry_that_yaml_has_turned_into_a_timestamp_means_the_same(written: str) -> None:
    converted = yaml.safe_load(written)
    assert not isinstance(converted, str)
    whole_day = isinstance(converted, datetime.date) and not isinstance(
        converted, datetime.datetime
    )
    made = parse_credential("k", {"key": KEY, "not_after": converted})
    assert made.not_after == NOON + (12 * 3600 - 1 if whole_day else 0)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("2027-06-30T12:00:00", "has no time zone"),
        ("2027-06-30 12:00", "has no time zone"),
        ("2027-02-30", "is not a date or a time"),
        ("next year", "is not a date or a time"),
        ("1814400000", "is not a date or a time"),
        ("", "is not a date or a time"),
        ("1969-12-31T23:59:59Z", "is before 1970"),
    ],
)
def test_an_expiry_that_could_be_misread_is_refused(text: str, problem: str) -> None:
    sentence = refusal({"key": KEY, "not_after": text})
    assert sentence.startswith("option 'clients[0].keys[0].not_after' = %r: %s" % (text, problem))
    assert "2027-06-30T12:00:00Z" in sentence
    assert KEY not in sentence


@given(st.text(max_size=30))
def test_no_text_at_all_breaks_the_reading_of_an_expiry(text: str) -> None:
    try:
        made = parse_credential("k", {"key": KEY, "not_after": text})
    except ControlError:
        return
    assert made.not_after is not None


def test_keys_that_differ_only_in_the_case_of_their_end_are_refused() -> None:
    entries = [("a", Credential("AbCdEf", "x", None)), ("b", Credential("aBcDeF", "y", None))]
    with pytest.raises(ControlError, match="ends in the same 6 characters for 'a' and 'b'"):
        refuse_shared_keys(entries)


def test_one_key_twice_is_refused_even_within_one_client() -> None:
    same = {"key": KEY}
    entries = [("a", parse_credential("k", same)), ("a", parse_credential("k", same))]
    with pytest.raises(ControlError, match="is the same key for 'a' and 'a'"):
        refuse_shared_keys(entries)


BARE: tuple[dict[str, Any], ...] = (
    {"clients": KEY},
    {"clients": {"acme": KEY}},
    {"clients": [KEY]},
    {"clients": [{"id": "acme", "tier": "t", "keys": KEY}]},
    {"clients": [{"id": "acme", "tier": "t", "keys": {"key": KEY}}]},
    {"clients": [{"id": "acme", "tier": "t", "keys": [KEY]}]},
    {"clients": [{"id": "acme", "tier": "t", "keys": [{"key": KEY}, KEY]}]},
    {"clients": [{"id": "acme", "tier": "t", "keys": ({"key": KEY}, [KEY])}]},
)


@pytest.mark.parametrize("args", BARE)
def test_a_key_in_the_wrong_place_is_refused_before_anything_could_quote_it(
    args: dict[str, Any],
) -> None:
    with pytest.raises(ControlError) as caught:
        refuse_bare_keys(args)
    assert "<secret>" in str(caught.value)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "args",
    [{}, {"clients": None}, {"clients": []}, {"clients": [{"id": "a", "keys": [{"key": KEY}]}]}],
)
def test_keys_in_the_right_place_are_left_to_the_real_check(args: dict[str, Any]) -> None:
    refuse_bare_keys(args)
