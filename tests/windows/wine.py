# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real PowerShell for Windows that tests can run commands in, under Debian's Wine.

    wine.py            have it: install Wine, fetch PowerShell, make a Wine prefix; what is there is not made again
    wine.py down       end what still runs of this checkout's Wine prefix, and nothing else

It is the Windows build of PowerShell 7, repacked as an npm package and checked against the digest below. Only tests
use it. Everything lies in .build/windows; ~/.wine is neither read nor written.
"""

from __future__ import annotations

import base64
import hashlib
import os
import platform
import pty
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, Mapping, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

import engine as engines
from vm import locked
from workshop import BUILD, Problem, install_packages, main, run, say

__all__ = ["Place", "Problem", "end", "ensure"]

PACKAGE = "likecu-powershell-win10"
VERSION = "7.6.2"
DIGEST = "sha512-M/giS/cVNMxiPcWJnfu6FxWrBrbBWiAPRAfH9PkrDtb7fYZ9i31MLiBzGS/u7vZnoEytdKbGIZdMa+mn7cLOBQ=="
PROGRAMS = {"wine": "wine", "wineboot": "wine", "wineserver": "wine"}
# `wine` is only the programs' names; what they run is in wine64.
PACKAGES = ("wine64", "wine")
# Translations, and documentation of .NET that no program reads.
LANGUAGES = [
    "cs",
    "de",
    "es",
    "fr",
    "it",
    "ja",
    "ko",
    "pl",
    "pt-BR",
    "ru",
    "tr",
    "zh-Hans",
    "zh-Hant",
]
START_SECONDS = 300.0


class Place(NamedTuple):
    """The folder of all that is made here."""

    folder: Path

    @property
    def powershell(self) -> Path:
        """pwsh.exe, also as powershell.exe, and what they need."""
        return self.folder / "pwsh"

    @property
    def prefix(self) -> Path:
        """Drive C and the registry."""
        return self.folder / "prefix"

    @property
    def home(self) -> Path:
        """The home of the Linux user, whose folders Wine would show as documents, pictures and so on."""
        return self.folder / "home"

    @property
    def ready(self) -> Path:
        """Written last: it says of what the rest was made."""
        return self.folder / "ready"


def default_place() -> Place:
    """Return the checkout's own."""
    return Place(BUILD / "windows")


def windows_path(path: Path) -> str:
    """Return the name under which Windows programs see a file of this machine."""
    return "Z:" + str(path.absolute()).replace("/", "\\")


def environment(place: Place) -> dict[str, str]:
    """Return the environment for Wine's programs; nothing of the caller's is handed on but the way to programs."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(place.home),
        "XDG_RUNTIME_DIR": str(place.home),
        "LANG": "C.UTF-8",
        "TERM": "xterm",
        "WINEPREFIX": str(place.prefix),
        "WINEARCH": "win64",
        "WINEDEBUG": "-all",
        # No question about a browser or menu entries. `mscoree` must stay: .NET loads its own code through it.
        "WINEDLLOVERRIDES": "mshtml=;winemenubuilder.exe=",
        # So that the name "powershell", which Ansible sends, is found.
        "WINEPATH": windows_path(place.powershell),
        # With it .NET maps its code twice, which Wine does not bear: PowerShell dies in a later garbage collection.
        "DOTNET_EnableWriteXorExecute": "0",
        "POWERSHELL_TELEMETRY_OPTOUT": "1",
        "POWERSHELL_UPDATECHECK": "Off",
    }


def _drain(terminal: int) -> None:
    try:
        while os.read(terminal, 4096):
            pass
    except OSError:
        # This is how a terminal tells that its last user has gone.
        pass
    finally:
        os.close(terminal)


def batch(line: str) -> tuple[bytes, dict[str, str]]:
    """Return a batch file that runs a command line, and the variables which that needs.

    All but the line's own %NAME% goes through variables: the file is read in another encoding than UTF-8, and a
    lone % would mean something else in it.
    """
    variables: dict[str, str] = {}
    names = []
    for part in filter(None, re.split(r"(%\w+%)", line)):
        if re.fullmatch(r"%\w+%", part):
            names.append(part)
        else:
            # Wine looks into what it put in once more.
            variables[f"TWINGUARD_{len(names)}"] = part.replace("%", "%%")
            names.append(f"%TWINGUARD_{len(names)}%")
    # WinRM's clients ask for UTF-8; here it is set by hand.
    return f"@chcp 65001 >nul\r\n@{''.join(names)}\r\n".encode("ascii"), variables


def start(
    place: Place,
    line: str,
    errors: Path,
    extra: Mapping[str, str] | None = None,
    stdin: int | IO[bytes] = subprocess.PIPE,
) -> subprocess.Popen[bytes]:
    """Start a command line in cmd.exe, as WinRM does.

    Standard input and output are clean pipes. PowerShell refuses to start where none of its three streams is a
    terminal, so the third one is; what it writes to standard error goes into the file ``errors`` instead.
    """
    # In a file, or the redirection would only be that of the line's last command; and Wine would put backslashes
    # before the quotes of an argument.
    file = errors.with_suffix(".cmd")
    text, variables = batch(line)
    file.write_bytes(text)
    command = ["wine", "cmd", "/c", f"{windows_path(file)} 2>{windows_path(errors)}"]
    env = {**environment(place), **(extra or {}), **variables}
    terminal, stderr = pty.openpty()
    try:
        process = subprocess.Popen(
            command,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=env,
            cwd=place.folder,
            # A group of its own, so that it can be ended with what it starts.
            start_new_session=True,
        )
    except OSError as error:
        os.close(terminal)
        raise Problem(f"Wine could not be started: {error.strerror}.") from error
    finally:
        os.close(stderr)
    threading.Thread(target=_drain, args=(terminal,), daemon=True).start()
    return process


def missing_programs() -> list[str]:
    """Return the programs of Wine that are not there."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


