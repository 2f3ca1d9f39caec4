# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Stand-in for the module ConfigDefender (Defender's cmdlets) over the simulated host.

. "$PSScriptRoot/../World.ps1"

if (-not (Get-Switch (Read-World) 'defender_installed' $true)) {
    # A host without Defender does not have the cmdlets.
    Export-ModuleMember -Function @()
    return
}

$enums = [ordered]@{
    MAPSReportingType = [ordered]@{ Disabled = 0; Basic = 1; Advanced = 2 }
    SubmitSamplesConsentType = [ordered]@{ AlwaysPrompt = 0; SendSafeSamples = 1; NeverSend = 2; SendAllSamples = 3 }
    PUAProtectionType = [ordered]@{ Disabled = 0; Enabled = 1; AuditMode = 2 }
    ASRRuleActionType = [ordered]@{ Disabled = 0; Enabled = 1; AuditMode = 2; NotConfigured = 5; Warn = 6 }
    CloudBlockLevelType = [ordered]@{ Default = 0; Moderate = 1; High = 2; HighPlus = 4; ZeroTolerance = 6 }
}
Add-EnumType -Namespace MpPreference -Enum $enums -Underlying ([byte])

$Defaults = [ordered]@{
    DisableRealtimeMonitoring = $false; MAPSReporting = 2; SubmitSamplesConsent = 1; PUAProtection = 0
    EnableNetworkProtection = 0; CloudBlockLevel = 0; AttackSurfaceReductionRules_Ids = @()
    AttackSurfaceReductionRules_Actions = @(); ExclusionPath = @(); ExclusionExtension = @(); ExclusionProcess = @()
    ExclusionIpAddress = @()
}
$StatusDefaults = [ordered]@{
    AMRunningMode = 'Normal'; AMServiceEnabled = $true; AntivirusEnabled = $true; IsTamperProtected = $false
    TamperProtectionSource = 'N/A'
}
$Ids = 'AttackSurfaceReductionRules_Ids'
$Actions = 'AttackSurfaceReductionRules_Actions'
$Namespace = 'root/Microsoft/Windows/Defender'
$Hidden = 'N/A: Must be an administrator to view exclusions'

function Test-Defender {
    # Writes the error of a host that refuses and returns false, or returns true.
    param($Cmdlet, $World, [switch]$Writing)
    if (-not (Get-Switch $World 'defender_service' $true)) {
        # Made from its decimal value: as hexadecimal it would not fit.
        Write-CimError $Cmdlet 'The operation failed with the following error: 0x800106ba' `
            "HRESULT 0x800106ba" -HResult -2147416390
        return $false
    }
    if ($Writing -and -not (Get-Switch $World 'administrator' $true)) {
        Write-CimError $Cmdlet "You don't have enough permissions to perform the requested operation." `
            "HRESULT 0x80070005" 'PermissionDenied' -HResult -2147024891
        return $false
    }
    $true
}

function Get-Preference {
    # All preferences, complete.
    param($World)
    $made = [ordered]@{}
    foreach ($key in $Defaults.Keys) {
        $value = $Defaults[$key]
        if ($World.defender.preferences -and $World.defender.preferences.Contains($key)) {
            $value = $World.defender.preferences[$key]
        }
        $made[$key] = if ($Defaults[$key] -is [array]) { , @($value) } else { $value }
    }
    $made
}

function Save-Preference {
    # Stores what changed, but for the preferences that the host silently leaves as they are.
    param($World, [Collections.IDictionary]$Preference)
    $before = Get-Preference $World
    foreach ($name in @($World.switches.ignored_preferences)) {
        if ($name -and $Preference.Contains($name)) { $Preference[$name] = $before[$name] }
    }
    $World.defender.preferences = $Preference
    Save-World $World
}

