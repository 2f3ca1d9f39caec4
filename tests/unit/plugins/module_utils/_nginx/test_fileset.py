# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a set of nginx files covers what is on disk and what the running nginx serves."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.twinguard.hardening.plugins.module_utils._core.plan import ControlError
from ansible_collections.twinguard.hardening.plugins.module_utils._nginx.fileset import (
    Desired,
    Layout,
    behaviour,
    desired,
    entry_generation,
    marker_host,
    plan,
    plan_without_nginx,
    proof_record,
    unmanageable,
    verdict,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._nginx.syntax import (
    Complaint,
    directives,
)
from ansible_collections.twinguard.hardening.tests.unit.support.nginx_host import (
    ABSENT,
    OTHER,
    PARAMS,
    RUNNING,
    STOPPED,
    WANT,
    Host,
    converged,
    hosts,
    want,
)

ENTRY = WANT.layout.entry
SECRET = os.path.join(WANT.layout.directory(str(WANT.generation)), "keys.conf")
SERVER = os.path.join(WANT.layout.directory(str(WANT.generation)), "server.conf")


def summary(host: Host, wanted: Desired = WANT) -> list[str]:
    return plan(wanted, host.observe(wanted)).plan.summary()


@given(hosts(), st.sampled_from([WANT, OTHER, ABSENT]))
def test_after_a_plan_is_applied_nothing_is_left_to_do(host: Host, wanted: Desired) -> None:
    host.apply(wanted, plan(wanted, host.observe(wanted)))
    after = plan(wanted, host.observe(wanted))
    assert after.plan.summary() == []
    steps = (after.write, after.remove, after.start, after.reload, after.enable, after.make)
    assert not any(steps)
    if host.running:
        assert host.served == wanted.generation


@given(hosts(), st.sampled_from([WANT, OTHER, ABSENT]))
def test_a_plan_says_changed_exactly_when_it_does_something(host: Host, wanted: Desired) -> None:
    found = host.observe(wanted)
    made = plan(wanted, found)
    does = (made.write, made.remove, made.start, made.reload, made.enable, made.make)
    assert made.plan.changed is (any(does) or bool(found.stale))


@given(hosts(), st.sampled_from([WANT, ABSENT]))
def test_foreign_files_are_never_touched(host: Host, wanted: Desired) -> None:
    foreign = {path: one for path, one in host.files.items() if "demo" not in path}
    host.apply(wanted, plan(wanted, host.observe(wanted)))
    assert {path: one for path, one in host.files.items() if "demo" not in path} == foreign


@given(hosts(), st.sampled_from([WANT, OTHER, ABSENT]))
def test_no_diff_shows_a_secret(host: Host, wanted: Desired) -> None:
    assert "hunter2" not in repr(plan(wanted, host.observe(wanted)).plan.diff())


def test_an_empty_host_gets_every_file_the_directory_and_a_running_service() -> None:
    made = plan(WANT, Host().observe(WANT))
    assert list(made.write) == [path for path, _one in WANT.files]
    assert made.write[-1] == ENTRY
    assert (made.start, made.reload, made.enable, made.make) == (
        True,
        False,
        True,
        ("/var/log/demo",),
    )
    assert made.plan.summary() == [
        "create /etc/nginx/twinguard/demo_set/keys.conf",
        "create /etc/nginx/twinguard/demo_set/server.conf",
        "create /etc/nginx/twinguard/demo_set/marker.conf",
        "create /etc/logrotate.d/demo",
        "create " + ENTRY,
        "update nginx serves",
        "update nginx starts at boot",
        "create /var/log/demo",
    ]


def test_a_converged_host_is_left_alone() -> None:
    assert summary(converged()) == []


@pytest.mark.parametrize(
    ("path", "drift", "shown"),
    [
        (SERVER, (b"edited\n", 0o644), "update /etc/nginx/twinguard/demo_set/server.conf"),
        (SECRET, (b"hunter2\n", 0o644), "update /etc/nginx/twinguard/demo_set/keys.conf (mode)"),
        ("/etc/logrotate.d/demo", (b"weekly\n", 0o644), "update /etc/logrotate.d/demo"),
    ],
)
def test_drift_in_content_or_mode_is_mended_and_nginx_reloaded(
    path: str, drift: tuple[bytes, int], shown: str
) -> None:
    host = converged()
    host.files[path] = drift
    made = plan(WANT, host.observe(WANT))
    assert (made.write, made.reload) == ((path,), True)
    assert shown in made.plan.summary()


def test_a_file_that_is_gone_is_written_again() -> None:
    host = converged()
    del host.files[SERVER]
    assert plan(WANT, host.observe(WANT)).write == (SERVER,)


@pytest.mark.parametrize("served", [None, OTHER.generation])
def test_files_in_place_that_nginx_does_not_serve_are_a_change(served: str | None) -> None:
    host = converged()
    host.served = served
    made = plan(WANT, host.observe(WANT))
    assert (made.write, made.start, made.reload) == ((), False, True)
    assert made.plan.summary() == ["update nginx serves"]


def test_files_that_were_touched_since_the_proof_are_loaded_again() -> None:
    host = converged()
    host.proven = False
    made = plan(WANT, host.observe(WANT))
    assert (made.write, made.reload) == ((), True)
    assert "touched" in made.plan.diff()[0]["before"]


def test_a_stopped_service_is_started_and_a_disabled_one_enabled() -> None:
    host = converged()
    host.running = False
    assert plan(WANT, host.observe(WANT)).start
    assert summary(host) == ["update nginx serves"]
    host = converged()
    host.enabled = False
    assert plan(WANT, host.observe(WANT)).enable
    assert summary(host) == ["update nginx starts at boot"]


def test_what_a_killed_run_left_behind_is_removed_and_that_is_a_change() -> None:
    host = converged()
    host.put(OTHER)
    host.put(WANT)
    old = WANT.layout.directory(str(OTHER.generation))
    assert summary(host) == ["remove " + old]


def test_the_diff_of_a_new_generation_shows_what_differs_in_each_file() -> None:
    changes = {one.key: one for one in plan(WANT, converged(OTHER).observe(WANT)).plan.changes}
    server = changes["/etc/nginx/twinguard/demo_set/server.conf"]
    assert (server.before, server.after) == ("old\n", "server {}\n")
    assert changes["/etc/nginx/twinguard/demo_set/gone.conf"].action == "remove"
    assert "/etc/nginx/twinguard/demo_set/keys.conf" not in changes


def test_absent_removes_the_entry_and_the_companions_and_leaves_the_service_running() -> None:
    made = plan(ABSENT, converged().observe(ABSENT))
    assert set(made.remove) == {ENTRY, "/etc/logrotate.d/demo"}
    assert (made.reload, made.start, made.enable, made.write) == (True, False, False, ())


def test_absent_on_an_empty_host_changes_nothing_and_starts_nothing() -> None:
    assert summary(Host(), ABSENT) == []


def test_the_generation_changes_with_content_order_secrecy_and_marker() -> None:
    files = [{"name": "a.conf", "content": "a"}, {"name": "b.conf", "content": "b"}]
    variants = [
        want(files=files),
        want(files=files[::-1]),
        want(files=files[:1]),
        want(files=[dict(files[0], content="A"), files[1]]),
        want(files=files, marker_port=1),
        want(files=files[1:], secret_files=PARAMS["secret_files"] + files[:1]),
    ]
    assert len({one.generation for one in variants}) == len(variants)
    assert want(files=files).generation == want(files=files, companions=[]).generation


def test_the_entry_names_its_generation_and_each_file_secrets_first() -> None:
    content = dict(WANT.files)[ENTRY].content
    assert entry_generation(content.encode()) == WANT.generation
    names = [os.path.basename(one.args[0]) for one in directives(content)]
    assert names == ["keys.conf", "server.conf", "marker.conf"]
    assert "*" not in content
    assert [entry_generation(one) for one in (None, b"", b"\xff\xfe", b"# generation zz")] == [
        None
    ] * 4


def test_the_marker_listens_on_loopback_for_the_host_that_it_is_asked_as() -> None:
    for name in ("demo", "demo_set"):
        layout = want(name=name)
        (marker,) = [one.content for path, one in layout.files if path.endswith("marker.conf")]
        found = {one.name: one.args for one in directives(marker)}
        assert found["listen"] == ("127.0.0.1:8179",)
        assert found["server_name"] == (marker_host(name),)
        assert str(layout.generation) in marker


def test_only_files_for_the_version_at_hand_belong_to_a_generation() -> None:
    files = [
        {"name": "s.conf", "content": "old", "since": None, "before": "1.25.1"},
        {"name": "s.conf", "content": "new", "since": "1.25.1", "before": None},
    ]
    params = dict(PARAMS, files=files)
    contents = [
        [
            one.content
            for _path, one in desired(params, "/etc/nginx", version).files
            if one.name == "s.conf"
        ]
        for version in ("1.22.1", "1.25.1", "1.26.3")
    ]
    assert contents == [["old"], ["new"], ["new"]]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": "Demo"}, "option 'name' = 'Demo': is not a valid set name"),
        ({"name": "../x"}, "option 'name' = '../x': is not a valid set name"),
        ({"files": [], "secret_files": []}, "option 'files' = []: has no file"),
        ({"files": [{"name": "a.conf", "content": "", "before": "1.0.0"}], "secret_files": []}, "has no file"),
        ({"files": [{"name": "../a.conf", "content": ""}]}, "'../a.conf': is not a valid file name"),
        ({"files": [{"name": "a", "content": ""}]}, "'a': is not a valid file name"),
        ({"files": [{"name": "keys.conf", "content": ""}]}, "'keys.conf': is given twice"),
        ({"files": [{"name": "marker.conf", "content": ""}]},
         "'marker.conf': is given twice, or is the name of our marker file (marker.conf)"),
    ],
)  # fmt: skip
def test_a_bad_set_is_refused_in_one_sentence(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ControlError) as caught:
        want(**changes)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_only_a_name_of_our_own_making_is_a_generation_of_this_set() -> None:
    layout = Layout("/etc/nginx", "demo")
    assert layout.is_generation("demo-0123456789abcdef")
    for name in (
        "demo",
        "demo-x",
        "demo_two-0123456789abcdef",
        "demo-0123456789abcdef.bak",
        "xdemo-0123456789abcdef",
    ):
        assert not layout.is_generation(name)


