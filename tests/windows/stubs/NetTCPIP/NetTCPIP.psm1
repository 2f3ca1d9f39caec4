# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Stand-in for the module NetTCPIP over the simulated host.

. "$PSScriptRoot/../World.ps1"

Add-EnumType -Namespace NetTCPConnection -Underlying ([byte]) -Enum ([ordered]@{
        State = [ordered]@{
            Closed = 1; Listen = 2; SynSent = 3; SynReceived = 4; Established = 5; FinWait1 = 6; FinWait2 = 7
            CloseWait = 8; Closing = 9; LastAck = 10; TimeWait = 11; DeleteTCB = 12; Bound = 100
        }
    })
Add-EnumType -Namespace NetIPAddress -Underlying ([uint16]) -Enum ([ordered]@{
        AddressFamily = [ordered]@{ IPv4 = 2; IPv6 = 23 }
    })

function Get-NetIPAddress {
    [CmdletBinding(PositionalBinding = $false)]
    param([Parameter(Position = 0)][string[]]$IPAddress, [uint32[]]$InterfaceIndex)
    $world = Read-World
    foreach ($one in @($world.addresses)) {
        if ($null -eq $one) { continue }
        if ($IPAddress -and $one.IPAddress -notin $IPAddress) { continue }
        if ($InterfaceIndex -and $one.InterfaceIndex -notin $InterfaceIndex) { continue }
        $family = if ($one.IPAddress -match ':') { 'IPv6' } else { 'IPv4' }
        ConvertTo-CimObject ([ordered]@{
                IPAddress = $one.IPAddress
                InterfaceIndex = [uint32]$one.InterfaceIndex
                InterfaceAlias = $one.InterfaceAlias
                AddressFamily = [Microsoft.PowerShell.Cmdletization.GeneratedTypes.NetIPAddress.AddressFamily]$family
                PrefixLength = [byte]$one.PrefixLength
            }) 'MSFT_NetIPAddress'
    }
}

function Get-NetTCPConnection {
    [CmdletBinding(PositionalBinding = $false)]
    param(
        [uint16[]]$LocalPort,
        [Microsoft.PowerShell.Cmdletization.GeneratedTypes.NetTCPConnection.State[]]$State
    )
    $world = Read-World
    $found = @(foreach ($one in @($world.connections)) {
            if ($null -eq $one) { continue }
            $now = [Microsoft.PowerShell.Cmdletization.GeneratedTypes.NetTCPConnection.State]$one.State
            if ($LocalPort -and $one.LocalPort -notin $LocalPort) { continue }
            if ($State -and $now -notin $State) { continue }
            ConvertTo-CimObject ([ordered]@{
                    LocalAddress = $one.LocalAddress
                    LocalPort = [uint16]$one.LocalPort
                    RemoteAddress = $one.RemoteAddress
                    RemotePort = [uint16]$one.RemotePort
                    State = $now
                }) 'MSFT_NetTCPConnection'
        })
    if ($found.Count -eq 0 -and $LocalPort) {
        Write-NotFound $PSCmdlet 'MSFT_NetTCPConnection' 'LocalPort' ($LocalPort -join ', ')
    }
    elseif ($found.Count -eq 0 -and $State) {
        Write-NotFound $PSCmdlet 'MSFT_NetTCPConnection' 'State' ($State -join ', ')
    }
    $found
}

Export-ModuleMember -Function Get-NetIPAddress, Get-NetTCPConnection
