# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Reads the state of a host for win_guard, as one document. Windows PowerShell 5.1 syntax; no decisions are made here.
# Enums are printed as their names: ConvertTo-Json would print numbers, which differ between classes.

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

# Windows' cmdlets are functions of other modules, in which that preference does not apply: each call sets it as well.

# The local rules of the last read by their InstanceID, so that a change hits exactly the rule that was read.
$script:LocalRules = @{}
# The enforcement states of our rules. They change with the network, so they are not part of the digest.
$script:Enforcement = [ordered]@{}

# Attribute of a rule, the filter that has it, the property of the filter, and its default value.
$script:Attributes = @(
    @('description', 'Rule', 'Description', ''),
    @('edge_traversal', 'Rule', 'EdgeTraversalPolicy', 'Block'),
    @('owner', 'Rule', 'Owner', ''),
    @('protocol', 'Port', 'Protocol', 'Any'),
    @('local_ports', 'Port', 'LocalPort', 'Any'),
    @('remote_ports', 'Port', 'RemotePort', 'Any'),
    @('icmp_types', 'Port', 'IcmpType', 'Any'),
    @('local_addresses', 'Address', 'LocalAddress', 'Any'),
    @('remote_addresses', 'Address', 'RemoteAddress', 'Any'),
    @('program', 'Application', 'Program', 'Any'),
    @('package', 'Application', 'Package', ''),
    @('service', 'Service', 'Service', 'Any'),
    @('interface_alias', 'Interface', 'InterfaceAlias', 'Any'),
    @('interface_type', 'InterfaceType', 'InterfaceType', 'Any'),
    @('authentication', 'Security', 'Authentication', 'NotRequired'),
    @('encryption', 'Security', 'Encryption', 'NotRequired'),
    @('override_block_rules', 'Security', 'OverrideBlockRules', 'False'),
    @('local_user', 'Security', 'LocalUser', 'Any'),
    @('remote_user', 'Security', 'RemoteUser', 'Any'),
    @('remote_machine', 'Security', 'RemoteMachine', 'Any')
)
$script:Filters = @('Port', 'Address', 'Application', 'Service', 'Interface', 'InterfaceType', 'Security')

function Get-GuardFilter {
    # Every filter of a store by its rule: one enumeration for each class, whatever the number of rules.
    param([string]$Store)
    $found = @{}
    foreach ($class in $script:Filters) {
        $index = @{}
        foreach ($filter in & "Get-NetFirewall${class}Filter" -PolicyStore $Store -ErrorAction Stop) {
            $index["$($filter.InstanceID)"] = $filter
        }
        $found[$class] = $index
    }
    $found
}

function ConvertTo-GuardRule {
    # One rule with its filters. Default values are left out, since there are hundreds of rules.
    param($Rule, [hashtable]$Filter)
    $id = "$($Rule.InstanceID)"
    $made = [ordered]@{
        id = $id
        name = "$($Rule.DisplayName)"
        group = "$($Rule.Group)"
        enabled = "$($Rule.Enabled)"
        profile = "$($Rule.Profile)"
        direction = "$($Rule.Direction)"
        action = "$($Rule.Action)"
    }
    foreach ($attribute in $script:Attributes) {
        $from = $Rule
        if ($attribute[1] -ne 'Rule') {
            $from = $Filter[$attribute[1]][$id]
        }
        if ($null -eq $from -or $null -eq $from.PSObject.Properties[$attribute[2]]) {
            continue
        }
        $value = $from.PSObject.Properties[$attribute[2]].Value
        if ($null -eq $value) {
            continue
        }
        $words = [string[]]@($value)
        if ($words.Count -gt 1 -or ($words.Count -eq 1 -and $words[0] -ne '' -and $words[0] -ne $attribute[3])) {
            $made[$attribute[0]] = $words
        }
    }
    $made
}

function Test-GuardRule {
    # Whether a decision can depend on a rule: it is ours, or in one of the wanted directions.
    param($Rule, $Request)
    if ("$($Rule.Group)" -eq $Request.group -or "$($Rule.InstanceID)".StartsWith($Request.prefix)) {
        return $true
    }
    ($Request.disabled -or "$($Rule.Enabled)" -eq 'True') -and @($Request.directions) -contains "$($Rule.Direction)"
}

