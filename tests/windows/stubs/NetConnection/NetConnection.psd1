# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# The names stand here so that PowerShell finds them without running the module.
@{
    RootModule = 'NetConnection.psm1'
    ModuleVersion = '2.0.0.0'
    GUID = 'b5e6ae4f-ed32-5234-ad14-e8edda613d7f'
    CompatiblePSEditions = @('Desktop', 'Core')
    FunctionsToExport = @(
        'Get-NetConnectionProfile'
    )
    CmdletsToExport = @()
    AliasesToExport = @()
}
