# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# The filters: what a rule says of ports, addresses and so on is not in the rule's object but in these, one of each class
# for each rule.

$FilterClasses = @{
    Port = 'MSFT_NetProtocolPortFilter', @('Protocol', 'LocalPort', 'RemotePort', 'IcmpType')
    Address = 'MSFT_NetAddressFilter', @('LocalAddress', 'RemoteAddress')
    Application = 'MSFT_NetApplicationFilter', @('Program', 'Package')
    Service = 'MSFT_NetServiceFilter', @('Service')
    Interface = 'MSFT_NetInterfaceFilter', @('InterfaceAlias')
    InterfaceType = 'MSFT_NetInterfaceTypeFilter', @('InterfaceType')
    Security = 'MSFT_NetNetworkLayerSecurityFilter', @(
        'Authentication', 'Encryption', 'OverrideBlockRules', 'LocalUser', 'RemoteUser', 'RemoteMachine')
}

function New-FilterObject {
    param($Stored, [string]$Kind)
    $class, $names = $FilterClasses[$Kind]
    $made = [ordered]@{ InstanceID = $Stored.Id; CreationClassName = "MSFT|FW|FirewallRule|$($Stored.Id)" }
    foreach ($name in $names) {
        $value = Get-Attribute $Stored.Rule $name
        if ($name -in 'InterfaceType', 'Authentication', 'Encryption') {
            $value = $value -as "Microsoft.PowerShell.Cmdletization.GeneratedTypes.NetSecurity.$name"
        }
        elseif ($name -eq 'OverrideBlockRules') { $value = "$value" -eq 'True' }
        elseif ($value -is [array]) { $value = ConvertTo-One $value }
        $made[$name] = $value
    }
    ConvertTo-CimObject $made $class
}

function Get-Filter {
    # The filters of a store, or of one rule; what was read of the host is kept while a pipeline runs.
    param($Cmdlet, $World, [string]$Kind, [string]$Store, $Rule)
    if ($null -eq $Rule) {
        foreach ($stored in Get-StoredRule $World $Store) { New-FilterObject $stored $Kind }
        return
    }
    $policy = "$($Rule.PolicyStoreSourceType)" -eq 'GroupPolicy'
    $part = if ($policy) { 'policy_rules' } else { 'rules' }
    $id = "$($Rule.InstanceID)"
    if (-not $World[$part].Contains($id)) {
        Write-NotFound $Cmdlet $FilterClasses[$Kind][0] 'InstanceID' $id
        return
    }
    New-FilterObject @{ Id = $id; Rule = $World[$part][$id]; Policy = $policy } $Kind
}

function Get-NetFirewallPortFilter {
    [CmdletBinding(DefaultParameterSetName = 'GetAll', PositionalBinding = $false)]
    param(
        [Parameter(ParameterSetName = 'GetAll')][switch]$All,
        [Parameter(ParameterSetName = 'GetAll')][string]$PolicyStore = 'PersistentStore',
        [Parameter(ParameterSetName = 'ByRule', Mandatory, ValueFromPipeline)][psobject]$AssociatedNetFirewallRule
    )
    begin {
        $world = Read-World
        $answers = (Test-Firewall $PSCmdlet $world) -and (Test-Store $PSCmdlet $PolicyStore)
    }
    process {
        if ($answers) { Get-Filter $PSCmdlet $world Port $PolicyStore $AssociatedNetFirewallRule }
    }
}

function Get-NetFirewallAddressFilter {
    [CmdletBinding(DefaultParameterSetName = 'GetAll', PositionalBinding = $false)]
    param(
        [Parameter(ParameterSetName = 'GetAll')][switch]$All,
        [Parameter(ParameterSetName = 'GetAll')][string]$PolicyStore = 'PersistentStore',
        [Parameter(ParameterSetName = 'ByRule', Mandatory, ValueFromPipeline)][psobject]$AssociatedNetFirewallRule
    )
    begin {
        $world = Read-World
        $answers = (Test-Firewall $PSCmdlet $world) -and (Test-Store $PSCmdlet $PolicyStore)
    }
    process {
        if ($answers) { Get-Filter $PSCmdlet $world Address $PolicyStore $AssociatedNetFirewallRule }
    }
}

