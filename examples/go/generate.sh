#!/usr/bin/env bash
# Makes the stubs from the protos, in the folder `fila` beside this script. Needs protoc, and Go's plugins for it, which it
# installs into the folder `bin` beside it.
set -eu
cd "$(dirname "$0")"
export GOBIN=$PWD/bin
[[ -x bin/protoc-gen-go ]] || go install google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.5
[[ -x bin/protoc-gen-go-grpc ]] || go install google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.5.1
rm -rf fila
protoc -I ../../protos -I ../../protos/third_party --plugin=bin/protoc-gen-go --plugin=bin/protoc-gen-go-grpc \
  --go_out=. --go_opt=module=fila.example,Mfila/v1/queue.proto=fila.example/fila \
  --go-grpc_out=. --go-grpc_opt=module=fila.example,Mfila/v1/queue.proto=fila.example/fila \
  --go_opt=Mgoogle/rpc/status.proto=google.golang.org/genproto/googleapis/rpc/status \
  --go-grpc_opt=Mgoogle/rpc/status.proto=google.golang.org/genproto/googleapis/rpc/status fila/v1/queue.proto
