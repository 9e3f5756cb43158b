#!/usr/bin/env bash
# A cluster on this machine: builds, starts the nodes, waits for a leader. `./run-local.sh --help` has the options.
set -u
# Real paths all through: /proc names a process's program and a node's data by them.
top=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
filad=$top/build/release/bin/filad
fila=$top/build/release/bin/fila
readonly nodes_max=9 stop_seconds_max=10 leader_seconds_max=60

usage() {
  cat <<'HELP'
usage: ./run-local.sh [--nodes 3] [--base-port 50051] [--data-dir data] [--detach] [--stop] [--clean] [-- NODE FLAGS]

Installs what is missing (apt), builds filad and fila, starts the nodes, waits for a leader, prints who listens where and
who leads. ENTER or Ctrl-C stops the nodes; at end of file on a stdin that is no terminal it runs on until a signal.

  --nodes N        how many nodes: 1, 3, 5, 7 or 9 (default 3)
  --base-port P    node i serves gRPC on port P + i - 1 of 127.0.0.1 (default 50051), legacy JSON lines on port
                   8000 + i - 1, and HTTP (/metrics, /healthz, /readyz) on port 8080 + i - 1; another P shifts those
                   by as much, and where that makes no port there are none
  --data-dir DIR   node i keeps its data in DIR/i, its log in DIR/i.log, its process id in DIR/i.pid (default data)
  --detach         leave the nodes running; called again, with the same flags, start only those that are down
  --stop           stop the nodes of DIR
  --clean          stop the nodes of DIR and forget their data and logs; with --detach, start anew afterwards
  -- FLAGS         handed to every node (`filad --help`)
HELP
}

wrong() { echo "run-local.sh: $1 (see ./run-local.sh --help)" >&2; exit 2; }

nodes=3 base_port=50051 data_dir=$top/data detach=no stop=no clean=no
node_flags=()

number() { [[ $2 =~ ^[0-9]{1,5}$ ]] || wrong "$1 takes a number, not '$2'"; }

parse() {
  local flag value
  while (($#)); do
    flag=$1
    case $flag in
      --nodes=* | --base-port=* | --data-dir=*) value=${flag#*=} flag=${flag%%=*} ;;
      --nodes | --base-port | --data-dir)
        (($# > 1)) || wrong "$flag needs a value"
        value=$2
        shift ;;
    esac
    case $flag in
      --nodes) number "$flag" "$value"; nodes=$((10#$value)) ;;
      --base-port) number "$flag" "$value"; base_port=$((10#$value)) ;;
      --data-dir) [[ -n $value ]] || wrong "--data-dir is empty"; data_dir=$value ;;
      --detach) detach=yes ;;
      --stop) stop=yes ;;
      --clean) clean=yes ;;
      --help | -h) usage; exit 0 ;;
      --) shift; node_flags=("$@"); break ;;
      *) wrong "unknown argument '$flag'" ;;
    esac
    shift
  done
  ((nodes >= 1 && nodes <= nodes_max && nodes % 2)) || wrong "--nodes is odd, 1 to $nodes_max, not $nodes"
  ((base_port >= 1 && base_port + nodes - 1 <= 65535)) || wrong "--base-port $base_port leaves no ports for $nodes nodes"
  [[ $stop == no || $detach == no ]] || wrong "--stop and --detach exclude each other"
  data_dir=$(realpath -m -- "$data_dir")
  [[ ! -e $data_dir || -d $data_dir ]] || wrong "--data-dir $data_dir is no directory"
}

# Prints the process id of node $1, if the process that the pid file names really is that node.
running_pid() {
  local pid exe
  pid=$(cat "$data_dir/$1.pid" 2>/dev/null) || return 1
  [[ $pid =~ ^[0-9]+$ ]] || return 1
  exe=$(readlink "/proc/$pid/exe" 2>/dev/null) || return 1
  [[ ${exe%' (deleted)'} == "$filad" ]] || return 1
  tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline" | grep -qxF -- "$data_dir/$1" || return 1
  echo "$pid"
}

# Prints the ids that have a pid file.
known_nodes() {
  local id
  for ((id = 1; id <= nodes_max; id++)); do [[ ! -e $data_dir/$id.pid ]] || echo "$id"; done
}

