# The services' databases, all made beside one another; sourced by ../lab.

db_job() { # started by make_databases, detached: ^C must not cut a migration in two
  local keystone="keystone-manage --config-file $ETC/keystone/keystone.conf"
  local nova="nova-manage --config-file $ETC/nova/nova.conf" url=http://127.0.0.1:5000/v3
  case $1 in
    keystone)
      $keystone fernet_setup --keystone-user root --keystone-group root
      $keystone credential_setup --keystone-user root --keystone-group root
      $keystone db_sync
      $keystone bootstrap --bootstrap-password $PW --bootstrap-public-url $url --bootstrap-internal-url $url \
        --bootstrap-admin-url $url --bootstrap-region-id RegionOne
      ;;
    glance)
      placement-manage --config-file "$ETC/placement/placement.conf" db sync
      glance-manage --config-file "$ETC/glance/glance-api.conf" db_sync
      ;;
    neutron) neutron-db-manage --config-file "$ETC/neutron/neutron.conf" upgrade heads ;;
    nova)
      $nova api_db sync
      $nova cell_v2 map_cell0 --database_connection "mysql+pymysql://os:$PW@127.0.0.1:$DBPORT/nova_cell0"
      $nova db sync
      [[ $($nova cell_v2 list_cells) == *cell1* ]] || $nova cell_v2 create_cell --name=cell1
      ;;
  esac
  touch "$LAB/db-$1.done"
}

db_jobs() { # db_jobs NAME...: beside one another; also waits for those that an interrupted up left running
  local j end=$((SECONDS + 600))
  for j in "$@"; do [ -e "$LAB/db-$j.done" ] || start "db-$j" "$SELF" db-job "$j"; done
  for j in "$@"; do
    while alive "db-$j"; do
      [ $SECONDS -lt $end ] || die "database step $j takes longer than 10 minutes, see $LOG/db-$j.log"
      sleep 0.2
    done
    [ -e "$LAB/db-$j.done" ] || {
      tail -30 "$LOG/db-$j.log" >&2
      die "database step $j failed, see $LOG/db-$j.log (after a kill in the middle: '$SELF reset' and again)"
    }
    rm -f "$PIDS/db-$j"
    say "$j database done"
  done
}

make_databases() {
  local d
  [ ! -e "$LAB/db-nova.done" ] || [ ! -e "$LAB/db-neutron.done" ] || [ ! -e "$LAB/db-glance.done" ] || return 0
  for d in keystone glance placement nova_api nova nova_cell0 neutron; do
    echo "create database if not exists $d; grant all on $d.* to 'os'@'127.0.0.1' identified by '$PW';"
  done | sql
  db_jobs keystone glance neutron nova
}