function Join-Rule {
    # The given rules as id and action, or nothing after an error.
    param($Cmdlet, $Given)
    $id = @(if ($Given.ContainsKey($Ids)) { $Given[$Ids] })
    $action = @(if ($Given.ContainsKey($Actions)) { $Given[$Actions] })
    if ($id.Count -ne $action.Count) {
        $message = 'A general error occurred that is not covered by a more specific error code.'
        Write-CimError $Cmdlet $message "MI RESULT 1"
        return
    }
    $made = [ordered]@{}
    for ($at = 0; $at -lt $id.Count; $at++) { $made[$id[$at]] = [int]$action[$at] }
    $made
}


function Get-MpPreference {
    [CmdletBinding(PositionalBinding = $false)]
    param()
    $world = Read-World
    if (-not (Test-Defender $PSCmdlet $world)) { return }
    $set = Get-Preference $world
    $made = [ordered]@{ ComputerID = '00000000-0000-0000-0000-000000000000' }
    $hide = -not (Get-Switch $world 'administrator' $true)
    foreach ($key in $set.Keys) {
        $value = $set[$key]
        if ($hide -and $key -like 'Exclusion*') { $made[$key] = [string[]]@($Hidden) }
        elseif ($Defaults[$key] -is [bool]) { $made[$key] = [bool]$value }
        elseif ($Defaults[$key] -isnot [array]) { $made[$key] = [byte]$value }
        # An empty list is nothing.
        elseif ($value.Count -eq 0) { $made[$key] = $null }
        elseif ($key -eq $Actions) { $made[$key] = [byte[]]$value }
        else { $made[$key] = [string[]]$value }
    }
    ConvertTo-CimObject $made 'MSFT_MpPreference' $Namespace
}

function Get-MpComputerStatus {
    [CmdletBinding(PositionalBinding = $false)]
    param()
    $world = Read-World
    if (-not (Test-Defender $PSCmdlet $world)) { return }
    $made = [ordered]@{}
    foreach ($key in $StatusDefaults.Keys) { $made[$key] = $StatusDefaults[$key] }
    foreach ($key in @(if ($world.defender.status) { $world.defender.status.Keys })) { $made[$key] = $world.defender.status[$key] }
    $off = (Get-Preference $world).DisableRealtimeMonitoring
    $made.RealTimeProtectionEnabled = -not $off -and $made.AMRunningMode -eq 'Normal'
    ConvertTo-CimObject $made 'MSFT_MpComputerStatus' $Namespace
}

function Set-MpPreference {
    [CmdletBinding(PositionalBinding = $false, SupportsShouldProcess)]
    param(
        [bool]$DisableRealtimeMonitoring,
        [Microsoft.PowerShell.Cmdletization.GeneratedTypes.MpPreference.MAPSReportingType]$MAPSReporting,
        [Microsoft.PowerShell.Cmdletization.GeneratedTypes.MpPreference.SubmitSamplesConsentType]$SubmitSamplesConsent,
        [Microsoft.PowerShell.Cmdletization.GeneratedTypes.MpPreference.PUAProtectionType]$PUAProtection,
        [Microsoft.PowerShell.Cmdletization.GeneratedTypes.MpPreference.ASRRuleActionType]$EnableNetworkProtection,
        [Microsoft.PowerShell.Cmdletization.GeneratedTypes.MpPreference.CloudBlockLevelType]$CloudBlockLevel,
        [string[]]$AttackSurfaceReductionRules_Ids,
        [Microsoft.PowerShell.Cmdletization.GeneratedTypes.MpPreference.ASRRuleActionType[]]$AttackSurfaceReductionRules_Actions,
        [string[]]$ExclusionPath,
        [string[]]$ExclusionExtension,
        [string[]]$ExclusionProcess,
        [string[]]$ExclusionIpAddress,
        [switch]$Force
    )
    $world = Read-World
    if (-not (Test-Defender $PSCmdlet $world -Writing)) { return }
    $set = Get-Preference $world
    $rules = Join-Rule $PSCmdlet $PSBoundParameters
    if ($null -eq $rules) { return }
    foreach ($key in @($set.Keys)) {
        if (-not $PSBoundParameters.ContainsKey($key) -or $key -eq $Actions) { continue }
        $value = $PSBoundParameters[$key]
        if ($key -eq $Ids) {
            $set[$Ids] = @($rules.Keys)
            $set[$Actions] = @($rules.Values)
        }
        elseif ($value -is [enum]) { $set[$key] = [int]$value }
        else { $set[$key] = $value }
    }
    if ($PSCmdlet.ShouldProcess('MSFT_MpPreference', 'Set')) { Save-Preference $world $set }
}

