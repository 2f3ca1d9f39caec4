#!/bin/sh
# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Make this host a git server with bare repositories of the user git, and gitolite3 with one of its own.
# Usage: server.sh DIRECTORY, which holds the key to log in with, a naive hook and its list of signers.
set -eu
given=$1
id git >/dev/null 2>&1 || useradd --system --create-home --home-dir /srv/git --shell /usr/bin/git-shell git
install -d -o git -g git -m 0700 /srv/git/.ssh
chmod 0755 /srv/git
printf 'restrict %s\n' "$(cat "$given/push.pub")" >/srv/git/.ssh/authorized_keys
chown git:git /srv/git/.ssh/authorized_keys
for name in models naive-all naive-u naive-tip naive-tree; do
  [ -d "/srv/git/$name.git" ] || setpriv --reuid=git --regid=git --init-groups git init -q --bare -b main "/srv/git/$name.git"
done
for mode in all u tip tree; do
  path=/srv/git/naive-$mode.git
  install -m 0755 "$given/naive_hook.sh" "$path/hooks/pre-receive"
  echo "$mode" >"$path/naive-mode"
  echo "$given/naive_signers" >"$path/naive-signers"
done
home=/var/lib/gitolite3
# The package makes its user only when it is told an administrator's key while it is installed.
id gitolite3 >/dev/null 2>&1 || useradd --system --create-home --home-dir $home --shell /bin/sh gitolite3
chmod 0755 $home
as_gitolite() { setpriv --reuid=gitolite3 --regid=gitolite3 --init-groups env HOME=$home USER=gitolite3 "$@"; }
if [ ! -d $home/repositories/models.git ]; then
  install -o gitolite3 -m 0644 "$given/push.pub" $home/admin.pub
  cd $home
  as_gitolite gitolite setup -pk admin.pub
  printf 'repo models\n    - refs/heads/release/forbidden- = admin\n    RW+ = admin\n' >>$home/.gitolite/conf/gitolite.conf
  as_gitolite gitolite compile
  as_gitolite gitolite trigger POST_COMPILE
fi
