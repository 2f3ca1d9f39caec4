# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Stand-in for the module NetSecurity over the simulated host: the cmdlets, parameter sets and types that are documented.

. "$PSScriptRoot/../World.ps1"

$enums = [ordered]@{
    GpoBoolean = [ordered]@{ False = 0; True = 1; NotConfigured = 2 }
    Enabled = [ordered]@{ True = 1; False = 2 }
    Action = [ordered]@{ NotConfigured = 0; Allow = 2; Block = 4 }
    Direction = [ordered]@{ Inbound = 1; Outbound = 2 }
    EdgeTraversal = [ordered]@{ Block = 0; Allow = 1; DeferToUser = 2; DeferToApp = 3 }
    Profile = [ordered]@{ Any = 0; Domain = 1; Private = 2; Public = 4; NotApplicable = 8 }
    InterfaceType = [ordered]@{ Any = 0; Wired = 1; Wireless = 2; RemoteAccess = 4 }
    Authentication = [ordered]@{ NotRequired = 0; Required = 1; NoEncap = 2 }
    Encryption = [ordered]@{ NotRequired = 0; Required = 1; Dynamic = 2 }
    PrimaryStatus = [ordered]@{ Unknown = 0; OK = 1; Inactive = 2; Error = 3 }
    PolicyStoreType = [ordered]@{
        None = 0; Local = 1; GroupPolicy = 2; Dynamic = 3; Generated = 4; Hardcoded = 5; MDM = 6
    }
}
Add-EnumType -Namespace NetSecurity -Enum $enums -Underlying ([uint16]) -Flags 'Profile', 'InterfaceType'

function Test-Firewall {
    # Writes the error of a host that refuses and returns false, or returns true.
    param($Cmdlet, $World, [switch]$Writing)
    if (-not (Get-Switch $World 'firewall_service' $true)) {
        $message = 'There are no more endpoints available from the endpoint mapper. '
        Write-CimError $Cmdlet $message.Trim() "Windows System Error 1753"
        return $false
    }
    if ($Writing -and -not (Get-Switch $World 'administrator' $true)) {
        Write-CimError $Cmdlet 'Access is denied. ' "Windows System Error 5" 'PermissionDenied'
        return $false
    }
    $true
}

. "$PSScriptRoot/Values.ps1"
. "$PSScriptRoot/Profiles.ps1"
. "$PSScriptRoot/Rules.ps1"
. "$PSScriptRoot/Changes.ps1"
. "$PSScriptRoot/Filters.ps1"

Export-ModuleMember -Function *-NetFirewall*
