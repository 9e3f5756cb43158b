#!/usr/bin/env bash
# The quick start of docs/SECURITY.md, as it is written there: certificates by the script, an auth file, three nodes, calls,
# a revocation; only ports and the token's hash are put in.
#
# usage: security_test.sh     needs a build (./run-local.sh or ./run-tests.sh makes one); prints gtest's words
set -u
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=tests/support/cluster.sh
source "$top/tests/support/cluster.sh"
readonly name=Documents.TheQuickStartOfSecurityWorks seconds_max=30
start=$(date +%s%3N)
work=$(mktemp -d "${TMPDIR:-/tmp}/fila-security-XXXXXX")
pids=()
echo "[ RUN      ] $name"

finish() {
  trap - EXIT
  ((${#pids[@]} == 0)) || { kill "${pids[@]}" && wait "${pids[@]}"; } 2>/dev/null
  local how=$1
  [[ $how == *FAILED* ]] && echo "files and logs are kept in $work" || rm -rf "$work"
  echo "[$how ] $name ($(($(date +%s%3N) - start)) ms)"
  [[ $how != *FAILED* ]]
  exit
}
fail() { echo "$1"; finish '  FAILED '; }
skip() { echo "$1"; finish '  SKIPPED'; }
trap 'fail interrupted' INT TERM EXIT

# block N: the Nth fenced block of the quick start.
block() {
  awk -v wanted="$1" '/^## /{here = ($0 == "## Quick start")}
    here && /^```/{open = !open; if (open) number++; next}
    open && number == wanted' "$top/docs/SECURITY.md"
}

command -v openssl >/dev/null || skip 'openssl is not at hand'
cd "$work" || fail "no directory"
ln -s "$top/scripts" scripts
export PATH=$top/build/release/bin:$PATH
bash -eu -c "$(block 1)" >certificates.log 2>&1 || fail "certificates: $(cat certificates.log)"
openssl verify -CAfile pki/ca.pem pki/node-1.pem pki/client-ops.pem >verify.log 2>&1 || fail "$(cat verify.log)"
if scripts/make-certificates.sh client pki ops >again.log 2>&1; then fail "a certificate was overwritten"; fi
openssl rand -hex 32 >billing.token
hash=$(tr -d '\n' <billing.token | sha256sum | cut -d ' ' -f 1)
block 2 | sed "s/sha256:7f3a…/sha256:$hash/" >auth.toml
grep -q "$hash" auth.toml || fail "the auth file of the document has no token's hash to replace"

port=$(base_port 3)
servers=127.0.0.1:$port,127.0.0.1:$((port + 1)),127.0.0.1:$((port + 2))
for id in 1 2 3; do
  peers=''
  for other in 1 2 3; do
    ((other == id)) || peers+=${peers:+,}127.0.0.1:$((port + other - 1)):$other
  done
  # Listening for the whole network is more than a test needs.
  node=$(block 3 | sed -E "s/node-1/node-$id/g; s/--id 1/--id $id/; s/--host 0.0.0.0/--host 127.0.0.1/; s/--peers [^ ]+/--peers $peers/;
    s/--advertise [^ ]+/--advertise 127.0.0.1:$((port + id - 1))/")
  bash -c "exec $node --port $((port + id - 1)) --json_port 0 --http_port 0 --data_dir data/$id" >"node-$id.log" 2>&1 &
  pids+=($!)
done

call=$(block 4 | head -n 1)
[[ $call == 'fila --tls-ca'*status ]] || fail "the first call of the document is not fila's: $call"
ops() { "${call_words[@]}" --server "$servers" --timeout 2s "$@"; }
read -ra call_words <<<"${call% status}"
until ops status >status.log 2>&1 && grep -q '^leader node' status.log; do
  ((SECONDS < seconds_max)) || fail "nobody leads: $(cat status.log) $(tail -n 2 node-1.log)"
  sleep 0.1
done
ops enqueue --payload hello >ops.log 2>&1 || fail "ops: $(cat ops.log)"
ops work --count 1 >ops.log 2>&1 || fail "ops: $(cat ops.log)"

# The other caller shows a certificate too, and is known by its token.
billing() {
  fila --tls-ca pki/ca.pem --tls-cert pki/client-billing.pem --tls-key pki/client-billing.key --token-file billing.token \
    --server "$servers" --timeout 2s "$@"
}
bash -c "$(block 5 | sed "s/^fila /fila --server $servers /")" >billing.log 2>&1 || fail "billing: $(cat billing.log)"
billing enqueue --queue invoices --payload x >billing.log 2>&1 || fail "billing: $(cat billing.log)"
billing enqueue --queue mail-7 --payload x >billing.log 2>&1 || fail "billing: $(cat billing.log)"
if billing enqueue --queue other --payload x >billing.log 2>&1; then fail "billing may enqueue where it has no right"; fi
grep -q PERMISSION_DENIED billing.log || fail "billing: $(cat billing.log)"

scripts/make-certificates.sh revoke pki client-ops >>certificates.log 2>&1 || fail "$(tail -n 1 certificates.log)"
revoked=$SECONDS
while ops enqueue --payload late >ops.log 2>&1; do
  ((SECONDS < revoked + 10)) || fail "a revoked certificate is good after 10 s"
  sleep 0.1
done
billing enqueue --queue invoices --payload x >billing.log 2>&1 || fail "billing, after another's revocation: $(cat billing.log)"
finish '       OK'
