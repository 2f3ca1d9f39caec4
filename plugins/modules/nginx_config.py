#!/usr/bin/python

# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: nginx_config
short_description: Put a set of nginx files in force as one proven change
version_added: 0.1.0
author:
  - twinguard.hardening contributors (@twinguard)
description:
  - Takes all files of one set, has nginx test its whole configuration with them before anything is live,
    switches to them by one rename, reloads or starts nginx, and proves that nginx serves exactly these files.
  - If a step fails, the old files are restored, nginx serves what it served before, and the task fails with
    nginx's own message. Every further run fails as well until the cause is gone.
  - The proof consists of a marker on loopback that answers with the digest of the files, of the O(probes), and of
    a check that no worker of an older configuration accepts connections.
  - Other files of nginx are never changed.
extends_documentation_fragment:
  - twinguard.hardening._attributes
  - twinguard.hardening._attributes.LINUX
options:
  name:
    description: Name of the set; lower case letters, digits and underscores, at most 16.
    type: str
    required: true
  state:
    description: Whether the set should be in force or removed.
    type: str
    choices: [present, absent]
    default: present
  files:
    description: The files, in the order in which nginx reads them at C(http) level, after O(secret_files).
    type: list
    elements: dict
    default: []
    suboptions: &file
      name:
        description: Name that ends in C(.conf), without a directory.
        type: str
        required: true
      content:
        description: The whole content.
        type: str
        required: true
      since:
        description: Lowest version of nginx for which the file is used.
        type: str
      before:
        description: Version of nginx from which on the file is no longer used.
        type: str
  secret_files:
    description: Files that only root may read and that are not shown in any output. nginx reads them first.
    type: list
    elements: dict
    default: []
    suboptions: *file
  companions:
    description: Files elsewhere that are created and removed with the set, such as a rule for logrotate.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path; its directory must exist.
        type: path
        required: true
      content:
        description: The whole content.
        type: str
        required: true
  directories:
    description:
      - Directories to create if missing, accessible only to root and nginx's workers.
      - They stay when the set is removed.
    type: list
    elements: path
    default: []
  watch:
    description:
      - Further files that nginx reads, such as certificates.
      - nginx is reloaded if one of them was touched since the last proof.
    type: list
    elements: path
    default: []
  probes:
    description: Tests of the running server, made after a change and at every run.
    type: list
    elements: dict
    default: []
    suboptions:
      id:
        description: Name of the probe in the result.
        type: str
        required: true
      kind:
        description: Whether to make a TLS handshake or an HTTP request.
        type: str
        choices: [handshake, request]
        required: true
      address:
        description: IP address to connect to.
        type: str
        required: true
      port:
        description: TCP port.
        type: int
        required: true
      server_name:
        description: Server name for SNI and for the Host header.
        type: str
        required: true
      tls:
        description: Whether a request goes over TLS.
        type: bool
        default: true
      protocol:
        description: The only TLS version to offer in a handshake; if not given, all versions of this host.
        type: str
        choices: [TLSv1, TLSv1.1, TLSv1.2, TLSv1.3]
      method:
        description: HTTP method.
        type: str
        default: GET
      path:
        description: Path of the request.
        type: str
        default: /
      expect:
        description: Outcomes that pass. V(accepted) or V(refused) for a handshake, a status for a request.
        type: list
        elements: str
        required: true
      log:
        description: Log file in which the request must appear by its C(X-Request-Id).
        type: path
  marker_port:
    description: Port on 127.0.0.1 on which nginx answers with the generation it serves.
    type: int
    default: 8179
  conf_path:
    description: The main configuration file of nginx; it must include C(conf.d/*.conf) in its http block.
    type: path
    default: /etc/nginx/nginx.conf
  service:
    description: The systemd unit of nginx. Without systemd, nginx is controlled by its own program and signals.
    type: str
    default: nginx
  timeout:
    description: Seconds to wait until nginx serves the new configuration.
    type: int
    default: 15
"""

EXAMPLES = r"""
- name: Serve a status page, and prove it
  twinguard.hardening.nginx_config:
    name: status
    files:
      - name: status.conf
        content: |
          server {
              listen 127.0.0.1:8081;
              location / { return 200 "ok\n"; }
          }
    probes:
      - id: status page
        kind: request
        tls: false
        address: 127.0.0.1
        port: 8081
        server_name: localhost
        expect: ["200"]
"""

RETURN = r"""
controls:
  description: The control C(gateway.in_force) for this set.
  returned: always
  type: list
  elements: dict
generation:
  description: Digest of the set's files; V(null) when absent.
  returned: when nginx is installed
  type: str
  sample: 3f9d1c2b8e7a6f50
probes:
  description: The result of each probe; C(met) is V(null) if this host could not make the probe.
  returned: when nginx is installed
  type: list
  elements: dict
complaints:
  description: Messages of nginx that stopped the change, with level, text, file and line.
  returned: on failure
  type: list
  elements: dict
nginx_version:
  description: Version of the installed nginx.
  returned: when nginx is installed
  type: str
  sample: 1.26.3
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._core.conclude import conclude
from ..module_utils._core.controls import finding
from ..module_utils._nginx.fileset import NOT_INSTALLED, plan, plan_without_nginx, verdict
from ..module_utils._nginx.service_io import NginxError, installed
from ..module_utils._nginx.site_io import Site
from ..module_utils._nginx.spec import ARGUMENT_SPEC


def in_force(module: AnsibleModule, status: str, reason: str) -> list[dict[str, Any]]:
    return [finding("gateway.in_force", module.params["name"], status, reason)]


def run(module: AnsibleModule) -> dict[str, Any]:
    nginx = installed("nginx")
    if nginx is None:
        absent = plan_without_nginx(module.params)
        if absent.changed and not module.check_mode:
            raise NginxError(NOT_INSTALLED)
        force = ("fail", NOT_INSTALLED) if absent.changed else ("pass", "absent, as wanted")
        return {
            "changed": absent.changed,
            "diff": absent.diff(),
            "controls": in_force(module, *force),
        }

    site = Site(module.params, nginx)
    found = site.observe()
    actions = plan(site.want, found)

    site.refuse(found, actions)
    if actions.plan.changed and not module.check_mode:
        answers = site.apply(found, actions)
    else:
        answers = site.probe() if found.served and found.served == site.want.generation else []

    broken, included = site.check_disk()
    status, reason = verdict(site.want, site.served(), included, broken, answers)
    if status == "fail" and not module.check_mode:
        raise NginxError(reason, broken)
    return {
        "changed": actions.plan.changed,
        "diff": actions.plan.diff(),
        "controls": in_force(module, status, reason),
        "generation": site.want.generation,
        "nginx_version": nginx.version,
        "probes": answers,
    }


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    conclude(module, lambda: run(module), "gateway.in_force", module.params["name"])


if __name__ == "__main__":
    main()
