# grpcurl, ghz and buf, which tests use where they are at hand. Sourced by run-tests.sh, at the top of the tree.

# PACKAGE@VERSION, by Go's name: the program is called as the package's last part. The second ones take minutes to build.
fila_tools=(
  github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.3
  github.com/bojand/ghz/cmd/ghz@v0.120.0
)
fila_slow_tools=(github.com/bufbuild/buf/cmd/buf@v1.65.0)
readonly fila_go_minimum=1.21 fila_tool_seconds_max=600
fila_tool_directory=$PWD/.cache/bin

# Puts on PATH where fila_install_tools and `go install` put programs.
fila_find_tools() {
  PATH+=:$fila_tool_directory:${HOME:-}/go/bin
  if command -v go >/dev/null; then PATH+=:$(go env GOPATH)/bin:$(go env GOBIN); fi
  PATH=${PATH%:}
}

# True if Go is there, and new enough to build the tools.
fila_go_will_do() {
  local version
  version=$(go env GOVERSION 2>/dev/null) || return 1
  printf 'go%s\n%s\n' "$fila_go_minimum" "$version" | sort -VC
}

# Installs those of the named tools that are not at hand. That they are not to be had is said, and no failure: their tests are skipped.
fila_install_tools() {
  local tool name
  for tool in "$@"; do
    name=$(basename "${tool%@*}")
    command -v "$name" && continue
    fila_go_will_do || { echo "$name: no Go $fila_go_minimum or later"; continue; }
    GOBIN=$fila_tool_directory GOTOOLCHAIN=local timeout "$fila_tool_seconds_max" go install "$tool" || echo "$name: not installed"
  done
}
