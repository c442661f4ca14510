# What runs, and keeping a fresh cloud for later; sourced by ../lab.

status() {
  local n p m rc=0 sum=0
  local want="mysql epmd rabbit keystone placement glance neutron nova-api nova-conductor nova-scheduler nova-compute"
  [ "$(cat "$LAB/mode" 2>/dev/null)" != qemu ] || want="$want libvirtd novnc"
  for n in $want; do
    if alive "$n"; then
      read -r p _ <"$PIDS/$n"
      m=0
      for p in $(with_sid " $p "); do # with its workers
        m=$((m + $(awk '/^Pss:/ { print $2 }' "/proc/$p/smaps_rollup" 2>/dev/null || echo 0) + 0))
      done
      printf '%-15s up   %5d MiB\n' "$n" $((m / 1024))
      sum=$((sum + m))
    else
      printf '%-15s down\n' "$n"
      rc=3
    fi
  done
  printf '%-15s      %5d MiB\n' total $((sum / 1024))
  return $rc
}

snapshot() {
  local used="select (select count(*) from nova.instances where deleted=0)
    + (select count(*) from glance.images where deleted=0)"
  [ -e "$LAB/seed-resources.done" ] || die "nothing to pack: run '$SELF up' first"
  if alive mysql && [ "$(sql -N -e "$used")" != 0 ]; then
    die "there are servers or images: a snapshot is of a fresh cloud ('$SELF reset', '$SELF up', then this)"
  fi
  down
  tar -C "$LAB" --exclude=mysql/sock --exclude=mysql/pid -czf "$LAB/snapshot.tar.gz" mysql etc/keystone/fernet \
    etc/keystone/cred db-{keystone,glance,neutron,nova}.done map-host.done seed-identity.done seed-resources.done
  versions >"$LAB/snapshot.versions"
  say "packed: $(stat -c %s "$LAB/snapshot.tar.gz") bytes"
}
