# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""nginx's files are read as nginx reads them, and its complaints are understood."""

from __future__ import annotations

from typing import Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.twinguard.hardening.plugins.module_utils._nginx.syntax import (
    Complaint,
    applies,
    blocking,
    build_facts,
    complaints,
    directives,
    dumped_files,
    main_setting,
    rewrite_includes,
)

NGINX_CONF = """\
user www-data;  # not root; really
pid "/run/nginx.pid";
events { worker_connections 768; }
http {
    map ${http_x} $y { "a;b" 1; 'c{' 2; default ""; }
    log_format x 'one '
        'two';
    server {
        location ~ "^/a{2}$" { return 200 ${y}\\;${y}; }
        error_log /inner.log;
    }
    # include /never.conf;
    include /etc/nginx/conf.d/*.conf;
}
error_log /outer.log notice;
"""

# As nginx 1.22.1 and 1.26.3 print them.
CONFLICT = '2026/11/21 02:17:49 [warn] 18063#18063: conflicting server name "a" on 127.0.0.1:18080, ignored'
SUSPICIOUS = '2026/11/21 02:18:31 [warn] 123#123: server name "/a/" has suspicious symbols in /etc/nginx/n.conf:2'
DEPRECATED = (
    '2026/11/21 02:18:31 [warn] 122#122: the "listen ... http2" directive is deprecated, '
    'use the "http2" directive instead in /etc/nginx/n.conf:2'
)
UNKNOWN = (
    '2026/11/21 02:17:49 [emerg] 18095#18095: unknown directive "bogus" in /etc/nginx/n.conf:2'
)
UNKNOWN_ON_TERMINAL = 'nginx: [emerg] unknown directive "bogus" in /etc/nginx/n.conf:2'
BIND = "2026/11/21 02:17:50 [emerg] 18264#18264: bind() to 127.0.0.1:18099 failed (98: Address already in use)"
CERTIFICATE = (
    '2026/11/21 02:17:49 [emerg] 18090#18090: cannot load certificate "/nope.pem": BIO_new_file() failed (SSL: '
    "error:80000002:system library::No such file or directory:calling fopen(/nope.pem, r) "
    "error:10000080:BIO routines::no such file)"
)
REQUEST = (
    "2026/11/21 02:17:50 [error] 7#7: *3 connect() failed (111: Connection refused) while connecting to upstream, "
    'client: 192.0.2.9, server: a, request: "GET / HTTP/1.1"'
)
GOOD_ENDING = "nginx: configuration file /etc/nginx/n.conf test is successful"


def lines(*said: str) -> str:
    return "\n".join(said)


def read(text: str) -> list[tuple[str, tuple[str, ...], int]]:
    return [(one.name, one.args, one.depth) for one in directives(text)]


def test_words_quotes_comments_and_blocks_are_told_apart() -> None:
    assert read(NGINX_CONF) == [
        ("user", ("www-data",), 0),
        ("pid", ("/run/nginx.pid",), 0),
        ("events", (), 0),
        ("worker_connections", ("768",), 1),
        ("http", (), 0),
        ("map", ("${http_x}", "$y"), 1),
        ("a;b", ("1",), 2),
        ("c{", ("2",), 2),
        ("default", ("",), 2),
        ("log_format", ("x", "one ", "two"), 1),
        ("server", (), 1),
        ("location", ("~", "^/a{2}$"), 2),
        ("return", ("200", "${y}\\;${y}"), 3),
        ("error_log", ("/inner.log",), 2),
        ("include", ("/etc/nginx/conf.d/*.conf",), 1),
        ("error_log", ("/outer.log", "notice"), 0),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('a "x\\"y;";', ("a", 'x\\"y;')),
        ("a 'it \"is\"';", ("a", 'it "is"')),
        ("a b#c;", ("a", "b#c")),
        ("a x${b}y$c;", ("a", "x${b}y$c")),
        ("a ${b};", ("a", "${b}")),
        ("a {b};", ("a",)),
        ('a b"c d";', ("a", 'b"c', 'd"')),
        ("a\n\tb\r\n;", ("a", "b")),
    ],
)
def test_a_word_ends_where_nginx_ends_it(text: str, words: tuple[str, ...]) -> None:
    first = next(directives(text))
    assert (first.name, *first.args) == words


def test_the_line_of_a_directive_is_the_one_that_nginx_would_name() -> None:
    lines = {(one.name, one.args[:1]): one.line for one in directives(NGINX_CONF)}
    assert lines["user", ("www-data",)] == 1
    assert lines["error_log", ("/inner.log",)] == 10
    assert lines["error_log", ("/outer.log",)] == 15


def test_a_main_setting_is_found_only_at_the_top() -> None:
    assert main_setting(NGINX_CONF, "error_log") == ("/outer.log", "notice")
    assert main_setting(NGINX_CONF, "worker_connections") is None
    assert main_setting(NGINX_CONF, "user") == ("www-data",)


@given(st.text("ab \n;{}\"'\\$#", max_size=60))
def test_no_text_breaks_the_reading_and_every_directive_ends_in_its_mark(text: str) -> None:
    found = list(directives(text))
    assert all(text[one.end - 1] in ";{" for one in found)
    assert [one.start for one in found] == sorted(one.start for one in found)
    assert all(1 <= one.line <= text.count("\n") + 1 for one in found)