def ensure_wine() -> None:
    """Have Wine; as root on Debian or Ubuntu it is installed.

    :raises Problem: elsewhere, with what is missing.
    """
    if platform.machine() not in ("x86_64", "AMD64"):
        raise Problem(
            f"PowerShell for Windows needs an x86-64 machine; this is {platform.machine()}."
        )
    if not missing_programs():
        return
    release = Path("/etc/os-release")
    text = release.read_text("utf-8") if release.exists() else ""
    if shutil.which("apt-get") is None or not engines.is_debian_like(text):
        raise Problem("Wine is missing and there is no apt to install it: install wine (64-bit).")
    if os.geteuid() != 0:
        raise Problem("Wine is missing and only root can install it: install wine64 and wine.")
    install_packages(PACKAGES)


def digest_of(path: Path) -> str:
    """Return a file's SHA-512 as npm writes it."""
    found = hashlib.sha512()
    with path.open("rb") as file:
        for chunk in iter(lambda: file.read(1 << 20), b""):
            found.update(chunk)
    return f"sha512-{base64.b64encode(found.digest()).decode('ascii')}"


def fetch(folder: Path) -> Path:
    """Download the package into a folder with npm and return the file.

    :raises Problem: when npm is missing, fails, or gives something else than what was pinned.
    """
    if shutil.which("npm") is None:
        raise Problem("npm is missing, which downloads PowerShell for Windows: install npm.")
    say(f"Downloading PowerShell {VERSION} for Windows (114 MB) ...")
    command = ["npm", "pack", f"{PACKAGE}@{VERSION}", "--ignore-scripts", "--loglevel=error"]
    # A cache of its own, or npm would keep a second copy for good.
    command += ["--pack-destination", str(folder), "--cache", str(folder / "cache")]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    made = sorted(folder.glob("*.tgz"))
    if done.returncode or len(made) != 1:
        reason = next(iter(done.stderr.strip().splitlines()), f"code {done.returncode}")
        raise Problem(f"The npm package {PACKAGE} {VERSION} could not be had: {reason}")
    found = digest_of(made[0])
    if found != DIGEST:
        raise Problem(f"The npm package {PACKAGE} {VERSION} is not the pinned one: it is {found}.")
    return made[0]


def is_needed(name: str) -> bool:
    """Tell whether a file of the package is needed, by its name there."""
    parts = name.split("/")
    if parts[:2] != ["package", "pwsh"] or ".." in parts or len(parts) < 3:
        return False
    return parts[2] not in LANGUAGES and not (len(parts) == 3 and name.endswith(".xml"))


