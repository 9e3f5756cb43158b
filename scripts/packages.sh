# What building and testing need from Debian, and how to get it. Sourced by run-local.sh and run-tests.sh.

# To build filad and fila.
fila_build_packages=(
  cmake ninja-build ccache g++ pkg-config
  protobuf-compiler protobuf-compiler-grpc libprotobuf-dev libgrpc-dev libgrpc++-dev
  libabsl-dev libgoogle-glog-dev librocksdb-dev libcli11-dev libtomlplusplus-dev nlohmann-json3-dev libasio-dev libisal-dev
  libcpp-httplib-dev prometheus-cpp-dev libssl-dev
)
# To build and run the tests as well.
fila_test_packages=(libgtest-dev libgmock-dev python3 python3-grpcio wamerican)

# Prints those of the named packages that are not installed.
fila_missing_packages() {
  local installed package
  installed=" $(dpkg-query -W -f='${db:Status-Status}=${Package} ' "$@" 2>/dev/null) "
  for package in "$@"; do
    [[ $installed == *" installed=$package "* ]] || printf '%s ' "$package"
  done
}

# Installs those of the named packages that are missing; without apt (not Debian) trusts that they are there.
fila_install() {
  command -v dpkg-query >/dev/null && command -v apt-get >/dev/null || return 0
  local missing as_root=()
  missing=$(fila_missing_packages "$@")
  [[ -n $missing ]] || return 0
  if ((EUID != 0)); then
    if ! command -v sudo >/dev/null; then
      echo "missing packages: run as root or install sudo, or: apt-get install $missing" >&2
      return 1
    fi
    as_root=(sudo)
  fi
  echo "installing $missing"
  # shellcheck disable=SC2086  # a list of words
  if ! { "${as_root[@]}" apt-get -qq update &&
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
      apt-get -qq -o Dpkg::Use-Pty=0 install -y --no-install-recommends $missing >/dev/null; }; then
    echo "missing packages were not installed; as root: apt-get install $missing" >&2
    return 1
  fi
}
