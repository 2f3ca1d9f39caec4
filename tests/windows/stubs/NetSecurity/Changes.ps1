# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Making, changing and removing rules.

function Select-Target {
    # The ids of the rules that a cmdlet was told to change; errors for those that are not there or not local.
    param($Cmdlet, $World, [hashtable]$Given)
    if (-not $Given.ContainsKey('InputObject')) {
        $stored = @(Get-StoredRule $World 'PersistentStore')
        $asked = switch ($Cmdlet.ParameterSetName) {
            'ByName' { 'Id', $Given.Name }
            'ByDisplayName' { 'DisplayName', $Given.DisplayName }
            'ByGroup' { 'Group', $Given.Group }
            'ByDisplayGroup' { 'Group', $Given.DisplayGroup }
        }
        if ($asked) { $stored = @(Select-Rule $Cmdlet $stored @asked) }
        foreach ($one in $stored) { $one.Id }
        return
    }
    foreach ($one in $Given.InputObject) {
        $id = "$($one.InstanceID)"
        if ("$($one.PolicyStoreSourceType)" -ne 'Local') {
            Write-CimError $Cmdlet 'Access is denied. ' "Windows System Error 5" 'PermissionDenied' $one
        }
        elseif (-not $World.rules.Contains($id)) {
            Write-NotFound $Cmdlet 'MSFT_NetFirewallRule' 'InstanceID' $id
        }
        else { $id }
    }
}

function Update-Rule {
    # Changes the rules that were asked for by what was given.
    param($Cmdlet, [hashtable]$Given, [hashtable]$Change)
    $world = Read-World
    if (-not (Test-Firewall $Cmdlet $world -Writing)) { return }
    $changed = $false
    foreach ($id in Select-Target $Cmdlet $world $Given) {
        if (-not $Cmdlet.ShouldProcess($id)) { continue }
        try {
            $world.rules[$id] = Merge-Rule $world.rules[$id] $Change
            $changed = $true
        }
        catch {
            Write-CimError $Cmdlet "$_" "HRESULT 0x80070057" 'InvalidArgument' $id
        }
    }
    if ($changed) { Save-World $world }
}

function New-NetFirewallRule {
    [CmdletBinding(PositionalBinding = $false, SupportsShouldProcess)]
    param(
        [Alias('ID')][string]$Name,
        [Parameter(Mandatory)][string]$DisplayName,
        [string]$Group,
        [string]$PolicyStore = 'PersistentStore',
        [string]$Description,
        [Microsoft.PowerShell.Cmdletization.GeneratedTypes.NetSecurity.Enabled]$Enabled,
        [Microsoft.PowerShell.Cmdletization.GeneratedTypes.NetSecurity.Profile]$Profile,
        [Microsoft.PowerShell.Cmdletization.GeneratedTypes.NetSecurity.Direction]$Direction,
        [Microsoft.PowerShell.Cmdletization.GeneratedTypes.NetSecurity.Action]$Action,
        [Microsoft.PowerShell.Cmdletization.GeneratedTypes.NetSecurity.EdgeTraversal]$EdgeTraversalPolicy,
        [string]$Protocol,
        [string[]]$LocalPort,
        [string[]]$RemotePort,
        [string[]]$IcmpType,
        [string[]]$LocalAddress,
        [string[]]$RemoteAddress,
        [string]$Program,
        [string]$Package,
        [string]$Service,
        [string[]]$InterfaceAlias,
        [Microsoft.PowerShell.Cmdletization.GeneratedTypes.NetSecurity.InterfaceType]$InterfaceType,
        [Microsoft.PowerShell.Cmdletization.GeneratedTypes.NetSecurity.Authentication]$Authentication,
        [Microsoft.PowerShell.Cmdletization.GeneratedTypes.NetSecurity.Encryption]$Encryption,
        [bool]$OverrideBlockRules,
        [string]$LocalUser,
        [string]$RemoteUser,
        [string]$RemoteMachine,
        [string]$Owner
    )
    $world = Read-World
    if (-not (Test-Firewall $PSCmdlet $world -Writing) -or -not (Test-Store $PSCmdlet $PolicyStore)) { return }
    $id = if ($Name) { $Name } else { "{$([guid]::NewGuid())}" }
    if (-not $PSCmdlet.ShouldProcess($DisplayName)) { return }
    if ($PolicyStore -ne 'PersistentStore') {
        Write-CimError $PSCmdlet 'Access is denied. ' 'Windows System Error 5' 'PermissionDenied'
        return
    }
    if (@($world.rules.Keys) -contains $id) {
        $message = 'Cannot create a file when that file already exists. '
        Write-CimError $PSCmdlet $message.Trim() 'Windows System Error 183' 'NotSpecified'
        return
    }
    try {
        $world.rules[$id] = Merge-Rule ([ordered]@{}) ([hashtable]$PSBoundParameters)
    }
    catch {
        Write-CimError $PSCmdlet "$_" 'HRESULT 0x80070057' 'InvalidArgument'
        return
    }
    Save-World $world
    New-RuleObject @{ Id = $id; Rule = $world.rules[$id]; Policy = $false } 'NotApplicable'
}

