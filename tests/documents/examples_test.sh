#!/usr/bin/env bash
# The example clients against three nodes: a producer and two workers, the leader is killed with -9 twice on the way and
# restarted. What was put in must be what was worked off, each task once.
#
# usage: examples_test.sh python|go     needs a build (./run-local.sh or ./run-tests.sh makes one); prints gtest's words
set -u
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=tests/support/cluster.sh
source "$top/tests/support/cluster.sh"
readonly tasks=600 seconds_max=120
language=${1:-}
case $language in
  python) name=Examples.PythonLivesThroughTheLeadersDeath ;;
  go) name=Examples.GoLivesThroughTheLeadersDeath ;;
  *) sed -n '2,/^# usage/{s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"; exit 2 ;;
esac
start=$(date +%s%3N)
work=$(mktemp -d "${TMPDIR:-/tmp}/fila-examples-XXXXXX")
pids=()
echo "[ RUN      ] $name"

cluster() { "$top/run-local.sh" --nodes 3 --base-port "$port" --data-dir "$work/data" "$@"; }

finish() {
  trap - EXIT
  ((${#pids[@]} == 0)) || kill "${pids[@]}" 2>/dev/null
  [[ ! -d $work/data ]] || cluster --stop >/dev/null
  local how=$1
  [[ $how == *FAILED* ]] && echo "clients and logs are kept in $work" || rm -rf "$work"
  echo "[$how ] $name ($(($(date +%s%3N) - start)) ms)"
  [[ $how != *FAILED* ]]
  exit
}
fail() { echo "$1"; finish '  FAILED '; }
skip() { echo "$1"; finish '  SKIPPED'; }
trap 'fail interrupted' INT TERM EXIT

# The clients are made in a copy: a test leaves nothing in the tree.
mkdir "$work/tree"
cp -r "$top/examples" "$top/protos" "$work/tree/"
cd "$work/tree/examples/$language" || fail "no example"
case $language in
  python)
    /usr/bin/python3 -c 'import grpc' 2>/dev/null || skip 'python3-grpcio is not at hand'
    ./generate.sh >"$work/generate.log" 2>&1 || fail "$(tail -n 1 "$work/generate.log")"
    producer=(/usr/bin/python3 producer.py) worker=(/usr/bin/python3 worker.py) ;;
  go)
    printf 'go1.24\n%s\n' "$(go env GOVERSION 2>/dev/null)" | sort -VC || skip 'Go 1.24 is not at hand'
    export GOTOOLCHAIN=local GOFLAGS=-mod=mod
    { ./generate.sh && go build -o producer/ ./producer && go build -o worker/ ./worker; } >"$work/generate.log" 2>&1 ||
      skip "Go's modules can't be had: $(tail -n 1 "$work/generate.log")"
    producer=(./producer/producer ../service_config.json) worker=(./worker/worker ../service_config.json) ;;
esac

port=$(base_port 3)
export FILA_SERVERS=127.0.0.1:$port,127.0.0.1:$((port + 1)),127.0.0.1:$((port + 2))
cluster --detach >"$work/start.log" 2>&1 || fail "the cluster does not start: $(tail -n 1 "$work/start.log")"

lines() { cat "$@" | wc -l; }

# Waits until the command prints at least $1.
wait_for() {
  local least=$1 until=$((SECONDS + seconds_max))
  shift
  while (($("$@") < least)); do
    ((SECONDS < until)) || fail "waited in vain for $least: $* says $("$@")"
    sleep 0.05
  done
}
worked() { cut -d ' ' -f 1 "$work"/worker-*.out | sort -u | wc -l; }

for i in 1 2; do
  "${worker[@]}" "worker-$i" >"$work/worker-$i.out" 2>"$work/worker-$i.err" &
  pids+=($!)
done
"${producer[@]}" "$tasks" >"$work/put" 2>"$work/put.err" &
put=$!
pids+=("$put")
for part in 1 2; do
  wait_for $((tasks * part / 3)) lines "$work/put"
  id=$(leader "$top/build/release/bin/fila" "$FILA_SERVERS" "$seconds_max")
  kill -KILL "$(cat "$work/data/$id.pid")" || fail "node $id was not there to be killed"
  echo "killed node $id, the leader, after $(lines "$work/put") tasks"
  wait_for $((tasks * part / 3 + 50)) lines "$work/put"
  cluster --detach >"$work/restart.log" 2>&1 || fail "the killed node does not come back"
done
wait "$put" || fail "the producer ended with $?: $(tail -n 1 "$work/put.err")"
wait_for "$tasks" worked
[[ $(lines "$work/put") == "$tasks" ]] || fail "$(lines "$work/put") of $tasks tasks went in"
cut -d ' ' -f 1 "$work"/worker-*.out | sort >"$work/done"
sort "$work/put" | diff - "$work/done" >"$work/difference" || fail "what was worked off is not what was put in: $(head -n 3 "$work/difference")"
finish '       OK'