function Get-GuardRule {
    # These rules of a store with their filters, which are read only if there is a rule.
    param([string]$Store, [object[]]$Rule)
    if ($Rule.Count -eq 0) {
        return
    }
    $filters = Get-GuardFilter -Store $Store
    foreach ($one in $Rule | Sort-Object -Property InstanceID) {
        ConvertTo-GuardRule -Rule $one -Filter $filters
    }
}

function Get-GuardLocal {
    # The local rules that a decision can depend on. All local rules are kept for the steps.
    param($Request)
    $wanted = New-Object System.Collections.ArrayList
    foreach ($rule in Get-NetFirewallRule -PolicyStore PersistentStore -ErrorAction Stop) {
        $script:LocalRules["$($rule.InstanceID)"] = $rule
        if (Test-GuardRule -Rule $rule -Request $Request) {
            [void]$wanted.Add($rule)
        }
    }
    Get-GuardRule -Store 'PersistentStore' -Rule $wanted.ToArray()
}

function Get-GuardActive {
    # Rules in the active store that are not local, and the enforcement states of our rules there.
    param($Request)
    $found = @{ rules = @(); enforcement = [ordered]@{} }
    $wanted = New-Object System.Collections.ArrayList
    foreach ($rule in Get-NetFirewallRule -PolicyStore ActiveStore -ErrorAction Stop) {
        $source = "$($rule.PolicyStoreSourceType)"
        if ($source -eq 'Local') {
            if ("$($rule.Group)" -eq $Request.group) {
                $found.enforcement["$($rule.InstanceID)"] = [string[]]@($rule.EnforcementStatus)
            }
        }
        elseif ($source -ne 'Generated' -and $source -ne 'Hardcoded' -and (Test-GuardRule -Rule $rule -Request $Request)) {
            [void]$wanted.Add($rule)
        }
    }
    $found.rules = @(Get-GuardRule -Store 'ActiveStore' -Rule $wanted.ToArray())
    $found
}

function Get-GuardProfile {
    param([string]$Store)
    foreach ($one in Get-NetFirewallProfile -PolicyStore $Store -ErrorAction Stop | Sort-Object -Property Name) {
        [ordered]@{
            name = "$($one.Name)"
            enabled = "$($one.Enabled)"
            default_inbound = "$($one.DefaultInboundAction)"
            default_outbound = "$($one.DefaultOutboundAction)"
            allow_inbound_rules = "$($one.AllowInboundRules)"
            allow_local_rules = "$($one.AllowLocalFirewallRules)"
            notify_on_listen = "$($one.NotifyOnListen)"
            log_file = "$($one.LogFileName)"
            log_max_kilobytes = "$($one.LogMaxSizeKilobytes)"
            log_allowed = "$($one.LogAllowed)"
            log_blocked = "$($one.LogBlocked)"
        }
    }
}

function Get-GuardFirewall {
    param($Request)
    $found = [ordered]@{ error = $null; profiles = @(); active = @(); rules = @(); policy_rules = @() }
    $script:LocalRules = @{}
    $script:Enforcement = [ordered]@{}
    try {
        $found.profiles = @(Get-GuardProfile -Store 'PersistentStore')
        $found.active = @(Get-GuardProfile -Store 'ActiveStore')
        $found.rules = @(Get-GuardLocal -Request $Request)
        $active = Get-GuardActive -Request $Request
        $found.policy_rules = $active.rules
        $script:Enforcement = $active.enforcement
    }
    catch {
        $found.error = "$_"
    }
    $found
}

function Get-GuardNetwork {
    # The peers on the port that Ansible uses, and the network to which each address of the host belongs. Each row is a
    # string: Windows PowerShell makes an object with "value" and "Count" of an array that has passed a pipeline.
    param($Request)
    $found = [ordered]@{ connections = @(); addresses = @(); networks = @() }
    $found.connections = @(
        foreach ($one in Get-NetTCPConnection -State Established -LocalPort $Request.port -ErrorAction SilentlyContinue) {
            "$($one.LocalAddress) $($one.RemoteAddress)"
        }
    )
    $found.addresses = @(
        foreach ($one in Get-NetIPAddress -ErrorAction SilentlyContinue) {
            "$($one.IPAddress) $($one.PrefixLength) $($one.InterfaceIndex)"
        }
    )
    $found.networks = @(
        foreach ($one in Get-NetConnectionProfile -ErrorAction SilentlyContinue) {
            "$($one.InterfaceIndex) $($one.NetworkCategory)"
        }
    )
    $found
}