function Add-MpPreference {
    [CmdletBinding(PositionalBinding = $false, SupportsShouldProcess)]
    param(
        [string[]]$AttackSurfaceReductionRules_Ids,
        [Microsoft.PowerShell.Cmdletization.GeneratedTypes.MpPreference.ASRRuleActionType[]]$AttackSurfaceReductionRules_Actions,
        [string[]]$ExclusionPath,
        [string[]]$ExclusionExtension,
        [string[]]$ExclusionProcess,
        [string[]]$ExclusionIpAddress,
        [switch]$Force
    )
    $world = Read-World
    if (-not (Test-Defender $PSCmdlet $world -Writing)) { return }
    $set = Get-Preference $world
    $rules = Join-Rule $PSCmdlet $PSBoundParameters
    if ($null -eq $rules) { return }
    $all = [ordered]@{}
    for ($at = 0; $at -lt $set[$Ids].Count; $at++) { $all[$set[$Ids][$at]] = $set[$Actions][$at] }
    foreach ($id in $rules.Keys) {
        # The id stays as it was first written.
        $there = @($all.Keys) -eq $id
        $all[$(if ($there) { $there[0] } else { $id })] = $rules[$id]
    }
    $set[$Ids] = @($all.Keys)
    $set[$Actions] = @($all.Values)
    foreach ($key in 'ExclusionPath', 'ExclusionExtension', 'ExclusionProcess', 'ExclusionIpAddress') {
        foreach ($value in $PSBoundParameters[$key]) {
            if ($set[$key] -notcontains $value) { $set[$key] = @($set[$key]) + $value }
        }
    }
    if ($PSCmdlet.ShouldProcess('MSFT_MpPreference', 'Add')) { Save-Preference $world $set }
}

function Remove-MpPreference {
    [CmdletBinding(PositionalBinding = $false, SupportsShouldProcess)]
    param(
        [switch]$DisableRealtimeMonitoring,
        [switch]$MAPSReporting,
        [switch]$SubmitSamplesConsent,
        [switch]$PUAProtection,
        [switch]$EnableNetworkProtection,
        [switch]$CloudBlockLevel,
        [string[]]$AttackSurfaceReductionRules_Ids,
        [string[]]$ExclusionPath,
        [string[]]$ExclusionExtension,
        [string[]]$ExclusionProcess,
        [string[]]$ExclusionIpAddress,
        [switch]$Force
    )
    $world = Read-World
    if (-not (Test-Defender $PSCmdlet $world -Writing)) { return }
    $set = Get-Preference $world
    foreach ($key in @($set.Keys)) {
        if (-not $PSBoundParameters.ContainsKey($key)) { continue }
        if ($key -eq $Ids) {
            $kept = @(0..$set[$Ids].Count | Where-Object { $_ -lt $set[$Ids].Count -and $set[$Ids][$_] -notin $PSBoundParameters[$Ids] })
            $set[$Actions] = @($kept | ForEach-Object { $set[$Actions][$_] })
            $set[$Ids] = @($kept | ForEach-Object { $set[$Ids][$_] })
        }
        elseif ($Defaults[$key] -is [array]) { $set[$key] = @($set[$key] | Where-Object { $_ -notin $PSBoundParameters[$key] }) }
        else { $set[$key] = $Defaults[$key] }
    }
    if ($PSCmdlet.ShouldProcess('MSFT_MpPreference', 'Remove')) { Save-Preference $world $set }
}

Export-ModuleMember -Function *-Mp*
