#!/bin/sh
# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# Makes a key with the passphrase of /root/USER.passphrase for a user, and starts an agent that holds it.
# The passphrase is in no argument and in no environment.
set -eu
user=$1
home=/home/$user
place=$(mktemp -d)
install -d -m 0700 -o "$user" -g "$user" "$home/.ssh" "/run/$user-agent"
install -m 0600 -o "$user" -g "$user" "/root/$user.passphrase" "$place/passphrase"
printf '#!/bin/sh\nexec cat %s/passphrase\n' "$place" > "$place/ask"
chmod 0755 "$place" "$place/ask"
as_user() { runuser -u "$user" -- env HOME="$home" SSH_ASKPASS="$place/ask" SSH_ASKPASS_REQUIRE=force DISPLAY=:none "$@"; }
as_user ssh-keygen -q -t ed25519 -C "$user" -f "$home/.ssh/id_locked" < /dev/null
as_user ssh-agent -a "/run/$user-agent/socket" > /dev/null
as_user env SSH_AUTH_SOCK="/run/$user-agent/socket" ssh-add -q "$home/.ssh/id_locked" < /dev/null
rm -r "$place"