function Get-GuardDefender {
    param($Request)
    $found = [ordered]@{ installed = $false; error = $null; preferences = [ordered]@{}; status = [ordered]@{} }
    if (-not (Get-Command -Name Get-MpPreference -ErrorAction SilentlyContinue)) {
        return $found
    }
    $found.installed = $true
    try {
        $preferences = Get-MpPreference -ErrorAction Stop
        foreach ($name in @($Request.preferences)) {
            $property = $preferences.PSObject.Properties[$name]
            if ($null -ne $property) {
                $found.preferences[$name] = [string[]]@($property.Value | Where-Object { $null -ne $_ })
            }
        }
        $status = Get-MpComputerStatus -ErrorAction Stop
        foreach ($name in @($Request.status)) {
            $property = $status.PSObject.Properties[$name]
            if ($null -ne $property) {
                $found.status[$name] = "$($property.Value)"
            }
        }
    }
    catch {
        $found.error = "$_"
    }
    $found
}

function Get-GuardRegistry {
    # The values that group policy set. They override local settings and are named as the reason.
    param($Request)
    $found = [ordered]@{}
    foreach ($path in @($Request.registry)) {
        $key = Get-Item -LiteralPath $path -ErrorAction SilentlyContinue
        if ($null -eq $key) {
            continue
        }
        $values = [ordered]@{}
        foreach ($name in $key.GetValueNames()) {
            $values[$name] = "$($key.GetValue($name))"
        }
        $found[$path] = $values
    }
    $found
}

function Get-GuardHost {
    $identity = [Security.Principal.WindowsIdentity]::GetCurrent()
    $principal = New-Object Security.Principal.WindowsPrincipal($identity)
    $found = [ordered]@{
        account = "$($identity.Name)"
        administrator = $principal.IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)
        powershell = "$($PSVersionTable.PSVersion)"
        services = [ordered]@{}
    }
    foreach ($name in @('mpssvc', 'WinDefend')) {
        $service = Get-Service -Name $name -ErrorAction SilentlyContinue
        if ($null -ne $service) {
            $found.services[$name] = "$($service.Status)"
        }
    }
    $found
}

function ConvertTo-GuardJson {
    # ASCII only, whatever the console's encoding is.
    param($Document)
    $json = ConvertTo-Json -InputObject $Document -Depth 6 -Compress
    [regex]::Replace($json, '[^\x00-\x7f]', { param($match) '\u{0:x4}' -f [int][char]$match.Value })
}

function Get-GuardState {
    # {"digest": ..., "state": ...} as text. The digest covers what a plan depends on, and not the connections.
    param($Request)
    $state = [ordered]@{ firewall = $null; defender = $null }
    if ($Request.firewall) {
        $state.firewall = Get-GuardFirewall -Request $Request
    }
    if ($Request.defender) {
        $state.defender = Get-GuardDefender -Request $Request
    }
    $bytes = [Text.Encoding]::ASCII.GetBytes((ConvertTo-GuardJson -Document $state))
    $hash = [Security.Cryptography.SHA256]::Create().ComputeHash($bytes)
    $digest = [BitConverter]::ToString($hash).Replace('-', '').ToLowerInvariant()
    $state.host = Get-GuardHost
    $state.registry = Get-GuardRegistry -Request $Request
    if ($Request.firewall -and $null -eq $state.firewall.error) {
        $state.enforcement = $script:Enforcement
        $state.network = Get-GuardNetwork -Request $Request
    }
    @{ digest = $digest; json = ConvertTo-GuardJson -Document $state }
}

function Get-GuardLocalRule {
    # The rules with these ids, as the last read found them.
    param([string[]]$Id)
    foreach ($one in $Id) {
        if (-not $script:LocalRules.ContainsKey($one)) {
            throw "no local rule has the id $one"
        }
        $script:LocalRules[$one]
    }
}

Export-ModuleMember -Function ConvertTo-GuardJson, Get-GuardState, Get-GuardLocalRule
