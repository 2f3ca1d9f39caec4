# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# The names stand here so that PowerShell finds them without running the module.
@{
    RootModule = 'NetTCPIP.psm1'
    ModuleVersion = '2.0.0.0'
    GUID = '20b93c42-b4dc-5d0b-85cd-11163a9322d7'
    CompatiblePSEditions = @('Desktop', 'Core')
    FunctionsToExport = @(
        'Get-NetIPAddress', 'Get-NetTCPConnection'
    )
    CmdletsToExport = @()
    AliasesToExport = @()
}
