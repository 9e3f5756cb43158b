#!/usr/bin/env bash
# Replaces the nodes' containers one after the other: with another image, with other settings, or just so. No call fails.
#
# usage: docker/rolling-restart.sh [NODE…]     such as node1 node2; all, without
#
# What the new containers are is what the compose file says now: change it (or FILA_IMAGE in .env), `docker-compose build` where
# the image is built here, then run this. It goes on to the next node when one is ready and in step with the others, and ends
# with 1, leaving the rest as they are, at one that is not within 120 s. Compose's own variables (COMPOSE_PROJECT_NAME,
# COMPOSE_FILE, …) hold here too.
set -uo pipefail
cd "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/.." || exit 1
readonly step_seconds_max=120 lag_entries_max=100

case ${1:-} in
  -h | --help) sed -n '2,/^set /{s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; exit 0 ;;
  -*) echo "rolling-restart.sh: there is no option $1 (docker/rolling-restart.sh --help)" >&2; exit 2 ;;
esac

if docker compose version >/dev/null 2>&1; then
  compose() { docker compose "$@"; }
else
  compose() { docker-compose "$@"; }
fi

# inside NODE COMMAND…: runs the command in the node's container.
inside() {
  local container
  container=$(compose ps -q "$1") && shift && docker exec "$container" sh -c "$*"
}

# True if node $1 serves, and $2 sees every node in step, and counted in the majority. Not node $1 itself: one that is behind
# doesn't know by how much.
in_step() {
  inside "$1" 'fila health --ready --server "127.0.0.1:$FILA_PORT"' >/dev/null 2>&1 &&
    inside "$2" 'fila status --server "127.0.0.1:$FILA_PORT"' 2>/dev/null | awk -v most="$lag_entries_max" '
      $1 ~ /^[0-9]+$/ && $2 ~ /:[0-9]+$/ { nodes++; if ($4 == "yes" && $7 + 0 <= most && !/wiped/) fine++ }
      END { exit !(nodes > 0 && fine == nodes) }'
}

# Waits until node $1 is in step, as node $2 sees it.
wait_in_step() {
  local deadline=$((SECONDS + step_seconds_max))
  until in_step "$1" "$2"; do
    if ((SECONDS > deadline)); then
      echo "rolling-restart.sh: $1 is not ready and in step after $step_seconds_max s; nothing else was touched" >&2
      inside "$2" 'fila status --server "127.0.0.1:$FILA_PORT"' >&2
      exit 1
    fi
    sleep 0.2
  done
}

services=$(compose config --services) || exit 1
mapfile -t all < <(grep -E '^node[0-9]+$' <<<"$services" | sort -V)
nodes=("$@")
((${#nodes[@]})) || nodes=("${all[@]}")
for node in "${nodes[@]}"; do
  [[ " ${all[*]} " == *" $node "* ]] ||
    { echo "rolling-restart.sh: there is no node $node; give some of: ${all[*]}" >&2; exit 2; }
done
# Without a majority beside it no node may be stopped.
wait_in_step "${all[0]}" "${all[-1]}"
for node in "${nodes[@]}"; do
  other=${all[0]}
  [[ $node != "$other" ]] || other=${all[1]}
  compose up -d --no-deps --no-build --force-recreate "$node" || exit 1
  wait_in_step "$node" "$other"
  echo "$node is back, and in step"
done
