#!/usr/bin/env bash
# Ceph's RADOS Gateway on loopback, for the tests of object storage: one monitor, one OSD in memory, one gateway.
#
#   tests/store/rgw.sh start FOLDER     installs Ceph into FOLDER (Debian's debootstrap, root, 700 MB, 3 minutes), once,
#                                       starts it, and prints the variables to run the tests with
#   tests/store/rgw.sh stop FOLDER
#
#   eval "$(tests/store/rgw.sh start /tmp/rgw)" && pytest -m s3
set -euo pipefail
action=${1:?start or stop} root=$(mkdir -p "${2:?a folder}" && cd "$2" && pwd) port=${RGW_PORT:-7480}
access=mmdata-tests secret=mmdata-tests-secret

inside() { chroot "$root" /usr/bin/env "$@"; }

stop() {
    for name in radosgw osd mon; do
        [ -f "$root/run/$name.pid" ] && kill "$(cat "$root/run/$name.pid")" 2>/dev/null || true
        rm -f "$root/run/$name.pid"
    done
    umount "$root/proc" 2>/dev/null || true
}

if [ "$action" = stop ]; then
    stop
    exit
fi
[ -x "$root/usr/bin/radosgw" ] || debootstrap --variant=minbase \
    --include=ceph-mon,ceph-osd,radosgw,ceph-common bookworm "$root" http://deb.debian.org/debian >&2
stop
mountpoint -q "$root/proc" || mount -t proc proc "$root/proc" 2>/dev/null || true
[ -e "$root/dev/urandom" ] || { mknod -m 666 "$root/dev/urandom" c 1 9 && mknod -m 666 "$root/dev/random" c 1 8; }
[ -e "$root/dev/null" ] || mknod -m 666 "$root/dev/null" c 1 3
rm -rf "$root/ceph" && mkdir -p "$root/ceph/mon" "$root/ceph/osd" "$root/ceph/rgw" "$root/etc/ceph"
fsid=$(cat /proc/sys/kernel/random/uuid)
cat > "$root/etc/ceph/ceph.conf" <<CONF
[global]
fsid = $fsid
mon host = [v2:127.0.0.1:3300,v1:127.0.0.1:6789]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd crush chooseleaf type = 0
mon allow pool size one = true
mon warn on pool no redundancy = false
mon allow pool delete = true
osd objectstore = memstore
memstore device bytes = 4294967296
osd data = /ceph/osd
mon data = /ceph/mon
rgw data = /ceph/rgw
log file = /ceph/\$name.log
run dir = /run
admin socket = /run/\$name.asok
[mon.a]
[osd.0]
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:$port
CONF
{
    inside monmaptool --create --clobber --fsid "$fsid" --addv a '[v2:127.0.0.1:3300,v1:127.0.0.1:6789]' /ceph/monmap
    inside ceph-authtool --create-keyring /ceph/mon.keyring --gen-key -n mon. --cap mon 'allow *'
    inside ceph-authtool --create-keyring /etc/ceph/ceph.client.admin.keyring --gen-key -n client.admin \
        --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *'
    inside ceph-authtool /ceph/mon.keyring --import-keyring /etc/ceph/ceph.client.admin.keyring
    inside ceph-mon --mkfs -i a --monmap /ceph/monmap --keyring /ceph/mon.keyring
    inside ceph-mon -i a --pid-file /run/mon.pid
    inside ceph osd new "$fsid"
    inside ceph auth get-or-create osd.0 mon 'allow profile osd' osd 'allow *' -o /ceph/osd/keyring
    inside ceph-osd -i 0 --mkfs --osd-uuid "$fsid"
    inside ceph auth get-or-create client.rgw mon 'allow rw' osd 'allow rwx' -o /ceph/rgw/keyring
    inside ceph-osd -i 0 --pid-file /run/osd.pid
    inside radosgw -n client.rgw --pid-file /run/radosgw.pid
    for _ in $(seq 120); do
        curl --silent --fail --output /dev/null "http://127.0.0.1:$port/" && break
        sleep 1
    done
    inside radosgw-admin user create --uid=mmdata --display-name=mmdata --access-key=$access --secret-key=$secret
} > "$root/ceph/start.log" 2>&1
echo "export MMDATA_TEST_S3=http://127.0.0.1:$port AWS_ACCESS_KEY_ID=$access AWS_SECRET_ACCESS_KEY=$secret"
