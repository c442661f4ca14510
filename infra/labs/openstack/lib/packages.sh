# Debian's packages of OpenStack; sourced by ../lab.

# genisoimage: nova-compute makes config drives with it (qemu mode) and does not depend on it
PKGS="mariadb-server rabbitmq-server keystone glance-api placement-api nova-api nova-scheduler nova-conductor
 nova-compute nova-consoleproxy neutron-api neutron-rpc-server python3-openstackclient genisoimage"

missing_packages() {
  local p
  for p in $PKGS; do
    dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || printf ' %s' "$p"
  done
}

install_packages() {
  local missing made_policy=""
  missing=$(missing_packages)
  [ -n "$missing" ] || return 0
  grep -q '^VERSION_ID="12"' /etc/os-release ||
    die "needs Debian 12: its packages give OpenStack Zed, others were not tried"
  say "installing:$missing"
  if [ ! -e /usr/sbin/policy-rc.d ]; then # the packages must not start their services on the usual ports
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod 755 /usr/sbin/policy-rc.d
    made_policy=1
  fi
  # shellcheck disable=SC2086 # names of packages
  {
    apt-get update && apt-get install -y --no-install-recommends -o Dpkg::Options::=--force-confdef \
      -o Dpkg::Options::=--force-confold -o Dpkg::Options::=--force-unsafe-io $missing
  } >"$LOG/apt.log" 2>&1 </dev/null 9>&- || {
    [ -z "$made_policy" ] || rm -f /usr/sbin/policy-rc.d
    tail -20 "$LOG/apt.log" >&2
    die "apt-get failed, see $LOG/apt.log"
  }
  [ -z "$made_policy" ] || rm -f /usr/sbin/policy-rc.d
  say "packages installed"
}
