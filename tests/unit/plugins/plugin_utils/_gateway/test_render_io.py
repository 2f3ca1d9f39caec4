# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Templates are rendered the same everywhere, a user's own win, and a bad one is told in a sentence."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.twinguard.hardening.plugins.module_utils._core.plan import ControlError
from ansible_collections.twinguard.hardening.plugins.module_utils._nginx.fileset import desired
from ansible_collections.twinguard.hardening.plugins.module_utils._nginx.syntax import applies
from ansible_collections.twinguard.hardening.plugins.plugin_utils._gateway.render_io import (
    MANAGED,
    Renderer,
)
from ansible_collections.twinguard.hardening.plugins.plugin_utils._gateway.template_data import (
    FILES,
    SYNTAXES,
    template_data,
)
from ansible_collections.twinguard.hardening.tests.unit.support.gateway import (
    GOOD,
    TEMPLATES,
    key_of,
    policy,
)

DATA = {"name": "value", "items": ["a", "b"]}


def built_in(directory: Path, text: str, name: str = "x.conf") -> Renderer:
    (directory / (name + ".j2")).write_text(text)
    return Renderer(directory)


def refusal(renderer: Renderer, name: str = "x.conf") -> str:
    with pytest.raises(ControlError) as caught:
        renderer.render(name, DATA)
    sentence = str(caught.value)
    assert sentence.startswith("option 'templates' = '%s.j2': " % name)
    assert "\n" not in sentence
    return sentence


def test_blocks_leave_no_blank_lines_and_the_last_line_ends(tmp_path: Path) -> None:
    text = (
        "{#- licence -#}\n# {{ managed }}\n{% for one in items %}\n    {{ one }};\n{% endfor %}\n"
    )
    assert built_in(tmp_path, text).render("x.conf", DATA) == "# %s\n    a;\n    b;\n" % MANAGED


def test_data_are_neither_escaped_nor_templated_again(tmp_path: Path) -> None:
    renderer = built_in(tmp_path, "{{ name }}\n")
    assert renderer.render("x.conf", {"name": '"{{ 1 + 1 }}" <&>'}) == '"{{ 1 + 1 }}" <&>\n'


def test_a_template_of_the_users_own_wins_and_the_others_stay(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "limits.conf.j2").write_text("mine {{ ns }}\n")
    data = template_data(policy(), SYNTAXES[-1])
    renderer, usual = Renderer(TEMPLATES, str(own)), Renderer(TEMPLATES)
    assert renderer.render("limits.conf", data) == "mine tg_gateway\n"
    assert renderer.render("server.conf", data) == usual.render("server.conf", data)


def test_a_directory_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ControlError, match=r"option 'templates' = .*is not a directory on the controller"
    ):
        Renderer(tmp_path, str(tmp_path / "gone"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{{ nmae }}\n", "'nmae' is undefined"),
        ("{{ items.first.x }}\n", "no attribute 'first'"),
        ("a\nb\n{% if %}\n", "(line 3)"),
        ("{{ name | nosuch }}\n", "nosuch"),
        ("{% include 'gone.j2' %}\n", "gone.j2"),
        ("{{ name + 1 }}\n", "can only concatenate"),
        ("{{ 1 // 0 }}\n", "zero"),
    ],
)
def test_a_template_that_cannot_be_rendered_is_told_in_one_sentence(
    tmp_path: Path, text: str, reason: str
) -> None:
    assert reason in refusal(built_in(tmp_path, text))


def test_a_template_that_is_missing_or_no_text_is_told_in_one_sentence(tmp_path: Path) -> None:
    refusal(Renderer(tmp_path))
    (tmp_path / "x.conf.j2").write_bytes(b"\xff\xfe{{ name }}")
    refusal(Renderer(tmp_path))


@pytest.mark.parametrize("template", sorted(TEMPLATES.glob("*.j2")), ids=lambda path: path.name)
def test_the_templates_hold_no_decision_beyond_showing_what_is_there(template: Path) -> None:
    text = template.read_text()
    conditions = re.findall(r"{%-? *(?:el)?if (.*?) *-?%}", text)
    assert all(re.fullmatch(r"[a-z_.0-9]+", one) for one in conditions), conditions
    assert not re.search(r"{%-? *(set|macro|call|filter)", text)
    assert not re.search(r"{{[^}]*(\||\(|==| if )", text)


