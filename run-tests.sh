#!/usr/bin/env bash
# Builds and tests everything. `./run-tests.sh --help` has the options; docs/DEVELOPING.md has more about the tests.
set -u
cd "$(dirname "$(realpath "${BASH_SOURCE[0]}")")" || exit 1

usage() {
  cat <<'HELP'
usage: ./run-tests.sh [--quick] [--full]

Installs what is missing (apt; without --quick also grpcurl and ghz, with --full buf, if Go is there), builds, runs the tests, prints each
stage's seconds and at the end `N passed, N failed`.

  (no option)  release build: structure, unit, scenario, simulation (20,000 seeds), planted bugs, integration, the words
               test, the demonstration, what the documents show, the Python clients; with the address and undefined-behaviour
               sanitizers: unit, scenario, simulation (500 seeds)
  --quick      before each commit: release build only, fewer seeds, a few integration tests
  --full       also the thread sanitizer for unit and integration tests, 100,000 seeds, the failover times, a task
               state of 1 GiB copied between nodes, the Go clients, nodes in containers

Logs are in build/test-logs. Exit code: 0 if every test passed, 1 if not, 2 for a wrong option.
HELP
}

mode=default
while (($#)); do
  case $1 in
    --quick) mode=quick ;;
    --full) mode=full ;;
    --help | -h) usage; exit 0 ;;
    *) echo "run-tests.sh: unknown argument '$1' (see ./run-tests.sh --help)" >&2; exit 2 ;;
  esac
  shift
done

# shellcheck source=scripts/packages.sh
source scripts/packages.sh
# shellcheck source=scripts/configure.sh
source scripts/configure.sh
# shellcheck source=scripts/tools.sh
source scripts/tools.sh
readonly logs=$PWD/build/test-logs log_tail_lines=60
passed=0 failed=0 skipped=0
jobs=$(nproc)

# count PATTERN: matching lines of the current log.
count() { grep -cE "$1" "$log"; }

