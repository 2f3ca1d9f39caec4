#!/bin/sh
# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# A model server: a user, models, a link to one release of them, a program, and a rule of somebody else.
set -eu
useradd --system modelsrv
mkdir -p /srv/models/pump /srv/releases/1 /opt/tools
cp /usr/bin/true /opt/tools/run
echo weights > /srv/models/pump/weights.bin
echo weights > /srv/releases/1/weights.bin
echo 'port=1' > /etc/twinguard-model.conf
ln -s releases/1 /srv/current
echo '-w /etc/shadow -p wa -k somebody_else' > /etc/audit/rules.d/50-somebody.rules
augenrules --load >/dev/null