def test_an_include_is_replaced_by_one_for_each_file_and_nothing_else_is_touched() -> None:
    text = rewrite_includes(NGINX_CONF, lambda pattern: ["/s/a.conf", "/s/b.conf"])
    assert text == NGINX_CONF.replace(
        "include /etc/nginx/conf.d/*.conf;", 'include "/s/a.conf"; include "/s/b.conf";'
    )


def test_an_include_of_no_file_vanishes_and_one_that_is_not_understood_stays() -> None:
    text = "include a*;\ninclude b;\n"
    assert (
        rewrite_includes(text, lambda pattern: [] if "*" in pattern else None) == "\ninclude b;\n"
    )


PIECES = st.sampled_from(
    [
        "include x;",
        "include\n  'y z'\n;",
        "# include x;",
        'a "include x;";',
        "http {",
        "}",
        "\n",
        " ",
        "include a b;",
    ]
)


@given(st.lists(PIECES, max_size=12).map("".join), st.integers(0, 3))
def test_rewriting_includes_moves_no_line(text: str, count: int) -> None:
    asked: list[str] = []

    def expand(pattern: str) -> Optional[list[str]]:
        asked.append(pattern)
        return ["/new"] * count

    after = rewrite_includes(text, expand)
    assert after.count("\n") == text.count("\n")
    others = [
        (one.line, one.args)
        for one in directives(text)
        if one.name != "include" or len(one.args) != 1
    ]
    assert [
        (o.line, o.args) for o in directives(after) if o.name != "include" or len(o.args) != 1
    ] == others
    assert sum(one.args == ("/new",) for one in directives(after)) == count * len(asked)


@given(st.text(max_size=60))
def test_rewriting_nothing_gives_the_same_text(text: str) -> None:
    assert rewrite_includes(text, lambda _pattern: None) == text


@pytest.mark.parametrize("line", [UNKNOWN, UNKNOWN_ON_TERMINAL])
def test_a_complaint_tells_level_text_file_and_line(line: str) -> None:
    (found,) = complaints(line)
    assert found == Complaint("emerg", 'unknown directive "bogus"', "/etc/nginx/n.conf", 2)
    assert found.sentence == '/etc/nginx/n.conf:2: unknown directive "bogus"'
    assert found.as_dict()["line"] == 2


def test_a_complaint_without_a_place_is_its_text() -> None:
    (found,) = complaints(CERTIFICATE)
    assert (found.file, found.line) == (None, None)
    assert found.sentence.startswith('cannot load certificate "/nope.pem": BIO_new_file()')


def test_the_number_of_a_connection_is_no_part_of_the_complaint() -> None:
    (found,) = complaints(REQUEST)
    assert (found.level, found.text[:16]) == ("error", "connect() failed")


def test_a_line_that_nginx_repeats_is_one_complaint_and_good_news_is_none() -> None:
    assert len(complaints(lines(BIND, BIND, GOOD_ENDING))) == 1


def test_lower_levels_can_be_left_out() -> None:
    assert [one.level for one in complaints(lines(DEPRECATED, REQUEST, UNKNOWN), "crit")] == [
        "emerg"
    ]


def test_a_warning_stops_a_change_only_when_it_hides_a_loss() -> None:
    found = complaints(lines(DEPRECATED, CONFLICT, SUSPICIOUS, UNKNOWN, BIND))
    assert [one.text[:11] for one in blocking(found)] == [
        "conflicting",
        "server name",
        "unknown dir",
        "bind() to 1",
    ]


def test_the_files_of_a_dump_are_listed_in_the_order_in_which_nginx_read_them() -> None:
    dump = "# configuration file /etc/nginx/nginx.conf:\nuser x;\n\n# configuration file /etc/nginx/conf.d/a.conf:\n"
    assert dumped_files(dump) == ["/etc/nginx/nginx.conf", "/etc/nginx/conf.d/a.conf"]


def test_the_facts_of_a_build_are_read_from_its_own_words() -> None:
    said = (
        "nginx version: nginx/1.22.1\nbuilt with OpenSSL 3.0.20\nconfigure arguments: "
        "--conf-path=/etc/nginx/nginx.conf "
        "--http-log-path=/var/log/nginx/access.log --error-log-path=stderr --pid-path=/run/nginx.pid --user=nginx"
    )
    assert build_facts(said) == {
        "version": "1.22.1",
        "conf_path": "/etc/nginx/nginx.conf",
        "pid_path": "/run/nginx.pid",
        "error_log_path": "stderr",
        "user": "nginx",
    }
    assert build_facts("nginx version: openresty/1.25.3.1\n") == {"version": "1.25.3.1"}
    assert build_facts("not nginx") == {}


@pytest.mark.parametrize(
    ("version", "since", "before", "wanted"),
    [
        ("1.25.1", "1.25.1", None, True),
        ("1.25.0", "1.25.1", None, False),
        ("1.25.1", None, "1.25.1", False),
        ("1.9.15", None, "1.19.4", True),
        ("1.22.1", "1.19.4", "1.25.1", True),
        ("1.22.1", None, None, True),
        ("999", "1.25.1", None, True),
    ],
)
def test_a_version_range_holds_its_first_version_and_not_its_last(
    version: str, since: Optional[str], before: Optional[str], wanted: bool
) -> None:
    assert applies(version, since, before) is wanted
