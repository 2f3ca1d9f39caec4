# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# The three profiles. A bare word like `Profile` would be a variable of PowerShell itself, hence the longer names.

$ProfileNames = 'Domain', 'Private', 'Public'
$ProfileDefaults = [ordered]@{
    Enabled = 'True'; DefaultInboundAction = 'NotConfigured'; DefaultOutboundAction = 'NotConfigured'
    AllowInboundRules = 'NotConfigured'; AllowLocalFirewallRules = 'NotConfigured'; NotifyOnListen = 'False'
    LogFileName = '%systemroot%\system32\LogFiles\Firewall\pfirewall.log'; LogMaxSizeKilobytes = 4096
    LogAllowed = 'False'; LogBlocked = 'False'
}
$EffectiveDefaults = @{
    Enabled = 'True'; DefaultInboundAction = 'Block'; DefaultOutboundAction = 'Allow'
    AllowInboundRules = 'True'; AllowLocalFirewallRules = 'True'
}

function Get-ProfileSetting {
    # The settings of one profile in a store.
    param($World, [string]$Name, [string]$Store)
    $made = [ordered]@{}
    foreach ($key in $ProfileDefaults.Keys) {
        $default = if ($Store -ne 'RSOP') { $ProfileDefaults[$key] } else { 'NotConfigured' }
        if ($Store -eq 'RSOP' -and $key -in 'LogFileName', 'LogMaxSizeKilobytes') { $default = $null }
        $made[$key] = $default
    }
    $layers = switch ($Store) { 'RSOP' { , 'policy_profiles' } 'ActiveStore' { 'profiles', 'policy_profiles' } default { , 'profiles' } }
    foreach ($layer in $layers) {
        $set = $World[$layer][$Name]
        foreach ($key in @(if ($set) { $set.Keys })) { $made[$key] = $set[$key] }
    }
    if ($Store -eq 'ActiveStore') {
        foreach ($key in $EffectiveDefaults.Keys) {
            if ($made[$key] -eq 'NotConfigured') { $made[$key] = $EffectiveDefaults[$key] }
        }
    }
    $made
}

function New-ProfileObject {
    param($World, [string]$Name, [string]$Store)
    $set = Get-ProfileSetting $World $Name $Store
    $made = [ordered]@{ Name = $Name; Profile = $Name; InstanceID = "MSFT|FW|FirewallProfile|$Name" }
    foreach ($key in $set.Keys) {
        $made[$key] = switch ($key) {
            { $_ -in 'DefaultInboundAction', 'DefaultOutboundAction' } {
                [Microsoft.PowerShell.Cmdletization.GeneratedTypes.NetSecurity.Action]$set[$key]
            }
            'LogFileName' { $set[$key] }
            'LogMaxSizeKilobytes' { [uint64]$set[$key] }
            default { [Microsoft.PowerShell.Cmdletization.GeneratedTypes.NetSecurity.GpoBoolean]$set[$key] }
        }
    }
    ConvertTo-CimObject $made 'MSFT_NetFirewallProfile'
}

function Select-Profile {
    # The names that match what was asked for; those that no profile has give an error.
    param($Cmdlet, [string[]]$Asked)
    foreach ($one in $Asked) {
        $found = @($ProfileNames -like $one)
        if ($found.Count -eq 0 -and -not (Test-Wildcard $one)) {
            Write-NotFound $Cmdlet 'MSFT_NetFirewallProfile' 'Name' $one
        }
        $found
    }
}

function Get-NetFirewallProfile {
    [CmdletBinding(DefaultParameterSetName = 'GetAll', PositionalBinding = $false)]
    param(
        [Parameter(ParameterSetName = 'GetAll')][switch]$All,
        [Parameter(ParameterSetName = 'ByName', Mandatory, Position = 0)][Alias('Profile')][string[]]$Name,
        [string]$PolicyStore = 'PersistentStore'
    )
    $world = Read-World
    if (-not (Test-Firewall $PSCmdlet $world) -or -not (Test-Store $PSCmdlet $PolicyStore)) { return }
    foreach ($one in Select-Profile $PSCmdlet $(if ($Name) { $Name } else { $ProfileNames })) {
        New-ProfileObject $world $one $PolicyStore
    }
}

function Set-NetFirewallProfile {
    [CmdletBinding(DefaultParameterSetName = 'GetAll', PositionalBinding = $false, SupportsShouldProcess)]
    param(
        [Parameter(ParameterSetName = 'GetAll')][switch]$All,
        [Parameter(ParameterSetName = 'ByName', Mandatory, Position = 0)][Alias('Profile')][string[]]$Name,
        [Parameter(ParameterSetName = 'InputObject', Mandatory, ValueFromPipeline)][psobject[]]$InputObject,
        [Microsoft.PowerShell.Cmdletization.GeneratedTypes.NetSecurity.GpoBoolean]$Enabled,
        [Microsoft.PowerShell.Cmdletization.GeneratedTypes.NetSecurity.Action]$DefaultInboundAction,
        [Microsoft.PowerShell.Cmdletization.GeneratedTypes.NetSecurity.Action]$DefaultOutboundAction,
        [Microsoft.PowerShell.Cmdletization.GeneratedTypes.NetSecurity.GpoBoolean]$AllowInboundRules,
        [Microsoft.PowerShell.Cmdletization.GeneratedTypes.NetSecurity.GpoBoolean]$AllowLocalFirewallRules,
        [Microsoft.PowerShell.Cmdletization.GeneratedTypes.NetSecurity.GpoBoolean]$NotifyOnListen,
        [string]$LogFileName,
        [uint64]$LogMaxSizeKilobytes,
        [Microsoft.PowerShell.Cmdletization.GeneratedTypes.NetSecurity.GpoBoolean]$LogAllowed,
        [Microsoft.PowerShell.Cmdletization.GeneratedTypes.NetSecurity.GpoBoolean]$LogBlocked
    )
    process {
        $world = Read-World
        if (-not (Test-Firewall $PSCmdlet $world -Writing)) { return }
        $asked = if ($InputObject) { @($InputObject.Name) } elseif ($Name) { $Name } else { $ProfileNames }
        foreach ($one in Select-Profile $PSCmdlet $asked) {
            if (-not $PSCmdlet.ShouldProcess($one)) { continue }
            $set = Get-ProfileSetting $world $one 'PersistentStore'
            foreach ($key in @($ProfileDefaults.Keys)) {
                if (-not $PSBoundParameters.ContainsKey($key)) { continue }
                $value = $PSBoundParameters[$key]
                $set[$key] = if ($key -eq 'LogMaxSizeKilobytes') { $value } else { "$value" }
            }
            $world.profiles[$one] = $set
        }
        if (-not $WhatIfPreference) { Save-World $world }
    }
}
