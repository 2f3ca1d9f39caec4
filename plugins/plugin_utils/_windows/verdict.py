# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The findings for a Windows host: which parts of the policy are in force, which are not, and why (pure)."""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Mapping, Sequence, Tuple

from ...module_utils._core.controls import finding
from .defender import EXCLUSIONS, DefenderPolicy, Setting, excluded, settings
from .firewall import equal, rule_key
from .match import Match, Pair
from .reach import reach
from .rules import differences
from .state import DEFENDER_KEY, FIREWALL_KEYS
from .types import (
    ALL_PROFILES,
    ANY,
    PROFILE_NAMES,
    Defender,
    Firewall,
    FirewallPolicy,
    Management,
    Rule,
    State,
)
from .words import shown

Findings = List[Dict[str, Any]]

# Versions of Windows use two sets of names for the same enforcement states.
_ENFORCED = {"enforced", "full"}
_INACTIVE = {"profileinactive", "inactiveprofile"}
_ENFORCEMENT = {
    "localfirewallrulesdisallowed": "group policy ignores local rules (AllowLocalFirewallRules)",
    "firewalloffinprofile": "the firewall is off on its profile",
    "disabledobject": "it is disabled",
    "categoryoff": "another program has taken over the firewall",
}
_PROFILE_VALUES = {
    "enabled": "EnableFirewall",
    "default_inbound": "DefaultInboundAction",
    "default_outbound": "DefaultOutboundAction",
    "allow_inbound_rules": "DoNotAllowExceptions",
    "allow_local_rules": "AllowLocalPolicyMerge",
    "notify_on_listen": "DisableNotifications",
}
_DEFENDER_VALUES = {
    "real_time_protection": ("Real-Time Protection", "DisableRealtimeMonitoring"),
    "cloud_reporting": ("Spynet", "SpynetReporting"),
    "sample_submission": ("Spynet", "SubmitSamplesConsent"),
    "cloud_block_level": ("MpEngine", "MpCloudBlockLevel"),
    "pua_protection": ("", "PUAProtection"),
    "network_protection": (
        r"Windows Defender Exploit Guard\Network Protection",
        "EnableNetworkProtection",
    ),
    "attack_surface_reduction": (r"Windows Defender Exploit Guard\ASR", "ExploitGuard_ASR_Rules"),
    "exclusions.paths": (r"Exclusions\Paths", ""),
    "exclusions.extensions": (r"Exclusions\Extensions", ""),
    "exclusions.processes": (r"Exclusions\Processes", ""),
}
_IDS = {
    "real_time_protection": "windows.real_time_protection",
    "cloud_reporting": "windows.cloud_protection",
    "cloud_block_level": "windows.cloud_protection",
    "sample_submission": "windows.sample_submission",
    "pua_protection": "windows.unwanted_software",
    "network_protection": "windows.network_protection",
    "attack_surface_reduction": "windows.attack_surface",
    "exclusions": "windows.exclusions",
}
_SHOWN = 5
_ANSWER = "Windows answered: "


# --- why a part cannot be judged or set at all


def no_administrator(state: State) -> str:
    """Why this account cannot manage the host; '' when it can."""
    if state.administrator:
        return ""
    return (
        f"{state.account} is not an administrator of the host, so nothing can be set and not everything can be read; "
        "connect as an administrator, or use become with runas"
    )


def firewall_trouble(state: State) -> Tuple[str, str]:
    """(status, reason) that holds for the whole firewall; ('', '') when each part can be judged."""
    service = state.services.get("mpssvc", "Running")
    if service != "Running":
        return (
            "fail",
            f"the firewall service mpssvc is {service}, so no rule is in force; start the service",
        )
    error = state.firewall.error if state.firewall else ""
    return ("unknown", f"the firewall could not be read: {error}") if error else ("", "")


def defender_trouble(state: State) -> Tuple[str, str]:
    """(status, reason) that holds for all of Defender; ('', '') when each setting can be judged."""
    found = state.defender or Defender()
    mode = found.status.get("AMRunningMode", "")
    if not found.installed:
        return "not_applicable", "Microsoft Defender Antivirus is not installed on this host"
    if "passive" in mode.lower() or "edr" in mode.lower():
        return "not_applicable", f"another product protects this host: Defender runs in {mode}"
    service = state.services.get("WinDefend", "Running")
    if service != "Running":
        return (
            "fail",
            f"the Defender service WinDefend is {service}, so nothing is scanned; start the service",
        )
    if found.error:
        return "fail", f"Defender does not answer: {found.error}"
    if mode.lower() == "not running":
        return (
            "fail",
            "Defender is not running, and it reports no other product that protects this host",
        )
    return "", ""


# --- findings


