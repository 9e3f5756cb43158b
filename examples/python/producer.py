#!/usr/bin/python3
"""usage: producer.py COUNT    puts so many tasks in, each once, whatever becomes of the nodes meanwhile (FILA_SERVERS)"""

import sys
import uuid

from fila_client import connect, queue_pb2, until_known


def main():
    queue = connect()
    for number in range(int(sys.argv[1])):
        # The id is ours: by it a repeat is known to be one.
        task = queue_pb2.NewTask(task_id=str(uuid.uuid4()), payload=b"task %d" % number)
        receipt = until_known(queue.Enqueue, queue_pb2.EnqueueRequest(queue="examples", task=task)).receipt
        print(receipt.task_id, flush=True)


if __name__ == "__main__":
    main()
