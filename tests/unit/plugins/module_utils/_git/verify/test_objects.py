# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be read in two ways is refused, and no bytes break the reader."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.twinguard.hardening.plugins.module_utils._git.verify.objects import (
    LARGEST,
    NotAnObject,
    Signed,
    object_id,
    parse_commit,
    parse_tag,
    shown,
)

TREE = b"tree " + b"1" * 40
PARENT = b"parent " + b"2" * 40
AUTHOR = b"author A <a@example.com> 1700000000 +0100"
COMMITTER = b"committer C <c@example.com> 1700000001 -0000"
SIGNATURE = b"gpgsig -----BEGIN SSH SIGNATURE-----\n AAAA\n -----END SSH SIGNATURE-----"


def text(*headers: bytes, body: bytes = b"Hello\n") -> bytes:
    return b"\n".join(headers) + b"\n\n" + body


def commit(content: bytes) -> Signed:
    return parse_commit(object_id("commit", content, 40), content)


def test_a_commit_is_read_and_its_payload_is_all_but_the_signature() -> None:
    extra = b"encoding ISO-8859-1"
    found = commit(text(TREE, PARENT, PARENT, AUTHOR, COMMITTER, extra, SIGNATURE))
    assert found.payload == text(TREE, PARENT, PARENT, AUTHOR, COMMITTER, extra)
    assert found.signature == SIGNATURE[len("gpgsig ") :].replace(b"\n ", b"\n") + b"\n"
    assert (found.email, found.time, found.format) == ("c@example.com", 1700000001, "ssh")
    assert found.parents == ("2" * 40, "2" * 40)
    assert found.tree == "1" * 40


def test_a_merged_tag_in_the_header_is_part_of_what_is_signed() -> None:
    merged = b"mergetag object " + b"3" * 40 + b"\n type commit\n tag v1\n \n text"
    found = commit(text(TREE, PARENT, AUTHOR, COMMITTER, merged, SIGNATURE))
    assert merged in found.payload


def test_the_signature_for_the_other_kind_of_repository_is_not_ours() -> None:
    other = SIGNATURE.replace(b"gpgsig", b"gpgsig-sha256")
    found = commit(text(TREE, AUTHOR, COMMITTER, other))
    assert found.signature is None
    assert b"SIGNATURE" not in found.payload


def test_a_commit_without_a_text_is_read() -> None:
    content = b"\n".join([TREE, AUTHOR, COMMITTER]) + b"\n"
    assert commit(content).payload == content


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"\n\n",
        b" folded\n\n",
        text(TREE, AUTHOR),
        text(AUTHOR, TREE, COMMITTER),
        text(TREE, COMMITTER, AUTHOR),
        text(TREE, AUTHOR, COMMITTER, PARENT),
        text(TREE, PARENT, AUTHOR, PARENT, COMMITTER),
        text(TREE, TREE, AUTHOR, COMMITTER),
        text(TREE, AUTHOR, COMMITTER, COMMITTER),
        text(TREE, AUTHOR, COMMITTER, SIGNATURE, SIGNATURE),
        text(TREE, AUTHOR, COMMITTER, SIGNATURE, b"gpgsigx hidden"),
        text(TREE, AUTHOR, COMMITTER, b"gpgsig"),
        text(TREE, AUTHOR, b"committer C <c@example.com> <d@example.com> 1 +0000"),
        text(TREE, AUTHOR, b"committer C> <c@example.com> 1 +0000"),
        text(TREE, AUTHOR, b"committer C <c@example.com 1 +0000"),
        text(TREE, AUTHOR, b"committer C <c@example.com> -1 +0000"),
        text(TREE, AUTHOR, b"committer C <c@example.com> 1"),
        text(TREE, AUTHOR, b"committer C <c@example.com> 99999999999999999999 +0000"),
        text(TREE, b"author nobody", COMMITTER),
        text(b"tree 123", AUTHOR, COMMITTER),
        text(TREE, b"parent " + b"2" * 39, AUTHOR, COMMITTER),
        text(TREE, AUTHOR, COMMITTER, body=b"a\0b"),
        text(TREE, AUTHOR, COMMITTER, body=b"a" * LARGEST),
        b"\n".join([TREE, AUTHOR, COMMITTER]),
    ],
)
def test_a_commit_that_two_programs_could_read_in_two_ways_is_refused(content: bytes) -> None:
    with pytest.raises(NotAnObject):
        commit(content)


def test_content_of_another_id_is_refused() -> None:
    content = text(TREE, AUTHOR, COMMITTER)
    parse_commit(object_id("commit", content, 64), content)
    with pytest.raises(NotAnObject, match="does not belong"):
        parse_commit("4" * 40, content)
    with pytest.raises(NotAnObject, match="does not belong"):
        parse_commit(object_id("tag", content, 40), content)


def tag(content: bytes) -> Signed:
    return parse_tag(object_id("tag", content, 40), content)


HEADERS = (b"object " + b"1" * 40, b"type commit", b"tag v1", b"tagger T <t@example.com> 5 +0000")
BLOCK = b"-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n"


def test_the_signature_of_a_tag_is_the_last_one_at_its_end() -> None:
    found = tag(text(*HEADERS, body=b"One\n" + BLOCK + b"Two\n" + BLOCK))
    assert found.signature == BLOCK
    assert found.payload == text(*HEADERS, body=b"One\n" + BLOCK + b"Two\n")
    assert (found.name, found.kind, found.target) == ("v1", "commit", "1" * 40)
    assert tag(text(*HEADERS)).signature is None


@pytest.mark.parametrize(
    "headers",
    [HEADERS[:3], HEADERS[::-1], (*HEADERS, SIGNATURE), (*HEADERS, b"object " + b"2" * 40)],
)
def test_a_tag_with_other_headers_is_refused(headers: tuple[bytes, ...]) -> None:
    with pytest.raises(NotAnObject):
        tag(text(*headers))


@given(st.binary(max_size=300), st.integers(0, 400), st.integers(0, 60))
def test_no_bytes_break_the_reader(noise: bytes, place: int, cut: int) -> None:
    good = text(TREE, PARENT, AUTHOR, COMMITTER, SIGNATURE)
    for content in (noise, good[:place] + noise + good[place + cut :]):
        for kind, parse in (("commit", parse_commit), ("tag", parse_tag)):
            try:
                found = parse(object_id(kind, content, 40), content)
            except NotAnObject:
                continue
            assert found.id == object_id(kind, content, 40)
            assert found.time >= 0


def test_what_is_shown_is_one_safe_line() -> None:
    assert shown(b"a\x1b[2J\nb\xff") == "a?[2J?b?"
    assert len(shown(b"a" * 1000)) == 100
