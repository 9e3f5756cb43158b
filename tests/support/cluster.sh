# What the tests that are scripts need of a cluster. Sourced by them.

# base_port COUNT: prints the first of so many ports in a row at which nobody listens.
base_port() {
  local port i busy=yes
  while [[ $busy == yes ]]; do
    busy=no port=$((20000 + RANDOM % 10000))
    for ((i = 0; i < $1; i++)); do (exec 3<>"/dev/tcp/127.0.0.1/$((port + i))") 2>/dev/null && busy=yes; done
  done
  echo "$port"
}

# leader FILA SERVERS SECONDS: prints the id of the node that leads, waiting for one as long as that, because the lead may
# be changing hands; nothing if none does.
leader() {
  local id='' until=$((SECONDS + $3))
  while [[ -z $id ]] && ((SECONDS < until)); do
    id=$("$1" --server "$2" status --json | sed -n 's/.*"leader_id": *\([1-9][0-9]*\).*/\1/p' | head -n 1)
    [[ -n $id ]] || sleep 0.05
  done
  echo "$id"
}
