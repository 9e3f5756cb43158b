#!/usr/bin/env bash
# Shows Fila in nine steps on real processes, and checks at each what must be seen: a presentation that is also the
# end-to-end test. `./demo.sh --help` has the options; docs/DEMO.md has the same steps by hand.
set -u
# Signals that were ignored when a shell began, as in the background of a script, can't be heard by it or by what it
# starts; Ctrl-C is part of the show.
[[ ${FILA_DEMO_SIGNALS-} == heard ]] ||
  FILA_DEMO_SIGNALS=heard exec env --default-signal=INT,TERM,HUP "$BASH" "${BASH_SOURCE[0]}" "$@"
unset FILA_DEMO_SIGNALS
top=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
readonly nodes=3 patience_seconds=20 start_seconds_max=60 shown_lines_max=12 tail_lines=8
readonly titles=("" "Start" "Enqueue" "Consume" "The leader fails" "Persistence" "Redelivery" "Physical time"
  "Routing and mailbox" "Mutual exclusion")

usage() {
  cat <<'HELP'
usage: ./demo.sh [--pause] [STEP…]

Runs the nine steps of docs/DEMO.md by itself, or the named ones, on a cluster of its own: three nodes on free ports, with
their data in a temporary directory. A cluster of ./run-local.sh is not touched. Builds what is missing first.

Each step prints what it shows, the commands as a person would type them, what they print, and the lines of the nodes'
logs that must be there. What does not come is a failure, printed with what was expected and the ends of the logs.

  1 start                  4 the leader fails       7 physical time
  2 enqueue                5 persistence            8 routing and mailbox
  3 consume                6 redelivery             9 mutual exclusion

  --pause   wait for ENTER before each step

Exit code: 0 if every step showed what it must, 1 if not, 2 for a wrong option.
HELP
}

wrong() { echo "demo.sh: $1 (see ./demo.sh --help)" >&2; exit 2; }

pause=no steps=()
while (($#)); do
  case $1 in
    [1-9]) steps+=("$1") ;;
    --pause) pause=yes ;;
    --help | -h) usage; exit 0 ;;
    *) wrong "unknown argument '$1'" ;;
  esac
  shift
