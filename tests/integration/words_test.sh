#!/usr/bin/env bash
# The words test: every line of a word list goes in through one node while two workers drain it through the other two, and
# the leader is killed with -9 twice on the way and restarted. What the workers acknowledged must be exactly the list.
#
# usage: words_test.sh [LIST]     needs a build (./run-local.sh or ./run-tests.sh makes one); prints gtest's words at the end
set -u
usage() { sed -n '2,/^# usage/{s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"; }
case ${1:-} in
  -h | --help) usage; exit 0 ;;
  -*) echo "words_test.sh: there is no option $1 (words_test.sh --help)" >&2; exit 2 ;;
esac
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=tests/support/cluster.sh
source "$top/tests/support/cluster.sh"
fila=$top/build/release/bin/fila
list=${1:-/usr/share/dict/american-english}
readonly nodes=3 parallel=64 drain_seconds_max=300
name=Words.WhatIsAcknowledgedIsExactlyTheList
start=$(date +%s%3N)
work=$(mktemp -d "${TMPDIR:-/tmp}/fila-words-XXXXXX")
pids=()

cluster() { "$top/run-local.sh" --nodes "$nodes" --base-port "$port" --data-dir "$work/data" "$@"; }
server() { echo "127.0.0.1:$((port + $1 - 1))"; }

finish() {
  local result=$1
  trap - EXIT
  kill -KILL "${pids[@]}" 2>/dev/null
  cluster --stop >/dev/null
  if [[ $result == OK ]]; then
    rm -rf "$work"
    echo "[       OK ] $name ($(($(date +%s%3N) - start)) ms)"
    exit 0
  fi
  echo "$result; data and logs are kept in $work"
  echo "[  FAILED  ] $name ($(($(date +%s%3N) - start)) ms)"
  exit 1
}
trap 'finish interrupted' INT TERM EXIT

lines_of() { wc -l <"$1"; }

# Waits until the file $1 has $2 lines or the process $3 ended.
wait_for_lines() {
  while (($(lines_of "$1") < $2)) && kill -0 "$3" 2>/dev/null; do sleep 0.02; done
}

kill_leader() {
  local id
  id=$(leader "$fila" "$servers" "$drain_seconds_max")
  [[ -n $id ]] || finish "nobody leads"
  kill -KILL "$(cat "$work/data/$id.pid")" || finish "node $id was not there to be killed"
  echo "killed node $id, the leader, after $(lines_of "$work/receipts") receipts and $(cat "$work"/worker-*.out | wc -l) deliveries"
}

restart() { cluster --detach >"$work/restart.log" 2>&1 || finish "the killed node does not come back: $(tail -n 1 "$work/restart.log")"; }

[[ -r $list ]] || { echo "no word list $list (apt install wamerican)"; finish "no word list"; }
total=$(lines_of "$list")
port=$(base_port "$nodes")
servers=$(server 1),$(server 2),$(server 3)

cluster --detach >"$work/start.log" 2>&1 || finish "the cluster does not start: $(tail -n 1 "$work/start.log")"
echo "$total words through node 1, workers at nodes 2 and 3, node $(leader "$fila" "$servers" "$drain_seconds_max") leads"
touch "$work/receipts" "$work"/worker-{2,3}.out
for i in 2 3; do
  "$fila" --server "$(server $i)" work --count 0 --parallel "$parallel" --json >"$work/worker-$i.out" 2>"$work/worker-$i.err" &
  pids+=($!)
done
"$fila" --server "$(server 1)" enqueue --payload - <"$list" >"$work/receipts" 2>"$work/enqueue.err" &
enqueue=$!
pids+=("$enqueue")

wait_for_lines "$work/receipts" $((total / 5)) "$enqueue"
kill_leader
wait_for_lines "$work/receipts" $((total * 2 / 5)) "$enqueue"
restart
wait_for_lines "$work/receipts" $((total * 3 / 5)) "$enqueue"
kill_leader
restart
wait "$enqueue"
code=$?
((code == 0)) || finish "enqueue ended with $code: $(tail -n 3 "$work/enqueue.err")"
(($(lines_of "$work/receipts") == total)) || finish "$(lines_of "$work/receipts") receipts for $total words"
echo "all $total words are acknowledged as enqueued"

deadline=$((SECONDS + drain_seconds_max))
until "$fila" --server "$servers" queue stats --json >"$work/stats" 2>"$work/stats.err" &&
  grep -q '"ready": *0[,}].*"leased": *0[,}].*"delayed": *0[,}]' "$work/stats"; do
  ((SECONDS < deadline)) || finish "the queue is not empty after $drain_seconds_max s: $(cat "$work/stats" "$work/stats.err")"
  sleep 0.2
done
for pid in "${pids[@]:0:2}"; do
  kill -INT "$pid" || finish "a worker was gone before it was stopped: $(tail -n 1 "$work"/worker-*.err)"
done
for pid in "${pids[@]:0:2}"; do
  wait "$pid"
  code=$?
  ((code == 0)) || finish "a worker ended with $code: $(tail -n 1 "$work"/worker-*.err)"
done

python3 - "$list" "$work"/worker-*.out <<'PY' || finish "the acknowledged words are not the list"
import collections, json, sys
words = collections.Counter(open(sys.argv[1], "rb").read().decode().split("\n")[:-1])
acked, attempts = collections.Counter(), collections.defaultdict(list)
for path in sys.argv[2:]:
    for line in open(path, encoding="utf-8"):
        task = json.loads(line)
        attempts[task["task_id"]].append(task["attempt"])
        if task["acked"]:
            acked[task["payload"]] += 1
again = [sorted(tries) for tries in attempts.values() if len(tries) > 1]
unmarked = [tries for tries in again if tries[0] == tries[1] or tries[-1] == 1]
missing, invented = words - acked, acked - words
print(f"{sum(words.values())} words, {sum(acked.values())} acknowledged, {sum(missing.values())} missing, "
      f"{sum(invented.values())} invented, {len(again)} delivered again, all of them with attempt > 1: {not unmarked}")
for title, found in (("missing", list(missing)), ("invented", list(invented)), ("unmarked", unmarked)):
    if found:
        print(title, found[:20])
sys.exit(1 if missing or invented or unmarked else 0)
PY
finish OK
