# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Push good and bad commits to a guarded git server, as a client of it (Python 3.9 or newer, standard library).

    git_pusher.py NAME < options.json        NAME is one of the functions in WORK; prints what it returns as JSON

Options: `keys`, a directory of SSH keys; `guarded` and `naive`, where to push to, {mode} being replaced in the latter;
`ssh`, the command for ssh; `work`, a directory to work in; `name`, to tell runs apart.
Runs in a container beside git_reference.py, and in the unit tests where servers are directories.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import git_reference

PEOPLE = {
    "alice": "alice@example.com",
    "bob": "bob@example.com",
    "carol": "carol@example.com",  # her key has expired
    "dave": "dave@example.com",  # his key is revoked
    "erin": "erin@example.com",  # her key may sign files only
    "forge": "forge@example.com",
    "mallory": "mallory@example.com",  # nobody knows the key
}
ZERO = "0" * 40
PROTECTED = ("refs/heads/main", "refs/heads/release/*", "refs/tags/*")
# What is refused, and the word that the pusher reads; everything else that is tried gets in.
REFUSED = {
    "non_fast_forward": "non_fast_forward",
    "deletion": "deletion",
    "future": "future_dated",
    "older_than_parent": "backdated",
    "wrong_namespace": "wrong_namespace",
    "squash_by_forge": "forge_commit",
    "octopus_by_forge": "forge_commit",
    "orphan": "foreign_root",
    "tag_as_branch": "wrong_type",
    "replace_ref": "replaced",
    "unsigned_tag": "unsigned",
    "tag_of_another": "wrong_person",
    "renamed_tag": "wrong_tag_name",
    "tag_of_unsigned": "unsigned",
    "mixed": "unsigned",
    "moved_tag": "moved_tag",
}


class Pushed(NamedTuple):
    """How a push ended."""

    ok: bool
    said: str


