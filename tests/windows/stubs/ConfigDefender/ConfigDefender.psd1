# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# The names stand here so that PowerShell finds them without running the module.
@{
    RootModule = 'ConfigDefender.psm1'
    ModuleVersion = '2.0.0.0'
    GUID = '50796e14-e93f-5ee9-8461-6029f99dac39'
    CompatiblePSEditions = @('Desktop', 'Core')
    FunctionsToExport = @(
        'Add-MpPreference', 'Get-MpComputerStatus', 'Get-MpPreference', 'Remove-MpPreference', 'Set-MpPreference'
    )
    CmdletsToExport = @()
    AliasesToExport = @()
}