NGINX = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
POLICIES: dict[str, dict[str, Any]] = {
    "the usual one": {},
    "a streaming one": {"routes": [{"path": "/", "upstream": "model", "streaming": True, "methods": ["POST"]}]},
    "one that listens twice": {
        "listen": [{"address": "127.0.0.1", "port": 18443}, {"address": "127.0.0.1", "port": 18444}]
    },
    "one behind a proxy, in a dry run": {
        "plaintext": True, "tls": None, "dry_run": True, "trusted_proxies": ["192.0.2.0/24", "2001:db8::/32"],
    },
    "one with everything": {
        "name": "every_0123456789",
        "tls": dict(GOOD["tls"], profile="modern", client_ca="/etc/ssl/certs/x.pem", client_verify="optional"),
        "upstreams": [
            {"name": "model", "servers": ["127.0.0.1:8000", "[::1]:8000", "unix:/run/m.sock"], "keepalive": 0,
             "tls": {"ca": "/etc/ssl/certs/x.pem", "server_name": "m.example"}},
        ],
        "limits": {"address": {"connections": 5}, "rejected": {"rate": "1r/m", "nodelay": False}},
        "tiers": {"standard": {"rate": "0.5r/s"}, "empty": {"rate": "100000r/s", "burst": 1000000}},
        "clients": [
            {"id": "a.b-c_d", "tier": "standard", "keys": [
                {"key": "x" + key_of("1")[:30] + end, "not_after": "2099-01-01"}
                for end in ("~tilde", "/+=._-", "-aaaaa", ".dotty")
            ]},
        ] + [{"id": "c%d" % i, "tier": "standard", "keys": [{"key": key_of(str(i))}]} for i in range(300)],
    },
}  # fmt: skip


@pytest.mark.skipif(
    NGINX is None, reason="nginx is not installed here; the Molecule scenario runs the real thing"
)
@pytest.mark.parametrize("name", POLICIES)
def test_nginx_itself_accepts_the_rendered_files_without_a_warning(
    tmp_path: Path, name: str
) -> None:
    assert NGINX is not None
    (tmp_path / "log").mkdir()
    listen = [{"address": "127.0.0.1", "port": 18443}]
    log = {"path": str(tmp_path / "log" / "access.log")}
    made = policy(**{"listen": listen, "access_log": log, **POLICIES[name]})
    new = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    new += [
        "-subj",
        "/CN=x",
        "-keyout",
        str(tmp_path / "key.pem"),
        "-out",
        str(tmp_path / "certificate.pem"),
    ]
    subprocess.run(new, check=True, stdin=subprocess.DEVNULL, capture_output=True)
    found = subprocess.run([NGINX, "-V"], check=True, capture_output=True).stderr.decode()
    version = re.findall(r"nginx/([0-9.]+)", found)[0]
    (syntax,) = [one for one in SYNTAXES if applies(version, one.since, one.before)]
    renderer, data = Renderer(TEMPLATES), template_data(made, syntax)
    files = [{"name": one, "content": renderer.render(one, data)} for one, _secret in FILES]
    params = {
        "name": made.name,
        "state": "present",
        "files": files,
        "secret_files": [],
        "companions": [],
    }
    wanted = desired(dict(params, directories=[], marker_port=18179), str(tmp_path), version)
    for path, one in wanted.files:
        text = one.content.replace("/etc/ssl/certs/x.pem", str(tmp_path / "certificate.pem"))
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text.replace("/etc/ssl/private/x.key", str(tmp_path / "key.pem")))
    temporary = "".join(
        "%s_temp_path %s/%s;" % (kind, tmp_path, kind)
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (tmp_path / "nginx.conf").write_text(
        "pid %s/pid; error_log stderr; events {} http { %s include conf.d/*.conf; }\n"
        % (tmp_path, temporary)
    )
    argv = [NGINX, "-t", "-q", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")]
    done = subprocess.run(argv, check=False, stdin=subprocess.DEVNULL, capture_output=True)
    assert (done.returncode, done.stderr.decode()) == (0, "")
