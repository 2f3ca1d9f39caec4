# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines that both auditctl versions load alike, and rules that mean the same are the same."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.twinguard.hardening.plugins.module_utils._audit.kernel.netlink import (
    AuditCodecError,
    build_rule,
    parse_rule,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._audit.kernel.rule_lines import (
    canonical,
    parse_file,
    parse_line,
    render_file,
    render_line,
    show,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._audit.kernel.syscall_sets import (
    I386,
    X86_64,
    watch_calls,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._audit.kernel.types import (
    Field,
    Rule,
)
from ansible_collections.twinguard.hardening.tests.unit.support.audit_blobs import padded, recorded

SENT = recorded()
LOADED = [one for one in SENT if "line" in one]


def texts_of(one: dict[str, Any]) -> list[str]:
    listed = one.get("listed", {})
    return [listed] if isinstance(listed, str) else list(listed.values())


def outlandish(rule: Rule) -> bool:
    # auditctl lists a path with a space as it is, and knows more names of calls than we (0 is "read").
    return any(" " in str(field.value) for field in rule.fields) or 0 in (rule.syscalls or ())


def watch(path: str = "/srv/models", perm: int = 14, **more: Any) -> Rule:
    fields = (Field("arch", "=", X86_64), Field("dir", "=", path), Field("perm", "=", perm))
    return Rule("exit", "always", fields, **{"key": "twinguard_m", **more})


def is_dir(path: str) -> bool:
    return not path.endswith((".bin", "passwd"))


LISTED = [
    (parse_rule(one["bytes"]), text) for one in SENT if "listed" in one for text in texts_of(one)
]
OURS = [(rule, text) for rule, text in LISTED if rule.ours and not outlandish(rule)]


@pytest.mark.parametrize("one", LOADED, ids=lambda one: one["line"])
def test_a_line_of_ours_makes_both_auditctl_versions_send_our_bytes(one):
    rule = parse_line(one["line"])
    assert rule is not None
    assert one["by"] == ["3.0.9", "4.0.2"]
    assert padded(build_rule(rule)) == one["bytes"]
    assert render_line(rule) == one["line"]


@pytest.mark.parametrize(("rule", "text"), OURS, ids=lambda value: str(value)[:120])
def test_what_auditctl_lists_of_our_rules_is_read_as_the_rule_it_sent(rule, text):
    parsed = parse_line(text, is_dir=is_dir)
    assert parsed is not None
    assert canonical(parsed) == canonical(rule)


def test_foreign_rules_in_a_listing_are_read_right_or_refused_but_never_read_wrong():
    refused = 0
    for rule, text in LISTED:
        try:
            parsed = parse_line(text, is_dir=is_dir)
        except AuditCodecError:
            refused += 1
            continue
        assert parsed is not None
        assert canonical(parsed) == canonical(rule), text
    # Names of errors, messages, file systems and of foreign calls, and paths with a space.
    assert 0 < refused < len(LISTED) / 4


@pytest.mark.parametrize("arch", [X86_64, I386])
@pytest.mark.parametrize("perm", [1, 2, 4, 8, 14, 15])
def test_a_watch_means_the_same_from_auditctl_3_from_auditctl_4_and_from_us(arch, perm):
    words = ["-F", f"arch={'b64' if arch == X86_64 else 'b32'}", "-F", "dir=/srv/models"]
    sent = [one for one in SENT if one.get("argv", [])[2:6] == words]
    letters = "".join(letter for letter, mask in zip("rwxa", (4, 2, 1, 8)) if perm & mask)
    found = [parse_rule(one["bytes"]) for one in sent if one["argv"][7] == f"perm={letters}"]
    old, new = (
        next(rule for rule in found if (rule.syscalls is None) is all_) for all_ in (True, False)
    )
    fields = (Field("arch", "=", arch), Field("dir", "=", "/srv/models"), Field("perm", "=", perm))
    ours = Rule("exit", "always", fields, watch_calls(arch, perm), "twinguard_m")
    assert old != new != ours
    assert canonical(old) == canonical(new) == canonical(ours)


def test_an_old_style_watch_means_the_same_rule_without_an_architecture():
    old = parse_rule(next(one["bytes"] for one in SENT if one.get("argv", [""])[0] == "-w"))
    fields = (Field("perm", "=", 14), Field("dir", "=", "/srv//models/./"))
    assert canonical(old) == canonical(Rule("exit", "always", fields, None, "twinguard_m"))
    assert canonical(old) != canonical(watch())


@pytest.mark.parametrize(
    "other",
    [
        watch("/srv/model"),
        watch("/srv/models/.."),
        watch(perm=6),
        watch(key="twinguard_n"),
        watch(syscalls=frozenset({257})),
        watch(syscalls=(watch_calls(X86_64, 14) or frozenset()) - {257}),
        Rule("exit", "never", watch().fields, None, "twinguard_m"),
        Rule("exit", "always", (*watch().fields, Field("uid", "=", 0)), None, "twinguard_m"),
        Rule(
            "exit",
            "always",
            (Field("arch", "!=", X86_64), *watch().fields[1:]),
            None,
            "twinguard_m",
        ),
        Rule(
            "exit", "always", (Field("arch", "=", I386), *watch().fields[1:]), None, "twinguard_m"
        ),
    ],
    ids=repr,
)
def test_a_rule_that_sees_something_else_is_not_the_same(other):
    assert canonical(other) != canonical(watch())


def test_more_calls_than_the_permission_needs_make_no_difference():
    more = (watch_calls(X86_64, 14) or frozenset()) | {0, 1, 2000}
    assert canonical(watch(syscalls=more)) == canonical(watch())


def test_the_calls_of_a_list_that_has_no_calls_make_no_difference():
    exclude = Rule("exclude", "always", (Field("msgtype", "=", 1307),))
    empty = Rule("exclude", "always", exclude.fields, frozenset())
    assert canonical(exclude) == canonical(empty)


def test_a_canonical_rule_stays_as_it_is():
    for rule, _text in LISTED:
        assert canonical(canonical(rule)) == canonical(rule)


def test_a_line_says_all_where_auditctl_4_would_think_of_a_list_of_its_own():
    assert render_line(watch()) == (
        "-a always,exit -F arch=b64 -S all -F dir=/srv/models -F perm=rwa -F key=twinguard_m"
    )


def test_calls_are_named_where_every_auditctl_knows_the_name():
    line = render_line(watch(perm=8, syscalls=watch_calls(X86_64, 8)))
    assert "-S link,chmod,fchmod," in line
    assert ",fchmodat,452,463,466,469 " in line


@pytest.mark.parametrize(
    ("path", "written"),
    [
        ("/srv/mo dels", "/srv/mo\\ dels"),
        ("/srv/b\\s", "/srv/b\\\\s"),
        ("/srv/ends\\", "/srv/ends\\\\"),
        ("/srv/a  b \\ c", "/srv/a\\ \\ b\\ \\\\\\ c"),
        ("/srv/#q'\"", "/srv/#q'\""),
        ("/srv/m\udcff", "/srv/m\udcff"),
        ("/srv/..", "/srv/.."),
    ],
)
def test_a_strange_path_is_written_so_that_it_is_read_back(path, written):
    line = render_line(watch(path))
    assert f" -F dir={written} " in line
    assert parse_line(line) == watch(path)


@pytest.mark.parametrize(
    "path", ["/srv/a\nb", "/srv/a\rb", "/srv/\x07", "/srv/\tb", "/srv/\x7f", ""]
)
def test_a_path_with_a_control_character_has_no_line(path):
    with pytest.raises(AuditCodecError, match="control character"):
        render_line(watch(path))
    assert "\n" not in show(watch(path))


@pytest.mark.parametrize(
    "rule",
    [
        Rule("exit", "always", (Field("field_199", "=", 1),)),
        Rule("exit", "always", (Field("field_compare", "=", 99),)),
        Rule("exit", "always", (Field("field_compare", "=", 0),)),
        Rule("exit", "always", (Field("perm", "=", 0),)),
        Rule("exit", "always", (), frozenset()),
        Rule("nowhere", "always", ()),
        watch("/" + "x" * 8000),
    ],
    ids=repr,
)
def test_a_rule_without_a_line_is_refused_but_can_be_shown(rule):
    with pytest.raises(AuditCodecError):
        render_line(rule)
    assert show(rule).startswith("-a always,")


def test_what_is_shown_of_a_hostile_rule_is_one_printable_line():
    rule = watch("/srv/\x1b[31m\n-D", key="twinguard_\udcff")
    assert show(rule).isprintable()
    assert show(watch("/srv/m\udcff")) == render_line(watch("/srv/m")).replace("/m ", "/m\\udcff ")
    assert show(watch()) == render_line(watch())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "# -w /srv -p r",
        "  # x",
        "-D",
        "-e 2",
        "-b 8192",
        "--backlog_wait_time 0",
        "-f 1",
    ],
)
def test_a_line_without_a_rule_is_none(text):
    assert parse_line(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "-a",
        "-a always",
        "-a always,nowhere",
        "-a always,exit -F",
        "-a always,exit -F uid",
        "-a always,exit -F uid=",
        "-a always,exit -F uid=root",
        "-a always,exit -F uid=4294967296",
        "-a always,exit -F shoe=5",
        "-a always,exit -F perm=rz",
        "-a always,exit -F perm=",
        "-a always,exit -F arch=b65",
        "-a always,exit -S clone_me",
        "-a always,exit -S openat",
        "-a always,exit -C uid=shoe",
        "-a always,exit -F dir=/srv -k a # comment",
        "-d always,exit -F dir=/srv",
        "-w /srv -F uid=0",
        "-w /srv -a always,exit",
        "-p r",
        "\t-w /srv -p r",
        "nonsense",
    ],
)
def test_a_line_that_cannot_be_read_is_refused_and_never_guessed(text):
    with pytest.raises(AuditCodecError):
        parse_line(text)


