#!/usr/bin/env bash
# Replaces the nodes' containers one after the other: with another image, with other settings, or just so. No call fails.
#
# usage: docker/rolling-restart.sh [--wait 120] [NODE…]     such as node1 node2; all, without
#
# What the new containers are is what the compose file says now: change it (or FILA_IMAGE in .env), `docker-compose build` where
# the image is built here, then run this. A node is replaced when the others serve and are in step, and the next one when
# it is too. Where that takes longer than --wait seconds it ends with 1, and leaves the rest as they are; once the cause is
# mended, name the node that is down first. Compose's own variables (COMPOSE_PROJECT_NAME, COMPOSE_FILE, …) hold here too.
set -uo pipefail
cd "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/.." || exit 1
readonly lag_entries_max=100 log_lines=5

wrong() { echo "rolling-restart.sh: $1 (docker/rolling-restart.sh --help)" >&2; exit 2; }

wait_seconds=120 nodes=()
while (($#)); do
  case $1 in
    -h | --help) sed -n '2,/^set /{s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; exit 0 ;;
    --wait) [[ ${2-} =~ ^[1-9][0-9]{0,4}$ ]] || wrong "--wait takes a number of seconds"; wait_seconds=$2; shift ;;
    -*) wrong "there is no option $1" ;;
    *) nodes+=("$1") ;;
  esac
  shift
done

if docker compose version >/dev/null 2>&1; then
  compose() { docker compose "$@"; }
else
  compose() { docker-compose "$@"; }
fi

# inside NODE COMMAND: runs the command in the node's container.
inside() {
  local container
  container=$(compose ps -q "$1") && docker exec "$container" sh -c "$2"
}

status_of() { inside "$1" 'fila status --server "127.0.0.1:$FILA_PORT"'; }

# True if node $1 sees every node, but for that of id $2, in step and counted in the majority.
sees_in_step() {
  status_of "$1" 2>/dev/null | awk -v except="$2" -v most="$lag_entries_max" '
    $1 ~ /^[0-9]+$/ && $2 ~ /:[0-9]+$/ { nodes++; if ($1 == except || $4 == "yes" && $7 + 0 <= most && !/wiped/) fine++ }
    END { exit !(nodes > 0 && fine == nodes) }'
}

# True if the others than node $2 can go on without it, as node $1 sees them.
can_spare() { sees_in_step "$1" "${2#node}"; }

# True if node $2 serves and is in step, as node $1 sees it: one that is behind doesn't know by how much.
is_back() {
  inside "$2" 'fila health --ready --server "127.0.0.1:$FILA_PORT"' >/dev/null 2>&1 && sees_in_step "$1" none
}

# wait_until CONDITION OTHER NODE WHAT
wait_until() {
  local deadline=$((SECONDS + wait_seconds))
  until "$1" "$2" "$3"; do
    if ((SECONDS > deadline)); then
      echo "rolling-restart.sh: $4 after $wait_seconds s; nothing else was touched. What $2 sees, and $3 said last:" >&2
      status_of "$2" >&2
      compose logs --no-color --tail "$log_lines" "$3" >&2
      exit 1
    fi
    sleep 0.2
  done
}

services=$(compose config --services) || exit 1
mapfile -t all < <(grep -E '^node[0-9]+$' <<<"$services" | sort -V)
((${#nodes[@]})) || nodes=("${all[@]}")
for node in "${nodes[@]}"; do
  [[ " ${all[*]} " == *" $node "* ]] || wrong "there is no node $node; there are: ${all[*]}"
done
for node in "${nodes[@]}"; do
  other=${all[0]}
  [[ $node != "$other" ]] || other=${all[-1]}
  wait_until can_spare "$other" "$node" "the nodes besides $node are not in step"
  compose up -d --no-deps --no-build --force-recreate "$node" || exit 1
  wait_until is_back "$other" "$node" "$node is not ready and in step"
  echo "$node is back, and in step"
done
