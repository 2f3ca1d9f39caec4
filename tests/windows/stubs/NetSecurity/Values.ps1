# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# How Windows writes down what a rule was given.

$RuleDefaults = [ordered]@{
    DisplayName = ''; Description = ''; Group = ''; Enabled = 'True'; Profile = 'Any'; Direction = 'Inbound'
    Action = 'Allow'; EdgeTraversalPolicy = 'Block'; Protocol = 'Any'; LocalPort = @('Any'); RemotePort = @('Any')
    IcmpType = @('Any'); LocalAddress = @('Any'); RemoteAddress = @('Any'); Program = 'Any'; Package = $null
    Service = 'Any'; InterfaceAlias = @('Any'); InterfaceType = 'Any'; Authentication = 'NotRequired'
    Encryption = 'NotRequired'; OverrideBlockRules = 'False'; LocalUser = 'Any'; RemoteUser = 'Any'
    RemoteMachine = 'Any'
}
$AddressKeywords = 'Any', 'LocalSubnet', 'LocalSubnet4', 'LocalSubnet6', 'DNS', 'DHCP', 'WINS', 'DefaultGateway',
    'Internet', 'Intranet', 'IntranetRemoteAccess', 'PlayToDevice', 'CaptivePortal'
$PortKeywords = 'Any', 'RPC', 'RPCEPMap', 'IPHTTPSIn', 'IPHTTPSOut', 'Teredo', 'PlayToDiscovery', 'mDNS', 'CDPSvc',
    'Ply2Disc'
$ProtocolNames = @{ '1' = 'ICMPv4'; '6' = 'TCP'; '17' = 'UDP'; '58' = 'ICMPv6'; '256' = 'Any' }
$InvalidAddress = 'The address is invalid. Addresses may be specified as IP addresses, ranges, or subnets. Also, ' +
    'the following address keywords are allowed in certain places: LocalSubnet, DNS, DHCP, WINS, DefaultGateway, ' +
    'Internet, Intranet, IntranetRemoteAccess, PlayToDevice. Keywords can be restricted to IPv4 or IPv6 by ' +
    'appending a 4 or 6.'
$InvalidPort = 'The port number or keyword is invalid for the protocol. Port numbers may be specified for TCP or UDP.'
$InvalidProtocol = 'The protocol is invalid. Valid protocols are 0 to 255, TCP, UDP, ICMPv4, ICMPv6 and Any.'

function Get-Keyword {
    # The documented spelling of a keyword, or nothing.
    param([string]$Text, [string[]]$Keyword)
    foreach ($one in $Keyword) {
        if ($one -eq $Text) {
            return $one
        }
    }
}

function ConvertTo-Ip {
    # An address, or the error of one that is none. .NET alone would take "1.2" for 1.0.0.2.
    param([string]$Text)
    $found = $null
    if ($Text -notmatch '^(\d+\.){3}\d+$|:' -or -not [Net.IPAddress]::TryParse($Text, [ref]$found)) {
        throw $InvalidAddress
    }
    $found
}

function ConvertTo-PrefixLength {
    # The length of "/24" or "/255.255.255.0".
    param([string]$Text, [int]$Bits)
    if ($Text -match '^\d{1,3}$' -and [int]$Text -le $Bits) {
        return [int]$Text
    }
    if ($Bits -eq 32 -and $Text -match '^(\d+\.){3}\d+$') {
        $digits = -join ((ConvertTo-Ip $Text).GetAddressBytes() | ForEach-Object { [Convert]::ToString($_, 2).PadLeft(8, '0') })
        if ($digits -match '^1*0*$') {
            return $digits.TrimEnd('0').Length
        }
    }
    throw $InvalidAddress
}

