# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each way around a signature is refused; where git itself would let it pass, that is shown too."""

from __future__ import annotations

import random
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Iterator

import pytest

from ansible_collections.twinguard.hardening.plugins.module_utils._git.verify import (
    ssh_keygen_io as git_spawn_io,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._git.verify.policy import Accepted
from ansible_collections.twinguard.hardening.plugins.module_utils._git.verify.repository_io import (
    GitFailure,
    Repository,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._git.verify.verify_io import (
    Work,
    verify,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._host.run_io import ProgramError
from ansible_collections.twinguard.hardening.plugins.module_utils._trust.people import (
    allowed_signers,
)
from ansible_collections.twinguard.hardening.tests.unit.support.git_lab import NOW, Keys, Lab
from ansible_collections.twinguard.hardening.tests.unit.support.signing import ssh_sign

DAY = 86400


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def lab(tmp_path: Path, keys: Keys) -> Lab:
    return Lab(tmp_path / "repository.git", keys)


def people(lab: Lab, **alice: Any) -> list[dict[str, Any]]:
    return [lab.keys.person("alice", **alice), lab.keys.person("bob")]


def test_a_history_signed_by_its_committers_is_accepted(lab: Lab) -> None:
    root = lab.commit()
    left, right = lab.commit(root), lab.commit(root, by="bob")
    tip = lab.commit(left, right, lab.commit(root))
    found = lab.verdicts(tip)
    assert {one.status for one in found.values()} == {"good"}
    assert len(found) == 5
    assert found[tip].signer == "Alice"
    assert found[tip].principal == "alice@example.com"
    assert found[right].key.startswith("SHA256:")
    assert next(iter(found)) == root


def test_what_git_itself_makes_is_accepted(lab: Lab, tmp_path: Path) -> None:
    """Commits, merges of signed tags, amended ones, other encodings: all from the real git."""
    tree = tmp_path / "tree"
    settings = {
        "user.name": "Jos\u00e9 <Alice",
        "user.email": "alice@example.com",
        "user.signingkey": str(lab.keys.place / "alice"),
        "gpg.format": "ssh",
        "commit.gpgsign": "true",
        "tag.gpgsign": "true",
    }

    def git(*words: str) -> str:
        options = [one for name, value in settings.items() for one in ("-c", f"{name}={value}")]
        command = ["git", "-C", str(tree), *options, *words]
        done = subprocess.run(
            command,
            capture_output=True,
            check=True,
            text=True,
            env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1"},
        )
        return done.stdout.strip()

    tree.mkdir()
    git("init", "-q", "-b", "main")
    git("commit", "-q", "--allow-empty", "-m", "One")
    git("checkout", "-q", "-b", "side")
    git("-c", "i18n.commitEncoding=ISO-8859-1", "commit", "-q", "--allow-empty", "-m", "Zw\u00f6lf")
    git("tag", "-m", "A tag\n\n-----BEGIN nothing", "v1")
    git("checkout", "-q", "main")
    git("commit", "-q", "--allow-empty", "-m", "Two")
    git("merge", "-q", "--no-ff", "-m", "Merge", "v1")
    git("commit", "-q", "--amend", "--allow-empty-message", "-m", "")
    git("merge", "-q", "--no-ff", "-m", "Again", "v1")
    git("commit", "-q", "--allow-empty", "--author", "Bob <bob@example.com>", "-m", "By Bob")
    tips = [git("rev-parse", "HEAD"), git("rev-parse", "v1")]
    assert "mergetag" in git("log", "--format=raw")
    now = int(git("log", "-1", "--format=%ct")) + 1
    found = verify(str(tree), tips, [], lab.policy(), now)
    assert {one.status for one in found} == {"good"}
    assert [one.kind for one in found].count("tag") == 1
    assert len(found) == 6


def test_nothing_is_accepted_that_git_would_not_accept(lab: Lab) -> None:
    """Bytes changed at random: what is still good here is good for git as well."""
    chance = random.Random(5)
    raw = lab.signed(lab.raw(lab.commit()), "alice")
    mutants = {lab.put("commit", raw)}
    for _number in range(60):
        data = bytearray(raw)
        for _change in range(chance.choice((1, 1, 2, 5))):
            place = chance.randrange(len(data))
            change = chance.randrange(3)
            if change == 0:
                data[place] = chance.randrange(256)
            elif change == 1:
                del data[place]
            else:
                data.insert(place, chance.choice(b"\n <>=gA\0"))
        mutants.add(lab.put("commit", bytes(data)))
    signers = allowed_signers(lab.policy().people)
    found = {}
    for one in mutants:
        try:
            found[one] = lab.status(one)
        except GitFailure:
            found[one] = "unreadable"
    good = {one for one, status in found.items() if status == "good"}
    assert good
    assert len(good) < 5
    assert all(lab.believed(one, signers) for one in good)


def test_repositories_with_sha256_work_alike(tmp_path: Path, keys: Keys) -> None:
    lab = Lab(tmp_path / "long.git", keys, "sha256")
    root = lab.commit()
    assert len(root) == 64
    assert lab.status(lab.commit(root)) == "good"
    assert lab.status(lab.commit(root, by="")) == "unsigned"
    assert lab.status(lab.tag(root)) == "good"


def test_an_unsigned_commit_is_refused_and_so_is_what_rests_on_it(lab: Lab) -> None:
    root = lab.commit()
    bad = lab.commit(root, by="")
    tip = lab.commit(lab.commit(bad))
    found = lab.verdicts(tip, [root])
    assert found[bad].status == "unsigned"
    assert found[tip].status == "parent_unverified"
    assert bad[:12] in found[tip].reason
    assert root not in found


def test_all_parents_of_a_merge_are_verified(lab: Lab) -> None:
    root = lab.commit()
    bad = lab.commit(root, by="")
    assert lab.status(lab.commit(lab.commit(root), bad), [root]) == "parent_unverified"
    octopus = lab.commit(lab.commit(root), lab.commit(root), bad)
    assert lab.status(octopus, [root]) == "parent_unverified"


def test_another_persons_key_is_refused_where_git_is_content(lab: Lab) -> None:
    stolen = lab.commit(by="bob", email="alice@example.com")
    assert lab.believed(stolen, allowed_signers(lab.policy().people))
    found = lab.verdicts(stolen)[stolen]
    assert found.status == "wrong_person"
    assert found.signer == "Bob"
    assert "alice@example.com" in found.reason


def test_an_address_in_other_letters_is_another_address(lab: Lab) -> None:
    assert lab.status(lab.commit(email="Alice@example.com")) == "wrong_person"


def test_a_key_that_nobody_has_is_refused_without_starting_a_program(lab: Lab) -> None:
    work = Work()
    assert (
        lab.status(lab.commit(by="mallory", email="alice@example.com"), work=work) == "unknown_key"
    )
    assert work.signatures == 0


def test_a_changed_commit_is_refused(lab: Lab) -> None:
    raw = lab.signed(lab.raw(), "alice")
    assert lab.status(lab.put("commit", raw)) == "good"
    assert lab.status(lab.put("commit", raw.replace(b"Change", b"Chance"))) == "bad_signature"
    other = lab.tree_of(a="b\n").encode()
    assert lab.status(lab.put("commit", raw.replace(lab.tree.encode(), other))) == "bad_signature"


def test_a_signature_cannot_be_moved_to_another_commit(lab: Lab) -> None:
    donor = lab.signed(lab.raw(), "alice")
    begin, end = donor.index(b"gpgsig "), donor.index(b"-----END SSH SIGNATURE-----\n")
    signature = donor[begin:end] + b"-----END SSH SIGNATURE-----\n"
    head, body = lab.raw().split(b"\n\n", 1)
    assert lab.status(lab.put("commit", head + b"\n" + signature + b"\n" + body)) == "bad_signature"


def test_a_signature_for_another_purpose_is_refused(lab: Lab) -> None:
    assert lab.status(lab.commit(namespace="file")) == "wrong_namespace"
    batch = people(lab, namespaces=["twinguard-batch"])
    assert lab.status(lab.commit(), policy=lab.policy(people=batch)) == "wrong_namespace"


def test_a_back_dated_commit_with_an_expired_key_is_refused_where_git_is_content(lab: Lab) -> None:
    policy = lab.policy(people=people(lab, valid_before="2026-01-01"))
    old = lab.commit(time=1_740_000_000)
    assert lab.believed(old, allowed_signers(policy.people))
    assert lab.status(old, policy=policy) == "expired"
    assert lab.status(old, policy=policy, now=1_740_000_100) == "good"


def test_what_the_server_recorded_before_the_key_expired_stays_good(lab: Lab) -> None:
    policy = lab.policy(people=people(lab, valid_before="2026-11-15"))
    root = lab.commit(by="bob")
    first, second = lab.commit(root), ""
    second = lab.commit(first)
    zero = "0" * 40
    record = [Accepted(NOW - 990_000, "refs/heads/main", zero, first)]
    found = lab.verdicts(second, policy=policy, accepted=record)
    assert found[first].status == "good"
    assert found[first].until is None
    assert found[second].status == "expired"
    # What an old tip held was there before its push, so that the push says nothing about it.
    record = [Accepted(NOW - 990_000, "refs/heads/main", first, second)]
    found = lab.verdicts(second, policy=policy, accepted=record)
    assert found[first].status == "expired"
    assert found[second].status == "parent_unverified"


def test_a_revoked_key_is_refused_except_for_what_was_recorded_before(lab: Lab) -> None:
    commit = lab.commit()
    record = [Accepted(NOW - 20 * DAY, "refs/heads/main", "0" * 40, commit)]
    always = lab.policy(people=people(lab, revoked=True))
    assert lab.status(commit, policy=always) == "revoked"
    assert lab.status(commit, policy=always, accepted=record) == "revoked"
    since = lab.policy(people=people(lab, revoked_since="2026-11-01"))
    assert lab.status(commit, policy=since) == "revoked"
    early = lab.commit(time=NOW - 30 * DAY)
    record = [Accepted(NOW - 29 * DAY, "refs/heads/main", "0" * 40, early)]
    assert lab.status(early, policy=since, accepted=record) == "good"


def test_a_key_that_is_not_valid_yet_is_refused(lab: Lab) -> None:
    policy = lab.policy(people=people(lab, valid_after="2027-01-01"))
    assert lab.status(lab.commit(), policy=policy) == "not_yet_valid"


def test_a_key_entered_for_two_spans_counts_in_both(lab: Lab) -> None:
    person = lab.keys.person("alice", valid_before="2026-01-01")
    person["keys"].append({"key": lab.keys.lines["alice"], "valid_after": "2026-06-01"})
    assert lab.status(lab.commit(), policy=lab.policy(people=[person])) == "good"


@pytest.mark.parametrize(
    ("time", "status"),
    [
        (NOW + 500, "good"),
        (NOW + 700, "future_dated"),
        (253402300800, "future_dated"),
        (999999999999999, "future_dated"),
        (1_000_000_000, "backdated"),
    ],
)
def test_a_date_that_cannot_be_is_refused(lab: Lab, time: int, status: str) -> None:
    policy = lab.policy(people=people(lab, valid_after="2026-01-01"))
    assert lab.status(lab.commit(time=time), policy=policy) == status


def test_a_date_before_that_of_the_parent_is_refused(lab: Lab) -> None:
    root = lab.commit(time=NOW - 5000)
    assert lab.status(lab.commit(root, time=NOW - 5500), [root]) == "good"
    assert lab.status(lab.commit(root, time=NOW - 5700), [root]) == "backdated"
    assert lab.status(lab.commit(root, time=NOW - 5700)) == "backdated"


def test_a_trusted_parent_dated_in_the_future_blocks_nothing(lab: Lab) -> None:
    root = lab.commit(time=NOW + 90 * DAY, by="")
    assert lab.status(lab.commit(root, time=NOW), [root]) == "good"


def test_a_replaced_object_is_refused_where_git_is_content(lab: Lab) -> None:
    root = lab.commit()
    bad, good = lab.commit(root, by=""), lab.commit(root)
    lab.git("update-ref", f"refs/replace/{bad}", good)
    assert lab.believed(bad, allowed_signers(lab.policy().people))
    found = verify(str(lab.path), [bad], [root], lab.policy(), NOW)
    assert [one.status for one in found] == ["replaced", "unsigned"]
    # Even a replacement of something harmless: whoever works with the repository sees another file.
    other = verify(str(lab.path), [good], [root], lab.policy(), NOW)
    assert not other[0].accepted


def test_grafts_and_shallow_histories_are_refused(lab: Lab) -> None:
    root = lab.commit()
    tip = lab.commit(lab.commit(root, by=""))
    (lab.path / "info" / "grafts").write_text(f"{tip} {root}\n")
    found = lab.verdicts(tip, [root])
    assert found["repository"].status == "grafted"
    assert not found[tip].accepted
    (lab.path / "info" / "grafts").unlink()
    (lab.path / "shallow").write_text(f"{tip}\n")
    found = lab.verdicts(tip)
    assert found["repository"].status == "shallow"
    assert found[tip].status == "missing"


def test_a_shallow_clone_of_a_work_tree_is_refused(lab: Lab, tmp_path: Path) -> None:
    tip = lab.commit(lab.commit())
    lab.git("update-ref", "refs/heads/main", tip)
    clone = tmp_path / "clone"
    command = ["git", "clone", "-q", "--depth=1", "-b", "main", f"file://{lab.path}", str(clone)]
    subprocess.run(command, check=True)
    found = verify(str(clone), [tip], [], lab.policy(), NOW)
    assert [one.status for one in found] == ["shallow", "missing"]


def test_a_linked_work_tree_is_read_like_its_repository(lab: Lab, tmp_path: Path) -> None:
    tip = lab.commit()
    lab.git("worktree", "add", "-q", "--detach", str(tmp_path / "tree"), tip)
    found = verify(str(tmp_path / "tree"), [tip], [], lab.policy(), NOW)
    assert [one.status for one in found] == ["good"]


def test_what_another_branch_holds_is_not_trusted_for_it(lab: Lab) -> None:
    """The hook that asks `rev-list NEW --not --all` sees nothing to verify here."""
    root = lab.commit()
    lab.git("update-ref", "refs/heads/main", root)
    bad = lab.commit(root, by="")
    lab.git("update-ref", "refs/heads/side", bad)
    assert lab.git("rev-list", bad, "--not", "--all") == ""
    assert lab.status(bad, [root]) == "unsigned"


def forge_merge(lab: Lab, **more: Any) -> tuple[str, str]:
    """A root, and the forge's merge of two branches that change different files."""
    root = lab.commit(tree=lab.tree_of(a="a\n", b="b\n"))
    left = lab.commit(root, tree=lab.tree_of(a="x\n", b="b\n"))
    right = lab.commit(root, tree=lab.tree_of(a="a\n", b="y\n"))
    if "tree" not in more:
        more["tree"] = lab.tree_of(a="x\n", b="y\n")
    return root, lab.commit(left, right, by="forge", **more)


def test_a_forges_clean_merge_is_accepted_and_the_repository_is_only_read(lab: Lab) -> None:
    root, merge = forge_merge(lab)
    before = sorted(str(path) for path in lab.path.rglob("*"))
    work = Work()
    assert lab.status(merge, [root], work=work) == "good"
    assert work.merges == 1
    assert sorted(str(path) for path in lab.path.rglob("*")) == before


def test_an_evil_merge_by_a_forge_is_refused_where_git_shows_nothing(lab: Lab) -> None:
    root, merge = forge_merge(lab, tree=lab.tree_of(a="x\n", b="y\n", evil="!\n"))
    # A file that was added only in the merge: `git log -p`, which many review, does not show it.
    assert "evil" not in lab.git("log", "-p", merge)
    forge = allowed_signers(lab.policy().forges)
    assert lab.believed(merge, forge)
    before = sorted(str(path) for path in lab.path.rglob("*"))
    assert lab.status(merge, [root]) == "evil_merge"
    assert sorted(str(path) for path in lab.path.rglob("*")) == before


def test_a_forges_merge_of_a_conflict_is_refused(lab: Lab) -> None:
    root = lab.commit(tree=lab.tree_of(a="a\n"))
    left = lab.commit(root, tree=lab.tree_of(a="x\n"))
    right = lab.commit(root, tree=lab.tree_of(a="y\n"))
    merge = lab.commit(left, right, by="forge", tree=lab.tree_of(a="x\n"))
    found = lab.verdicts(merge, [root])[merge]
    assert found.status == "evil_merge"
    assert "conflict" in found.reason


def test_a_forge_may_sign_nothing_but_merges_of_two(lab: Lab) -> None:
    root = lab.commit()
    assert lab.status(lab.commit(root, by="forge"), [root]) == "forge_commit"
    three = lab.commit(lab.commit(root), lab.commit(root), lab.commit(root), by="forge")
    assert lab.status(three, [root]) == "forge_commit"
    assert lab.status(lab.tag(root, by="forge"), [root]) == "forge_commit"


def test_a_forge_cannot_commit_as_a_person(lab: Lab) -> None:
    root, merge = forge_merge(lab, email="alice@example.com")
    assert lab.status(merge, [root]) == "wrong_person"


def test_a_merge_made_and_signed_by_a_person_may_hold_what_they_like(lab: Lab) -> None:
    root = lab.commit()
    merge = lab.commit(lab.commit(root), lab.commit(root), tree=lab.tree_of(a="mine\n"))
    assert lab.status(merge, [root]) == "good"


def test_the_settings_of_a_repository_have_no_say_in_a_merge(lab: Lab) -> None:
    """One side moved a directory, the other added a file to it: git asks, unless it is told not to."""
    lab.git("config", "merge.directoryRenames", "true")

    def tree(**directories: str) -> str:
        lines = "".join(f"040000 tree {one}\t{name}\n" for name, one in directories.items())
        return lab.git("mktree", stdin=lines.encode())

    text = "".join(f"{number}\n" for number in range(30))
    root = lab.commit(tree=tree(old=lab.tree_of(a=text)))
    left = lab.commit(root, tree=tree(new=lab.tree_of(a=text)))
    right = lab.commit(root, tree=tree(old=lab.tree_of(a=text, b="b\n")))
    both = tree(new=lab.tree_of(a=text, b="b\n"))
    assert lab.git("merge-tree", "--write-tree", left, right).split("\n")[0] == both
    merge = lab.commit(left, right, by="forge", tree=both)
    assert lab.status(merge, [root]) == "evil_merge"


def test_the_attributes_of_a_directory_have_no_say_in_a_merge(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = lab.commit(tree=lab.tree_of(a="a\n"))
    left = lab.commit(root, tree=lab.tree_of(a="a\nx\n"))
    right = lab.commit(root, tree=lab.tree_of(a="a\ny\n"))
    both = lab.tree_of(a="a\nx\ny\n")
    merge = lab.commit(left, right, by="forge", tree=both)
    lab.git("update-ref", "refs/heads/main", merge)
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", "-b", "main", str(lab.path), str(clone)], check=True)
    (clone / ".gitattributes").write_text("* merge=union\n")
    monkeypatch.chdir(clone)
    # Git itself, asked there, takes both sides and sees no conflict.
    command = ["git", "merge-tree", "--write-tree", left, right]
    asked = subprocess.run(command, capture_output=True, text=True, check=True)
    assert asked.stdout.strip() == both
    found = {
        one.commit: one.status for one in verify(str(clone), [merge], [root], lab.policy(), NOW)
    }
    assert found[merge] == "evil_merge"


def test_a_pinned_root_ends_the_history_and_another_history_is_refused(lab: Lab) -> None:
    old = lab.commit(by="")
    pin = lab.commit(old, by="")
    tip = lab.commit(pin)
    policy = lab.policy(pinned_roots=[pin])
    assert list(lab.verdicts(tip, policy=policy)) == [tip]
    assert lab.verdicts(pin, policy=policy) == {}
    # Signed, but of another project, or of a time before the root.
    assert lab.status(lab.commit(), policy=policy) == "foreign_root"
    assert lab.status(old, policy=policy) == "foreign_root"
    assert lab.status(lab.commit(old), policy=policy) == "foreign_root"


def test_a_pinned_root_that_is_not_there_is_no_reason_to_accept(lab: Lab) -> None:
    policy = lab.policy(pinned_roots=["1" * 40])
    assert lab.status(lab.commit(), policy=policy) == "foreign_root"


def test_a_second_history_cannot_be_merged_in(lab: Lab) -> None:
    root = lab.commit()
    other = lab.commit(text="elsewhere")
    found = lab.verdicts(lab.commit(root, other), [root])
    assert found[other].status == "foreign_root"


def test_exceptions_cover_themselves_and_nothing_else(lab: Lab) -> None:
    root = lab.commit()
    bad = lab.commit(root, by="")
    worse = lab.commit(bad, by="")
    tip = lab.commit(worse)
    policy = lab.policy(exceptions=[{"commit": worse, "reason": "ticket 7"}])
    found = lab.verdicts(tip, [root], policy=policy)
    assert [found[one].status for one in (bad, worse, tip)] == [
        "unsigned",
        "parent_unverified",
        "parent_unverified",
    ]
    both = [{"commit": one, "reason": "ticket 7"} for one in (bad, worse)]
    found = lab.verdicts(tip, [root], policy=lab.policy(exceptions=both))
    assert [found[one].status for one in (bad, worse, tip)] == ["excepted", "excepted", "good"]


def test_tags_are_verified_with_all_that_they_lead_to(lab: Lab) -> None:
    root = lab.commit()
    assert lab.status(lab.tag(root), [root]) == "good"
    assert lab.status(lab.tag(root, by=""), [root]) == "unsigned"
    assert lab.status(lab.tag(root, by="mallory"), [root]) == "unknown_key"
    assert lab.status(lab.tag(root, email="bob@example.com"), [root]) == "wrong_person"
    bad = lab.commit(root, by="")
    assert lab.status(lab.tag(bad), [root]) == "parent_unverified"
    inner = lab.tag(root, by="")
    assert lab.status(lab.tag(inner, kind="tag"), [root]) == "parent_unverified"
    assert lab.status(lab.tag(lab.tag(root), "v2", kind="tag"), [root]) == "good"


def test_a_tag_of_something_else_or_under_another_name_is_refused(lab: Lab) -> None:
    root = lab.commit()
    tree = lab.tag(lab.tree, kind="tree")
    assert lab.status(tree, [root]) == "not_a_commit"
    assert lab.status(lab.tree, [root]) == "not_a_commit"
    tag = lab.tag(root, "v1")
    assert lab.status(tag, [root], refs={tag: "refs/tags/v1"}) == "good"
    assert lab.status(tag, [root], refs={tag: "refs/tags/v2"}) == "wrong_tag_name"
    both = {tag: ["refs/tags/a1", "refs/tags/v1"]}
    assert lab.status(tag, [root], refs=both) == "wrong_tag_name"


def test_a_signature_inside_the_text_of_a_tag_counts_only_at_its_end(lab: Lab) -> None:
    root = lab.commit()
    tag = lab.git("cat-file", "tag", lab.tag(root)).encode() + b"\n"
    assert lab.status(lab.put("tag", tag), [root]) == "good"
    assert lab.status(lab.put("tag", tag + b"and something behind it\n"), [root]) == "bad_signature"


def test_an_x509_signature_is_refused_with_its_reason(lab: Lab) -> None:
    head, body = lab.raw().split(b"\n\n", 1)
    signature = b"\ngpgsig -----BEGIN SIGNED MESSAGE-----\n AAAA\n -----END SIGNED MESSAGE-----\n\n"
    commit = lab.put("commit", head + signature + body)
    found = lab.verdicts(commit)[commit]
    assert found.status == "unsupported_format"
    assert "x509" in found.reason


def test_a_strange_signature_is_never_believed(lab: Lab) -> None:
    head, body = lab.raw().split(b"\n\n", 1)
    for text in (b"hello", b"-----BEGIN SSH SIGNATURE-----", b""):
        commit = lab.put("commit", head + b"\ngpgsig " + text + b"\n\n" + body)
        assert not lab.verdicts(commit)[commit].accepted


def test_what_a_stranger_writes_is_safe_to_show(lab: Lab) -> None:
    raw = lab.raw(email="\x1b[2Jalice@example.com")
    commit = lab.put("commit", lab.signed(raw, "alice"))
    line = lab.verdicts(commit)[commit].line()
    assert "\x1b" not in line
    assert "\n" not in line


def test_the_settings_of_the_repository_add_no_trust(lab: Lab, tmp_path: Path) -> None:
    root = lab.commit()
    bad = lab.commit(root, by="mallory")
    line = f'mallory@example.com namespaces="git" {lab.keys.lines["mallory"]}\n'
    (tmp_path / "signers").write_text(line)
    lab.git("config", "gpg.ssh.allowedSignersFile", str(tmp_path / "signers"))
    lab.git("config", "gpg.ssh.program", "/bin/true")
    lab.git("config", "gpg.program", "/bin/true")
    lab.git("config", "core.useReplaceRefs", "true")
    assert lab.status(bad, [root]) == "unknown_key"


def test_the_variables_of_whoever_runs_it_change_nothing(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    root = lab.commit()
    other = Lab(tmp_path / "other.git", lab.keys)
    monkeypatch.setenv("GIT_DIR", str(other.path))
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", str(other.path / "objects"))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.bare")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "nonsense")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    found = verify(str(lab.path), [root], [], lab.policy(), NOW)
    assert [one.status for one in found] == ["good"]


def test_times_are_those_of_utc_wherever_the_server_stands(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = lab.policy(people=people(lab, valid_before="2026-11-18T05:00:00Z"))
    end = next(iter(policy.people[0].keys)).valid_before
    assert end is not None
    commit = lab.commit(time=end - 7200)
    for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago"):
        monkeypatch.setenv("TZ", zone)
        assert lab.status(commit, policy=policy, now=end - 1) == "good"
        assert lab.status(commit, policy=policy, now=end) == "expired"


def test_objects_in_quarantine_are_seen(lab: Lab, tmp_path: Path) -> None:
    root = lab.commit()
    kept = tmp_path / "incoming"
    shutil.copytree(lab.path / "objects", kept)
    tip = lab.commit(root)
    shutil.rmtree(lab.path / "objects")
    shutil.copytree(kept, lab.path / "objects")
    with pytest.raises(GitFailure):
        lab.verdicts(tip, [root])
    raw = lab.git("cat-file", "commit", root)
    assert raw
    (tmp_path / "new").mkdir()
    variables = {
        "GIT_OBJECT_DIRECTORY": str(tmp_path / "new"),
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(lab.path / "objects"),
        "GIT_QUARANTINE_PATH": str(tmp_path / "new"),
        "GIT_CONFIG_PARAMETERS": "nonsense",
    }
    signed = lab.signed(lab.raw(root), "alice")
    command = ["git", "-C", str(lab.path), "hash-object", "-w", "-t", "commit", "--stdin"]
    pushed = subprocess.run(
        command,
        input=signed,
        capture_output=True,
        check=True,
        env={"PATH": "/usr/bin:/bin", **{k: v for k, v in variables.items() if "CONFIG" not in k}},
    )
    name = pushed.stdout.decode().strip()
    place = Repository(str(lab.path), variables)
    assert [one.status for one in verify(place, [name], [root], lab.policy(), NOW)] == ["good"]


def test_a_forges_merge_in_quarantine_is_made_again(lab: Lab, tmp_path: Path) -> None:
    root, merge = forge_merge(lab)
    (tmp_path / "a:b").mkdir()
    moved = tmp_path / "a:b" / "objects"
    shutil.move(str(lab.path / "objects"), moved)
    (lab.path / "objects").mkdir()
    place = Repository(str(lab.path), {"GIT_OBJECT_DIRECTORY": str(moved)})
    found = verify(place, [merge], [root], lab.policy(), NOW)
    assert {one.status for one in found} == {"good"}


def test_what_was_decided_before_is_not_worked_out_again_until_it_can_turn(lab: Lab) -> None:
    policy = lab.policy(people=people(lab, valid_before="2027-01-01"))
    tip = lab.commit(lab.commit(lab.commit(by="bob")))
    first = lab.verdicts(tip, policy=policy)
    work = Work(known=first)
    assert lab.verdicts(tip, policy=policy, work=work) == first
    assert (work.signatures, work.kept) == (0, 3)
    work = Work(known=first)
    later = lab.verdicts(tip, policy=policy, work=work, now=NOW + 365 * DAY)
    assert (work.kept, later[tip].status) == (1, "expired")


def test_a_kept_verdict_does_not_vouch_for_the_parents(lab: Lab) -> None:
    root = lab.commit()
    bad = lab.commit(root, by="")
    tip = lab.commit(bad)
    own = lab.verdicts(tip, [bad])
    assert own[tip].status == "good"
    assert lab.status(tip, [root], work=Work(known=own)) == "parent_unverified"


def test_a_missing_commit_is_an_error_and_nothing_is_accepted(lab: Lab) -> None:
    lab.commit()
    with pytest.raises(GitFailure, match="rev-list"):
        lab.verdicts("1" * 40)
    with pytest.raises(GitFailure):
        verify(str(lab.path) + ".none", ["1" * 40], [], lab.policy(), NOW)


def test_a_program_that_is_missing_or_broken_is_an_error_and_nothing_is_accepted(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    root = lab.commit()

    def other(name: str) -> str:
        path = tmp_path / name
        path.write_text("#!/bin/sh\n" + script)
        path.chmod(0o755)
        return str(path)

    monkeypatch.setattr(git_spawn_io, "find_program", other)
    script = "exit 0\n"
    assert lab.status(root) == "unverifiable"
    script = "kill -9 $$\n"
    assert lab.status(root) == "unverifiable"
    script = "echo 'ssh-keygen: unknown option -- Y' >&2; exit 1\n"
    assert lab.status(root) == "unverifiable"
    monkeypatch.setattr(git_spawn_io, "find_program", lambda _name: str(tmp_path / "none"))
    with pytest.raises(ProgramError):
        lab.verdicts(root)


def test_no_descriptor_and_no_process_is_left_behind(lab: Lab) -> None:
    tip = lab.commit(lab.commit(lab.commit()))
    lab.verdicts(tip)
    before = sorted(path.name for path in Path("/proc/self/fd").iterdir())
    lab.verdicts(tip)
    assert sorted(path.name for path in Path("/proc/self/fd").iterdir()) == before


@pytest.fixture(scope="module")
def gpg() -> Iterator[Any]:
    """Makes OpenPGP keys and signatures with the real gpg."""
    if shutil.which("gpg") is None or shutil.which("gpg-agent") is None:
        pytest.skip("gpg or gpg-agent is not installed: OpenPGP signatures are not tested here")
    # Short, for the names of sockets are; and new, for an agent of an earlier run may still be in its own.
    home = Path(tempfile.mkdtemp(prefix="tg-", dir="/tmp"))

    def run(*words: str, stdin: bytes = b"") -> bytes:
        command = ["gpg", "--homedir", str(home), "--batch", "--no-tty", "--passphrase", "", *words]
        return subprocess.run(command, input=stdin, capture_output=True, check=True).stdout

    yield run
    subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False)
    shutil.rmtree(home, ignore_errors=True)


def test_openpgp_signatures_count_by_the_keys_of_the_policy_alone(lab: Lab, gpg: Any) -> None:
    for name in ("alice", "mallory"):
        gpg("--quick-gen-key", f"{name} <{name}@example.com>", "ed25519", "sign", "2y")
    block = gpg("--armor", "--export", "alice@example.com").decode()

    def commit(by: str, raw: bytes) -> str:
        signature = gpg("--armor", "--detach-sign", "-u", f"{by}@example.com", stdin=raw)
        head, body = raw.split(b"\n\n", 1)
        folded = signature.strip().replace(b"\n", b"\n ")
        return lab.put("commit", head + b"\ngpgsig " + folded + b"\n\n" + body)

    good = commit("alice", lab.raw())
    assert lab.status(good) == "unsupported_format"
    alice = {"name": "Alice", "principals": ["alice@example.com"], "keys": [{"openpgp": block}]}
    now = int(subprocess.run(["date", "+%s"], capture_output=True, check=True).stdout) + 60
    policy = lab.policy(people=[alice])
    found = lab.verdicts(good, policy=policy, now=now)[good]
    assert (found.status, found.signer) == ("good", "Alice")
    assert found.key.startswith("openpgp:")
    for bad, status in [
        (commit("mallory", lab.raw()), "unknown_key"),
        (commit("alice", lab.raw(email="bob@example.com")), "wrong_person"),
        (
            lab.put("commit", lab.git("cat-file", "commit", good).encode() + b"\nmore\n"),
            "bad_signature",
        ),
    ]:
        assert lab.status(bad, policy=policy, now=now) == status
    assert lab.status(good, policy=policy, now=now + 3 * 365 * DAY) == "expired"
    revoked = {**alice, "keys": [{"openpgp": block, "revoked": True}]}
    assert lab.status(good, policy=lab.policy(people=[revoked]), now=now) == "revoked"


def test_a_forge_may_sign_its_merges_with_openpgp(lab: Lab, gpg: Any) -> None:
    """As GitHub does: the people have SSH keys, and the forge has not."""
    gpg("--quick-gen-key", "Forge <web@forge.example>", "ed25519", "sign", "2y")
    block = gpg("--armor", "--export", "web@forge.example").decode()
    keys = [{"openpgp": block}]
    forge = {"name": "Forge", "principals": ["web@forge.example"], "keys": keys}
    policy = lab.policy(forges=[forge])
    now = int(subprocess.run(["date", "+%s"], capture_output=True, check=True).stdout) + 60
    lab.clock = now - 1000
    root = lab.commit(tree=lab.tree_of(a="a\n", b="b\n"))
    left = lab.commit(root, tree=lab.tree_of(a="x\n", b="b\n"))
    right = lab.commit(root, tree=lab.tree_of(a="a\n", b="y\n"))

    def merge(**files: str) -> str:
        raw = lab.raw(left, right, email="web@forge.example", tree=lab.tree_of(**files))
        signature = gpg("--armor", "--detach-sign", "-u", "web@forge.example", stdin=raw)
        head, body = raw.split(b"\n\n", 1)
        folded = signature.strip().replace(b"\n", b"\n ")
        return lab.put("commit", head + b"\ngpgsig " + folded + b"\n\n" + body)

    clean, evil = merge(a="x\n", b="y\n"), merge(a="x\n", b="z\n")
    assert lab.status(clean, [root], policy=policy, now=now) == "good"
    assert lab.status(evil, [root], policy=policy, now=now) == "evil_merge"


def test_a_signature_may_be_large_and_the_people_many(lab: Lab) -> None:
    crowd = [
        {
            "name": f"P{n}",
            "principals": [f"p{n}@example.com"],
            "keys": [{"key": lab.keys.lines["bob"]}],
        }
        for n in range(300)
    ]
    policy = lab.policy(people=[*crowd, lab.keys.person("alice")])
    raw = lab.raw(text="x" * 200_000)
    assert lab.status(lab.put("commit", lab.signed(raw, "alice")), policy=policy) == "good"
    assert ssh_sign(lab.keys.place / "alice", raw).startswith(b"-----BEGIN")
