# Database, message queue, libvirt: what the services stand on; sourced by ../lab.

# what a snapshot is good for
versions() {
  # shellcheck disable=SC2086 # names of packages
  { dpkg-query -W -f '${Package} ${Version}\n' $PKGS; cat "$SELF" "$HERE"/lib/* "$HERE"/conf/* "$HERE"/*.py; } | sha256sum
}

start_foundation() {
  restore_or_make_mysql
  start mysql mariadbd --no-defaults --user=root --datadir="$LAB/mysql" --socket="$LAB/mysql/sock" \
    --pid-file="$LAB/mysql/pid" --bind-address=127.0.0.1 --port=$DBPORT --skip-name-resolve --skip-log-bin \
    --max-connections=300 --character-set-server=utf8mb3 --innodb-buffer-pool-size=64M --innodb-log-file-size=12M \
    --innodb-file-per-table=0 --innodb-flush-log-at-trx-commit=0 --innodb-doublewrite=0 --key-buffer-size=1M \
    --aria-pagecache-buffer-size=8M
  echo '[].' >"$LAB/rabbit/enabled_plugins"
  printf '%s\n' "listeners.tcp.1 = 127.0.0.1:$MQPORT" 'log.file.level = warning' \
    'vm_memory_high_watermark.absolute = 512MB' 'disk_free_limit.absolute = 50MB' >"$LAB/rabbit/rabbitmq.conf"
  start epmd epmd -address 127.0.0.1 -port $EPMD
  wait_for epmd 10 listens $EPMD
  # not Debian's wrapper, which calls su
  start rabbit env HOME="$LAB/rabbit" ERL_EPMD_PORT=$EPMD ERL_EPMD_ADDRESS=127.0.0.1 \
    RABBITMQ_NODENAME=lab@localhost RABBITMQ_MNESIA_BASE="$LAB/rabbit/mnesia" RABBITMQ_LOG_BASE="$LOG" \
    RABBITMQ_CONFIG_FILE="$LAB/rabbit/rabbitmq" RABBITMQ_ENABLED_PLUGINS_FILE="$LAB/rabbit/enabled_plugins" \
    RABBITMQ_PID_FILE="$LAB/rabbit/pid" RABBITMQ_DIST_PORT=25673 RABBITMQ_CONF_ENV_FILE=/dev/null \
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none" \
    /usr/lib/rabbitmq/bin/rabbitmq-server
  wait_for mysql 60 sql -e 'select 1'
}

restore_or_make_mysql() {
  [ ! -d "$LAB/mysql/mysql" ] || return 0
  if [ -s "$LAB/snapshot.tar.gz" ] && [ "$(versions)" = "$(cat "$LAB/snapshot.versions" 2>/dev/null)" ]; then
    tar -C "$LAB" -xf "$LAB/snapshot.tar.gz"
    say "snapshot restored"
    return
  fi
  [ ! -e "$LAB/snapshot.tar.gz" ] || say "the snapshot is of other packages or another script: not used"
  mkdir -p "$LAB/mysql"
  mariadb-install-db --no-defaults --user=root --datadir="$LAB/mysql" --auth-root-authentication-method=normal \
    --skip-test-db >"$LOG/mysql-install.log" 2>&1 9>&-
  say "database folder made"
}

# in a mount namespace where /etc/libvirt, /var/lib/libvirt, /run and the rest of its paths are the lab's own
start_libvirt() {
  [ "$VIRT" = qemu ] || return 0
  touch "$LAB/qemu.used"
  if [ ! -d "$ETC/libvirt" ]; then
    mkdir -p "$LAB"/libvirt/{lib,run,cache,log}
    cp -a /etc/libvirt "$ETC/libvirt"
    rm -rf "$ETC"/libvirt/qemu/networks/* "$ETC"/libvirt/nwfilter/*
    printf '%s\n' 'user = "root"' 'group = "root"' 'security_driver = "none"' 'cgroup_controllers = [ ]' \
      'namespaces = [ ]' 'remember_owner = 0' 'stdio_handler = "file"' 'vnc_listen = "127.0.0.1"' \
      >>"$ETC/libvirt/qemu.conf"
    printf '%s\n' 'auth_unix_rw = "none"' 'auth_unix_ro = "none"' >>"$ETC/libvirt/libvirtd.conf"
  fi
  start libvirtd unshare -m bash -ec "
    mkdir -p /var/lib/libvirt /var/cache/libvirt /var/log/libvirt
    mount --bind $ETC/libvirt /etc/libvirt; mount --bind $LAB/libvirt/lib /var/lib/libvirt
    mount --bind $LAB/libvirt/cache /var/cache/libvirt; mount --bind $LAB/libvirt/log /var/log/libvirt
    mount --bind $LAB/libvirt/run /run; exec libvirtd"
  wait_for libvirtd 60 virsh -c "$VIRSH" version
}
