# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Stand-in for the module NetConnection over the simulated host.

. "$PSScriptRoot/../World.ps1"

Add-EnumType -Namespace NetConnectionProfile -Underlying ([uint32]) -Enum ([ordered]@{
        NetworkCategory = [ordered]@{ Public = 0; Private = 1; DomainAuthenticated = 2 }
    })

function Get-NetConnectionProfile {
    [CmdletBinding(PositionalBinding = $false)]
    param([uint32[]]$InterfaceIndex, [string[]]$InterfaceAlias)
    $world = Read-World
    foreach ($one in @($world.networks)) {
        if ($null -eq $one) { continue }
        if ($InterfaceIndex -and $one.InterfaceIndex -notin $InterfaceIndex) { continue }
        if ($InterfaceAlias -and $one.InterfaceAlias -notin $InterfaceAlias) { continue }
        ConvertTo-CimObject ([ordered]@{
                Name = $one.Name
                InterfaceAlias = $one.InterfaceAlias
                InterfaceIndex = [uint32]$one.InterfaceIndex
                NetworkCategory = [Microsoft.PowerShell.Cmdletization.GeneratedTypes.NetConnectionProfile.NetworkCategory]$one.NetworkCategory
            }) 'MSFT_NetConnectionProfile'
    }
}

Export-ModuleMember -Function Get-NetConnectionProfile