# Ends the named nodes: SIGTERM to all, then SIGKILL to what is left after stop_seconds_max.
stop_nodes() {
  local id pid stopped=0 deadline=$((SECONDS + stop_seconds_max))
  for id in "$@"; do
    pid=$(running_pid "$id") && kill -TERM "$pid" && stopped=$((stopped + 1))
  done
  for id in "$@"; do
    while pid=$(running_pid "$id"); do
      if ((SECONDS > deadline)); then
        echo "node $id did not stop within $stop_seconds_max s: killed" >&2
        kill -KILL "$pid" 2>/dev/null
      fi
      sleep 0.05
    done
    rm -f "$data_dir/$id.pid"
  done
  case $stopped in
    0) echo "no node is running" ;;
    1) echo "stopped 1 node" ;;
    *) echo "stopped $stopped nodes" ;;
  esac
}

stop_all() {
  local ids
  mapfile -t ids < <(known_nodes)
  stop_nodes "${ids[@]}"
}

# Every directory that was a node's has its LOCK; others are left alone, whatever their names.
clean_data() {
  local id
  for ((id = 1; id <= nodes_max; id++)); do
    rm -f "$data_dir/$id.log"
    [[ ! -e $data_dir/$id/LOCK ]] || rm -rf "${data_dir:?}/$id"
  done
  rmdir "$data_dir" 2>/dev/null
  echo "forgot the data in $data_dir"
}

build() {
  # shellcheck source=scripts/packages.sh
  source "$top/scripts/packages.sh"
  # shellcheck source=scripts/configure.sh
  source "$top/scripts/configure.sh"
  cd "$top" && fila_build_programs || exit 1
}

port_of() { echo $((base_port + $1 - 1)); }
# The port that the flag --$2_port of node $1 gets, where that of node 1 is $3 by default; 0: none, or as NODE FLAGS have it.
side_port_of() {
  local port=$((base_port - 50051 + $3 + $1 - 1))
  [[ " ${node_flags[*]}" != *" --$2"[-_]port* ]] || port=0
  ((port >= 1 && port <= 65535 && (port < base_port || port >= base_port + nodes))) || port=0
  echo "$port"
}
json_port_of() { side_port_of "$1" json 8000; }
http_port_of() { side_port_of "$1" http 8080; }
# Sets `side_flags` to those of node $1's ports beside gRPC's.
side_flags_of() { side_flags=(--json_port "$(json_port_of "$1")" --http_port "$(http_port_of "$1")"); }
port_in_use() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

peers_of() {
  local id peers=
  for ((id = 1; id <= nodes; id++)); do
    ((id == $1)) || peers+=${peers:+,}127.0.0.1:$(port_of "$id"):$id
  done
  echo "$peers"
}

# Sets `flags` to those that make a process node $1 of this cluster.
flags_of() {
  flags=(--id "$1" --host 127.0.0.1 --port "$(port_of "$1")" --data_dir "$data_dir/$1" --peers "$(peers_of "$1")")
}

# Prints arguments one a line, and those that mean the same alike: `--mutex-mode=classic` as `--mutex_mode classic`.
plain_flags() {
  local argument name
  for argument; do
    name=${argument%%=*}
    [[ $argument == --* ]] || { printf '%s\n' "$argument" && continue; }
    printf '%s\n' "${name//-/_}"
    [[ $argument != *=* ]] || printf '%s\n' "${argument#*=}"
  done
}

