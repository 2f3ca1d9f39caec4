# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every module of the collection promises about check mode, diffs and repeated runs."""

from __future__ import annotations


class ModuleDocFragment:
    """Texts that modules include by name."""

    # For a module that changes something.
    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Reads what is in force and reports what a run would change, without changing it.
    support: full
  diff_mode:
    description: Shows what changes, or in check mode would change; secrets are shown as fingerprints.
    support: full
  idempotent:
    description: A second run with the same policy, on a host that nobody has changed since, changes nothing.
    support: full
"""

    # For a module that only reads.
    INFO = r"""
options: {}
attributes:
  check_mode:
    description: Reads the same with and without check mode.
    support: full
  diff_mode:
    description: Changes nothing, so that there is nothing to show.
    support: N/A
  idempotent:
    description: Changes nothing, however often it runs.
    support: full
"""

    # Beside one of the above, for a module that runs on the managed host.
    LINUX = r"""
options: {}
attributes:
  platform:
    description: Where the module runs.
    support: full
    platforms: linux
"""

    # The same for Windows.
    WINDOWS = r"""
options: {}
attributes:
  platform:
    description: Where the module runs.
    support: full
    platforms: windows
"""

    # For a part of a module that decides all this itself.
    PART = r"""
options: {}
attributes:
  check_mode:
    description: Is not run then; the module that it is a part of reads and plans without it.
    support: none
  diff_mode:
    description: The module that it is a part of shows what changes.
    support: none
  idempotent:
    description: The module that it is a part of sends nothing to do when nothing is to be done.
    support: partial
    details: The steps are carried out as they are given.
"""
