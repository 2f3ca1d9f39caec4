# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# The names stand here so that PowerShell finds them without running the module.
@{
    RootModule = 'NetSecurity.psm1'
    ModuleVersion = '2.0.0.0'
    GUID = '0dc358b0-5f80-572f-8240-f48dba742d62'
    CompatiblePSEditions = @('Desktop', 'Core')
    FunctionsToExport = @(
        'Disable-NetFirewallRule', 'Enable-NetFirewallRule', 'Get-NetFirewallAddressFilter',
        'Get-NetFirewallApplicationFilter', 'Get-NetFirewallInterfaceFilter', 'Get-NetFirewallInterfaceTypeFilter',
        'Get-NetFirewallPortFilter', 'Get-NetFirewallProfile', 'Get-NetFirewallRule',
        'Get-NetFirewallSecurityFilter', 'Get-NetFirewallServiceFilter', 'New-NetFirewallRule',
        'Remove-NetFirewallRule', 'Set-NetFirewallProfile', 'Set-NetFirewallRule'
    )
    CmdletsToExport = @()
    AliasesToExport = @()
}