def findings(
    match: Match | None,
    defender: DefenderPolicy | None,
    state: State,
    way: Management,
    errors: Mapping[str, str],
) -> Findings:
    """A finding for each profile, rule and setting in the policy. `errors` are what Windows answered, by change key."""
    found: Findings = []
    rights = no_administrator(state)
    if match is not None:
        trouble = ("unknown", rights) if rights else firewall_trouble(state)
        if trouble[0]:
            found += _all_alike(_firewall_resources(match.policy), trouble)
        else:
            found += _profile_findings(match.policy, match.found, state, errors)
            found += [_rule_finding(pair, match, errors) for pair in match.pairs]
            found += _other_findings(match, errors)
            found.append(_management(match.after, way))
    if defender is not None:
        trouble = ("unknown", rights) if rights else defender_trouble(state)
        wanted = settings(defender, state.defender or Defender())
        if trouble[0]:
            found += _all_alike([_resource(one.name) for one in wanted], trouble)
        else:
            found += [_setting(one, defender, state, errors) for one in wanted]
    return found


def _all_alike(resources: Iterable[Tuple[str, str]], trouble: Tuple[str, str]) -> Findings:
    return [finding(control, resource, *trouble) for control, resource in resources]


def _firewall_resources(policy: FirewallPolicy) -> List[Tuple[str, str]]:
    found = [("windows.firewall_profile", name) for name in policy.profiles]
    found += [("windows.firewall_rule", rule.name) for rule in policy.rules or ()]
    return found or [("windows.unmanaged_rules", f"other {policy.unmanaged.direction} rules")]


def _profile_findings(
    policy: FirewallPolicy, found: Firewall, state: State, errors: Mapping[str, str]
) -> Findings:
    made = []
    for name, wanted in policy.profiles.items():
        active = found.active.get(name, {})
        wrong = [one for one in wanted if not equal(one, wanted[one], active.get(one))]
        differences_ = [
            f"{one} is {active.get(one, 'unknown')} and not {wanted[one]}"
            + _overridden_by(name, one, wanted[one], found, state)
            for one in wrong
        ]
        error = errors.get(f"firewall profile {name}")
        reason = "; ".join([*differences_, *([_ANSWER + error] if error else [])])
        passed = ", ".join(f"{one} {value}" for one, value in wanted.items())
        status = "fail" if reason else "pass"
        evidence = {one: active.get(one) for one in wanted}
        made.append(finding("windows.firewall_profile", name, status, reason or passed, evidence))
    return made


def _overridden_by(name: str, setting: str, wanted: str, found: Firewall, state: State) -> str:
    key, value = FIREWALL_KEYS[name], _PROFILE_VALUES.get(setting, "")
    written = state.registry.get(key, {})
    if value in written:
        return f" (group policy decides: {key}\\{value} = {written[value]})"
    if equal(setting, wanted, found.profiles.get(name, {}).get(setting)):
        return " (it is set locally, but another policy store overrides it)"
    return ""


def _rule_finding(pair: Pair, match: Match, errors: Mapping[str, str]) -> Dict[str, Any]:
    wanted, current, _duplicates = pair
    status, reason = _rule_status(wanted, current, match.found, match.shadowed.get(wanted.name))
    error = errors.get(f"firewall rule {wanted.name}")
    if error:
        status, reason = "fail", _ANSWER + error
    evidence = {"rule": summary(wanted)}
    if current is not None:
        enforcement = ", ".join(match.found.enforcement.get(current.id, ()))
        evidence.update(id=current.id, enforcement=enforcement)
    return finding("windows.firewall_rule", wanted.name, status, reason, evidence)


def _rule_status(
    wanted: Rule, current: Rule | None, found: Firewall, over: Rule | None
) -> Tuple[str, str]:
    if current is None:
        return "fail", "the rule does not exist on the host"
    different = differences(wanted, current)
    if different:
        return "fail", f"the rule on the host differs in {', '.join(different)}"
    if over is not None:
        return "fail", shadowed_reason(wanted.name, over)
    if not wanted.enabled:
        return "pass", "the rule is disabled, as wanted"
    states = {one.lower() for one in found.enforcement.get(current.id, ())}
    if states & _ENFORCED:
        return "pass", summary(wanted)
    if states & _INACTIVE and not states - _INACTIVE:
        names = " or ".join(name for name in PROFILE_NAMES if name in wanted.profiles)
        return "not_applicable", f"the rule is in place, but no network of the host is {names} now"
    if not states:
        return "unknown", "Windows does not list the rule among its active rules"
    causes = sorted(_ENFORCEMENT.get(one, one) for one in states - _INACTIVE)
    return "fail", f"Windows does not enforce the rule: {'; '.join(causes)}"


def shadowed_reason(name: str, over: Rule) -> str:
    """Why an allow rule has no effect."""
    return (
        f"{name} would have no effect: the block rule {over.name!r} ({over.source}) covers it, and on Windows a "
        "block rule beats every allow rule"
    )


def summary(rule: Rule) -> str:
    """The rule in a few words, such as: allow TCP 8888 from 192.168.1.0/24."""
    words = [rule.action, rule.protocol if rule.protocol != "Any" else "everything"]
    if rule.local_ports != ANY:
        words.append(", ".join(shown(rule.local_ports)))
    if rule.remote_addresses != ANY:
        words.append("from" if rule.direction == "inbound" else "to")
        words.append(", ".join(shown(rule.remote_addresses)))
    if rule.profiles != ALL_PROFILES:
        words.append("on " + ", ".join(name for name in PROFILE_NAMES if name in rule.profiles))
    return " ".join(words)