def test_without_nginx_the_plan_is_every_file_for_the_newest_and_shows_no_secret() -> None:
    made = plan_without_nginx(PARAMS)
    assert made.changed
    assert "hunter2" not in repr(made.diff())
    assert not plan_without_nginx(dict(PARAMS, state="absent")).changed


def test_a_service_that_can_never_run_is_said_with_the_way_out() -> None:
    masked = unmanageable(replace(STOPPED, load_state="masked"), "nginx")
    assert masked is not None
    assert "systemctl unmask nginx" in masked
    missing = unmanageable(replace(STOPPED, load_state="not-found"), "ngx")
    assert missing is not None
    assert "'service'" in missing
    assert unmanageable(replace(RUNNING, load_state="not-found"), "nginx") is None
    assert unmanageable(STOPPED, "nginx") is None
    assert unmanageable(replace(STOPPED, manager="none", load_state=""), "nginx") is None


MET = {"id": "a", "outcome": "401", "met": True}
UNKNOWN = {"id": "b", "outcome": "unsupported", "met": None}
UNMET = {"id": "c", "outcome": "200", "met": False, "detail": "why"}
BROKEN = Complaint("emerg", "unknown directive", "/etc/nginx/x.conf", 3)


@pytest.mark.parametrize(
    ("wanted", "served", "included", "broken", "answers", "status", "reason"),
    [
        (WANT, WANT.generation, True, [], [MET, UNKNOWN], "pass", "serves exactly generation"),
        (WANT, None, True, [], [], "fail", "does not serve this configuration"),
        (WANT, OTHER.generation, True, [], [], "fail", "instead of"),
        (WANT, WANT.generation, False, [], [], "fail", "does not include /etc/nginx/conf.d/"),
        (WANT, WANT.generation, True, [BROKEN], [], "fail", "/etc/nginx/x.conf:3: unknown directive"),
        (WANT, WANT.generation, True, [], [MET, UNMET], "fail", "c: 200 (why)"),
        (ABSENT, None, False, [], [], "pass", "absent, as wanted"),
        (ABSENT, WANT.generation, False, [], [], "fail", "still serves"),
        (ABSENT, None, False, [BROKEN], [], "fail", "could not be restarted"),
    ],
)  # fmt: skip
def test_the_verdict_names_the_first_thing_that_is_not_as_wanted(
    wanted: Desired,
    served: str | None,
    included: bool,
    broken: list[Complaint],
    answers: list[dict[str, Any]],
    status: str,
    reason: str,
) -> None:
    found = verdict(wanted, served, included, broken, answers)
    assert found[0] == status
    assert reason in found[1]


def test_each_unmet_question_is_named() -> None:
    assert behaviour([UNMET, dict(UNMET, id="d", detail="")]).endswith("c: 200 (why); d: 200")


def test_a_record_of_a_proof_differs_with_generation_file_and_time() -> None:
    records = {
        proof_record("a", {"/x": [1, 2]}),
        proof_record("b", {"/x": [1, 2]}),
        proof_record("a", {"/y": [1, 2]}),
        proof_record("a", {"/x": [1, 3]}),
        proof_record(None, {}),
    }
    assert len(records) == 5
    assert proof_record("a", {"/x": [1, 2], "/y": [3, 4]}) == proof_record(
        "a", {"/y": [3, 4], "/x": [1, 2]}
    )