def test_a_relative_path_stays_relative_so_that_it_is_not_taken_for_another():
    rule = parse_line("-a always,exit -F dir=srv/models/ -F perm=r")
    assert rule == Rule(
        "exit", "always", (Field("dir", "=", "srv/models"), Field("perm", "=", 4)), None
    )


def test_an_architecture_is_that_of_the_machine_of_the_file():
    line = "-a always,exit -F arch=b64 -S openat -F perm=r"
    found = [parse_line(line, machine) for machine in ("x86_64", "aarch64")]
    assert [rule.syscalls for rule in found if rule] == [frozenset({257}), frozenset({56})]
    with pytest.raises(AuditCodecError, match="b32"):
        parse_line("-a always,exit -F arch=b32 -F perm=r", "ppc64le")


def test_a_file_is_read_in_the_order_in_which_the_kernel_will_try_its_rules():
    lines = [
        "# ours",
        "-D",
        "-w /b -p r -k b",
        "-A never,exit -F uid=0",
        "-e 2",
        "-w /a.bin -p w",
        "-x",
    ]
    parsed = parse_file("\n".join(lines).encode(), is_dir=is_dir)
    assert [rule.action for rule in parsed.rules] == ["never", "always", "always"]
    assert parsed.rules[2].field("path") == Field("path", "=", "/a.bin")
    assert parsed.settings == ("-D", "-e 2")
    assert [number for number, _why in parsed.problems] == [7]
    assert not parsed.complete