function ConvertTo-Subnet {
    # IPv4 comes back with a mask, IPv6 with a length; the bits behind it are cleared.
    param([string]$Text)
    $address, $length = $Text -split '/', 2
    $ip = ConvertTo-Ip $address
    $bytes = $ip.GetAddressBytes()
    $bits = $bytes.Count * 8
    $prefix = ConvertTo-PrefixLength $length $bits
    if ($prefix -eq $bits) {
        return "$ip"
    }
    $mask = [byte[]]::new($bytes.Count)
    for ($at = 0; $at -lt $bytes.Count; $at++) {
        $ones = [Math]::Max(0, [Math]::Min(8, $prefix - 8 * $at))
        $mask[$at] = 256 - [Math]::Pow(2, 8 - $ones) -band 255
        $bytes[$at] = $bytes[$at] -band $mask[$at]
    }
    $network = [Net.IPAddress]::new($bytes)
    if ($bits -eq 32) { "$network/$([Net.IPAddress]::new($mask))" } else { "$network/$prefix" }
}

function ConvertTo-Address {
    # Each address as Windows keeps it, in another order than it was given.
    param([string[]]$Text)
    $made = foreach ($one in $Text) {
        $keyword = Get-Keyword $one $AddressKeywords
        if ($keyword) { $keyword }
        elseif ($one -match '/') { ConvertTo-Subnet $one }
        elseif ($one -match '^([^-]+)-([^-]+)$') { "$(ConvertTo-Ip $Matches[1])-$(ConvertTo-Ip $Matches[2])" }
        else { "$(ConvertTo-Ip $one)" }
    }
    $sorted = [string[]]@($made)
    [Array]::Sort($sorted, [StringComparer]::Ordinal)
    [Array]::Reverse($sorted)
    , $sorted
}

function ConvertTo-Port {
    param([string[]]$Text)
    $made = foreach ($one in $Text) {
        $keyword = Get-Keyword $one $PortKeywords
        if ($keyword) { $keyword; continue }
        if ($one -notmatch '^(\d{1,5})(-(\d{1,5}))?$') { throw $InvalidPort }
        $first = [int]$Matches[1]
        $last = if ($Matches[3]) { [int]$Matches[3] } else { $first }
        if ($first -gt $last -or $last -gt 65535) { throw $InvalidPort }
        $one
    }
    , [string[]]@($made)
}

function ConvertTo-Protocol {
    param([string]$Text)
    if ($ProtocolNames.ContainsKey($Text)) { return $ProtocolNames[$Text] }
    $keyword = Get-Keyword $Text ('TCP', 'UDP', 'ICMPv4', 'ICMPv6', 'Any')
    if ($keyword) { return $keyword }
    if ($Text -notmatch '^\d{1,3}$' -or [int]$Text -gt 255) { throw $InvalidProtocol }
    $Text
}

function ConvertTo-RuleValue {
    # One attribute as Windows keeps it.
    param([string]$Name, $Value)
    switch ($Name) {
        { $_ -in 'LocalAddress', 'RemoteAddress' } { return , (ConvertTo-Address $Value) }
        { $_ -in 'LocalPort', 'RemotePort' } { return , (ConvertTo-Port $Value) }
        { $_ -in 'IcmpType', 'InterfaceAlias' } { return , [string[]]@($Value) }
        'Protocol' { return ConvertTo-Protocol $Value }
        { $_ -in 'Program', 'Service', 'LocalUser', 'RemoteUser', 'RemoteMachine' } {
            if ($Value -eq 'Any') { return 'Any' }
        }
    }
    "$Value"
}

function Merge-Rule {
    # A rule with what was given, complete; throws the sentence of Windows where that cannot be.
    param([Collections.IDictionary]$Rule, [hashtable]$Given)
    $made = [ordered]@{}
    foreach ($name in $Rule.Keys) {
        $made[$name] = $Rule[$name]
    }
    foreach ($name in $RuleDefaults.Keys) {
        if ($Given.ContainsKey($name)) {
            $made[$name] = ConvertTo-RuleValue $name $Given[$name]
        }
        elseif (-not $made.Contains($name)) {
            $made[$name] = $RuleDefaults[$name]
        }
    }
    if ($Given.ContainsKey('NewDisplayName')) {
        $made.DisplayName = $Given.NewDisplayName
    }
    $ports = @($made.LocalPort) + @($made.RemotePort) -ne 'Any'
    if ($ports -and $made.Protocol -notin 'TCP', 'UDP') {
        throw $InvalidPort
    }
    $made
}
