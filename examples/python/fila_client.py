"""What the producer and the worker share: a connection that follows the leader, and calls repeated until their outcome is known."""

import os
import pathlib
import sys
import time

import grpc

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE / "generated"))
from fila.v1 import queue_pb2, queue_pb2_grpc  # noqa: E402  (made by generate.sh)

# Nothing was done, or it is not known whether: a repeat with the same ids is safe. Everything else is a mistake of ours.
AGAIN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.ABORTED, grpc.StatusCode.DEADLINE_EXCEEDED,
         grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL, grpc.StatusCode.CANCELLED)


def connect():
    servers = os.environ.get("FILA_SERVERS", "127.0.0.1:50051,127.0.0.1:50052,127.0.0.1:50053")
    channel = grpc.insecure_channel("ipv4:" + servers, options=[
        ("grpc.service_config", (HERE.parent / "service_config.json").read_text()),
        ("grpc.enable_retries", 1),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1000),
        ("grpc.keepalive_time_ms", 10000),
        ("grpc.keepalive_timeout_ms", 2000),
    ])
    return queue_pb2_grpc.QueueServiceStub(channel)


def until_known(call, request):
    while True:
        try:
            return call(request, timeout=30, wait_for_ready=True)
        except grpc.RpcError as error:
            if error.code() not in AGAIN:
                raise
            print(f"again after {error.code().name}: {error.details()}", file=sys.stderr)
            time.sleep(0.1)