def test_a_carriage_return_becomes_part_of_the_key_as_in_auditctl_3():
    parsed = parse_file(b"-w /b -p r -k twinguard_b\r\n")
    assert parsed.rules[0].key == "twinguard_b\r"


def test_a_file_is_its_header_and_its_rules_and_is_read_back():
    rules = [watch(), watch("/srv/m\udcff", syscalls=watch_calls(X86_64, 14))]
    data = render_file(rules, "Made by us.\n\nDo not edit.")
    assert data.startswith(b"# Made by us.\n#\n# Do not edit.\n-a always,exit ")
    parsed = parse_file(data)
    assert parsed.rules == tuple(rules)
    assert (parsed.settings, parsed.problems, parsed.complete) == ((), (), True)


def test_a_rule_cannot_smuggle_a_second_line_into_the_file():
    for rule in (watch("/a\n-D"), watch(key="twinguard_\n-D")):
        with pytest.raises(AuditCodecError):
            render_file([rule], "")


WORDS = ("-a", "-F", "-S", "-k", "-w", "-p", "always,exit", "uid=0", "arch=b64", ",", "\\")
PATHS = st.text(
    st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\\ \\\\ \udc80"),
    min_size=1,
    max_size=20,
)


@given(PATHS, st.integers(1, 15), st.booleans())
@settings(max_examples=200, deadline=None)
def test_every_watch_that_can_be_written_is_read_back_as_itself(name, perm, short):
    rule = watch("/" + name.strip("/"), perm, syscalls=watch_calls(X86_64, perm) if short else None)
    assert parse_line(render_line(rule)) == rule


@given(st.text(max_size=60) | st.lists(st.sampled_from(WORDS)).map(" ".join))
@settings(max_examples=300, deadline=None)
def test_any_text_is_a_rule_or_nothing_or_refused(text):
    try:
        rule = parse_line(text)
    except AuditCodecError:
        return
    assert rule is None or show(rule)