# Ends the script if process $2 was not started as node $1 of this cluster: with the same port, peers and NODE FLAGS.
check_alike() {
  local flags side_flags running wanted
  flags_of "$1"
  mapfile -d '' -t running 2>/dev/null <"/proc/$2/cmdline"
  [[ ${running[*]:1:${#flags[@]}} == "${flags[*]}" ]] ||
    wrong "node $1 of $data_dir runs with another port or other peers; --stop it first"
  running=("${running[@]:1+${#flags[@]}}")
  side_flags_of "$1"
  wanted=("${side_flags[@]}" "${node_flags[@]}")
  [[ $(plain_flags "${running[@]}") == "$(plain_flags "${wanted[@]}")" ]] ||
    wrong "node $1 of $data_dir runs with other flags (${running[*]}, not ${wanted[*]}); --stop it first"
}

start_node() {
  local id=$1 flags side_flags
  flags_of "$id"
  side_flags_of "$id"
  # A session of its own, so that Ctrl-C reaches this script only.
  setsid "$filad" "${flags[@]}" "${side_flags[@]}" "${node_flags[@]}" </dev/null >>"$data_dir/$id.log" 2>&1 &
  echo $! >"$data_dir/$id.pid"
  started+=("$id:$!")
}

# Ends the script if port $4, by the flag $3 for node $1's $2, is in use.
check_side_port() {
  if (($4 != 0)) && port_in_use "$4"; then
    wrong "port $4 for node $1's $2 is in use: free it, or do without: -- $3 0"
  fi
}

# Starts what is down. What is in the way is found before anything is started.
start_nodes() {
  local id pid down=()
  { mkdir -p "$data_dir" && [[ -w $data_dir ]]; } || wrong "can't write to --data-dir $data_dir"
  for ((id = 1; id <= nodes; id++)); do
    if pid=$(running_pid "$id"); then
      check_alike "$id" "$pid"
      continue
    fi
    port_in_use "$(port_of "$id")" && wrong "port $(port_of "$id") for node $id is in use"
    check_side_port "$id" "JSON lines" --json_port "$(json_port_of "$id")"
    check_side_port "$id" "HTTP" --http_port "$(http_port_of "$id")"
    down+=("$id")
  done
  for id in "${down[@]}"; do start_node "$id"; done
}

# Ends with the node's own last words and exit code if one that was just started is gone.
check_started() {
  local entry id code
  for entry in "${started[@]}"; do
    id=${entry%%:*}
    kill -0 "${entry#*:}" 2>/dev/null && continue
    wait "${entry#*:}"
    code=$?
    echo "node $id ended: $(tail -n 1 "$data_dir/$id.log")" >&2
    stop_nodes "${started[@]%%:*}" >/dev/null
    exit "$code"
  done
}

# Sets `leader` to the node that says of itself that it leads.
find_leader() {
  local id
  for ((id = 1; id <= nodes; id++)); do
    timeout 5 "$fila" --server "127.0.0.1:$(port_of "$id")" --timeout 2s status --json 2>/dev/null |
      grep -qE "\"leader_id\": *${id}[,}]" && leader=$id && return
  done
  return 1
}

# True if every node takes connections.
all_listen() {
  local id
  for ((id = 1; id <= nodes; id++)); do port_in_use "$(port_of "$id")" || return 1; done
}

wait_for_leader() {
  local deadline=$((SECONDS + leader_seconds_max))
  until all_listen && find_leader; do
    check_started
    if ((SECONDS > deadline)); then
      echo "no leader of $nodes nodes within $leader_seconds_max s; see $data_dir/*.log" >&2
      [[ $detach == yes ]] || stop_all
      exit 1
    fi
    sleep 0.1
  done
  check_started
}

report() {
  local id role json http
  for ((id = 1; id <= nodes; id++)); do
    role=
    [[ $id != "$leader" ]] || role=' leads'
    json=$(json_port_of "$id")
    if ((json != 0)); then json=", JSON lines on $json"; else json=; fi
    http=$(http_port_of "$id")
    if ((http != 0)); then http=", HTTP on $http"; else http=; fi
    echo "node $id listens on 127.0.0.1:$(port_of "$id")$json$http  pid $(running_pid "$id")  data $data_dir/$id$role"
  done
  echo "node $leader leads. Try: $fila --server 127.0.0.1:$base_port enqueue --payload hello"
}

# Returns at ENTER, or at end of file on a terminal; a signal ends it through the trap.
wait_for_enter() {
  local line=
  echo "ENTER or Ctrl-C stops the nodes"
  if read -r line 2>/dev/null || [[ -n $line ]] || [[ -t 0 ]]; then return; fi
  while :; do
    sleep 86400 &
    sleeper=$!
    wait "$sleeper"
  done
}

# Stops the nodes, even if nobody reads any more what is said (Ctrl-C ends a `| tee` as well).
leave() {
  trap '' INT TERM HUP PIPE
  [[ -z $sleeper ]] || kill "$sleeper" 2>/dev/null
  echo
  stop_all
  exit 0
}

parse "$@"
if [[ $clean == yes ]]; then
  stop_all
  clean_data
  [[ $detach == yes ]] || exit 0
elif [[ $stop == yes ]]; then
  stop_all
  exit 0
fi
build
started=() sleeper="" leader=""
[[ $detach == yes ]] || trap leave INT TERM HUP
start_nodes
wait_for_leader
report
[[ $detach == yes ]] && exit 0
wait_for_enter
leave