done
((${#steps[@]})) || steps=(1 2 3 4 5 6 7 8 9)

# --- what the steps are told in

bold='' plain=''
[[ ! -t 1 ]] || bold=$'\e[1m' plain=$'\e[0m'

explain() { fold -s -w 100 <<<"$*" | sed 's/^/  /; s/ *$//'; }

# Prints at most $1 lines of stdin, indented, and how many more there were. What ninja says is no part of the story.
show() {
  grep -vE '^ninja: |^\[[0-9]+/[0-9]+\] ' | awk -v most="$1" '
    NR <= most { print "      " $0 }
    END { if (NR > most) print "      … and " NR - most " lines more" }'
}

# try COMMAND: shows it as it is typed, and what it prints. Sets `output` and `code`.
try() {
  echo "  ${bold}\$ $1${plain}"
  output=$(eval "$1" 2>&1 </dev/null)
  code=$?
  [[ -z $output ]] || show "$shown_lines_max" <<<"$output"
  ((code == 0)) || echo "      (exit code $code)"
}

# run COMMAND: the same, and it must succeed.
run() {
  try "$1"
  ((code == 0)) || fail "the command ends with exit code 0, not $code"
}

# in_background COMMAND OUTPUT: what is typed in another terminal; its output goes to the file. Sets `pid`, which is the
# command's own if that is a simple one.
in_background() {
  echo "  ${bold}\$ $1${plain}      (in another terminal)"
  local own=exec
  [[ $1 != for* ]] || own=
  eval "$own $1" >"$2" 2>&1 </dev/null &
  pid=$!
}

# Ends the step: what was expected, and what the nodes say.
fail() {
  local id
  echo "  ${bold}FAILED${plain}: must be: $*"
  for ((id = 1; id <= nodes; id++)); do
    [[ -e $data/$id.log ]] || continue
    echo "  the end of node $id's log:"
    tail -n "$tail_lines" "$data/$id.log" | cut -c 1-300
  done
  exit 1
}

must_print() {
  grep -qE -- "$1" <<<"$output" || fail "the command prints a line like: $1"
}

# wait_until SECONDS WHAT COMMAND…: until the command succeeds.
wait_until() {
  local seconds=$1 what=$2 deadline=$((SECONDS + $1))
  shift 2
  until "$@"; do
    ((SECONDS <= deadline)) || fail "$what, within $seconds s"
    sleep 0.05
  done
}

# Only what the nodes say from now on counts.
mark() {
  local id
  for ((id = 1; id <= nodes; id++)); do marks[id]=$(cat "$data/$id.log" 2>/dev/null | wc -l); done
}

# logged ID REGEX: sets `line` to the first line since the mark that matches.
logged() {
  line=$(tail -n "+$((marks[$1] + 1))" "$data/$1.log" 2>/dev/null | grep -m 1 -E -- " $2")
}

# must_log ID REGEX [SECONDS]
must_log() {
  local seconds=${3:-$patience_seconds}
  wait_until "$seconds" "node $1 logs: $2" logged "$1" "$2"
  show_line "$1"
}

show_line() { sed -E "s/^[0-9-]+T([0-9:.]+)Z [A-Z]+ +/      node $1 | \1  /" <<<"$line"; }

# must_log_anywhere REGEX: at one node or another.
must_log_anywhere() {
  wait_until "$patience_seconds" "a node logs: $1" logged_anywhere "$1"
  show_line "$found_at"
}
logged_anywhere() {
  for ((found_at = 1; found_at <= nodes; found_at++)); do logged "$found_at" "$1" && return; done
  return 1
}

must_not_log() {
  ! logged "$1" "$2" || fail "node $1 does not log: $line"
}

# --- the cluster

port_of() { echo $((port + $1 - 1)); }
server() { echo "127.0.0.1:$(port_of "$1")"; }
leader_as_seen_by() {
  fila --server "$(server "$1")" --timeout 2s status --json 2>/dev/null |
    sed -n 's/.*"leader_id": *\([1-9][0-9]*\).*/\1/p'
}
all_say_leads() {
  local id
  for ((id = 1; id <= nodes; id++)); do [[ $(leader_as_seen_by "$id") == "$1" ]] || return 1; done
}
# pid_of ID: the node's process, as ./run-local.sh noted it.
pid_of() { cat "$data/$1.pid"; }
is_gone() { ! kill -0 "$1" 2>/dev/null; }
file_has() { grep -qE -- "$1" "$2"; }
lines_of() { cat "$1" 2>/dev/null | wc -l; }
has_lines() { (($(lines_of "$1") >= $2)); }

# need_cluster [NODE FLAGS]: three nodes that run with these flags, led by the highest.
need_cluster() {
  local flags="$handover${*:+ $*}"
  if [[ $flags != "$(cat "$work/flags" 2>/dev/null)" ]]; then
    $run_local --stop >/dev/null
    echo "$flags" >"$work/flags"
  fi
  # shellcheck disable=SC2086  # a list of words
  $run_local --detach -- $flags >"$work/start" 2>&1 || fail "three nodes start, not: $(tail -n 1 "$work/start")"
  wait_until "$start_seconds_max" "node 3 leads" all_say_leads 3
  mark
}

# Three nodes again where some were stopped or killed.
start_again() { run "$run_local --detach -- $(cat "$work/flags")"; }

# --- the steps

step_1() {
  explain "Three nodes start, form a cluster and elect a leader. The highest id that is up wins (Bully, Garcia-Molina" \
    "1982: server/algorithms/bully_election.cc); a majority's promise on disk makes the choice safe."
  mkfifo "$work/keys"
  exec {keys}<>"$work/keys"
  start_by_hand
  local id
  for ((id = 1; id <= nodes; id++)); do must_log "$id" "node_started id=$id port=$(port_of "$id")"; done
  must_log 3 'election_start'
  must_log 3 'election_win id=3'
  must_log 1 'leader_announce_received leader=3'
  must_log 2 'leader_announce_received leader=3'
  explain "ENTER stops all of it cleanly. So does Ctrl-C:"
  echo >&"$keys"
  must_have_stopped
  mark
  start_by_hand
  kill -INT -- "-$terminal"
  must_have_stopped
}

# Starts ./run-local.sh as from a terminal: with `keys` for a keyboard, and in a process group of its own, which is what
# Ctrl-C reaches.
start_by_hand() {
  echo "  ${bold}\$ $run_local --nodes 3${plain}"
  echo "$handover" >"$work/flags"
  set -m
  # shellcheck disable=SC2086  # a list of words
  $run_local --nodes "$nodes" -- $handover <&"$keys" >"$work/terminal" 2>&1 &
  terminal=$!
  set +m
  wait_until "$start_seconds_max" "./run-local.sh says who leads" file_has '^ENTER or Ctrl-C' "$work/terminal"
  show "$shown_lines_max" <"$work/terminal"
}

must_have_stopped() {
  local id
  wait_until "$patience_seconds" "./run-local.sh ends" is_gone "$terminal"
  wait "$terminal"
  code=$?
  tail -n 1 "$work/terminal" | show 1
  ((code == 0)) || fail "./run-local.sh ends with exit code 0, not $code"
  file_has '^stopped 3 nodes' "$work/terminal" || fail "./run-local.sh says that it stopped 3 nodes"
  for ((id = 1; id <= nodes; id++)); do must_log "$id" "node_stopped id=$id"; done
}

step_2() {
  explain "A producer puts a task in. The ACK comes when a majority has the task on disk (two-phase commit, Gray 1978:" \
    "server/algorithms/two_phase_commit.cc), with the Lamport time at which the answer was received."
  need_cluster
  run 'fila enqueue --id 9000 --payload "hello world"'
  must_print '^ACK task_id=[0-9a-f-]{36} lamport=[0-9]+$'
  explain "In JSON the receipt says how many nodes had the task on disk: two of three at least."
  run 'fila enqueue --id 9000 --payload "hello again" --json'
  must_print '"replicas_synced": *[23],'
  run 'fila queue stats --json'
  must_print '"ready": *2,'
}

step_3() {
  explain "A worker takes the tasks, the oldest first, and acknowledges each. An acknowledged task does not come again."
  need_cluster
  if ! fila queue stats --json 2>/dev/null | grep -q '"ready": *2,'; then
    run 'fila enqueue --id 9000 --payload "hello world"'
    run 'fila enqueue --id 9000 --payload "hello again"'
  fi
  run 'fila work --id 9001'
  must_print '^hello world$'
  must_print '^ack sent$'
  run 'fila work --id 9001'
  must_print '^hello again$'
  must_print '^ack sent$'
  try 'fila work --id 9001 --wait 1s'
  ((code == 3)) || fail "the command ends with exit code 3: nothing is there"
}

step_4() {
  explain "The leader is killed with -9 while a producer goes on. The others notice the broken connection, elect node 2" \
    "(server/replica/election.cc), and no request fails; nobody tells the client of another node."
  need_cluster
  echo "  ${bold}\$ while fila enqueue --queue steady --payload tick; do :; done${plain}      (in another terminal)"
  steady_producer &
  local producer=$!
  wait_until "$patience_seconds" "the producer has receipts" has_lines "$work/receipts" 3
  run "kill -9 \$(cat $data/3.pid)"
  must_log_anywhere 'leader_(disconnected|timeout) leader=3'
  must_log_anywhere 'election_start'
  must_log 2 'election_win id=2'
  must_log 1 'leader_announce_received leader=2'
  run 'fila enqueue --id 9000 --payload "without node 3"'
  must_print '^ACK task_id=[0-9a-f-]{36} lamport=[0-9]+$'
  run 'fila work --id 9001'
  must_print '^without node 3$'
  must_print '^ack sent$'
  explain "Node 3 comes back. It catches up with what it missed, asks for the lead, and takes over when the leader has" \
    "finished what was under way (server/replica/handover.cc). No request fails over it either."
  mark
  start_again
  must_log 3 'handover_asked leader=2'
  must_log 2 'handover_sent target=3'
  must_log 3 'election_win id=3'
  must_log 1 'leader_announce_received leader=3'
  must_log 2 'leader_announce_received leader=3'
  local receipts
  receipts=$(lines_of "$work/receipts")
  wait_until "$patience_seconds" "the producer goes on" has_lines "$work/receipts" $((receipts + 3))
  touch "$work/enough"
  wait_until "$patience_seconds" "the producer ends" is_gone "$producer"
  [[ ! -s $work/failures ]] || fail "no request failed, not: $(head -n 3 "$work/failures")"
  receipts=$(lines_of "$work/receipts")
  echo "      the producer had $receipts receipts and no failure"
  run 'fila queue stats --queue steady --json'
  must_print "\"ready\": *$receipts,"
}

# Ends at the first failure, or when there was enough.
steady_producer() {
  while [[ ! -e $work/enough ]]; do
    fila enqueue --queue steady --payload tick >>"$work/receipts" 2>>"$work/failures" ||
      { echo "exit code $?" >>"$work/failures" && return 1; }
  done
}

step_5() {
  explain "What was acknowledged is on disk: the tasks, who has them, and the log (server/journal). All nodes stop, a" \
    "person looks at the disk of one, and they start again with everything."
  need_cluster
  local name first second third count id
  for name in first second third; do
    run "fila enqueue --queue kept --payload $name --task-id $name"
  done
  run 'fila work --queue kept --id 9001'
  must_print '^first$'
  run 'fila work --queue kept --id 9002 --no-ack --lease 10m'
  must_print '^second$'
  wait_until "$patience_seconds" "node 1 has applied all" nothing_behind
  run "$run_local --stop"
  must_print '^stopped 3 nodes$'
  run "fila inspect --data-dir $data/1 | grep -e kept -e prepared -e log_version"
  fila inspect --data-dir "$data/1" >"$work/inspected" || fail "fila inspect reads the stopped node's disk"
  count=$(python3 - "$work/inspected" <<'PY'
import json, sys
state = json.load(open(sys.argv[1], encoding="utf-8"))
seen = {task["id"]: (task["payload"], task["owner"], task["acked"])
        for task in state["tasks"] if task["queue"] == "kept"}
must = {"first": ("", None, True), "second": ("second", "9002", False), "third": ("third", None, False)}
if seen != must or not isinstance(state["prepared"], list) or state["log_version"] < 5:
    sys.exit(f"seen {seen}, {state['prepared']}, {state['log_version']}")
print(sum(not task["acked"] for task in state["tasks"]))
PY
  ) || fail "tasks, owners, acked, prepared and the log's version as they were left"
  explain "The first is acknowledged (its payload is gone), the second belongs to 9002, the third is free; no entry is" \
    "undecided."
  mark
  start_again
  for ((id = 1; id <= nodes; id++)); do must_log "$id" "tasks_recovered count=$count"; done
  explain "The third is there for the next worker; the second is still 9002's, whose lease outlived the stop."
  run 'fila work --queue kept --id 9003'
  must_print '^third$'
  must_print '^ack sent$'
  run 'fila task get --queue kept --task-id second'
  must_print '9002'
}

# No node's committed index is behind the leader's.
nothing_behind() {
  fila status --json | python3 -c '
import json, sys
status = json.load(sys.stdin)
sys.exit(any(member["committed_index"] < status["commit_index"] for member in status["members"]))'
}

step_6() {
  explain "A worker takes a task and goes away without an ack. The task is nobody else's while the lease lives; then it is" \
    "queued again (server/queue/task_due.cc), and the next worker gets the same task as attempt 2."
  need_cluster
  run 'fila enqueue --queue again --payload "do not lose me" --task-id precious'
  run 'fila work --queue again --id 9001 --no-ack --lease 3s'
  must_print '^do not lose me$'
  ! grep -q '^ack sent$' <<<"$output" || fail "no ack was sent"
  try 'fila work --queue again --id 9002 --wait 1s'
  ((code == 3)) || fail "the command ends with exit code 3: the lease lives"
  must_log_anywhere 'task_requeued .*task_id=precious attempt=1'
  run 'fila work --queue again --id 9002 --json'
  must_print '"task_id": *"precious".*"attempt": *2,.*"acked": *true'
}

step_7() {
  explain "Every 5 s each follower reads the leader's clock (Cristian 1989: server/algorithms/cristian_clock.cc): how far" \
    "its own is off, and by how much that may be wrong. The next leader goes on from there, so time never jumps."
  need_cluster
  local id
  for id in 1 2; do
    wait_until 30 "node $id logs time_sync twice" syncs_twice "$id"
    line=${synced[0]} && show_line "$id"
    line=${synced[1]} && show_line "$id"
    python3 - "${synced[@]}" <<'PY' || fail "5 s between two, and a bound below 100 ms"
import datetime, re, sys
times = [datetime.datetime.fromisoformat(line.split("Z ")[0]) for line in sys.argv[1:]]
bounds = [float(re.search(r" error_ms=([0-9.]+)", line)[1]) for line in sys.argv[1:]]
between = (times[1] - times[0]).total_seconds()
sys.exit(not 4 <= between <= 9 or max(bounds) >= 100)
PY
  done
  run 'fila status'
  must_print ' ms \+-'
}

# Sets `synced` to the two newest readings of node $1.
syncs_twice() {
  mapfile -t synced < <(tail -n "+$((marks[$1] + 1))" "$data/$1.log" |
    grep -E ' time_sync offset_ms=-?[0-9.]+ error_ms=[0-9.]+ leader=3' | tail -n 2)
  ((${#synced[@]} == 2))
}

step_8() {
  need_cluster
  explain "The mailbox. The leader and one more are killed, so that nobody can lead. A request to the node that is left" \
    "(--direct: to no other) is not refused: it waits there, and is delivered to the next leader (server/replica/mail.cc)."
  run "kill -9 \$(cat $data/3.pid) \$(cat $data/2.pid)"
  must_log 1 'leader_(disconnected|timeout) leader=3'
  in_background "fila --direct --server $(server 1) enqueue --id 9000 --payload 'to whoever leads next'" "$work/waits"
  must_log 1 'mailbox_push calls=1'
  is_gone "$pid" && fail "the producer still waits, not: $(cat "$work/waits")"
  start_again
  must_log 1 'mailbox_deliver calls=1 leader='
  wait_until "$patience_seconds" "the producer has its ACK" file_has '^ACK task_id=' "$work/waits"
  show 2 <"$work/waits"
  run 'fila work --id 9001'
  must_print '^to whoever leads next$'

  explain "Routing. Node 1 is started anew with a link to node 3 that can be cut, scripts/link.py. When it is, their messages" \
    "go by node 2 (server/algorithms/route_table.cc), and requests at node 1 keep working. Node 1 may call for an election;" \
    "node 2 still hears the leader and grants no prevote, so no epoch begins."
  wait_until "$start_seconds_max" "node 3 leads" all_say_leads 3
  mark
  link_up
  run "kill \$(cat $data/1.pid)"
  must_log 1 'node_stopped id=1'
  mark
  local peers
  peers=$(server 2):2,127.0.0.1:$link_port:3
  in_background "filad --id 1 --port $(port_of 1) --json_port 0 --http_port 0 --data_dir $data/1 $handover --peers $peers" "$data/1.log"
  echo "$pid" >"$data/1.pid"
  marks[1]=0
  must_log 1 'leader_announce_received leader=3'
  wait_until "$patience_seconds" "node 1 follows node 3" all_say_leads 3
  local epoch
  epoch=$(fila status --json | sed -n 's/.*"epoch": *"\([0-9]*\.3\)".*/\1/p')
  mark
  link_down
  must_go_by 1 3 ttl=2 2
  must_go_by 3 1 ttl=2 2
  local n id
  for n in 1 2 3; do
    run "fila --direct --server $(server 1) enqueue --id 9000 --payload 'around the cut, $n'"
    must_print '^ACK task_id='
  done
  for ((id = 1; id <= nodes; id++)); do must_not_log "$id" 'epoch_start|election_win'; done
  run "fila --server $(server 1) status"
  must_print "^leader node 3  epoch ${epoch//./\\.} "
  explain "The link heals, and messages take it again."
  mark
  link_up
  must_go_by 1 3 ttl=1 3
  run 'fila work --id 9001 --count 3'
  must_print '^around the cut, 3$'
  # As ./run-local.sh starts it, for the steps to come.
  kill "$(pid_of 1)"
  wait_until "$patience_seconds" "node 1 stops" is_gone "$(pid_of 1)"
}

# must_go_by FROM TO TTL VIA: what the one said last of its way to the other.
must_go_by() {
  wait_until "$patience_seconds" "node $1 logs: route $3 source=$1 target=$2 via=$4" goes_by "$@"
  show_line "$1"
}
goes_by() {
  line=$(grep -E " route ttl=[0-9]+ source=$1 target=$2 " "$data/$1.log" | tail -n 1)
  [[ $line == *" route $3 source=$1 target=$2 via=$4" ]]
}

link_up() {
  in_background "scripts/link.py $link_port $(server 3)" "$work/link"
  link=$pid
  wait_until "$patience_seconds" "the link carries" file_has '^carries ' "$work/link"
}
link_down() {
  echo "  ${bold}Ctrl-C${plain} in the link's terminal"
  kill "$link"  # what a shell starts with & has no ears for Ctrl-C
  wait_until "$patience_seconds" "the link is cut" is_gone "$link"
}

step_9() {
  explain "Mutual exclusion (Ricart and Agrawala 1981: server/algorithms/ricart_agrawala.cc). In classic mode every node with" \
    "writes of its clients asks the others for the write section, batch by batch; who holds it, or asked earlier, defers" \
    "its reply. Five producers at node 1 and five at node 3 make them take turns. The mode is a flag of every node, so" \
    "those that run in the other one are stopped first:"
  need_cluster
  try "$run_local --detach -- $handover --mutex_mode=classic"
  ((code == 2)) || fail "the command ends with exit code 2: the nodes run with other flags"
  must_print 'runs with other flags'
  run "$run_local --stop"
  need_cluster --mutex_mode=classic
  local at enqueue shell shells=() id
  for at in 1 3; do
    enqueue="fila --direct --server $(server $at) enqueue --queue turns --id 90$at\$p --payload \$p/\$n"
    in_background "for p in {1..5}; do for n in {1..$turns}; do $enqueue; done & done; wait" "$work/shell-$at"
    shells+=("$pid")
  done
  for id in 1 3; do
    must_log "$id" 'request_cs ts='
    must_log "$id" 'reply_cs to='
    must_log "$id" 'release_cs ts='
  done
  must_log 2 'reply_cs to='
  must_log_anywhere 'mutex_deferred from='
  must_log_anywhere 'release_cs ts=[0-9]+ deferred=[12]'
  for shell in "${shells[@]}"; do wait_until 60 "the producers end" is_gone "$shell"; done
  for at in 1 3; do
    (($(grep -c '^ACK task_id=' "$work/shell-$at") == 5 * turns)) ||
      fail "$((5 * turns)) ACKs at node $at, not: $(grep -v '^ACK' "$work/shell-$at" | head -n 3)"
  done
  run 'fila queue stats --queue turns --json'
  must_print "\"ready\": *$((10 * turns)),"
}
readonly turns=10  # tasks of each producer

# --- one after the other

# The step runs in a process group of its own, so that all of it can be ended; Ctrl-C reaches this script only.
run_step() {
  local n=$1 start=${EPOCHREALTIME/./} name="Demo.$1_${titles[$1]// /_}" code
  echo "[ RUN      ] $name"
  echo "${bold}Step $n: ${titles[n]}${plain}"
  set -m
  (
    set +m
    trap end_step EXIT
    terminal='' marks=()
    mark
    "step_$n"
    exit 0
  ) &
  step=$!
  set +m
  wait "$step"
  code=$?
  step=''
  local milliseconds=$(((${EPOCHREALTIME/./} - start) / 1000))
  if ((code == 0)); then
    passed=$((passed + 1))
    echo "[       OK ] $name ($milliseconds ms)"
  else
    failed=$((failed + 1))
    # The next step starts from nothing, and what failed can be looked at.
    $run_local --stop >/dev/null
    mv "$data" "$work/failed-step-$n" 2>/dev/null
    rm -f "$work/flags"
    echo "  the nodes' data and logs are kept in $work/failed-step-$n"
    echo "[  FAILED  ] $name ($milliseconds ms)"
  fi
  rm -f "$work"/{keys,receipts,failures,enough}
  echo
}

# Whatever the step started and left is in its process group, but for the nodes, which ./run-local.sh stops.
end_step() {
  trap '' TERM
  [[ -z $terminal ]] || kill "$terminal" 2>/dev/null
  kill -- "-$BASHPID"
}

clean_up() {
  trap '' INT TERM HUP
  [[ -z $step ]] || { kill -- "-$step" 2>/dev/null && wait "$step" 2>/dev/null; }
  $run_local --stop >/dev/null 2>&1
  ((failed > 0)) || rm -rf "$work"
}

free_ports() {
  local at
  for ((at = port; at <= link_port; at++)); do (exec 3<>"/dev/tcp/127.0.0.1/$at") 2>/dev/null && return 1; done
  return 0
}

cd "$top" || exit 1
# shellcheck source=scripts/packages.sh
source scripts/packages.sh
# shellcheck source=scripts/configure.sh
source scripts/configure.sh
fila_install python3 && fila_build_programs || exit 1

passed=0 failed=0 step=''
work=$(mktemp -d "${TMPDIR:-/tmp}/fila-demo-XXXXXX") || exit 1
data=$work/data
# Below those of other tests, and so low that ./run-local.sh gives the nodes no JSON gateway.
port=$((12000 + RANDOM % 7000)) link_port=$((port + nodes))
until free_ports; do port=$((12000 + RANDOM % 7000)) link_port=$((port + nodes)); done
run_local="./run-local.sh --base-port $port --data-dir $data"
# A node that was lost and back within a minute would have to wait for it; who shows it has no minute.
handover='--handover_interval 5s'
export PATH=$top/build/release/bin:$PATH FILA_SERVERS
FILA_SERVERS=$(server 1)
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

echo "PATH=$top/build/release/bin:\$PATH  FILA_SERVERS=$FILA_SERVERS: the client knows node 1 only"
echo
for n in "${steps[@]}"; do
  if [[ $pause == yes ]]; then read -r -p "ENTER: step $n, ${titles[n]} " _ || exit 1; fi
  run_step "$n"
done
echo "$passed passed, $failed failed in $SECONDS s"
((failed == 0))
