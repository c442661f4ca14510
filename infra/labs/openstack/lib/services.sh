# The OpenStack services, started in the order in which they need one another; sourced by ../lab.

start_wsgi() { # start_wsgi NAME PORT FILE; uwsgi's --http-socket does not keep connections alive, so it must say so
  start "$1" uwsgi --plugin python3 --master --die-on-term --lazy-apps --need-app --enable-threads --processes 1 \
    --threads 4 --buffer-size 65535 --http-socket "127.0.0.1:$2" --wsgi-file "$3" --add-header "Connection: close" \
    --disable-logging
}

once() { # once STEP COMMAND...: not again while the state lives
  local s=$1
  shift
  [ ! -e "$LAB/$s.done" ] || return 0
  "$@" >>"$LOG/$s.log" 2>&1 9>&- || {
    tail -20 "$LOG/$s.log" >&2
    die "$s failed, see $LOG/$s.log"
  }
  touch "$LAB/$s.done"
  say "$s done"
}
seed() { timeout 180 /usr/bin/python3 "$HERE/seed.py" "$1" "$PW"; }

# HTTP alone is too early: a server that is created then may end in ERROR "No valid host". The three Nova services have
# reported (SQL $1), the node is of this mode ($2), Placement has its inventory.
nova_reports() {
  [ "$(sql -N -e "select
      (select count(*) from nova.services where deleted=0 and ($1)),
      (select count(*) from nova.compute_nodes where deleted=0),
      (select count(*) from nova.compute_nodes n join placement.resource_providers p on p.uuid=n.uuid
         join placement.inventories i on i.resource_provider_id=p.id
         where n.deleted=0 and n.hypervisor_type='$2')")" = $'3\t1\t3' ]
}

start_services() {
  local n now reported=false kind=fake nova="$ETC/nova/nova.conf"
  now=$(date -u '+%F %T')
  [ "$VIRT" != qemu ] || kind=QEMU
  for n in nova-compute nova-conductor nova-scheduler; do # of those that start now, rows of an earlier run do not count
    reported="$reported or \`binary\`='$n'"
    alive $n || reported="$reported and coalesce(updated_at,created_at)>='$now'"
  done
  OS_KEYSTONE_CONFIG_DIR=$ETC/keystone OS_KEYSTONE_CONFIG_FILES=keystone.conf \
    start_wsgi keystone 5000 /usr/bin/keystone-wsgi-public
  OS_PLACEMENT_CONFIG_DIR=$ETC/placement start_wsgi placement 8778 /usr/bin/placement-api
  if [ ! -e "$LAB/seed-identity.done" ]; then
    wait_for keystone 120 answers 5000 /v3
    once seed-identity seed identity
  fi
  wait_for rabbit 90 listens $MQPORT
  start nova-conductor nova-conductor --config-file "$nova"
  start glance glance-api --config-file "$ETC/glance/glance-api.conf"
  PYTHONPATH=$LAB/pylib start neutron neutron-server --config-file "$ETC/neutron/neutron.conf"
  start nova-api nova-api --config-file "$nova"
  start nova-scheduler nova-scheduler --config-file "$nova"
  wait_for keystone 120 answers 5000 /v3
  wait_for placement 90 answers 8778 /
  wait_for glance 120 answers 9292 /
  wait_for neutron 120 answers 9696 /
  wait_for nova-api 120 answers 8774 /
  start nova-compute nova-compute --config-file "$nova" # late: it waits 10 s when no conductor answers its first call
  [ "$VIRT" != qemu ] || start novnc nova-novncproxy --config-file "$nova" --web /usr/share/novnc
  wait_for nova-compute 120 nova_reports "$reported" $kind
  once map-host timeout 120 nova-manage --config-file "$nova" cell_v2 discover_hosts
  once seed-resources seed resources
  [ "$VIRT" != qemu ] || wait_for novnc 60 listens 6080
}
