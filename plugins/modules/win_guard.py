# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is documentation: the work is done by the action plugin of the same name, on the controller.

from __future__ import annotations

DOCUMENTATION = r"""
module: win_guard
short_description: Keep one policy for firewall and Defender in force on a Windows host, and prove it
version_added: 0.1.0
author:
  - twinguard.hardening contributors (@twinguard)
description:
  - Takes the whole policy, reads the host once, plans on the controller, applies what differs in one go and reads
    back what is in force. A host that is as wanted costs one start of PowerShell, one that is not costs two.
  - Fails with the names of those settings that did not stick, and with the reasons that the host gives; tamper
    protection, Defender's running mode and group policy among them.
  - Refuses a policy under which the controller itself would no longer reach the host, and prints the rule to add.
  - On Windows a block rule beats every allow rule. To let in some and nobody else, set O(profiles.all.default_inbound)
    to V(block) and write allow rules; a block rule that covers a wanted allow rule is refused.
  - Needs an administrator's account. Works over the connections C(winrm), C(psrp) and C(ssh).
extends_documentation_fragment:
  - twinguard.hardening._attributes
  - twinguard.hardening._attributes.WINDOWS
seealso:
  - module: twinguard.hardening.win_guard_read
  - module: twinguard.hardening.win_guard_apply
options:
  group:
    description:
      - Group of our rules, as the firewall's console shows it. It marks a rule as ours.
      - A local rule of this group that O(rules) does not name is removed when O(rules) is given.
    type: str
    default: twinguard
  profiles:
    description: Settings of the firewall's profiles. What is not given is left alone.
    type: dict
    suboptions:
      all:
        description: For all three profiles; what one of them has of its own counts more.
        type: dict
        suboptions: &settings
          enabled:
            description: Whether the firewall is on.
            type: bool
          default_inbound:
            description: What becomes of a connection to the host that no rule is about.
            type: str
            choices: [block, allow]
          default_outbound:
            description: What becomes of a connection from the host that no rule is about.
            type: str
            choices: [block, allow]
          allow_inbound_rules:
            description: V(false) ignores all inbound allow rules, which cuts Ansible off as well.
            type: bool
          allow_local_rules:
            description: V(false) ignores all rules that group policy did not bring, and so those of this module.
            type: bool
          notify_on_listen:
            description: Whether users are told of a program that was kept from listening.
            type: bool
          log_blocked:
            description: Whether dropped packets are logged.
            type: bool
          log_allowed:
            description: Whether connections that were let in are logged.
            type: bool
          log_file:
            description: Path of the log on the host.
            type: str
          log_max_kilobytes:
            description: Size of the log in kilobytes, V(1) to V(32767).
            type: int
      domain:
        type: dict
        suboptions: *settings
        description: For networks with the domain's controllers.
      private:
        type: dict
        suboptions: *settings
        description: For networks that somebody trusted.
      public:
        type: dict
        suboptions: *settings
        description: For all other networks.
  rules:
    description:
      - All rules of ours. An empty list removes them; without it they are left alone.
      - A rule is created, changed and put back as a whole.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name as the firewall's console shows it, without wildcards. It is the rule's identity.
        type: str
        required: true
      description:
        description: For those who look at the rule.
        type: str
        default: ""
      enabled:
        description: Whether the rule counts.
        type: bool
        default: true
      direction:
        description: Whether it is about connections to the host or from it.
        type: str
        choices: [inbound, outbound]
        default: inbound
      action:
        description: What becomes of the connection. V(block) beats every allow rule.
        type: str
        choices: [allow, block]
        default: allow
      profiles:
        description: Profiles on which the rule counts.
        type: list
        elements: str
        choices: [domain, private, public]
        default: [domain, private, public]
      protocol:
        description: V(tcp), V(udp), V(icmpv4), V(icmpv6), V(any) or a number.
        type: str
        default: any
      local_ports:
        description:
          - Ports of the host such as V(8888) and V(8000-8010), or Windows' words such as V(RPC). All when empty.
          - Needs O(rules[].protocol) V(tcp) or V(udp).
        type: list
        elements: str
        default: []
      remote_ports:
        description: Ports of the other side, as O(rules[].local_ports).
        type: list
        elements: str
        default: []
      icmp_types:
        description: Types of ICMP such as V(8) or, with a code, V(3:4). All when empty.
        type: list
        elements: str
        default: []
      local_addresses:
        description: Addresses of the host, as O(rules[].remote_addresses).
        type: list
        elements: str
        default: []
      remote_addresses:
        description:
          - Addresses, networks such as V(192.168.1.0/24) and ranges such as V(10.0.0.7-10.0.0.9) of the other side,
            or Windows' words such as V(LocalSubnet). All when empty.
        type: list
        elements: str
        default: []
      program:
        description: Path of the program that the rule is about.
        type: str
        default: any
      service:
        description: Short name of the service that the rule is about.
        type: str
        default: any
      interface_type:
        description: Kind of interface that the rule is about.
        type: str
        choices: [any, wired, wireless, remoteaccess]
        default: any
      edge_traversal:
        description: Whether an allow rule also counts for connections that come in through Teredo and the like.
        type: str
        choices: [block, allow, defertouser, defertoapp]
        default: block
  unmanaged:
    description:
      - What becomes of local rules that are not ours. Rules of group policy are never touched.
      - V(disable) before V(remove) shows whom a rule served, and can be undone by hand.
    type: dict
    suboptions:
      action:
        description: Leave them, disable the enabled ones, or remove them.
        type: str
        choices: [ignore, disable, remove]
        default: ignore
      direction:
        description: Direction of the rules. Required unless O(unmanaged.action) is V(ignore).
        type: str
        choices: [inbound, outbound]
      profiles:
        description:
          - A rule that counts on any of these profiles is meant, also where it counts on others as well.
          - Required unless O(unmanaged.action) is V(ignore).
        type: list
        elements: str
        choices: [domain, private, public]
  defender:
    description: Settings of Microsoft Defender Antivirus. What is not given is left alone.
    type: dict
    suboptions:
      real_time_protection:
        description: Whether files and programs are scanned as they are used.
        type: bool
      cloud_reporting:
        description: What is told to Microsoft's cloud protection service (MAPS).
        type: str
        choices: [disabled, basic, advanced]
      cloud_block_level:
        description: How eagerly unknown files are blocked.
        type: str
        choices: [default, moderate, high, high_plus, zero_tolerance]
      sample_submission:
        description:
          - Which files are sent to Microsoft for analysis. V(send_safe) sends those that are unlikely to hold
            personal data.
          - V(send_all) may send models and data of users as well.
        type: str
        choices: [always_prompt, send_safe, never_send, send_all]
      pua_protection:
        description: Whether potentially unwanted applications are blocked or only recorded.
        type: str
        choices: [disabled, enabled, audit]
      network_protection:
        description: Whether connections to known malicious addresses are blocked or only recorded.
        type: str
        choices: [disabled, enabled, audit]
      attack_surface_reduction:
        description:
          - Rules of attack surface reduction by name or GUID, and what each does, V(block), V(audit), V(warn) or
            V(disabled). Those not named are left alone.
          - The names are C(adobe_reader_child_processes), C(advanced_ransomware), C(copied_system_tools),
            C(credential_stealing), C(email_executable_content), C(obfuscated_scripts), C(office_child_processes),
            C(office_communication_child_processes), C(office_executable_content), C(office_macro_win32_calls),
            C(office_process_injection), C(psexec_and_wmi), C(safe_mode_reboot), C(script_launched_downloads),
            C(untrusted_executables), C(untrusted_usb), C(vulnerable_signed_drivers), C(webshell_creation) and
            C(wmi_persistence).
        type: dict
      exclusions:
        description: What is not scanned. A kind that is not given is left alone.
        type: dict
        suboptions:
          paths:
            description: Files and folders.
            type: list
            elements: str
          extensions:
            description: Extensions of files, with or without the dot.
            type: list
            elements: str
          processes:
            description: Programs; what they open is not scanned.
            type: list
            elements: str
          ip_addresses:
            description: Addresses that network inspection leaves alone.
            type: list
            elements: str
          mode:
            description: V(merge) keeps what others excluded, V(exact) removes it.
            type: str
            choices: [merge, exact]
            default: merge
  lockout_guard:
    description: V(false) applies a policy even when nobody can tell whether the controller still reaches the host.
    type: bool
    default: true
  controller_addresses:
    description:
      - Addresses or networks from which the host sees the controller.
      - Without it those peers of the connection's port count that have an address of the controller; where none has
        one, as behind address translation, all of them.
    type: list
    elements: str
    default: []
  management_port:
    description: Port on the host that Ansible comes in by, where it is another one than the connection uses.
    type: int
"""

EXAMPLES = r"""
- name: Let only the VPN reach Jupyter, and have Defender watch
  twinguard.hardening.win_guard:
    profiles:
      all: {enabled: true, default_inbound: block, log_blocked: true}
    rules:
      - name: Jupyter from the VPN
        protocol: tcp
        local_ports: ["8888"]
        remote_addresses: [192.168.1.0/24]
      - name: Ansible
        protocol: tcp
        local_ports: ["5986"]
        remote_addresses: [192.168.1.10]
    defender:
      real_time_protection: true
      cloud_reporting: advanced
      sample_submission: send_safe

- name: See which rules of others would be disabled
  twinguard.hardening.win_guard:
    unmanaged:
      action: disable
      direction: inbound
      profiles: [public]
  check_mode: true
"""

RETURN = r"""
controls:
  description: A finding for each profile, rule and setting that the policy speaks about.
  returned: always
  type: list
  elements: dict
changes:
  description: What was changed, or in check mode would be, in short sentences and in the order of their application.
  returned: when the host could be read
  type: list
  elements: str
  sample: [create firewall rule Jupyter from the VPN, update firewall profile public]
"""
