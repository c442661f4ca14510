#!/bin/sh
# Installs the system packages that Hawser works with, where they are missing. Starts nothing.
# `--test` adds what only the tests use, so that none of them is skipped.
# As root on Debian or Ubuntu it installs them; otherwise it prints the line to run, and fails.
set -eu

missing=
need() { # need PROGRAM PACKAGE
  command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
need_file() { # need_file FILE PACKAGE
  [ -e "$1" ] || missing="$missing $2"
}

need qemu-system-x86_64 qemu-system-x86
need qemu-img qemu-utils
need mmdebstrap mmdebstrap
need unshare util-linux
need dpkg-deb dpkg
need apt-get apt
need ssh openssh-client
need scp openssh-client
need npm npm
# machines without a way out reach the server through it
need socat socat
# hawser server starts one unless it is told of another
need etcd etcd-server
need_file /usr/share/OVMF/OVMF_CODE_4M.fd ovmf
need_file /usr/share/keyrings/debian-archive-keyring.gpg debian-archive-keyring
need_file /usr/bin/newuidmap uidmap
# the container of the quickstart is made of it
need_file /bin/busybox busybox-static
# the one address before the quickstart's machines
need haproxy haproxy

if [ "${1:-}" = --test ]; then
  need sfdisk fdisk
  need mcopy mtools
  need cpio cpio
  need casync casync
  need mkfs.vfat dosfstools
  need sbsign sbsigntool
  need sign-efi-sig-list efitools
  need veritysetup cryptsetup-bin
  need sshd openssh-server
  need openssl openssl
  need gpg gnupg
  need ip iproute2
  need etcd etcd-server
  need etcdctl etcd-client
  need systemd-analyze systemd
  # moto, the EC2 that the amazonec2 driver is tested against, in a virtual environment below Hawser's cache
  need python3 python3
  python3 -c 'import ensurepip, venv' 2>/dev/null || missing="$missing python3-venv"
  # clusters of real daemons in namespaces
  need dockerd docker.io
  need nft nftables
  need curl curl
  need etcd etcd-server
  need etcdctl etcd-client
  need_file /usr/lib/systemd/boot/efi/systemd-bootx64.efi systemd-boot-efi
fi

[ -n "$missing" ] || exit 0
# shellcheck disable=SC2086 # one word a package
set -- $(printf '%s\n' $missing | sort -u)

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  echo "hawser: missing system packages. Run:" >&2
  echo "  sudo apt-get update && sudo apt-get install -y --no-install-recommends $*" >&2
  exit 1
fi
echo "installing $*"
apt-get -qq update
DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@" >/dev/null
