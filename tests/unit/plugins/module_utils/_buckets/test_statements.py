# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our statements come into a policy and go out of it, and those of others do not notice."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.twinguard.hardening.plugins.module_utils._buckets import (
    statements as policies,
)

BUCKET = "models"
FOREIGN: dict[str, Any] = {
    "Version": "2012-10-17",
    "Id": "theirs",
    "Statement": [
        {
            "Sid": "Read",
            "Effect": "Allow",
            "Principal": {"AWS": "arn:aws:iam::111122223333:root"},
            "Action": "s3:GetObject",
            "Resource": "arn:aws:s3:::models/*",
        }
    ],
}
SIDS = st.sampled_from(["Read", "Write", "", policies.DENY_INSECURE, policies.DENY_OLD_TLS, None])
STATEMENTS = st.builds(
    lambda sid, action: {
        **({} if sid is None else {"Sid": sid}),
        "Effect": "Allow",
        "Principal": {"AWS": "111122223333"},
        "Action": action,
        "Resource": "arn:aws:s3:::models/*",
    },
    SIDS,
    st.sampled_from(["s3:GetObject", ["s3:GetObject"], ["s3:PutObject", "s3:GetObject"]]),
)
DOCUMENTS = st.one_of(
    st.none(),
    st.builds(
        lambda statements: {"Version": "2008-10-17", "Statement": statements},
        st.one_of(STATEMENTS, st.lists(STATEMENTS, min_size=1, max_size=4)),
    ),
)
OWN = st.builds(
    lambda insecure, minimum: policies.own_statements(BUCKET, "aws", insecure, minimum),
    st.sampled_from([None, True, False]),
    st.sampled_from([None, "1.2", "1.3", "none"]),
)


def own(insecure: bool | None = True, minimum: str | None = "1.2") -> dict[str, Any]:
    return policies.own_statements(BUCKET, "aws", insecure, minimum)


def test_a_bucket_without_a_policy_gets_ours() -> None:
    made = policies.merge(None, own())
    assert made is not None
    assert made["Version"] == "2012-10-17"
    assert [one["Sid"] for one in made["Statement"]] == list(policies.SIDS)
    assert policies.transport(made, BUCKET) == (True, "1.2")


def test_foreign_statements_id_and_version_stay_as_they_are() -> None:
    made = policies.merge(FOREIGN, own())
    assert made is not None
    assert made["Statement"][0] == FOREIGN["Statement"][0]
    assert (made["Id"], made["Version"]) == ("theirs", "2012-10-17")
    assert policies.merge(made, own(insecure=False, minimum="none")) == FOREIGN


def test_a_statement_of_ours_that_was_weakened_is_put_right_in_its_place() -> None:
    made = policies.merge(FOREIGN, own())
    assert made is not None
    weak = json.loads(json.dumps(made).replace('"false"', '"true"'))
    assert policies.transport(weak, BUCKET)[0] is False
    assert policies.merge(weak, own()) == made


def test_what_is_not_managed_is_left_even_when_it_is_ours() -> None:
    made = policies.merge(FOREIGN, own(minimum="1.3"))
    assert policies.merge(made, own(insecure=True, minimum=None)) == made


def test_the_last_of_our_statements_takes_the_policy_with_it() -> None:
    assert policies.merge(policies.merge(None, own()), own(False, "none")) is None


def test_a_store_that_gives_lists_of_one_back_as_the_thing_itself_causes_no_change() -> None:
    made = policies.merge(None, own(minimum=None))
    assert made is not None
    statement = dict(made["Statement"][0], Action=["s3:*"], Principal={"AWS": "*"})
    statement["Condition"] = {"Bool": {"aws:SecureTransport": [False]}}
    statement["Resource"] = list(reversed(statement["Resource"]))
    single = {**made, "Statement": statement}
    assert policies.merge(single, own(minimum=None)) == single


@given(DOCUMENTS, OWN)
def test_merging_twice_is_merging_once_and_foreign_statements_survive(
    document: dict[str, Any] | None, ours: dict[str, Any]
) -> None:
    once = policies.merge(document, ours)
    assert policies.merge(once, ours) == once

    def foreign(policy: dict[str, Any] | None) -> list[Any]:
        return [one for one in policies.statements(policy) if str(one.get("Sid")) not in ours]

    assert foreign(once) == foreign(document)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("not json", "not JSON"),
        ("[]", "not a JSON object"),
        ('{"Statement": ["x"]}', "a statement that is not"),
        ('{"Statement": [], "Statement": []}', "has the same key twice"),
    ],
)
def test_a_policy_that_cannot_be_read_is_refused_and_never_overwritten(
    text: str, problem: str
) -> None:
    with pytest.raises(policies.PolicyError, match=problem):
        policies.parse(text)


def test_a_policy_that_grows_too_long_is_refused() -> None:
    long = dict(FOREIGN, Id="x" * policies.MAX_BYTES)
    with pytest.raises(policies.PolicyError, match="20480 are allowed"):
        policies.dump(long)


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        ({}, True),
        ({"Effect": "Allow"}, False),
        ({"Principal": {"AWS": "111122223333"}}, False),
        ({"Action": "s3:GetObject"}, False),
        ({"Resource": "arn:aws:s3:::models/*"}, False),
        ({"Resource": ["arn:aws:s3:::other", "arn:aws:s3:::other/*"]}, False),
        ({"Condition": {"Bool": {"aws:SecureTransport": "true"}}}, False),
        (
            {
                "Condition": {
                    "Bool": {"aws:SecureTransport": "false"},
                    "IpAddress": {"aws:SourceIp": "192.0.2.0/24"},
                }
            },
            False,
        ),
        ({"Sid": "TheirOwnDeny", "Action": "*", "Resource": "*"}, True),
    ],
)
def test_only_a_statement_that_denies_everyone_everything_counts_as_tls_only(
    change: dict[str, Any], counts: bool
) -> None:
    statement = own(minimum=None)[policies.DENY_INSECURE]
    assert policies.transport({"Statement": [{**statement, **change}]}, BUCKET)[0] is counts


def test_statements_that_let_everyone_in_are_named() -> None:
    document = {
        "Statement": [
            {"Sid": "A", "Effect": "Allow", "Principal": "*"},
            {"Effect": "Allow", "Principal": {"AWS": ["111122223333", "*"]}},
            {"Sid": "C", "Effect": "Allow", "NotPrincipal": {"AWS": "1"}},
            {"Sid": "D", "Effect": "Allow", "Principal": "*", "Condition": {"x": {}}},
            {"Sid": "E", "Effect": "Deny", "Principal": "*"},
            {"Sid": "F", "Effect": "Allow", "Principal": {"Service": "x"}},
        ]
    }
    assert policies.open_statements(document) == ["A", "number 2", "C", "D"]
    assert policies.open_statements(document, unconditional=True) == ["A", "number 2", "C"]
