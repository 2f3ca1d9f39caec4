# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# What the stand-in modules share: the simulated host, which is the JSON document named by $env:TWINGUARD_WORLD, errors
# of the shape that CIM cmdlets give, and enums.
# The modules' functions are functions of a module as Windows' own are: they do not see $ErrorActionPreference of the
# script that calls them unless it is global, and their errors do not end anything by themselves.

function Read-World {
    # The document, with a table for each part that is missing.
    $path = $env:TWINGUARD_WORLD
    $world = [ordered]@{}
    if ($path -and [IO.File]::Exists($path)) {
        $world = [IO.File]::ReadAllText($path) | ConvertFrom-Json -AsHashtable
    }
    foreach ($name in 'profiles', 'policy_profiles', 'rules', 'policy_rules', 'defender', 'switches') {
        if ($null -eq $world[$name]) {
            $world[$name] = [ordered]@{}
        }
    }
    $world
}

function Save-World {
    param($World)
    $text = ConvertTo-Json -InputObject $World -Depth 9
    $new = "$env:TWINGUARD_WORLD.new"
    # The default encoding of .NET is UTF-8 without a mark.
    [IO.File]::WriteAllText($new, $text)
    [IO.File]::Move($new, $env:TWINGUARD_WORLD, $true)
}

function Get-Switch {
    param($World, [string]$Name, [bool]$Default)
    if ($World.switches.Contains($Name)) { [bool]$World.switches[$Name] } else { $Default }
}

function Write-CimError {
    # An error that does not end the pipeline, as those of CIM cmdlets are.
    param($Cmdlet, [string]$Message, [string]$Id, [string]$Category = 'NotSpecified', $Target, [int]$HResult)
    $exception = [Microsoft.Management.Infrastructure.CimException]::new($Message)
    if ($HResult) {
        $exception.HResult = $HResult
    }
    $Cmdlet.WriteError([Management.Automation.ErrorRecord]::new($exception, $Id, $Category, $Target))
}

function Write-NotFound {
    param($Cmdlet, [string]$Class, [string]$Property, $Value)
    $message = "No $Class objects found with property '$Property' equal to '$Value'.  " +
        'Verify the value of the property and retry.'
    Write-CimError $Cmdlet $message "CmdletizationQuery_NotFound_$Property" 'ObjectNotFound' $Value
}

function Test-Wildcard {
    param([string]$Text)
    [Management.Automation.WildcardPattern]::ContainsWildcardCharacters($Text)
}

function ConvertTo-CimObject {
    # An object that says of which CIM class it is.
    param([Collections.IDictionary]$Property, [string]$Class, [string]$Namespace = 'root/standardcimv2')
    $made = [pscustomobject]$Property
    $made.PSTypeNames.Insert(0, "Microsoft.Management.Infrastructure.CimInstance#$Namespace/$Class")
    $made
}

function ConvertTo-One {
    # CIM cmdlets give a list of one value as that value.
    param([object[]]$Value)
    if ($Value.Count -eq 1) { $Value[0] } else { , [string[]]$Value }
}

function Add-EnumType {
    # Enums in the namespace where Windows has them, made as Windows makes them: without a compiler, in milliseconds.
    param([string]$Namespace, [Collections.IDictionary]$Enum, [Type]$Underlying, [string[]]$Flags = @())
    $prefix = "Microsoft.PowerShell.Cmdletization.GeneratedTypes.$Namespace"
    if ("$prefix.$(@($Enum.Keys)[0])" -as [Type]) {
        return
    }
    $name = [Reflection.AssemblyName]::new($prefix)
    $assembly = [Reflection.Emit.AssemblyBuilder]::DefineDynamicAssembly($name, 'Run')
    $module = $assembly.DefineDynamicModule($prefix)
    foreach ($one in $Enum.Keys) {
        $builder = $module.DefineEnum("$prefix.$one", 'Public', $Underlying)
        if ($one -in $Flags) {
            $attribute = [FlagsAttribute].GetConstructor([Type[]]@())
            $builder.SetCustomAttribute([Reflection.Emit.CustomAttributeBuilder]::new($attribute, [object[]]@()))
        }
        foreach ($word in $Enum[$one].Keys) {
            [void]$builder.DefineLiteral($word, ($Enum[$one][$word] -as $Underlying))
        }
        [void]$builder.CreateType()
    }
}