function Get-NetFirewallApplicationFilter {
    [CmdletBinding(DefaultParameterSetName = 'GetAll', PositionalBinding = $false)]
    param(
        [Parameter(ParameterSetName = 'GetAll')][switch]$All,
        [Parameter(ParameterSetName = 'GetAll')][string]$PolicyStore = 'PersistentStore',
        [Parameter(ParameterSetName = 'ByRule', Mandatory, ValueFromPipeline)][psobject]$AssociatedNetFirewallRule
    )
    begin {
        $world = Read-World
        $answers = (Test-Firewall $PSCmdlet $world) -and (Test-Store $PSCmdlet $PolicyStore)
    }
    process {
        if ($answers) { Get-Filter $PSCmdlet $world Application $PolicyStore $AssociatedNetFirewallRule }
    }
}

function Get-NetFirewallServiceFilter {
    [CmdletBinding(DefaultParameterSetName = 'GetAll', PositionalBinding = $false)]
    param(
        [Parameter(ParameterSetName = 'GetAll')][switch]$All,
        [Parameter(ParameterSetName = 'GetAll')][string]$PolicyStore = 'PersistentStore',
        [Parameter(ParameterSetName = 'ByRule', Mandatory, ValueFromPipeline)][psobject]$AssociatedNetFirewallRule
    )
    begin {
        $world = Read-World
        $answers = (Test-Firewall $PSCmdlet $world) -and (Test-Store $PSCmdlet $PolicyStore)
    }
    process {
        if ($answers) { Get-Filter $PSCmdlet $world Service $PolicyStore $AssociatedNetFirewallRule }
    }
}

function Get-NetFirewallInterfaceFilter {
    [CmdletBinding(DefaultParameterSetName = 'GetAll', PositionalBinding = $false)]
    param(
        [Parameter(ParameterSetName = 'GetAll')][switch]$All,
        [Parameter(ParameterSetName = 'GetAll')][string]$PolicyStore = 'PersistentStore',
        [Parameter(ParameterSetName = 'ByRule', Mandatory, ValueFromPipeline)][psobject]$AssociatedNetFirewallRule
    )
    begin {
        $world = Read-World
        $answers = (Test-Firewall $PSCmdlet $world) -and (Test-Store $PSCmdlet $PolicyStore)
    }
    process {
        if ($answers) { Get-Filter $PSCmdlet $world Interface $PolicyStore $AssociatedNetFirewallRule }
    }
}

function Get-NetFirewallInterfaceTypeFilter {
    [CmdletBinding(DefaultParameterSetName = 'GetAll', PositionalBinding = $false)]
    param(
        [Parameter(ParameterSetName = 'GetAll')][switch]$All,
        [Parameter(ParameterSetName = 'GetAll')][string]$PolicyStore = 'PersistentStore',
        [Parameter(ParameterSetName = 'ByRule', Mandatory, ValueFromPipeline)][psobject]$AssociatedNetFirewallRule
    )
    begin {
        $world = Read-World
        $answers = (Test-Firewall $PSCmdlet $world) -and (Test-Store $PSCmdlet $PolicyStore)
    }
    process {
        if ($answers) { Get-Filter $PSCmdlet $world InterfaceType $PolicyStore $AssociatedNetFirewallRule }
    }
}

function Get-NetFirewallSecurityFilter {
    [CmdletBinding(DefaultParameterSetName = 'GetAll', PositionalBinding = $false)]
    param(
        [Parameter(ParameterSetName = 'GetAll')][switch]$All,
        [Parameter(ParameterSetName = 'GetAll')][string]$PolicyStore = 'PersistentStore',
        [Parameter(ParameterSetName = 'ByRule', Mandatory, ValueFromPipeline)][psobject]$AssociatedNetFirewallRule
    )
    begin {
        $world = Read-World
        $answers = (Test-Firewall $PSCmdlet $world) -and (Test-Store $PSCmdlet $PolicyStore)
    }
    process {
        if ($answers) { Get-Filter $PSCmdlet $world Security $PolicyStore $AssociatedNetFirewallRule }
    }
}
