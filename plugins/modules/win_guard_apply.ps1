#!powershell

# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#Requires -Version 5.1
#AnsibleRequires -PowerShell ansible_collections.twinguard.hardening.plugins.module_utils._windows._win_guard

# Runs the steps of a plan in order, if the host has not changed since the plan was made.

$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'

# Only these commands can be called.
$commands = @{
    new_rule = 'New-NetFirewallRule'
    set_rule = 'Set-NetFirewallRule'
    disable_rules = 'Disable-NetFirewallRule'
    remove_rules = 'Remove-NetFirewallRule'
    set_profile = 'Set-NetFirewallProfile'
    set_defender = 'Set-MpPreference'
    add_defender = 'Add-MpPreference'
    remove_defender = 'Remove-MpPreference'
}

function Invoke-Step {
    param($Step)
    # The cmdlets are functions of other modules, in which this script's ErrorActionPreference does not apply.
    $with = @{ ErrorAction = 'Stop' }
    foreach ($key in @($Step.with.Keys)) {
        $value = $Step.with[$key]
        if ($value -is [System.Collections.IList]) {
            $value = [string[]]@($value)
        }
        $with[$key] = $value
    }
    if (@($Step.rules).Count -gt 0) {
        $with.InputObject = @(Get-GuardLocalRule -Id ([string[]]@($Step.rules)))
    }
    $null = & $commands[$Step.do] @with
}

$failures = New-Object System.Collections.ArrayList
$done = New-Object System.Collections.ArrayList
$found = Get-GuardState -Request $complex_args.request
$stale = $found.digest -ne $complex_args.digest
if (-not $stale) {
    $firewall = $true
    $number = -1
    foreach ($step in @($complex_args.steps)) {
        $number++
        $guard = $step.do -notlike '*_defender'
        # The order of the firewall steps keeps the connection open: after one that failed, none is run.
        if ($guard -and -not $firewall) {
            continue
        }
        try {
            Invoke-Step -Step $step
            [void]$done.Add($number)
        }
        catch {
            [void]$failures.Add([ordered]@{ step = $number; error = "$_" })
            $firewall = $firewall -and -not $guard
        }
    }
    $found = Get-GuardState -Request $complex_args.request
}

$report = [ordered]@{ stale = $stale; done = @($done); failures = @($failures) }
'{{"changed":{0},"digest":"{1}","report":{2},"state":{3}}}' -f `
    "$($done.Count -gt 0)".ToLowerInvariant(), $found.digest, (ConvertTo-GuardJson -Document $report), $found.json
