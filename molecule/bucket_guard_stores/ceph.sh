#!/bin/sh
# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Ceph with one monitor, one disk in memory and its S3 gateway, from Debian's packages, and a user.
# Usage: ceph.sh ACCESS_KEY SECRET_KEY
set -eu
fsid=6c1f0a52-6f0e-4a57-9a3e-0c7f5d0c9f11
export DEBIAN_FRONTEND=noninteractive
# Nothing here must survive a loss of power.
apt-get install -qq -y --no-install-recommends -o Dpkg::Options::=--force-unsafe-io \
  ceph-mon ceph-osd radosgw >/var/log/ceph-install.log 2>&1 || { cat /var/log/ceph-install.log; exit 1; }
cat >/etc/ceph/ceph.conf <<CONF
[global]
fsid = $fsid
mon host = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
mon allow pool size one = true
osd class update on start = false
osd crush chooseleaf type = 0
osd objectstore = memstore
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
memstore device bytes = 268435456
CONF
monmaptool --create --add a 127.0.0.1 --fsid "$fsid" /tmp/monmap
mkdir -p /var/lib/ceph/mon/ceph-a /var/lib/ceph/osd/ceph-0
ceph-mon --mkfs -i a --monmap /tmp/monmap
ceph-mon -i a
# Under one name for both sides: the disk asks for itself once more when it starts.
disk=0d2f1b5e-63c4-4c0e-9f0a-1f8f3f5b7a10
ceph osd create "$disk" 0
ceph-osd -i 0 --mkfs --osd-uuid "$disk"
# Its first start may be ahead of the monitor; then it ends, and the next one succeeds.
tries=1
until ceph-osd -i 0; do
  [ "$tries" -lt 10 ]
  tries=$((tries + 1))
  sleep 1
done
radosgw -n client.rgw --rgw-frontends='beast endpoint=0.0.0.0:7480'
radosgw-admin user create --uid=twinguard --display-name=twinguard --access-key="$1" --secret-key="$2" >/dev/null
