# Processes of the lab, known by number and start time; sourced by ../lab.

born() { # born PID: its start time in ticks, which tells it from a later process with the same number
  local s
  { read -r s <"/proc/$1/stat"; } 2>/dev/null || return 1
  s=${s##*) }
  # shellcheck disable=SC2086 # fields
  set -- $s
  [ "$1" != Z ] || return 1
  echo "${20}"
}
with_sid() { # with_sid " ID ID ": pids of the processes with one of these ids from setsid
  { cat /proc/[0-9]*/stat || true; } 2>/dev/null |
    awk -v ids="$1" '{ pid = $1; sub(/.*\) /, "") } $1 != "Z" && index(ids, " " $4 " ") { print pid }'
}
alive() { # alive NAME
  local pid start
  { read -r pid start <"$PIDS/$1"; } 2>/dev/null || return 1
  [ "$(born "$pid")" = "$start" ]
}
start() { # start NAME COMMAND...: detached, output to the log folder
  local n=$1
  shift
  ! alive "$n" || return 0
  env "$MARK" setsid "$@" >>"$LOG/$n.log" 2>&1 </dev/null 9>&- &
  echo "$! $(born $!)" >"$PIDS/$n"
}
wait_for() { # wait_for NAME SECONDS TEST...: until TEST holds; gives up when NAME dies or the time is over
  local n=$1 end=$((SECONDS + $2))
  shift 2
  until "$@" >/dev/null 2>&1; do
    alive "$n" || {
      tail -30 "$LOG/$n.log" >&2
      die "$n died, see $LOG/$n.log"
    }
    [ $SECONDS -lt $end ] || {
      tail -30 "$LOG/$n.log" >&2
      die "$n is not ready in time, see $LOG/$n.log"
    }
    sleep 0.3
  done
  say "$n ready"
}
listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
answers() ( # answers PORT PATH: any HTTP answer
  local line
  exec 3<>"/dev/tcp/127.0.0.1/$1"
  printf 'GET %s HTTP/1.0\r\nHost: 127.0.0.1:%s\r\nConnection: close\r\n\r\n' "$2" "$1" >&3
  read -r -t 5 line <&3
  [[ $line == HTTP/1* ]]
)
sql() { mariadb --no-defaults -uroot -S "$LAB/mysql/sock" "$@"; }
