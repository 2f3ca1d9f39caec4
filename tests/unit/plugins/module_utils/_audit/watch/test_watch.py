# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Watches become rules that see everything that was asked for and hide nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.twinguard.hardening.plugins.module_utils._audit.kernel.netlink import (
    build_rule,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._audit.kernel.rule_lines import (
    render_line,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._audit.kernel.syscall_sets import (
    I386,
    READ,
    X86_64,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._audit.watch.watch import (
    Target,
    check_options,
    clusters,
    inside,
    resolve_watches,
    rules_of,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._core.plan import ControlError
from ansible_collections.twinguard.hardening.tests.unit.support.audit_host import (
    ARCHES,
    options,
    reader,
    target,
    want,
    watch,
)

BAD: dict[str, tuple[dict[str, Any], str]] = {
    "relative": ({"path": "srv/models"}, "relative"),
    "through ..": ({"path": "/srv/../etc"}, "'..'"),
    "through .": ({"path": "/srv/./etc"}, "'..'"),
    "root": ({"path": "/"}, "everything"),
    "root twice": ({"path": "//"}, "everything"),
    "empty": ({"path": ""}, "relative"),
    "glob": ({"path": "/srv/*.bin"}, "pattern"),
    "newline": ({"path": "/srv/a\n-D"}, "control character"),
    "space": ({"path": "/srv/a b"}, "space"),
    "quote": ({"path": '/srv/a"b'}, "quote"),
    "too long": ({"path": "/" + "a" * 4100}, "length"),
    "unknown permission": ({"permissions": "rwz"}, "r, w, x and a"),
    "no permission": ({"permissions": ""}, "r, w, x and a"),
    "permission twice": ({"permissions": "rr"}, "twice"),
    "capital permission": ({"permissions": "R"}, "r, w, x and a"),
    "key without prefix": ({"key": "models"}, "begin with 'twinguard_'"),
    "key of the prefix alone": ({"key": "twinguard_"}, "begin with 'twinguard_'"),
    "key too long": ({"key": "twinguard_" + "k" * 22}, "32 bytes and 31"),
    "key too long in bytes": ({"key": "twinguard_" + "ü" * 11}, "32 bytes and 31"),
    "key with a quote": ({"key": 'twinguard_"'}, "misread"),
    "key with a separator": ({"key": "twinguard_a\x01b"}, "misread"),
    "reader that is nobody": ({"allowed_readers": [reader()]}, "names nobody"),
    "reader with a relative program": ({"allowed_readers": [reader(executable="cat")]}, "relative"),
    "readers of what is not read": (
        {"allowed_readers": [reader("nobody")], "permissions": "wa"},
        "not recorded",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_can_never_be_watched_is_refused_in_one_sentence(name: str) -> None:
    changes, word = BAD[name]
    with pytest.raises(ControlError, match=word) as refused:
        check_options(options(watch(**changes)))
    assert "\n" not in str(refused.value)
    assert str(refused.value).startswith("option 'watches[0].")


@pytest.mark.parametrize(
    "changes",
    [
        {"rules_file": "/etc/audit/zz.rules"},
        {"rules_file": "/etc/audit/rules.d/zz.conf"},
        {"rules_file": "/etc/audit/rules.d/../x.rules"},
        {"backlog_limit": 1},
        {"canary_timeout": 0},
    ],
    ids=lambda one: str(next(iter(one.items()))),
)
def test_other_options_that_cannot_work_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ControlError, match=f"option '{next(iter(changes))}'"):
        check_options(options(watch(), **changes))


def test_good_options_are_taken() -> None:
    readers = [reader("nobody", "/usr/bin/python3"), reader("990")]
    check_options(options(watch("/srv/models/", allowed_readers=readers), backlog_limit=8192))


def test_a_directory_is_watched_for_64_and_for_32_bit_calls() -> None:
    lines = [render_line(one) for one in want(watch()).rules]
    assert len(lines) == 2
    for line, arch in zip(lines, ("b64", "b32")):
        assert line.startswith(f"-a always,exit -F arch={arch} -S ")
        assert line.endswith(" -F dir=/srv/models -F perm=rwa -F key=twinguard_models")


@pytest.mark.parametrize(
    ("kind", "recursive", "name"),
    [("directory", True, "dir"), ("directory", False, "path"), ("file", True, "path")],
)
def test_only_what_has_something_below_is_watched_with_it(
    kind: str, recursive: bool, name: str
) -> None:
    made = want(watch(recursive=recursive), targets={"/srv/models": target("/srv/models", kind)})
    assert {field.name for one in made.rules for field in one.fields} == {"arch", "perm", name}


def test_a_link_is_followed_and_its_target_watched() -> None:
    made = want(
        watch("/srv/current"), targets={"/srv/current": Target("/srv/models-7", "directory", "1:9")}
    )
    assert {one.fields[1].value for one in made.rules} == {"/srv/models-7"}
    assert made.watches[0].path == "/srv/current"


def test_a_link_that_leads_to_the_root_is_refused() -> None:
    with pytest.raises(ControlError, match="everything"):
        want(watch("/srv/all"), targets={"/srv/all": Target("/", "directory", "1:2")})


def test_an_allowed_reader_is_left_out_by_a_rule_for_reads_in_this_place_alone() -> None:
    made = want(watch(allowed_readers=[reader("triton", "/opt/triton")]))
    native = [one for one in made.rules if one.fields[0].value == X86_64]
    assert [one.action for one in native] == ["always", "never", "always"]
    masks = [one.fields[2].value for one in native]
    assert masks == [2 | 8, READ, READ]
    never = {field.name: field.value for field in native[1].fields}
    assert never == {
        "arch": X86_64,
        "dir": "/srv/models",
        "perm": READ,
        "uid": 990,
        "euid": 990,
        "exe": "/opt/triton-1",
    }


def test_each_allowed_reader_gets_a_rule_of_its_own() -> None:
    readers = [reader("triton"), reader(executable="/opt/backup"), reader("990")]
    made = want(watch(permissions="r", allowed_readers=readers))
    native = [one for one in made.rules if one.fields[0].value == I386]
    # "triton" and "990" are the same user; there is nothing but reads to record before.
    assert [one.action for one in native] == ["never", "never", "always"]


def test_every_rule_can_be_sent_and_written() -> None:
    readers = [reader("nobody"), reader("triton", "/opt/triton")]
    for one in want(watch(permissions="rwxa", allowed_readers=readers)).rules:
        assert build_rule(one)
        assert len(render_line(one)) < 8000
        assert one.ours


@pytest.mark.parametrize(
    ("kind", "recursive", "word"),
    [("nowhere", False, "does not exist"), ("missing", True, "does not exist")],
)
def test_what_is_not_there_is_refused(kind: str, recursive: bool, word: str) -> None:
    with pytest.raises(ControlError, match=word):
        want(watch(recursive=recursive), targets={"/srv/models": Target("/srv/models", kind)})


def test_a_single_file_may_still_be_to_come() -> None:
    made = want(watch(recursive=False), targets={"/srv/models": Target("/srv/models", "missing")})
    assert {one.fields[1].name for one in made.rules} == {"path"}


@pytest.mark.parametrize(
    ("who", "word"),
    [(reader("ghost"), "no such user"), (reader(executable="/opt/gone"), "no such program")],
)
def test_a_reader_that_this_host_does_not_have_is_refused(who: dict[str, Any], word: str) -> None:
    params = options(watch(allowed_readers=[who]))
    with pytest.raises(ControlError, match=word):
        resolve_watches(
            params,
            {"/srv/models": target("/srv/models")},
            {"ghost": None},
            {"/opt/gone": Target("/opt/gone", "missing")},
        )


def test_the_same_place_cannot_be_watched_twice() -> None:
    with pytest.raises(ControlError, match="the same directory as /srv/models"):
        want(watch(), watch("/srv/models/", permissions="w"))
    same = {"/mnt/models": Target("/mnt/models", "directory", target("/srv/models").identity)}
    with pytest.raises(ControlError, match="the same directory as /srv/models"):
        want(watch(), watch("/mnt/models"), targets=same)


def test_a_reader_allowed_below_must_be_allowed_above() -> None:
    inner = watch("/srv/models/a", allowed_readers=[reader("triton")])
    with pytest.raises(ControlError, match="would hide reads from the watch on /srv/models"):
        want(watch(), inner)
    want(watch(permissions="wa"), inner)
    want(watch(allowed_readers=[reader("triton")]), inner)


def test_what_lies_deeper_comes_first_whatever_the_order_of_the_options() -> None:
    paths = ["/srv/models", "/srv/models/a/b", "/srv/models-old", "/srv/models/a"]
    orders = [paths, paths[::-1], paths[2:] + paths[:2]]
    made = [[one.resolved for one in want(*map(watch, order)).watches] for order in orders]
    assert made[0] == made[1] == made[2]
    assert made[0] == ["/srv/models/a/b", "/srv/models/a", "/srv/models", "/srv/models-old"]


def test_only_watches_that_lie_in_each_other_belong_together() -> None:
    groups = clusters(want(*map(watch, ["/a/b", "/a", "/a-b", "/c/d/e", "/c"])).watches)
    names = [[one.resolved for one in group] for group in groups]
    assert sorted(names) == [["/a-b"], ["/a/b", "/a"], ["/c/d/e", "/c"]]


def test_of_a_single_file_the_kernel_holds_its_directory() -> None:
    made = want(watch("/etc/key"), watch(), targets={"/etc/key": target("/etc/key", "file")})
    assert {one.anchor for one in made.watches} == {"/etc", "/srv/models"}


def test_a_path_is_inside_another_by_whole_names() -> None:
    assert inside("/a/b", "/a")
    assert inside("/a", "/a")
    assert inside("/a", "/")
    assert not inside("/ab", "/a")


def test_no_architecture_is_no_rule() -> None:
    assert rules_of(want(watch()).watches[0], ()) == ()
    assert len(rules_of(want(watch()).watches[0], ARCHES)) == 2