function Set-NetFirewallRule {
    # A rule's group is no attribute here: with -Group one chooses rules, and together with -Name it is an error.
    [CmdletBinding(DefaultParameterSetName = 'ByName', PositionalBinding = $false, SupportsShouldProcess)]
    param(
        [Parameter(ParameterSetName = 'ByName', Mandatory, Position = 0)][Alias('ID')][string[]]$Name,
        [Parameter(ParameterSetName = 'ByDisplayName', Mandatory)][string[]]$DisplayName,
        [Parameter(ParameterSetName = 'ByGroup', Mandatory)][Alias('RuleGroup')][string[]]$Group,
        [Parameter(ParameterSetName = 'ByDisplayGroup', Mandatory)][string[]]$DisplayGroup,
        [Parameter(ParameterSetName = 'InputObject', Mandatory, ValueFromPipeline)][psobject[]]$InputObject,
        [string]$NewDisplayName,
        [string]$Description,
        [Microsoft.PowerShell.Cmdletization.GeneratedTypes.NetSecurity.Enabled]$Enabled,
        [Microsoft.PowerShell.Cmdletization.GeneratedTypes.NetSecurity.Profile]$Profile,
        [Microsoft.PowerShell.Cmdletization.GeneratedTypes.NetSecurity.Direction]$Direction,
        [Microsoft.PowerShell.Cmdletization.GeneratedTypes.NetSecurity.Action]$Action,
        [Microsoft.PowerShell.Cmdletization.GeneratedTypes.NetSecurity.EdgeTraversal]$EdgeTraversalPolicy,
        [string]$Protocol,
        [string[]]$LocalPort,
        [string[]]$RemotePort,
        [string[]]$IcmpType,
        [string[]]$LocalAddress,
        [string[]]$RemoteAddress,
        [string]$Program,
        [string]$Package,
        [string]$Service,
        [string[]]$InterfaceAlias,
        [Microsoft.PowerShell.Cmdletization.GeneratedTypes.NetSecurity.InterfaceType]$InterfaceType,
        [Microsoft.PowerShell.Cmdletization.GeneratedTypes.NetSecurity.Authentication]$Authentication,
        [Microsoft.PowerShell.Cmdletization.GeneratedTypes.NetSecurity.Encryption]$Encryption,
        [bool]$OverrideBlockRules,
        [string]$LocalUser,
        [string]$RemoteUser,
        [string]$RemoteMachine,
        [string]$Owner
    )
    process {
        $change = @{}
        foreach ($key in $PSBoundParameters.Keys) {
            if ($key -notin 'Name', 'DisplayName', 'Group', 'DisplayGroup', 'InputObject') {
                $change[$key] = $PSBoundParameters[$key]
            }
        }
        Update-Rule $PSCmdlet ([hashtable]$PSBoundParameters) $change
    }
}

function Enable-NetFirewallRule {
    [CmdletBinding(DefaultParameterSetName = 'GetAll', PositionalBinding = $false, SupportsShouldProcess)]
    param(
        [Parameter(ParameterSetName = 'GetAll')][switch]$All,
        [Parameter(ParameterSetName = 'ByName', Mandatory, Position = 0)][Alias('ID')][string[]]$Name,
        [Parameter(ParameterSetName = 'ByDisplayName', Mandatory)][string[]]$DisplayName,
        [Parameter(ParameterSetName = 'ByGroup', Mandatory)][Alias('RuleGroup')][string[]]$Group,
        [Parameter(ParameterSetName = 'ByDisplayGroup', Mandatory)][string[]]$DisplayGroup,
        [Parameter(ParameterSetName = 'InputObject', Mandatory, ValueFromPipeline)][psobject[]]$InputObject
    )
    process {
        Update-Rule $PSCmdlet ([hashtable]$PSBoundParameters) @{ Enabled = 'True' }
    }
}

function Disable-NetFirewallRule {
    [CmdletBinding(DefaultParameterSetName = 'GetAll', PositionalBinding = $false, SupportsShouldProcess)]
    param(
        [Parameter(ParameterSetName = 'GetAll')][switch]$All,
        [Parameter(ParameterSetName = 'ByName', Mandatory, Position = 0)][Alias('ID')][string[]]$Name,
        [Parameter(ParameterSetName = 'ByDisplayName', Mandatory)][string[]]$DisplayName,
        [Parameter(ParameterSetName = 'ByGroup', Mandatory)][Alias('RuleGroup')][string[]]$Group,
        [Parameter(ParameterSetName = 'ByDisplayGroup', Mandatory)][string[]]$DisplayGroup,
        [Parameter(ParameterSetName = 'InputObject', Mandatory, ValueFromPipeline)][psobject[]]$InputObject
    )
    process {
        Update-Rule $PSCmdlet ([hashtable]$PSBoundParameters) @{ Enabled = 'False' }
    }
}

function Remove-NetFirewallRule {
    # Without a parameter it removes every local rule, as on Windows.
    [CmdletBinding(DefaultParameterSetName = 'GetAll', PositionalBinding = $false, SupportsShouldProcess)]
    param(
        [Parameter(ParameterSetName = 'GetAll')][switch]$All,
        [Parameter(ParameterSetName = 'ByName', Mandatory, Position = 0)][Alias('ID')][string[]]$Name,
        [Parameter(ParameterSetName = 'ByDisplayName', Mandatory)][string[]]$DisplayName,
        [Parameter(ParameterSetName = 'ByGroup', Mandatory)][Alias('RuleGroup')][string[]]$Group,
        [Parameter(ParameterSetName = 'ByDisplayGroup', Mandatory)][string[]]$DisplayGroup,
        [Parameter(ParameterSetName = 'InputObject', Mandatory, ValueFromPipeline)][psobject[]]$InputObject
    )
    process {
        $world = Read-World
        if (-not (Test-Firewall $PSCmdlet $world -Writing)) { return }
        foreach ($id in @(Select-Target $PSCmdlet $world ([hashtable]$PSBoundParameters))) {
            if ($PSCmdlet.ShouldProcess($id)) { $world.rules.Remove($id) }
        }
        if (-not $WhatIfPreference) { Save-World $world }
    }
}
