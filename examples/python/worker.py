#!/usr/bin/python3
"""usage: worker.py NAME    works tasks off until it is stopped, whatever becomes of the nodes meanwhile (FILA_SERVERS)"""

import sys
import uuid

from google.protobuf import duration_pb2

from fila_client import connect, queue_pb2, until_known


def handle(task):
    """The work. It must bear to be done twice: a lease that ends before the ack, by a pause of ours, gives the task again."""
    return task.payload.decode()


def main():
    queue = connect()
    while True:
        # The request's id is ours: its repeat gets the same leases, not others.
        leased = until_known(queue.Dequeue, queue_pb2.DequeueRequest(
            queue="examples", max_tasks=10, wait=duration_pb2.Duration(seconds=5),
            lease_duration=duration_pb2.Duration(seconds=30), worker_id=sys.argv[1], request_id=str(uuid.uuid4())))
        for task in leased.tasks:
            done = handle(task)
            lease = queue_pb2.LeaseRef(task_id=task.task_id, lease_token=task.lease_token)
            status = until_known(queue.Ack, queue_pb2.AckRequest(queue="examples", leases=[lease])).results[0].status
            if status in (queue_pb2.ACK_STATUS_OK, queue_pb2.ACK_STATUS_ALREADY_DONE):
                print(task.task_id, task.attempt, done, flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
