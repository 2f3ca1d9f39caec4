#!/usr/bin/env bash
# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# GUESS     `ausearch -f /srv/models/m.bin` lists every recorded access to /srv/models/m.bin: its own text output shows
#           each access under that full path.
# HAPPENS   -f compares with the name as the program gave it to the kernel. Who changed into the directory first and
#           opened `m.bin` is not found, with exit 0 and other accesses listed, so that the answer looks complete. The
#           same event, found in another way, is printed with the full path that could not be searched for.
#           A search for the directory alone (`-f /srv/models`) finds it, because the working directory is compared.
# VERSIONS  audit 3.0.9 (Debian 12) and 4.0.2 (Debian 13) here; 4.2.1 (Debian unstable) did the same by hand.
# MATTERS   To whoever asks who read a model: search by the rule's key (`-k`), never by the file's path.
#           `audit_events_info` joins name and working directory before it compares.
# GROUND    deep: the fast answer, a list of accesses, is incomplete.
# SEEN      $ ausearch -if audit.log -k model --format text
#           At 07:06:40 11/29/25 root successfully opened-file /srv/models/m.bin using /usr/bin/cat
#           At 07:06:50 11/29/25 root successfully opened-file /srv/models/m.bin using /usr/bin/cat
#           $ ausearch -if audit.log -f /srv/models/m.bin --format text
#           At 07:06:50 11/29/25 root successfully opened-file /srv/models/m.bin using /usr/bin/cat
set -eu

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
changed() { printf 'CHANGED: %s\n' "$*" >&2; exit 1; }
unmeasured() { printf 'NOT MEASURED: %s\n' "$*" >&2; exit 2; }

# shellcheck source=/dev/null
. /etc/os-release
case ${VERSION_CODENAME:-} in
  bookworm) pinned=1:3.0.9 packages=(auditd libaudit1 libauparse0) ;;
  trixie) pinned=1:4.0.2 packages=(auditd libaudit1 libauparse0t64) ;;
  *) unmeasured "this needs Debian 12 or 13" ;;
esac

# Package lists of its own: neither root nor an earlier `apt-get update` is needed.
mkdir -p "$place/state/lists/partial" "$place/cache/archives/partial"
apt=(apt-get -qq -o "Dir::State=$place/state" -o "Dir::Cache=$place/cache" -o APT::Sandbox::User=root)
cd "$place"
{ "${apt[@]}" update && "${apt[@]}" download "${packages[@]}"; } || unmeasured "apt-get could not fetch ${packages[*]}"
version=$(dpkg-deb --field auditd_*.deb Version)
[[ $version == "$pinned"-* ]] || unmeasured "auditd is $version here, not $pinned"
for package in *.deb; do dpkg-deb --extract "$package" root; done
program=$(find "$place/root" -path '*/sbin/ausearch')
libraries=$(find "$place/root" -name 'libau*.so.?' -printf '%h:')
search() {
  LD_LIBRARY_PATH=$libraries LC_ALL=C TZ=UTC0 "$program" -if audit.log "$@" --format text 2>/dev/null
}

# As the kernel writes it: one program opened the file by its full path, the other from inside the directory.
event() { # SECOND SERIAL WORKING_DIRECTORY NAME
  local stamp="msg=audit(17644000$1.100:$2):"
  echo "type=SYSCALL $stamp arch=c000003e syscall=257 success=yes exit=3 a0=ffffff9c a1=7ffd0 a2=0 a3=0 items=1" \
    "ppid=10 pid=$2 auid=0 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=pts0 ses=3" \
    'comm="cat" exe="/usr/bin/cat" key="model"'
  echo "type=CWD $stamp cwd=\"$3\""
  echo "type=PATH $stamp item=0 name=\"$4\" inode=131 dev=fe:01 mode=0100640 ouid=0 ogid=0 rdev=00:00" \
    "nametype=NORMAL cap_fp=0 cap_fi=0 cap_fe=0 cap_fver=0 cap_frootid=0"
}
{ event 00 101 /srv/models m.bin && event 10 102 / /srv/models/m.bin; } >audit.log

said='root successfully opened-file /srv/models/m.bin using /usr/bin/cat'
from_inside="At 07:06:40 11/29/25 $said"
by_full_path="At 07:06:50 11/29/25 $said"
both="$from_inside
$by_full_path"

found=$(search -k model)
printf '%s, -k model:\n%s\n' "$version" "$found"
[ "$found" = "$both" ] || changed "a search by key does not print both accesses under the full path"

found=$(search -f /srv/models/m.bin) || changed "a search by path now exits $?"
printf -- '-f /srv/models/m.bin:\n%s\n' "$found"
[ "$found" != "$both" ] || changed "a search by path now finds the access by relative name too"
[ "$found" = "$by_full_path" ] || changed "a search by path prints something else"

[ "$(search -f /srv/models)" = "$both" ] || changed "a search by directory does not find both any more"
echo "as stated: the access from inside the directory is not found by the file's path"