def unpack(package: Path, target: Path) -> None:
    """Unpack what is needed of the package; powershell.exe is the same program as pwsh.exe."""
    say("Unpacking it ...")
    with tarfile.open(package) as archive:
        for member in archive:
            if not member.isfile() or not is_needed(member.name):
                continue
            path = target.joinpath(*member.name.split("/")[2:])
            path.parent.mkdir(parents=True, exist_ok=True)
            source = archive.extractfile(member)
            assert source is not None
            with source, path.open("wb") as file:
                shutil.copyfileobj(source, file)
    shutil.copyfile(target / "pwsh.exe", target / "powershell.exe")


def ensure_powershell(place: Place) -> None:
    """Have PowerShell's folder; it gets its name only when it is whole."""
    origin = place.powershell / "origin"
    if origin.is_file() and origin.read_text("ascii") == DIGEST:
        return
    shutil.rmtree(place.powershell, ignore_errors=True)
    scratch = Path(tempfile.mkdtemp(prefix="new-", dir=place.folder))
    try:
        tree = scratch / "pwsh"
        unpack(fetch(scratch), tree)
        (tree / "origin").write_text(DIGEST, "ascii")
        tree.rename(place.powershell)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def ask_version(place: Place) -> str:
    """Return what PowerShell says its version is."""
    command = "$PSVersionTable.PSVersion.ToString()"
    line = f'powershell -NoProfile -NonInteractive -Command "{command}"'
    errors = place.home / "first.err"
    with start(place, line, errors, stdin=subprocess.DEVNULL) as process:
        try:
            said, _none = process.communicate(timeout=START_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise Problem(
                f"PowerShell did not answer under Wine within {START_SECONDS:.0f} s."
            ) from None
    return said.decode("utf-8", "replace").strip()


def make_prefix(place: Place) -> None:
    """Make the Wine prefix anew, and see PowerShell answer in it."""
    end(place)
    for folder in (place.prefix, place.home):
        shutil.rmtree(folder, ignore_errors=True)
    place.home.mkdir(mode=0o700)
    say("Making a Wine prefix ...")
    run(["wineboot", "-i"], "make a Wine prefix", env=environment(place), quiet=True)
    say("Starting PowerShell in it ...")
    version = ask_version(place)
    if version != VERSION:
        raise Problem(
            f"PowerShell does not answer under Wine: it should say {VERSION}, not {version!r}."
        )
    # The registry is written when Wine's server ends.
    end(place)


def end(place: Place) -> bool:
    """End what runs of this prefix; return whether something did."""
    if not place.prefix.is_dir() or shutil.which("wineserver") is None:
        return False
    env = environment(place)
    # It ends with 1 when there is no server, which is as good; -w waits until the files are written.
    ended = subprocess.run(["wineserver", "-k"], env=env, capture_output=True, check=False)
    subprocess.run(["wineserver", "-w"], env=env, capture_output=True, check=False)
    return ended.returncode == 0


def is_ready(place: Place) -> bool:
    """Tell whether all is there, made of what is pinned here."""
    whole = place.ready.is_file() and place.ready.read_text("ascii") == DIGEST
    programs = [place.powershell / "powershell.exe", place.prefix / "system.reg"]
    return whole and all(path.is_file() for path in programs) and not missing_programs()


def ensure(place: Place | None = None) -> Path:
    """Return the folder with PowerShell and its Wine prefix, making what is not there.

    :raises Problem: one sentence that says what is missing.
    """
    place = place or default_place()
    place.folder.mkdir(parents=True, exist_ok=True)
    with locked(place.folder / "lock", "makes PowerShell ready"):
        if is_ready(place):
            return place.folder
        began = time.monotonic()
        place.ready.unlink(missing_ok=True)
        for left in place.folder.glob("new-*"):
            shutil.rmtree(left)
        ensure_wine()
        ensure_powershell(place)
        make_prefix(place)
        place.ready.write_text(DIGEST, "ascii")
        say(f"PowerShell {VERSION} is ready after {time.monotonic() - began:.0f} s.")
    return place.folder


def _body(arguments: list[str]) -> int:
    if arguments == ["down"]:
        say("Wine was ended." if end(default_place()) else "Nothing of our Wine runs.")
    elif arguments:
        raise Problem("Usage: wine.py [down]")
    else:
        say(f"{ensure()}")
    return 0


if __name__ == "__main__":
    main(_body)
