#!/usr/bin/env bash
# Certificates for who has no authority of his own: to try TLS, or for a small cluster. `--help` has the commands;
# docs/SECURITY.md says what each file is for.
set -euo pipefail

usage() {
  cat <<'HELP'
usage: scripts/make-certificates.sh ca DIR
       scripts/make-certificates.sh node DIR ID HOST[,HOST…]
       scripts/make-certificates.sh client DIR NAME
       scripts/make-certificates.sh revoke DIR NAME

ca      makes an authority: DIR/ca.pem (for everybody) and DIR/ca.key (for nobody but you)
node    makes DIR/node-ID.pem and .key, for --tls_cert, --tls_key and --peer_tls_*: good for the names or addresses HOST
        and, with the URI spiffe://fila/node/ID, for the node ID
client  makes DIR/client-NAME.pem and .key, for fila --tls-cert and --tls-key; an auth file knows it as
        spiffe://fila/client/NAME
revoke  NAME is node-ID or client-NAME: adds it to the authority's revocation list, which is put into DIR/ca.pem; copy that
        file to the nodes, and they refuse the certificate within seconds

Certificates are good for 365 days (FILA_CERTIFICATE_DAYS says otherwise), the authority and its list for ten years. No
file is overwritten: to renew a certificate, move the old files away first.
HELP
}

fail() {
  echo "make-certificates.sh: $1" >&2
  exit "${2:-2}"
}

[[ ${1:-} == --help || ${1:-} == -h ]] && { usage; exit 0; }
(($# >= 2)) || { usage >&2; exit 2; }
command -v openssl >/dev/null || fail "the program openssl is needed (Debian: apt-get install openssl)"

readonly command=$1 dir=$2
readonly days=${FILA_CERTIFICATE_DAYS:-365} ca_days=3650
[[ $days =~ ^[1-9][0-9]*$ ]] || fail "FILA_CERTIFICATE_DAYS is \"$days\": give a number of days"
umask 077
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# What openssl says goes to nobody unless it fails.
run() { "$@" >"$scratch/said" 2>&1 || { cat "$scratch/said" >&2; fail "$1 $2 failed" 1; }; }

need_ca() {
  [[ -r $dir/ca.pem && -r $dir/ca.key ]] || fail "$dir has no authority yet: scripts/make-certificates.sh ca $dir"
}

# issue NAME COMMON_NAME SUBJECT_ALT_NAMES
issue() {
  local name=$1 common_name=$2 names=$3
  need_ca
  [[ ! -e $dir/$name.pem && ! -e $dir/$name.key ]] || fail "$dir/$name.pem or .key is there already: move the old files away to renew it"
  run openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$common_name" \
    -keyout "$scratch/key" -out "$scratch/request"
  printf '%s\n' "subjectAltName=$names" "basicConstraints=CA:FALSE" "keyUsage=digitalSignature" \
    "extendedKeyUsage=serverAuth,clientAuth" >"$scratch/extensions"
  run openssl x509 -req -in "$scratch/request" -CA "$dir/ca.pem" -CAkey "$dir/ca.key" -days "$days" -sha256 \
    -set_serial "0x$(openssl rand -hex 16)" -extfile "$scratch/extensions" -out "$scratch/certificate"
  mv "$scratch/key" "$dir/$name.key"
  mv "$scratch/certificate" "$dir/$name.pem"
  chmod 644 "$dir/$name.pem"
  echo "made $dir/$name.pem and $dir/$name.key"
}

case $command in
  ca)
    (($# == 2)) || fail "ca takes a directory (see --help)"
    mkdir -p "$dir"
    [[ ! -e $dir/ca.pem && ! -e $dir/ca.key ]] || fail "$dir has an authority already"
    run openssl req -x509 -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days "$ca_days" -sha256 \
      -subj "/CN=Fila $(openssl rand -hex 4)" -addext "basicConstraints=critical,CA:TRUE" \
      -addext "keyUsage=critical,keyCertSign,cRLSign" -keyout "$scratch/key" -out "$scratch/certificate"
    mv "$scratch/key" "$dir/ca.key"
    mv "$scratch/certificate" "$dir/ca.pem"
    chmod 644 "$dir/ca.pem"
    echo "made $dir/ca.pem and $dir/ca.key"
    ;;
  node)
    (($# == 4)) || fail "node takes a directory, an id and hosts (see --help)"
    id=$3
    [[ $id =~ ^[1-9][0-9]{0,6}$ ]] || fail "\"$id\" is no node's id"
    names="URI:spiffe://fila/node/$id"
    IFS=, read -ra hosts <<<"$4"
    for host in "${hosts[@]}"; do
      if [[ $host =~ ^[0-9.]+$ || $host == *:* ]]; then
        names+=",IP:$host"
      elif [[ $host =~ ^[A-Za-z0-9*]([A-Za-z0-9.-]*[A-Za-z0-9])?$ ]]; then
        names+=",DNS:$host"
      else
        fail "\"$host\" is no name or address of a host"
      fi
    done
    issue "node-$id" "Fila node $id" "$names"
    ;;
  client)
    (($# == 3)) || fail "client takes a directory and a name (see --help)"
    [[ $3 =~ ^[A-Za-z0-9][A-Za-z0-9._-]{0,60}$ ]] || fail "\"$3\" is no name of a client: letters, digits, . _ -"
    issue "client-$3" "$3" "URI:spiffe://fila/client/$3"
    ;;
  revoke)
    (($# == 3)) || fail "revoke takes a directory and the certificate's name (see --help)"
    need_ca
    [[ -r $dir/$3.pem ]] || fail "there is no $dir/$3.pem"
    touch "$dir/revoked.txt"
    printf '%s\n' '[ca]' 'default_ca=fila' '[fila]' "database=$dir/revoked.txt" "default_md=sha256" \
      "default_crl_days=$ca_days" >"$scratch/config"
    run openssl ca -config "$scratch/config" -cert "$dir/ca.pem" -keyfile "$dir/ca.key" -revoke "$dir/$3.pem"
    run openssl ca -config "$scratch/config" -cert "$dir/ca.pem" -keyfile "$dir/ca.key" -gencrl -out "$scratch/list"
    { run openssl x509 -in "$dir/ca.pem" -out "$scratch/ca"; cat "$scratch/ca" "$scratch/list"; } >"$dir/ca.pem.new"
    chmod 644 "$dir/ca.pem.new"
    mv "$dir/ca.pem.new" "$dir/ca.pem"
    echo "revoked $dir/$3.pem; $dir/ca.pem says so"
    ;;
  *) fail "there is no command \"$command\" (see --help)" ;;
esac