class Client:
    """A clone with commits of all kinds."""

    def __init__(self, options: Dict[str, Any]) -> None:
        self.options = options
        self.keys = Path(options["keys"])
        self.path = Path(tempfile.mkdtemp(dir=options.get("work")))
        self.count = 0
        self.git("init", "-q", "-b", "main", ".")
        # Like no other one's: two clients of one second would make the same commit, which the guard knows then.
        self.base = self.commit([], "alice", message=f"base of {options['name']}")

    def git(
        self,
        *words: str,
        stdin: str = "",
        check: bool = True,
        env: Optional[Dict[str, str]] = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run git here, without any configuration but the repository's."""
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.path),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_SSH_COMMAND": self.options.get("ssh", "false"),
            "LC_ALL": "C",
            **(env or {}),
        }
        done = subprocess.run(
            ["git", *words],
            cwd=self.path,
            env=environment,
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if check and done.returncode != 0:
            raise RuntimeError(f"git {' '.join(words)}: {done.stderr}")
        return done

    def tree(self, **files: str) -> str:
        """A tree with these files, and one that is like no other."""
        self.count += 1
        lines = []
        for name, text in {f"n{self.count}": str(self.count), **files}.items():
            blob = self.git("hash-object", "-w", "--stdin", stdin=text).stdout.strip()
            lines.append(f"100644 blob {blob}\t{name}\n")
        return self.git("mktree", stdin="".join(lines)).stdout.strip()

    def who(self, person: str, when: Optional[int]) -> Dict[str, str]:
        """The environment of somebody who commits."""
        found = {"GIT_AUTHOR_NAME": person, "GIT_AUTHOR_EMAIL": PEOPLE[person]}
        found.update(GIT_COMMITTER_NAME=person, GIT_COMMITTER_EMAIL=PEOPLE[person])
        if when is not None:
            found.update(GIT_AUTHOR_DATE=f"{when} +0000", GIT_COMMITTER_DATE=f"{when} +0000")
        return found

    def signing(self, key: str) -> List[str]:
        """The settings to sign with a key."""
        return ["-c", "gpg.format=ssh", "-c", f"user.signingkey={self.keys / key}"]

    def commit(
        self,
        parents: Sequence[str],
        committer: str,
        key: Optional[str] = None,
        *,
        when: Optional[int] = None,
        tree: str = "",
        message: str = "change",
    ) -> str:
        """A commit signed with the key, the committer's own unless another is named; "" is none."""
        key = committer if key is None else key
        words = [*self.signing(key)] if key else []
        words += ["commit-tree", tree or self.tree(), "-m", message]
        words += [word for parent in parents for word in ("-p", parent)]
        words += ["-S"] if key else []
        return self.git(*words, env=self.who(committer, when)).stdout.strip()

    def misused(self, parents: Sequence[str], committer: str) -> str:
        """A commit with a true signature of its committer that was made for files."""
        plain = self.commit(parents, committer, "")
        content = self.git("cat-file", "commit", plain).stdout
        signature = self.sign(content, committer, "file")
        head, _empty, text = content.partition("\n\n")
        header = "gpgsig " + signature.strip().replace("\n", "\n ")
        return self.git(
            "hash-object", "-t", "commit", "-w", "--stdin", stdin=f"{head}\n{header}\n\n{text}"
        ).stdout.strip()

    def sign(self, content: str, key: str, namespace: str) -> str:
        """A signature of ssh-keygen over the text."""
        done = subprocess.run(
            ["ssh-keygen", "-Y", "sign", "-n", namespace, "-f", str(self.keys / key)],
            input=content,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    def tag(self, name: str, target: str, tagger: str, key: str, inner: str = "") -> str:
        """The id of an annotated tag; `inner` is the name inside it when that is another one."""
        words = (
            [*self.signing(key), "tag", "-f", "-m", "tag", "-s"]
            if key
            else ["tag", "-f", "-m", "tag"]
        )
        self.git(*words, inner or name, target, env=self.who(tagger, None))
        return self.git("rev-parse", f"refs/tags/{inner or name}").stdout.strip()

    def merged(self, one: str, other: str) -> str:
        """The tree that git makes of two commits."""
        return self.git("merge-tree", "--write-tree", one, other).stdout.split()[0]

    def push(self, where: str, *refspecs: str) -> Pushed:
        """A push that the client itself does not hold back."""
        done = self.git("push", "--force", where, *refspecs, check=False)
        return Pushed(done.returncode == 0, done.stderr)

    @property
    def guarded(self) -> str:
        return str(self.options["guarded"])

    def naive(self, mode: str) -> str:
        """A repository whose hook believes git: see naive_hook.sh for the modes."""
        return str(self.options["naive"]).format(mode=mode)


# --- the ways around naive hooks


def wrong_person(client: Client, _branch: str) -> Tuple[str, List[List[str]]]:
    """Bob signs what says that Alice committed it."""
    return "all", [[client.commit([client.base], "alice", "bob")]]


def unknown_key(client: Client, _branch: str) -> Tuple[str, List[List[str]]]:
    """Git calls an SSH key that nobody knows U, as it calls a good OpenPGP key of little trust."""
    return "u", [[client.commit([client.base], "alice", "mallory")]]


def backdated(client: Client, _branch: str) -> Tuple[str, List[List[str]]]:
    """Carol's key has expired; she dates her commit to the time before. Its parent is as old."""
    then = 1750000000
    return "all", [[client.commit([client.base], "carol", when=then)]]


def revoked(client: Client, _branch: str) -> Tuple[str, List[List[str]]]:
    """Git asks for revocations only where somebody has set gpg.ssh.revocationFile."""
    return "all", [[client.commit([client.base], "dave")]]


def replaced(client: Client, _branch: str) -> Tuple[str, List[List[str]]]:
    """A signed commit is shown in place of an unsigned one."""
    bad = client.commit([client.base], "alice", "")
    stand_in = client.commit([client.base], "alice")
    return "all", [[f"{stand_in}:refs/replace/{bad}"], [bad]]


def side_branch(client: Client, branch: str) -> Tuple[str, List[List[str]]]:
    """What is in the repository already is not new, so it is not looked at."""
    bad = client.commit([client.base], "alice", "")
    good = client.commit([bad], "alice")
    return "all", [[f"{bad}:refs/heads/side-{branch}"], [good]]


def buried(client: Client, _branch: str) -> Tuple[str, List[List[str]]]:
    """An unsigned commit under a signed one, and a hook that looks at the tip."""
    return "tip", [[client.commit([client.commit([client.base], "bob", "")], "alice")]]


def unsigned_merge(client: Client, _branch: str) -> Tuple[str, List[List[str]]]:
    """A signed merge that brings in what is unsigned by its second parent."""
    ours = client.commit([client.base], "alice")
    theirs = client.commit([client.base], "bob", "")
    merge = client.commit([ours, theirs], "alice", tree=client.merged(ours, theirs))
    return "tip", [[merge]]


def evil_merge(client: Client, _branch: str) -> Tuple[str, List[List[str]]]:
    """The forge's key signs a merge that holds what neither parent has."""
    ours, theirs = client.commit([client.base], "alice"), client.commit([client.base], "bob")
    merge = client.commit([ours, theirs], "forge", tree=client.tree(backdoor="open"))
    return "all", [[merge]]


def own_trust(client: Client, _branch: str) -> Tuple[str, List[List[str]]]:
    """The pushed tree says whom to trust."""
    public = (client.keys / "mallory.pub").read_text(encoding="utf-8")
    files = {".allowed_signers": f"{PEOPLE['mallory']} {public}"}
    return "tree", [[client.commit([client.base], "mallory", tree=client.tree(**files))]]


def other_namespace(client: Client, _branch: str) -> Tuple[str, List[List[str]]]:
    """A key that may sign files; a list of signers without namespaces lets it sign anything."""
    return "all", [[client.commit([client.base], "erin")]]


BYPASSES: Dict[str, Callable[[Client, str], Tuple[str, List[List[str]]]]] = {
    one.__name__: one
    for one in (
        *(wrong_person, unknown_key, backdated, revoked, replaced, side_branch, buried),
        *(unsigned_merge, evil_merge, own_trust, other_namespace),
    )
}


def bypasses(options: Dict[str, Any]) -> List[Dict[str, Any]]:
    """Each bypass against a naive hook and against the guard."""
    client = Client(options)
    cases = {}
    for case, make in BYPASSES.items():
        branch = f"refs/heads/release/{options['name']}-{case}"
        mode, pushes = make(client, f"{options['name']}-{case}")
        full = [[one if ":" in one else f"{one}:{branch}" for one in each] for each in pushes]
        cases[case] = (branch, mode, full)
    starts = [f"{client.base}:{branch}" for branch, _mode, _pushes in cases.values()]
    for where in (client.guarded, *(client.naive(mode) for mode in ("all", "u", "tip", "tree"))):
        first = client.push(where, *starts)
        if not first.ok:
            raise RuntimeError(f"the base must get in to {where}: {first.said}")

    def tried(case: str) -> Dict[str, Any]:
        _branch, mode, pushes = cases[case]
        naive = [client.push(client.naive(mode), *each) for each in pushes]
        ours = [client.push(client.guarded, *each) for each in pushes]
        return {
            "case": case,
            "naive": [list(one) for one in naive],
            "guarded": [list(one) for one in ours],
        }

    with ThreadPoolExecutor(max_workers=4) as pool:
        return list(pool.map(tried, cases))


def refusals(options: Dict[str, Any]) -> Dict[str, List[Any]]:
    """What else is refused, and what is not: case -> whether it got in, and what was said."""
    client, name = Client(options), options["name"]
    branch = f"refs/heads/release/{name}"
    two = client.commit([client.base], "alice")
    found = {"first": client.push(client.guarded, f"{client.base}:{branch}")}
    found["signed"] = client.push(client.guarded, f"{two}:{branch}")
    three = client.commit([two], "bob")
    ours, theirs = client.commit([two], "alice"), client.commit([two], "bob")
    tree = client.merged(ours, theirs)
    future = int(time.time()) + 86400
    tags = {
        "unsigned_tag": ("u", client.tag(f"u-{name}", two, "alice", "")),
        "tag_of_another": ("o", client.tag(f"o-{name}", two, "alice", "bob")),
        "renamed_tag": ("r", client.tag(f"r-{name}", two, "alice", "alice", f"x-{name}")),
        "tag_of_unsigned": ("t", client.commit([two], "alice", "")),
    }
    tries = {
        "non_fast_forward": f"{client.base}:{branch}",
        "deletion": f":{branch}",
        "future": f"{client.commit([two], 'alice', when=future)}:{branch}",
        "older_than_parent": f"{client.commit([two], 'alice', when=int(time.time()) - 7200)}:{branch}",
        "wrong_namespace": f"{client.misused([two], 'alice')}:{branch}",
        "squash_by_forge": f"{client.commit([two], 'forge')}:{branch}",
        "octopus_by_forge": f"{client.commit([two, ours, theirs], 'forge')}:{branch}",
        "orphan": f"{client.commit([two, client.commit([], 'alice')], 'alice')}:{branch}",
        "tag_as_branch": f"{client.tag(f'b-{name}', three, 'alice', 'alice')}:{branch}",
        "replace_ref": f"{three}:refs/replace/{two}",
        **{case: f"{new}:refs/tags/{letter}-{name}" for case, (letter, new) in tags.items()},
    }
    for case, refspec in tries.items():
        found[case] = client.push(client.guarded, refspec)
    found["mixed"] = client.push(
        client.guarded, f"{three}:{branch}", f"{client.commit([], 'bob', '')}:refs/tags/m-{name}"
    )
    fine = {
        "clean_merge_by_forge": f"{client.commit([ours, theirs], 'forge', tree=tree)}:{branch}",
        "unsigned_side_branch": f"{client.commit([two], 'bob', '')}:refs/heads/side-{name}",
        "signed_tag": f"{client.tag(f's-{name}', two, 'alice', 'alice')}:refs/tags/s-{name}",
        "light_tag": f"{two}:refs/tags/l-{name}",
    }
    for case, refspec in fine.items():
        found[case] = client.push(client.guarded, refspec)
    found["moved_tag"] = client.push(client.guarded, f"{client.base}:refs/tags/l-{name}")
    found["deleted_side_branch"] = client.push(client.guarded, f":refs/heads/side-{name}")
    return {case: list(one) for case, one in found.items()}


def good_push(options: Dict[str, Any]) -> List[Any]:
    """One push that is good in every way, to a branch of its own."""
    client = Client(options)
    where = options.get("where") or client.guarded
    return list(client.push(where, f"{client.base}:refs/heads/release/{options['name']}"))


def unsigned_push(options: Dict[str, Any]) -> List[Any]:
    """One push of an unsigned commit."""
    client = Client(options)
    bad = client.commit([client.base], "alice", "")
    return list(
        client.push(
            options.get("where") or client.guarded, f"{bad}:refs/heads/release/{options['name']}"
        )
    )


def chain(client: Client, start: str, length: int) -> str:
    """So many good commits, one on the other."""
    for _unused in range(length):
        start = client.commit([start], "alice")
    return start


def long_push(options: Dict[str, Any]) -> List[Any]:
    """One good push of many commits, which keeps the guard busy for a while."""
    client = Client(options)
    tip = chain(client, client.base, options["commits"])
    return list(client.push(client.guarded, f"{tip}:refs/heads/release/{options['name']}"))


def cut_pushes(options: Dict[str, Any]) -> Dict[str, Any]:
    """Good pushes whose client is killed, each a little later than the one before."""
    client = Client(options)
    tips: List[str] = []
    for number in range(options["tries"]):
        tip = chain(client, tips[-1] if tips else client.base, options["commits"])
        tips.append(tip)
        environment = {**os.environ, "GIT_SSH_COMMAND": options["ssh"], "HOME": str(client.path)}
        process = subprocess.Popen(
            ["git", "push", "-q", client.guarded, f"{tip}:refs/heads/release/{options['name']}"],
            cwd=client.path,
            env=environment,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            process.wait(timeout=0.15 * (number + 1))
        except subprocess.TimeoutExpired:
            # ssh as well: the server sees the line go dead.
            os.killpg(process.pid, 9)
            process.wait()
    return {"tips": tips}


def concurrent(options: Dict[str, Any]) -> Dict[str, Any]:
    """Several pushes at once: each to a branch of its own, and all of them to one."""
    client, name = Client(options), options["name"]
    shared = f"refs/heads/release/{name}"
    client.push(client.guarded, f"{client.base}:{shared}")
    tips = [client.commit([client.base], "alice") for _unused in range(options["clients"])]
    bad = client.commit([client.base], "alice", "")

    def push(number: int) -> Tuple[bool, bool]:
        own = client.push(client.guarded, f"{tips[number]}:{shared}-{number}").ok
        return own, client.push(client.guarded, f"{tips[number]}:{shared}").ok

    with ThreadPoolExecutor(max_workers=len(tips) + 1) as pool:
        worst = pool.submit(client.push, client.guarded, f"{bad}:{shared}")
        done = list(pool.map(push, range(len(tips))))
    value = client.git("ls-remote", client.guarded, shared).stdout.split()[0]
    return {
        "own": [own for own, _shared in done],
        "shared": [got for _own, got in done],
        "unsigned": worst.result().ok,
        "tips": tips,
        "value": value,
    }


# --- pushes at random, against the reference


class Mutator:
    """Makes pushes at random, and knows what the server holds."""

    def __init__(self, client: Client, seed: int, prefix: str) -> None:
        self.client, self.random, self.prefix = client, random.Random(seed), prefix
        self.refs: Dict[str, str] = {}
        self.made: List[str] = [client.base]
        self.serial = 0

    def names(self, kind: str) -> List[str]:
        """The refs of a kind that the pushes are about."""
        places = {"protected": "heads/release", "side": "heads/side"}
        return [f"refs/{places[kind]}/{self.prefix}{number}" for number in range(3)]

    def grow(self, start: str) -> str:
        """Up to three commits, mostly good ones."""
        tip = start
        for _unused in range(self.random.randrange(4)):
            tip = self.one(tip)
            self.made.append(tip)
        return tip

    def one(self, parent: str) -> str:
        client, kind = self.client, self.random.randrange(22)
        bad: Dict[int, Callable[[], str]] = {
            0: lambda: client.commit([parent], "alice", ""),
            1: lambda: client.commit([parent], "alice", "bob"),
            2: lambda: client.commit([parent], "mallory"),
            3: lambda: client.commit([parent], "carol"),
            4: lambda: client.commit([parent], "dave"),
            5: lambda: client.misused([parent], "bob"),
            6: lambda: client.commit([parent], "bob", when=int(time.time()) + 7200),
            7: lambda: client.commit([parent], "forge"),
        }
        if kind in bad and self.random.random() < 0.5:
            return bad[kind]()
        if kind in (8, 9, 10, 11, 12):
            return self.merge(parent)
        return client.commit([parent], self.random.choice(("alice", "bob")))

    def merge(self, parent: str) -> str:
        client = self.client
        other = self.random.choice(self.made)
        if other == parent:
            return client.commit([parent], "bob")
        done = client.git(
            "merge-tree", "--write-tree", "--allow-unrelated-histories", parent, other, check=False
        )
        clean = done.stdout.split()[0] if done.returncode == 0 else client.tree()
        evil = self.random.random() < 0.3
        signer = self.random.choice(("alice", "bob", "forge", "forge", ""))
        return client.commit(
            [parent, other], signer or "alice", signer, tree=client.tree() if evil else clean
        )

    def update(self) -> Tuple[str, str]:
        """A ref, and the id that it shall get; "" deletes it."""
        kind = self.random.choice(("protected", "protected", "protected", "side", "tag"))
        if kind == "tag":
            self.serial += 1
            name = f"{self.prefix}{self.serial}"
            target = self.grow(self.random.choice([*self.refs.values(), self.client.base]))
            if self.client.git("cat-file", "-t", target).stdout.strip() == "tag":
                return f"refs/tags/{name}", target
            how = self.random.randrange(5)
            if how == 0:
                return f"refs/tags/{name}", target
            tagger, key = [("alice", "alice"), ("bob", "bob"), ("alice", "bob"), ("alice", "")][
                how - 1
            ]
            return f"refs/tags/{name}", self.client.tag(name, target, tagger, key)
        ref = self.random.choice(self.names(kind))
        now = self.refs.get(ref)
        if now and self.random.random() < 0.05:
            return ref, ""
        heads = [value for name, value in self.refs.items() if "/tags/" not in name]
        elsewhere = self.random.choice([*heads, self.client.base])
        start = now if now and self.random.random() < 0.85 else elsewhere
        return ref, self.grow(start)

    def push(self) -> Optional[Dict[str, Any]]:
        """One push and what the reference says of it; None when there was nothing to push."""
        wanted = dict(self.update() for _unused in range(self.random.choice((1, 1, 1, 2, 3))))
        updates = [
            (self.refs.get(ref, ZERO), new or ZERO, ref)
            for ref, new in wanted.items()
            if self.refs.get(ref, "") != new
        ]
        if not updates:
            return None
        expected = git_reference.decide(
            str(self.client.path),
            updates,
            self.refs,
            PROTECTED,
            str(self.client.keys / "reference_signers"),
            str(self.client.keys / "reference_revoked"),
            PEOPLE["forge"],
        )
        specs = [f"{'' if new == ZERO else new}:{ref}" for _old, new, ref in updates]
        done = self.client.push(self.client.guarded, *specs)
        if done.ok:
            for _old, new, ref in updates:
                if new == ZERO:
                    del self.refs[ref]
                else:
                    self.refs[ref] = new
        return {"updates": updates, "got": done.ok, "expected": expected, "said": done.said}


def mutations(options: Dict[str, Any]) -> List[Dict[str, Any]]:
    """So many pushes at random, each with the verdicts of guard and reference."""
    client = Client(options)
    mutator = Mutator(client, options["seed"], f"{options['name']}-")
    results: List[Dict[str, Any]] = []
    while len(results) < options["count"]:
        one = mutator.push()
        if one is not None:
            results.append(one)
    return results


WORK: Dict[str, Callable[[Dict[str, Any]], Any]] = {
    one.__name__: one
    for one in (
        *(bypasses, refusals, good_push, unsigned_push, long_push, cut_pushes),
        *(concurrent, mutations),
    )
}

if __name__ == "__main__":
    json.dump(WORK[sys.argv[1]](json.load(sys.stdin)), sys.stdout)
