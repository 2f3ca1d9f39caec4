# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is documentation: the work is done by the action plugin of the same name, on the controller.

from __future__ import annotations

DOCUMENTATION = r"""
module: nginx_gateway
short_description: Keep an nginx gateway with TLS, API keys and rate limits in force in front of a model API
version_added: 0.1.0
author:
  - twinguard.hardening contributors (@twinguard)
description:
  - Takes the whole policy of a gateway, validates it on the controller, renders nginx's files there and passes
    them to M(twinguard.hardening.nginx_config), which puts them in force as one proven change or leaves
    everything as it was.
  - Keys are hashed on the controller. The gateway gets a digest and the last six characters of each, in a
    file that only root may read.
  - Requests are counted before their key is checked. A request without a valid key gets 401, one over a limit
    gets 429 with C(Retry-After), both with a JSON body.
extends_documentation_fragment:
  - twinguard.hardening._attributes
  - twinguard.hardening._attributes.LINUX
seealso:
  - module: twinguard.hardening.nginx_config
options:
  name:
    description: Name of the gateway on its host; lower case letters, digits and underscores, at most 16.
    type: str
    default: gateway
  state:
    description: Whether the gateway should be in force or removed.
    type: str
    choices: [present, absent]
    default: present
  server_names:
    description: DNS names that clients use. Required when O(state=present).
    type: list
    elements: str
  listen:
    description: Sockets to listen on.
    type: list
    elements: dict
    default: [{address: 0.0.0.0, port: 443}]
    suboptions:
      address:
        description: IP address; V(0.0.0.0) for all IPv4 and V([::]) for all IPv6 ones.
        type: str
        required: true
      port:
        description: TCP port.
        type: int
        required: true
  plaintext:
    description: Whether to serve HTTP, behind a proxy that terminates TLS. The control C(gateway.tls) then fails.
    type: bool
    default: false
  tls:
    description: TLS of the gateway. Required unless O(plaintext=true).
    type: dict
    suboptions:
      certificate:
        description: Path of the PEM certificate chain on the gateway.
        type: str
        required: true
      key:
        description: Path of its PEM private key on the gateway.
        type: str
        required: true
      profile:
        description: Mozilla's profile. V(modern) is TLS 1.3 only, V(intermediate) adds TLS 1.2 with forward secrecy.
        type: str
        choices: [modern, intermediate]
        default: intermediate
      hsts_max_age:
        description: Value of the HSTS header in seconds, for which browsers use TLS only; V(0) sends no header.
        type: int
        default: 63072000
      client_ca:
        description: Path of the PEM authorities on the gateway that must have signed client certificates (mutual TLS).
        type: str
      client_verify:
        description:
          - Whether clients must present a certificate.
          - V(required) when O(tls.client_ca) is given and this is not.
        type: str
        choices: [required, optional]
  upstreams:
    description: Groups of model servers. Required when O(state=present).
    type: list
    elements: dict
    suboptions:
      name:
        description: Name that routes use.
        type: str
        required: true
      servers:
        description: Each C(host:port), C([IPv6]:port) or C(unix:/path).
        type: list
        elements: str
        required: true
      keepalive:
        description: Idle connections that each worker keeps open; V(0) for none.
        type: int
        default: 16
      tls:
        description: Use TLS to the servers and verify their certificate. Without it, plain HTTP is used.
        type: dict
        suboptions:
          ca:
            description: Path of the PEM authorities on the gateway.
            type: str
            required: true
          server_name:
            description: Name that the servers' certificate must contain.
            type: str
  routes:
    description: Paths that clients can reach; every other path is answered with 404. Required when O(state=present).
    type: list
    elements: dict
    suboptions:
      path:
        description: URL path.
        type: str
        required: true
      match:
        description: Whether the path must match the beginning of a request's path or all of it.
        type: str
        choices: [prefix, exact]
        default: prefix
      upstream:
        description: Name of the upstream that gets the requests.
        type: str
        required: true
      auth:
        description: Whether clients need an API key.
        type: str
        choices: [api_key, none]
        default: api_key
      methods:
        description: Allowed methods; all if not given.
        type: list
        elements: str
        choices: [GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS]
      body_max:
        description: Largest request body, such as V(512k) or V(10m); V(0) for no limit.
        type: str
        default: 10m
      read_timeout:
        description: Seconds without data from the model after which the request fails.
        type: int
        default: 60
      streaming:
        description: Whether to pass on tokens without buffering, and to allow WebSockets.
        type: bool
        default: false
  tiers:
    description:
      - Limits by tier, which apply to each client of the tier separately. Every key is the name of a tier.
      - Every value is a dictionary of C(rate) (such as V(10r/s) or V(30r/m), needed), C(burst) (requests above
        the rate that are still taken, default 0), C(nodelay) (take them at once instead of spacing them,
        default true) and C(connections) (concurrent requests, no limit when not given).
    type: dict
    default: {}
  clients:
    description: The clients and their API keys.
    type: list
    elements: dict
    default: []
    suboptions:
      id:
        description: Name in logs, in limits and in the header C(X-Client-Id) to the model; lower case.
        type: str
        required: true
      tier:
        description: Name of the client's tier.
        type: str
        required: true
      keys:
        description: The client's keys; several during a key rotation.
        type: list
        elements: dict
        required: true
        suboptions:
          key:
            description: The key, with at least 128 bits of entropy. It does not leave the controller.
            type: str
          key_hash:
            description: The key's last six characters, a colon, and its MD5 digest in base64url without padding.
            type: str
          not_after:
            description: Time with its zone, or date, after which nginx refuses the key.
            type: str
  limits:
    description: Limits by address, for all clients. An IPv6 address counts as its /64.
    type: dict
    default: {}
    suboptions:
      address:
        description: Limit for every request.
        type: dict
        default: {rate: 50r/s, burst: 100, connections: 50}
        suboptions: &limit
          rate:
            description: Rate such as V(10r/s) or V(30r/m).
            type: str
          burst:
            description: Requests above the rate that are still accepted; 0 if not given.
            type: int
          nodelay:
            description: Whether they are answered at once instead of being delayed to the rate.
            type: bool
            default: true
          connections:
            description: Concurrent requests; no limit if not given.
            type: int
      rejected:
        description:
          - Limit for requests without a valid key.
          - It makes guessing keys slow, without affecting other clients at the same address.
        type: dict
        default: {rate: 30r/m, burst: 10}
        suboptions:
          rate:
            description: Rate such as V(10r/s) or V(30r/m).
            type: str
          burst:
            description: Requests above the rate that are still accepted; 0 if not given.
            type: int
          nodelay:
            description: Whether they are answered at once instead of being delayed to the rate.
            type: bool
            default: true
  trusted_proxies:
    description: Networks of proxies whose C(X-Forwarded-For) is trusted.
    type: list
    elements: str
    default: []
  dry_run:
    description: Whether to only count and log requests over the limits. The controls of the limits then fail.
    type: bool
    default: false
  access_log:
    description: The access log, with one JSON object per line, rotated daily.
    type: dict
    default: {}
    suboptions:
      path:
        description: Path on the gateway; the error log is in the same directory.
        type: str
        default: /var/log/twinguard/gateway.access.log
      keep_days:
        description: Days to keep old logs.
        type: int
        default: 14
  marker_port:
    description: Port on 127.0.0.1 on which nginx answers with the generation it serves.
    type: int
    default: 8179
  templates:
    description: Directory on the controller with templates that replace the built-in ones of the same name.
    type: str
    default: ""
  conf_path:
    description: Main configuration file of nginx.
    type: path
    default: /etc/nginx/nginx.conf
  service:
    description: The systemd unit of nginx.
    type: str
    default: nginx
"""

EXAMPLES = r"""
- name: Keep the gateway in force
  twinguard.hardening.nginx_gateway:
    server_names: [models.example.com]
    tls:
      certificate: /etc/ssl/certs/models.pem
      key: /etc/ssl/private/models.key
    upstreams:
      - name: model
        servers: ["192.0.2.20:8000", "192.0.2.21:8000"]
    routes:
      - path: /v1/
        upstream: model
        streaming: true
      - path: /healthz
        match: exact
        upstream: model
        auth: none
    tiers:
      standard: {rate: 10r/s, burst: 20, connections: 10}
    clients:
      - id: acme
        tier: standard
        keys:
          - key: "{{ vault_acme_key }}"
            not_after: "2027-06-30"
"""

RETURN = r"""
controls:
  description: A finding for each control of the gateway.
  returned: always
  type: list
  elements: dict
generation:
  description: Digest of the gateway's files.
  returned: when nginx is installed
  type: str
  sample: 3f9d1c2b8e7a6f50
probes:
  description: The tests of the running gateway and their results.
  returned: when nginx is installed
  type: list
  elements: dict
complaints:
  description: Messages of nginx that stopped the change, with level, text, file and line.
  returned: on failure
  type: list
  elements: dict
"""
