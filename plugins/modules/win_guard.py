# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Documentation only: the action plugin with the same name does the work, on the controller.

from __future__ import annotations

DOCUMENTATION = r"""
module: win_guard
short_description: Keep one policy for firewall and Defender in force on a Windows host, and prove it
version_added: 0.1.0
author:
  - twinguard.hardening contributors (@twinguard)
description:
  - Takes the whole policy, reads the host once, plans on the controller, applies all differences in one call and reads
    back what is in force. PowerShell is started once if the host is as wanted, and twice if it is not.
  - Fails with the name of each setting that did not take effect and with its cause, such as tamper protection,
    Defender's running mode or group policy.
  - Refuses a policy under which the controller could no longer connect to the host, and says how to change the policy.
  - On Windows a block rule beats every allow rule. To let in some peers and nobody else, set
    O(profiles.all.default_inbound) to V(block) and write allow rules. A block rule that covers a wanted allow rule is
    refused.
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
      - Group of the rules that this module manages, as the firewall's console shows it.
      - A local rule of this group that O(rules) does not name is removed when O(rules) is given.
    type: str
    default: twinguard
  profiles:
    description: Settings of the firewall's profiles. What is not given is left alone.
    type: dict
    suboptions:
      all:
        description: Settings for all three profiles. A setting of a single profile overrides it.
        type: dict
        suboptions: &settings
          enabled:
            description: Whether the firewall is on.
            type: bool
          default_inbound:
            description: Action for connections to the host that match no rule.
            type: str
            choices: [block, allow]
          default_outbound:
            description: Action for connections from the host that match no rule.
            type: str
            choices: [block, allow]
          allow_inbound_rules:
            description: With V(false) all inbound allow rules are ignored, so Ansible cannot connect either.
            type: bool
          allow_local_rules:
            description: With V(false) only rules of group policy apply, and not those of this module.
            type: bool
          notify_on_listen:
            description: Whether Windows notifies users when it blocks a program from listening.
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
        description: Settings for networks on which the host reaches its domain controller.
      private:
        type: dict
        suboptions: *settings
        description: Settings for networks that a user marked as private.
      public:
        type: dict
        suboptions: *settings
        description: Settings for all other networks.
  rules:
    description:
      - All rules of the group. An empty list removes them; if the option is not given, they are left alone.
      - Each rule is managed as a whole, so that an option that is not given has its default.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name as the firewall's console shows it, without wildcards. It is the rule's identity.
        type: str
        required: true
      description:
        description: Text that explains the rule to people.
        type: str
        default: ""
      enabled:
        description: Whether the rule is enabled.
        type: bool
        default: true
      direction:
        description: Whether the rule matches connections to the host or from it.
        type: str
        choices: [inbound, outbound]
        default: inbound
      action:
        description: Action for matching connections. V(block) beats every allow rule.
        type: str
        choices: [allow, block]
        default: allow
      profiles:
        description: Profiles on which the rule applies.
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
          - Ports of the host such as V(8888) and V(8000-8010), or a Windows keyword such as V(RPC). All when empty.
          - Needs O(rules[].protocol) V(tcp) or V(udp).
        type: list
        elements: str
        default: []
      remote_ports:
        description: Ports of the other side, in the form of O(rules[].local_ports).
        type: list
        elements: str
        default: []
      icmp_types:
        description: Types of ICMP such as V(8) or, with a code, V(3:4). All when empty.
        type: list
        elements: str
        default: []
      local_addresses:
        description: Addresses of the host, in the form of O(rules[].remote_addresses).
        type: list
        elements: str
        default: []
      remote_addresses:
        description:
          - Addresses, networks such as V(192.168.1.0/24) and ranges such as V(10.0.0.7-10.0.0.9) of the other side,
            or a Windows keyword such as V(LocalSubnet). All when empty.
        type: list
        elements: str
        default: []
      program:
        description: Path of the program to which the rule applies.
        type: str
        default: any
      service:
        description: Short name of the service to which the rule applies.
        type: str
        default: any
      interface_type:
        description: Type of interface on which the rule applies.
        type: str
        choices: [any, wired, wireless, remoteaccess]
        default: any
      edge_traversal:
        description: Whether an allow rule also applies to traffic that comes through Teredo and similar tunnels.
        type: str
        choices: [block, allow, defertouser, defertoapp]
        default: block
  unmanaged:
    description:
      - What to do with local rules that this module does not manage. Rules of group policy are never changed.
      - Use V(disable) before V(remove), so that a rule that is needed after all can be enabled again by hand.
    type: dict
    suboptions:
      action:
        description: Leave these rules, disable those that are enabled, or remove them.
        type: str
        choices: [ignore, disable, remove]
        default: ignore
      direction:
        description: Direction of the rules. Required unless O(unmanaged.action) is V(ignore).
        type: str
        choices: [inbound, outbound]
      profiles:
        description:
          - Profiles of the rules. A rule that applies on any of them is meant, even if it applies on others too.
          - Required unless O(unmanaged.action) is V(ignore).
        type: list
        elements: str
        choices: [domain, private, public]
  defender:
    description: Settings of Microsoft Defender Antivirus. What is not given is left alone.
    type: dict
    suboptions:
      real_time_protection:
        description: Whether files and programs are scanned when they are used.
        type: bool
      cloud_reporting:
        description: How much is reported to Microsoft's cloud protection service (MAPS).
        type: str
        choices: [disabled, basic, advanced]
      cloud_block_level:
        description: How strictly unknown files are blocked.
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
          - Attack surface reduction rules by name or GUID, and the action of each, V(block), V(audit), V(warn) or
            V(disabled). Those not named are left alone.
          - The names are C(adobe_reader_child_processes), C(advanced_ransomware), C(copied_system_tools),
            C(credential_stealing), C(email_executable_content), C(obfuscated_scripts), C(office_child_processes),
            C(office_communication_child_processes), C(office_executable_content), C(office_macro_win32_calls),
            C(office_process_injection), C(psexec_and_wmi), C(safe_mode_reboot), C(script_launched_downloads),
            C(untrusted_executables), C(untrusted_usb), C(vulnerable_signed_drivers), C(webshell_creation) and
            C(wmi_persistence).
        type: dict
      exclusions:
        description: Exclusions from scans. A kind that is not given is left alone.
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
            description: Programs. The files that they open are not scanned.
            type: list
            elements: str
          ip_addresses:
            description: Addresses that network inspection ignores.
            type: list
            elements: str
          mode:
            description: V(merge) keeps exclusions that are not in this list, V(exact) removes them.
            type: str
            choices: [merge, exact]
            default: merge
  lockout_guard:
    description: Whether to refuse a policy unless it is certain that the controller can still connect to the host.
    type: bool
    default: true
  controller_addresses:
    description:
      - Addresses or networks from which the host sees the controller.
      - Without it, the peers of the management port that have an address of the controller are used. If none has
        one, as behind address translation, all of them are used.
    type: list
    elements: str
    default: []
  management_port:
    description: Port on the host that Ansible uses, if port forwarding makes it differ from the port of the connection.
    type: int
"""

EXAMPLES = r"""
- name: Let only the VPN reach Jupyter, and turn Defender on
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

- name: Show which unmanaged rules would be disabled
  twinguard.hardening.win_guard:
    unmanaged:
      action: disable
      direction: inbound
      profiles: [public]
  check_mode: true
"""

RETURN = r"""
controls:
  description: A finding for each profile, rule and setting in the policy.
  returned: always
  type: list
  elements: dict
changes:
  description: What was changed, or in check mode would be changed, in the order of application.
  returned: when the host could be read
  type: list
  elements: str
  sample: [create firewall rule Jupyter from the VPN, update firewall profile public]
"""
