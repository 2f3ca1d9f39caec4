# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Reading rules.

function Test-Store {
    # Writes the error of an unknown store and returns false, or returns true.
    param($Cmdlet, [string]$Store)
    if ($Store -in 'PersistentStore', 'ActiveStore', 'RSOP') { return $true }
    Write-CimError $Cmdlet 'The system cannot find the file specified. ' 'Windows System Error 2' 'ObjectNotFound' $Store
    $false
}

function Get-StoredRule {
    # Each rule of a store: its id, its attributes, whether group policy made it.
    param($World, [string]$Store)
    $parts = switch ($Store) { 'RSOP' { , 'policy_rules' } 'ActiveStore' { 'rules', 'policy_rules' } default { , 'rules' } }
    foreach ($part in $parts) {
        foreach ($id in $World[$part].Keys) {
            @{ Id = $id; Rule = $World[$part][$id]; Policy = $part -eq 'policy_rules' }
        }
    }
}

function Get-Attribute {
    param($Rule, [string]$Name)
    if ($Rule.Contains($Name)) { $Rule[$Name] } else { $RuleDefaults[$Name] }
}

function Get-Situation {
    # What decides whether rules are in force: the active profiles and their effective settings.
    param($World)
    $active = [ordered]@{}
    foreach ($network in @($World.networks)) {
        if ($null -eq $network) { continue }
        $name = if ($network.NetworkCategory -eq 'DomainAuthenticated') { 'Domain' } else { $network.NetworkCategory }
        $active[$name] = Get-ProfileSetting $World $name 'ActiveStore'
    }
    $active
}

function Get-Enforcement {
    param($Stored, $Situation)
    if ((Get-Attribute $Stored.Rule 'Enabled') -ne 'True') { return 'DisabledObject' }
    $wanted = (Get-Attribute $Stored.Rule 'Profile') -split ', *'
    $active = @($Situation.Keys | Where-Object { $wanted -contains 'Any' -or $wanted -contains $_ })
    if ($active.Count -eq 0) { return 'ProfileInactive' }
    $obstacles = foreach ($name in $active) {
        if ($Situation[$name].Enabled -eq 'False') { 'FirewallOffInProfile' }
        elseif (-not $Stored.Policy -and $Situation[$name].AllowLocalFirewallRules -eq 'False') { 'LocalFirewallRulesDisallowed' }
        else { return 'Enforced' }
    }
    $obstacles | Select-Object -Unique
}

function New-RuleObject {
    param($Stored, [string[]]$Status)
    $group = Get-Attribute $Stored.Rule 'Group'
    $group = if ($group) { $group } else { $null }
    $owner = $Stored.Rule['Owner']
    ConvertTo-CimObject ([ordered]@{
        Name = $Stored.Id
        ID = $Stored.Id
        InstanceID = $Stored.Id
        DisplayName = Get-Attribute $Stored.Rule 'DisplayName'
        Description = Get-Attribute $Stored.Rule 'Description'
        Group = $group
        RuleGroup = $group
        DisplayGroup = $group
        Owner = $owner
        Enabled = [Microsoft.PowerShell.Cmdletization.GeneratedTypes.NetSecurity.Enabled](Get-Attribute $Stored.Rule 'Enabled')
        Profile = [Microsoft.PowerShell.Cmdletization.GeneratedTypes.NetSecurity.Profile](Get-Attribute $Stored.Rule 'Profile')
        Direction = [Microsoft.PowerShell.Cmdletization.GeneratedTypes.NetSecurity.Direction](Get-Attribute $Stored.Rule 'Direction')
        Action = [Microsoft.PowerShell.Cmdletization.GeneratedTypes.NetSecurity.Action](Get-Attribute $Stored.Rule 'Action')
        EdgeTraversalPolicy = [Microsoft.PowerShell.Cmdletization.GeneratedTypes.NetSecurity.EdgeTraversal](Get-Attribute $Stored.Rule 'EdgeTraversalPolicy')
        PrimaryStatus = [Microsoft.PowerShell.Cmdletization.GeneratedTypes.NetSecurity.PrimaryStatus]'OK'
        EnforcementStatus = $Status
        PolicyStoreSource = if ($Stored.Policy) { 'GroupPolicy' } else { 'PersistentStore' }
        PolicyStoreSourceType = [Microsoft.PowerShell.Cmdletization.GeneratedTypes.NetSecurity.PolicyStoreType]$(
            if ($Stored.Policy) { 'GroupPolicy' } else { 'Local' })
    }) 'MSFT_NetFirewallRule'
}

function Select-Rule {
    # The rules whose attribute matches what was asked for; a name without wildcards that no rule has is an error.
    param($Cmdlet, [object[]]$Stored, [string]$Attribute, [string[]]$Asked)
    $property = @{ Id = 'InstanceID'; Group = 'RuleGroup'; DisplayName = 'DisplayName' }[$Attribute]
    foreach ($one in $Asked) {
        $wild = Test-Wildcard $one
        $found = @(foreach ($rule in $Stored) {
                $value = if ($Attribute -eq 'Id') { $rule.Id } else { Get-Attribute $rule.Rule $Attribute }
                if ($(if ($wild) { $value -like $one } else { $value -eq $one })) { $rule }
            })
        if ($found.Count -eq 0 -and -not $wild) {
            Write-NotFound $Cmdlet 'MSFT_NetFirewallRule' $property $one
        }
        $found
    }
}

function Get-NetFirewallRule {
    [CmdletBinding(DefaultParameterSetName = 'GetAll', PositionalBinding = $false)]
    param(
        [Parameter(ParameterSetName = 'GetAll')][switch]$All,
        [Parameter(ParameterSetName = 'ByName', Mandatory, Position = 0)][Alias('ID')][string[]]$Name,
        [Parameter(ParameterSetName = 'ByDisplayName', Mandatory)][string[]]$DisplayName,
        [Parameter(ParameterSetName = 'ByGroup', Mandatory)][Alias('RuleGroup')][string[]]$Group,
        [Parameter(ParameterSetName = 'ByDisplayGroup', Mandatory)][string[]]$DisplayGroup,
        [string]$PolicyStore = 'PersistentStore'
    )
    $world = Read-World
    if (-not (Test-Firewall $PSCmdlet $world) -or -not (Test-Store $PSCmdlet $PolicyStore)) { return }
    $stored = @(Get-StoredRule $world $PolicyStore)
    $asked = switch ($PSCmdlet.ParameterSetName) {
        'ByName' { 'Id', $Name }
        'ByDisplayName' { 'DisplayName', $DisplayName }
        'ByGroup' { 'Group', $Group }
        'ByDisplayGroup' { 'Group', $DisplayGroup }
    }
    if ($asked) { $stored = @(Select-Rule $PSCmdlet $stored @asked) }
    $situation = if ($PolicyStore -eq 'ActiveStore') { Get-Situation $world }
    foreach ($one in $stored) {
        $status = if ($PolicyStore -eq 'ActiveStore') { Get-Enforcement $one $situation } else { 'NotApplicable' }
        New-RuleObject $one $status
    }
}
