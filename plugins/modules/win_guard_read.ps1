#!powershell

# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#Requires -Version 5.1
#AnsibleRequires -PowerShell ansible_collections.twinguard.hardening.plugins.module_utils._windows._win_guard

# Does not use Ansible.Basic, whose C# would be compiled in each task. win_guard has validated the arguments.

$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'

$found = Get-GuardState -Request $complex_args
'{{"changed":false,"digest":"{0}","state":{1}}}' -f $found.digest, $found.json
