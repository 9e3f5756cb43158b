"""Producers and workers beside a test: `fila` on this machine, and what its receipts and deliveries say of loss and leases."""

import collections
import datetime
import json
import os
import signal
import subprocess
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FILA = os.path.join(TOP, "build/release/bin/fila")
TASKS_PER_SECOND = 150
LEASE_SECONDS = 5
PARALLEL = 16
PATIENCE_SECONDS = 60


def run(command, seconds=PATIENCE_SECONDS, **options):
    """What the command prints; one that fails or takes longer raises an error that says what it said."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False, **options)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(command)} ended with {done.returncode}: {(done.stdout + done.stderr).strip()[-2000:]}")
    return done.stdout


def instant(text):
    """Seconds since 1970 of a time as `fila --json` prints it."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    return datetime.datetime.fromisoformat(whole + "+00:00").timestamp() + float(f"0.{fraction or 0}")


def leases_of(deliveries, lease_seconds=LEASE_SECONDS):
    """(begin, end) of each delivery's lease, in cluster time."""
    ends = [instant(delivery["lease_deadline"]) for delivery in deliveries]
    return [(end - lease_seconds, end) for end in ends]


class Program:
    """A `fila` in the background that prints an object a line, each kept with the time when it came."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen([FILA, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        self.printed, self.times, self.error = [], [], ""
        self.threads = [threading.Thread(target=reader, daemon=True) for reader in (self.read, self.read_error)]
        for thread in self.threads:
            thread.start()

    def read(self):
        for line in self.process.stdout:
            if not line.endswith("\n"):
                return  # it was killed
            self.times.append(time.monotonic())
            self.printed.append(json.loads(line))

    def read_error(self):
        self.error = self.process.stderr.read()

    def wait(self):
        """Its exit code."""
        code = self.process.wait(PATIENCE_SECONDS)
        for thread in self.threads:
            thread.join(PATIENCE_SECONDS)
        return code


class Load:
    """Tasks go in one after the other through one server, and are worked off through others, until it is finished."""

    def __init__(self, producer, workers, queue, call_seconds):
        """`call_seconds`: how long a call may take, retries included, before it fails."""
        self.queue, self.sent, self.feeding = queue, 0, True
        common = ("--timeout", f"{call_seconds}s", "--json", "--queue", queue)
        self.producer = Program("--server", producer, "enqueue", "--payload", "-", *common)
        self.workers = [Program("--server", server, "work", "--count", "0", "--parallel", str(PARALLEL),
                                "--lease", f"{LEASE_SECONDS}s", *common) for server in workers]
        self.codes = []
        self.feeder = threading.Thread(target=self.feed, daemon=True)
        self.feeder.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.feeding = False
        for program in (self.producer, *self.workers):
            program.process.kill()

    def feed(self):
        while self.feeding:
            self.producer.process.stdin.write(f"{self.queue} {self.sent}\n")
            self.producer.process.stdin.flush()
            self.sent += 1
            time.sleep(1 / TASKS_PER_SECOND)
        self.producer.process.stdin.close()

    def deliveries(self):
        return [delivery for worker in self.workers for delivery in list(worker.printed)]

    def wait_for_more(self, tasks):
        """Waits until so many more tasks were confirmed, and as many deliveries acknowledged."""
        receipts, deliveries = len(self.producer.printed) + tasks, len(self.deliveries()) + tasks
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(self.producer.printed) < receipts or len(self.deliveries()) < deliveries:
            assert time.monotonic() < deadline, (f"no {tasks} more tasks in {PATIENCE_SECONDS} s: now {len(self.producer.printed)} "
                                                 f"receipts of {receipts}, {len(self.deliveries())} deliveries of {deliveries}")
            for program in (self.producer, *self.workers):
                assert program.process.poll() is None, f"ended too early: {program.error}"
            time.sleep(0.05)

    def finish(self, servers):
        """No more tasks; waits until all are worked off, and tells in a line what happened."""
        self.feeding = False
        self.feeder.join(PATIENCE_SECONDS)
        self.codes = [self.producer.wait()]
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.left(servers) > 0:
            assert time.monotonic() < deadline, f"{self.left(servers)} tasks are left after {PATIENCE_SECONDS} s"
            time.sleep(0.1)
        for worker in self.workers:
            worker.process.send_signal(signal.SIGINT)
            self.codes.append(worker.wait())
        times = self.producer.times
        gap = max(later - earlier for earlier, later in zip(times, times[1:]))
        again = sum(delivery["attempt"] > 1 for delivery in self.deliveries())
        return (f"{self.sent} tasks, {len(self.producer.printed)} confirmed, {len(self.deliveries())} deliveries, {again} of them "
                f"not the first; at most {gap * 1000:.0f} ms between two receipts")

    def left(self, servers):
        stats = json.loads(run([FILA, "--server", servers, "queue", "stats", "--queue", self.queue, "--json"]))
        return stats["ready"] + stats["leased"] + stats["delayed"]

    def check_exactly_once(self):
        assert self.codes[0] == 0, f"enqueue ended with {self.codes[0]}: {self.producer.error}"
        check_history([f"{self.queue} {number}" for number in range(self.sent)], self.producer.printed, self.deliveries())

    def check_no_call_failed(self):
        errors = "".join(program.error for program in (self.producer, *self.workers))
        assert self.codes == [0] * len(self.codes) and errors == "", f"exit codes {self.codes}: {errors}"
        unconfirmed = [delivery for delivery in self.deliveries() if not delivery["acked"]]
        assert not unconfirmed, f"deliveries without a confirmed ack: {unconfirmed[:5]}"


def check_history(sent, receipts, deliveries):
    """Every payload was confirmed, each acknowledged once, and no two leases of one task lived at a time."""
    sent = collections.Counter(sent)
    acked = collections.Counter(delivery["payload"] for delivery in deliveries if delivery["acked"])
    assert len(receipts) == sent.total(), f"{len(receipts)} receipts of {sent.total()} tasks"
    assert not sent - acked, f"confirmed, and lost: {sorted(sent - acked)[:20]}"
    assert not acked - sent, f"acknowledged more than once, or never put in: {sorted(acked - sent)[:20]}"
    tasks = collections.defaultdict(list)
    for delivery in deliveries:
        tasks[delivery["task_id"]].append(delivery)
    assert set(tasks) == {receipt["task_id"] for receipt in receipts}, "other tasks came out than were put in"
    for attempts in tasks.values():
        check_leases(sorted(attempts, key=lambda delivery: delivery["attempt"]))


def check_leases(deliveries):
    """Of one task, by attempt: each lease begins when the one before has ended, and none follows an ack."""
    leases = leases_of(deliveries)
    for earlier, later, (_, end), (begin, _) in zip(deliveries, deliveries[1:], leases, leases[1:]):
        told = f"{json.dumps(earlier)} and {json.dumps(later)}"
        assert earlier["attempt"] < later["attempt"], f"one attempt, two leases: {told}"
        assert end <= begin, f"two leases at a time: {told}"
        assert not earlier["acked"], f"delivered after its ack: {told}"
