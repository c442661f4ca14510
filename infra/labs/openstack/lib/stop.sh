# Ending what the lab started, and nothing else; sourced by ../lab.

# Every process of this lab: by the mark, and by setsid's id, as neutron writes its title over its environment.
ours() {
  local f pid start now sids=" "
  for f in "$PIDS"/*; do
    { read -r pid start <"$f"; } 2>/dev/null || continue
    now=$(born "$pid") || now=$start
    [ "$now" != "$start" ] || sids="$sids$pid "
  done
  {
    { grep -lzxF -- "$MARK" /proc/[0-9]*/environ || true; } 2>/dev/null | cut -d/ -f3
    with_sid "$sids"
  } | sort -un
}
guests() { # QEMU does not inherit the mark
  local p
  for p in $({ grep -lzF -- "$LAB/instances/" /proc/[0-9]*/cmdline || true; } 2>/dev/null | cut -d/ -f3); do
    [[ $(readlink "/proc/$p/exe") != */qemu-system-* ]] || echo "$p"
  done
}
stop() { # stop TENTHS PID...: TERM, then KILL what is left
  local k=$1 p left
  shift
  [ $# -gt 0 ] || return 0
  kill -TERM "$@" 2>/dev/null || true
  while [ "$k" -gt 0 ]; do
    left=""
    for p in "$@"; do ! born "$p" >/dev/null || left="$left $p"; done
    [ -n "$left" ] || return 0
    sleep 0.1
    k=$((k - 1))
  done
  # shellcheck disable=SC2086 # process numbers
  kill -KILL $left 2>/dev/null || true
  sleep 0.2
}

down() {
  local db=""
  ! alive mysql || read -r db _ <"$PIDS/mysql"
  # shellcheck disable=SC2046 # process numbers; services first, the database last and cleanly
  stop 40 $(ours | grep -vx "${db:-none}" || true)
  # shellcheck disable=SC2046
  stop 30 $(guests)
  # shellcheck disable=SC2046
  stop 200 $(ours)
  [ -z "$(ours)$(guests)" ] || die "could not stop: $(ours) $(guests)"
  [ ! -e "$LAB/qemu.used" ] || clear_host_network
  rm -rf "$PIDS" "$LAB/rabbit/mnesia" "$LAB/mode" # queues are transient: start clean next time
}

# what os-vif and Nova left on the host: brq* bridges and nova-* chains
clear_host_network() {
  local n t k rule p
  for n in $(ip -br link show type bridge | awk '/^brq/ { print $1 }'); do ip link del "$n"; done
  for n in iptables ip6tables; do
    for t in filter nat mangle raw; do
      { $n -t $t -S || true; } 2>/dev/null |
        { grep -E '^-A (INPUT|OUTPUT|FORWARD|PREROUTING|POSTROUTING) .*-j nova-' || true; } | sed 's/^-A/-D/' |
        while read -r rule; do
          # shellcheck disable=SC2086 # words of a rule
          $n -t $t $rule
        done || true
      for k in F X; do
        { $n -t $t -S || true; } 2>/dev/null | awk '/^-N nova-/ { print $2 }' |
          while read -r p; do $n -t $t -$k "$p"; done || true
      done
    done
  done
  rm -f "$LAB/qemu.used"
}