def _other_findings(match: Match, errors: Mapping[str, str]) -> Findings:
    made = []
    policy = match.policy
    if policy.rules is not None:
        extra = match.unwanted
        reason = "holds no other rules"
        if extra:
            reason = f"holds rules that the policy does not name: {_names(extra)}"
        made.append(_others(f"group {policy.group}", reason, extra, errors))
    if policy.unmanaged.action != "ignore":
        left = match.unmanaged
        verb = {"disable": "are enabled", "remove": "exist"}[policy.unmanaged.action]
        reason = f"{len(left)} {verb}: {_names(left)}" if left else f"none {verb}"
        made.append(_others(f"other {policy.unmanaged.direction} rules", reason, left, errors))
    return made


def _others(
    resource: str, reason: str, left: Sequence[Rule], errors: Mapping[str, str]
) -> Dict[str, Any]:
    answers = [errors[rule_key(rule)] for rule in left if rule_key(rule) in errors]
    if answers:
        reason = f"{reason}; {_ANSWER}{answers[0]}"
    return finding("windows.unmanaged_rules", resource, "fail" if left else "pass", reason)


def _names(rules: Sequence[Rule]) -> str:
    names = [rule.name for rule in rules[:_SHOWN]]
    more = f" and {len(rules) - _SHOWN} more" if len(rules) > _SHOWN else ""
    return ", ".join(names) + more


def _management(after: Firewall, way: Management) -> Dict[str, Any]:
    open_ = reach(after, way)
    status = "pass" if open_.reached else "fail"
    resource = f"{way.transport} port {way.port}" if way.port else way.transport
    return finding(
        "windows.management", resource, status if open_.applies else "not_applicable", open_.reason
    )


def _resource(name: str) -> Tuple[str, str]:
    head, _dot, rest = name.partition(".")
    return _IDS[head], rest or head


def _setting(
    one: Setting, policy: DefenderPolicy, state: State, errors: Mapping[str, str]
) -> Dict[str, Any]:
    control, resource = _resource(one.name)
    found = state.defender or Defender()
    reasons = []
    if one.current is None:
        reason = "Defender does not show this setting: it does not have it, or hides it from this account"
        return finding(control, resource, "unknown", reason)
    if one.current != one.wanted:
        reasons.append(f"is {one.current} and not {one.wanted}")
    elif one.name == "real_time_protection":
        running = found.status.get("RealTimeProtectionEnabled", "").lower()
        if running and running != one.wanted:
            reasons.append(f"is set to {one.wanted}, but Defender reports {running}")
    error = errors.get(f"defender {one.name}")
    if error:
        reasons.append(_ANSWER + error)
    if not reasons:
        return finding(control, resource, "pass", one.wanted, _evidence(one, policy, found))
    causes = _causes(one.name, state)
    reason = "; ".join(reasons) + (f" ({'; '.join(causes)})" if causes else "")
    return finding(control, resource, "fail", reason, _evidence(one, policy, found))


def _evidence(one: Setting, policy: DefenderPolicy, found: Defender) -> Dict[str, Any]:
    kind = one.name.partition(".")[2]
    if kind not in EXCLUSIONS:
        return {"value": one.current}
    named = {entry.casefold() for entry in policy.exclusions[kind]}
    others = [entry for entry in excluded(kind, found) or () if entry.casefold() not in named]
    return {"value": one.current, "of_others": others}


def _causes(name: str, state: State) -> List[str]:
    """What may prevent a change of this Defender setting."""
    status = (state.defender or Defender()).status
    causes = []
    if status.get("IsTamperProtected", "").lower() == "true":
        source = status.get("TamperProtectionSource") or "unknown"
        causes.append(f"tamper protection is on, by {source}")
    mode = status.get("AMRunningMode", "")
    if mode and mode.lower() != "normal":
        causes.append(f"Defender runs in {mode}")
    below, value = _DEFENDER_VALUES.get(name) or _DEFENDER_VALUES.get(
        name.partition(".")[0], ("", "")
    )
    key = f"{DEFENDER_KEY}\\{below}" if below else DEFENDER_KEY
    written = state.registry.get(key, {})
    if value in written:
        causes.append(f"group policy decides: {key}\\{value} = {written[value]}")
    elif written and not value and below:
        causes.append(f"group policy decides: {key}")
    return causes


# --- the failure message


def failure_message(found: Findings) -> str:
    """What is not in force, in one sentence; '' when everything is."""
    bad = [one for one in found if one["status"] in ("fail", "unknown")]
    if not bad:
        return ""
    # Errors from Windows come first: they explain the rest.
    bad.sort(key=lambda one: _ANSWER not in one["reason"])
    shown_ = [f"{one['resource']}: {one['reason']}" for one in bad[:_SHOWN]]
    more = f"; and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
    return f"{len(bad)} of {len(found)} controls are not in force: {'; '.join(shown_)}{more}"
