#!/usr/bin/env bash
# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# GUESS     `ssh-keygen -Y sign FILE` that exits 0 has written a signature of what FILE holds now.
# HAPPENS   If FILE.sig exists, it asks whether to overwrite it. Where nobody can answer (standard input is empty:
#           cron, systemd, CI, Ansible's command module) it keeps the old signature, prints the question without an
#           error, and exits 0. FILE then lies beside a signature of its former content. `-q` changes nothing.
# VERSIONS  OpenSSH 9.2p1 (Debian 12) and 10.0p1 (Debian 13) here; 10.6p1 (Debian unstable) did the same by hand.
#           ssh-keygen(1) does not mention the question for -Y sign.
# MATTERS   To whoever signs manifests, releases or lists of keys again under the same name: the step is green, and the
#           receiver is who finds out. Sign from standard input (`< FILE > FILE.sig`, no question is asked), as
#           `batch_seal` does, or remove FILE.sig first. Then verify what was written.
# GROUND    deep: the fast answer, exit status 0, is wrong.
# SEEN      $ ssh-keygen -q -Y sign -f key -n batch manifest.json </dev/null; echo "exit $?"
#           manifest.json.sig already exists.
#           Overwrite (y/n)? exit 0
#           $ ssh-keygen -Y check-novalidate -n batch -s manifest.json.sig <manifest.json
#           Signature verification failed: incorrect signature
set -eu

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
changed() { printf 'CHANGED: %s\n' "$*" >&2; exit 1; }
unmeasured() { printf 'NOT MEASURED: %s\n' "$*" >&2; exit 2; }

# shellcheck source=/dev/null
. /etc/os-release
case ${VERSION_CODENAME:-} in
  bookworm) pinned=1:9.2p1 packages=(openssh-client libssl3) ;;
  trixie) pinned=1:10.0p1 packages=(openssh-client libssl3t64) ;;
  *) unmeasured "this needs Debian 12 or 13" ;;
esac

# Package lists of its own: neither root nor an earlier `apt-get update` is needed.
mkdir -p "$place/state/lists/partial" "$place/cache/archives/partial"
apt=(apt-get -qq -o "Dir::State=$place/state" -o "Dir::Cache=$place/cache" -o APT::Sandbox::User=root)
cd "$place"
{ "${apt[@]}" update && "${apt[@]}" download "${packages[@]}"; } || unmeasured "apt-get could not fetch ${packages[*]}"
# A release of Debian keeps the upstream version for life; only its security fixes move the part behind the hyphen.
version=$(dpkg-deb --field openssh-client_*.deb Version)
[[ $version == "$pinned"-* ]] || unmeasured "openssh-client is $version here, not $pinned"
for package in *.deb; do dpkg-deb --extract "$package" root; done
libraries=$(dirname "$(find "$place/root" -name 'libcrypto.so.3' | head -n 1)")
keygen() { LD_LIBRARY_PATH=$libraries "$place/root/usr/bin/ssh-keygen" "$@"; }
fits() { keygen -Y check-novalidate -n batch -s manifest.json.sig <"$1" >fits.txt 2>&1; }

keygen -q -t ed25519 -N '' -C signer -f key
echo '{"batch": "b1", "sequence": 1}' >first.json
echo '{"batch": "b2", "sequence": 2}' >second.json

cp first.json manifest.json
keygen -q -Y sign -f key -n batch manifest.json </dev/null
fits first.json || changed "a first signature does not verify"

cp second.json manifest.json
status=0
keygen -q -Y sign -f key -n batch manifest.json </dev/null >said.txt 2>&1 || status=$?
printf '%s, exit %s:\n%s\n' "$version" "$status" "$(cat said.txt)"
[ "$status" -eq 0 ] || changed "signing over an existing signature without an answer now exits $status"
grep -q 'already exists' said.txt || changed "the existing signature is not mentioned any more"
! fits second.json || changed "the existing signature is now replaced without an answer"
cat fits.txt
fits first.json || changed "the existing signature is now damaged or removed"

keygen -q -Y sign -f key -n batch <manifest.json >manifest.json.sig
fits second.json || changed "a signature made from standard input does not verify"
echo "as stated: exit 0, and the signature is still that of the former content"
