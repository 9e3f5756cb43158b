# How a tree is configured. Sourced by run-local.sh, run-tests.sh and demo.sh after packages.sh; the current directory is the
# top of the tree.

# True if build/PRESET is configured, and for this place: a tree may have been moved, or copied with what was built in it.
fila_configured() {
  [[ -f build/$1/build.ninja ]] && grep -qsxF "CMAKE_HOME_DIRECTORY:INTERNAL=$PWD" "build/$1/CMakeCache.txt"
}

# fila_configure PRESET ON|OFF: configures build/PRESET from the start, with the tests or without them.
fila_configure() { cmake --fresh --preset "$1" "-DFILA_TESTS=$2"; }

# Builds filad and fila; installs and configures what is missing.
fila_build_programs() {
  fila_install "${fila_build_packages[@]}" || return
  if ! fila_configured release; then
    echo "configuring; the first build takes some minutes"
    fila_configure release OFF >/dev/null || return
  fi
  ninja -C build/release filad fila
}
