#!/usr/bin/env bash
# Sees to it that the image debian:bookworm-slim is there, from which docker/Dockerfile starts.
#
# usage: docker/make-base.sh
#
# One that is there stays. Otherwise it is pulled; where that fails (no registry can be reached), it is made of Debian's
# packages by debootstrap, from the mirror that apt is configured with (FILA_MIRROR names another). That takes root and half a
# minute. An image made so is not Debian's own: what it contains is the same release of the same packages.
set -uo pipefail
readonly image=debian:bookworm-slim release=bookworm pull_seconds_max=300 make_seconds_max=900

case ${1:-} in
  '') ;;
  -h | --help) sed -n '2,/^set /{s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; exit 0 ;;
  *) echo "make-base.sh: takes no arguments (docker/make-base.sh --help)" >&2; exit 2 ;;
esac

failed() { echo "make-base.sh: $1" >&2; exit 1; }

# mirror_of CODENAME: where apt gets that release from; empty if it doesn't.
mirror_of() { apt-get indextargets --format '$(CODENAME) $(SITE)' 2>/dev/null | awk -v name="$1" '$1 == name { print $2; exit }'; }

command -v docker >/dev/null || failed "there is no docker command: apt-get install docker.io"
docker version >/dev/null 2>&1 || failed "the Docker engine does not answer: $(docker version 2>&1 | tail -n 1)"
if docker image inspect "$image" >/dev/null 2>&1; then
  echo "$image is there"
  exit 0
fi
if pulled=$(timeout "$pull_seconds_max" docker pull "$image" 2>&1); then
  echo "pulled $image"
  exit 0
fi
echo "$image can't be pulled ($(tail -n 1 <<<"$pulled")): making it of Debian's packages"

((EUID == 0)) || failed "debootstrap needs root: sudo docker/make-base.sh"
command -v debootstrap >/dev/null || failed "there is no debootstrap command: apt-get install debootstrap"
mirror=${FILA_MIRROR:-$(mirror_of "$release")}
mirror=${mirror:-http://deb.debian.org/debian}
security=$(mirror_of "$release-security")
security=${security:-http://deb.debian.org/debian-security}
work=$(mktemp -d "${TMPDIR:-/tmp}/fila-base-XXXXXX") || failed "no temporary directory"
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
root=$work/root
timeout "$make_seconds_max" debootstrap --variant=minbase "$release" "$root" "$mirror" >"$work/log" 2>&1 ||
  failed "debootstrap from $mirror failed: $(tail -n 1 "$work/log")"
cat >"$root/etc/apt/sources.list" <<SOURCES
deb $mirror $release main
deb $mirror $release-updates main
deb $security $release-security main
SOURCES
# As in Debian's slim image: without what nobody reads in a container, and nothing of it with later packages either.
cat >"$root/etc/dpkg/dpkg.cfg.d/docker" <<'DPKG'
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/locale/*
path-exclude /usr/share/man/*
DPKG
find "$root/usr/share/doc" -type f ! -name copyright -delete
rm -rf "$root"/usr/share/{locale,man}/* "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/var/log/*
tar -C "$root" --numeric-owner -c . | docker import --change 'CMD ["bash"]' \
  --message "made by docker/make-base.sh from $mirror" - "$image" >/dev/null || failed "docker import failed"
echo "made $image from $mirror with $(debootstrap --version)"