# What the failed tests said, of much the beginning and the end; without one (a build, a crash), the end of the log.
show_failure() {
  echo "---- $log"
  awk -v most="$log_tail_lines" '
    /^\[ RUN      \]/ { lines = 0 }
    { said[lines++] = $0 }
    /^\[  FAILED  \] .*\([0-9]+ ms/ {
      for (i = 0; i < lines; i++) {
        if (i < most || i >= lines - most) print said[i]
        if (i == most && lines > 2 * most) print "…"
      }
      found = 1
    }
    END { exit !found }' "$log" || tail -n "$log_tail_lines" "$log"
  echo "----"
}

# Which tests were skipped, and why: what they said last.
show_skipped() {
  awk '/^\[  SKIPPED \] .*\([0-9]+ ms/ { print "  skipped " $4 ": " said }
    !/^\[/ && NF { said = $0 }' "$log"
}

# stage KIND NAME COMMAND…: runs the command with its output in a log. KIND build: counts only if it fails. KIND tests:
# counts the tests that the command reports in gtest's words; a crash, or no test at all, counts as a failure.
stage() {
  local kind=$1 name=$2 log=$logs/${2// /-}.log start=$EPOCHREALTIME code ok=0 bad=0 skip=0 seconds
  shift 2
  printf '%-32s ' "$name"
  "$@" >"$log" 2>&1
  code=$?
  if [[ $kind == tests ]]; then
    ok=$(count '^\[       OK \] ')
    bad=$(count '^\[  FAILED  \] .*\([0-9]+ ms')
    skip=$(count '^\[  SKIPPED \] .*\([0-9]+ ms')
    ((ok + bad + skip > 0)) || code=1
  fi
  ((code == 0 || bad > 0)) || bad=1
  passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skip))
  seconds=$(awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }')
  printf '%7s s' "$seconds"
  [[ $kind == tests ]] && printf '  %d passed, %d failed%s' "$ok" "$bad" "$( ((skip > 0)) && echo ", $skip skipped")"
  echo
  ((skip == 0)) || show_skipped
  ((bad == 0)) || show_failure
  return "$((bad > 0))"
}

finish() {
  echo "total $SECONDS s"
  echo "$passed passed, $failed failed$( ((skipped == 0)) || echo ", $skipped skipped")"
  ((failed == 0 && passed > 0))
  exit
}

install_packages() { fila_install "${fila_build_packages[@]}" "${fila_test_packages[@]}"; }

# build PRESET TARGETS…: configures if need be; without targets builds everything.
build() {
  local preset=$1
  shift
  if ! { fila_configured "$preset" && grep -qsx 'FILA_TESTS:BOOL=ON' "build/$preset/CMakeCache.txt"; }; then
    fila_configure "$preset" ON || return
  fi
  ninja -C "build/$preset" -j "$jobs" "$@"
}

# A build that fails leaves nothing worth testing.
build_stage() { stage build "build $1" build "$@" || finish; }

# run PRESET BINARY FLAGS…
run() {
  local preset=$1 binary=$2
  shift 2
  "build/$preset/bin/$binary" "$@"
}

pure_tests=()
for kind in unit scenario simulation; do
  [[ ! -f tests/$kind/CMakeLists.txt ]] || pure_tests+=("${kind}_tests")
done

# tests_of PRESET KIND: a stage with all tests of that kind.
tests_of() {
  [[ " ${pure_tests[*]} " != *" $2_tests "* ]] || stage tests "$2 $1" run "$1" "$2_tests"
}
readonly not_timing=--gtest_filter=-FailoverTiming.*:FullSize.*

# simulate PRESET SEEDS: the simulator without its planted bugs.
simulate() { run "$1" simulation_tests '--gtest_filter=-*PlantedBugs*' "--seeds=$2" "--jobs=$jobs"; }
planted_bugs() { run release simulation_tests '--gtest_filter=*PlantedBugs*' "--jobs=$jobs"; }

sanitized() {
  build_stage asan "${pure_tests[@]}"
  tests_of asan unit
  tests_of asan scenario
  stage tests 'simulation asan' simulate asan 500
}

threads_sanitized() {
  export TSAN_OPTIONS='ignore_noninstrumented_modules=1 halt_on_error=1 report_thread_leaks=0'
  build_stage tsan unit_tests integration_tests filad fila
  tests_of tsan unit
  stage tests 'integration tsan' run tsan integration_tests "$not_timing"
  unset TSAN_OPTIONS
}

# Ctrl-C ends the run, not one stage of it.
trap 'exit 130' INT TERM
mkdir -p "$logs"
stage build packages install_packages || finish
fila_find_tools
[[ $mode == quick ]] || stage build tools fila_install_tools "${fila_tools[@]}"
[[ $mode != full ]] || stage build 'slow tools' fila_install_tools "${fila_slow_tools[@]}"
build_stage release
stage tests structure python3 tests/structure/structure_test.py
tests_of release unit
tests_of release scenario
case $mode in
  quick)
    stage tests simulation simulate release 1000
    stage tests integration run release integration_tests --gtest_filter='Smoke.*'
    finish ;;
  default) stage tests simulation simulate release 20000 ;;
  full) stage tests simulation simulate release 100000 ;;
esac
stage tests 'planted bugs' planted_bugs
stage tests integration run release integration_tests "$not_timing"
stage tests words tests/integration/words_test.sh
stage tests demonstration ./demo.sh
stage tests transcripts python3 tests/documents/transcript_test.py
stage tests 'security document' tests/documents/security_test.sh
stage tests 'example python' tests/documents/examples_test.sh python
sanitized
if [[ $mode == full ]]; then
  stage tests 'failover times' run release integration_tests '--gtest_filter=FailoverTiming.*'
  grep -h 'failover' "$logs/failover-times.log"
  stage tests 'example go' tests/documents/examples_test.sh go
  stage tests 'full size' run release integration_tests '--gtest_filter=FullSize.*'
  stage tests containers tests/compose/compose_test.py --whole-image
  threads_sanitized
fi
finish
