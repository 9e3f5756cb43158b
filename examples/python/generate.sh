#!/usr/bin/env bash
# Makes the stubs from the protos, in the folder `generated` beside this script.
set -eu
cd "$(dirname "$0")"
rm -rf generated && mkdir generated
protoc -I ../../protos -I ../../protos/third_party --python_out=generated --grpc_out=generated \
  --plugin=protoc-gen-grpc="$(command -v grpc_python_plugin)" fila/v1/queue.proto google/rpc/status.proto
rm generated/google/rpc/*_grpc.py
