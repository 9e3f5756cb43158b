#!/usr/bin/env python3
"""The nodes in containers, by docker-compose.yml: faults under load, a rolling restart, a lost disk. Reports in gtest's words.

usage: compose_test.py [--whole-image]

The image is made by docker/Dockerfile around the programs of build/release; with --whole-image these are built there too,
which takes some minutes. Everything is made under names and ports of this run, and removed again. Needs a build
(./run-tests.sh makes one). Without a Docker engine, compose or the base image every test is skipped.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time

from cluster import BASE, NODES, Compose, Images, Skipped, check, docker, need_engine, wait_until
from load import FILA, PATIENCE_SECONDS, TOP, Load, check_history, leases_of

IMAGE_BYTES_MAX = 120 << 20  # beyond the base
GRACE_SECONDS = 15  # docker/node.yml's
TASKS_BETWEEN_FAULTS = 200
CALL_SECONDS = 5  # in a rolling restart: many times what the slowest call of one takes
DOWNTIME_SECONDS = 2  # of a node that is cut off or paused: longer than what the protocol waits for a sign of life


# --- the checks, by histories that they must refuse; without an engine


def delivery_of(task, second, attempt=1, acked=True):
    return {"task_id": task, "payload": f"payload {task}", "attempt": attempt, "acked": acked,
            "lease_deadline": f"2026-01-01T00:00:{second:02}.500Z"}


RECEIPTS = [{"task_id": "a"}, {"task_id": "b"}]
SOUND = [delivery_of("a", 10, acked=False), delivery_of("a", 15, attempt=2), delivery_of("b", 10)]
PLANTED = {
    "a task that never came out": SOUND[:2],
    "a task of which no ack is known": [SOUND[0], SOUND[2]],
    "a task that was acknowledged twice": [*SOUND, delivery_of("b", 20, attempt=2)],
    "a task that was never put in": [*SOUND, delivery_of("c", 10)],
    "a lease before the end of another": [SOUND[0], delivery_of("a", 14, attempt=2), SOUND[2]],
    "two leases for one attempt": [SOUND[0], delivery_of("a", 15), SOUND[2]],
    "a delivery after the ack": [*SOUND, delivery_of("b", 20, attempt=2, acked=False)],
}


def planted_violations_are_found(_):
    sent = ["payload a", "payload b"]
    check_history(sent, RECEIPTS, SOUND)
    planted = [(name, RECEIPTS, deliveries) for name, deliveries in PLANTED.items()] + [("no receipt", RECEIPTS[:1], SOUND)]
    for name, receipts, deliveries in planted:
        try:
            check_history(sent, receipts, deliveries)
        except AssertionError:
            continue
        check(False, f"missed: {name}")


# --- the tests, in the order in which they run, on one cluster


def image_holds_only_what_runs(cluster):
    sizes = [int(docker("image", "inspect", "-f", "{{.Size}}", image)) for image in (cluster.images.now, BASE)]
    print(f"{(sizes[0] - sizes[1]) / 2**20:.0f} MiB beyond {BASE}")
    check(sizes[0] - sizes[1] <= IMAGE_BYTES_MAX, f"the image is at most {IMAGE_BYTES_MAX >> 20} MiB beyond its base")
    config = json.loads(docker("image", "inspect", "-f", "{{json .Config}}", cluster.images.now))
    check(config["User"] not in ("", "0", "root"), "the image's user is not root")
    check("fila health --live" in " ".join(config["Healthcheck"]["Test"]), "the image's health is that the process answers")
    tools = docker("run", "--rm", "--entrypoint", "sh", cluster.images.now, "-c", "command -v g++ cmake ninja protoc || true")
    check(tools == "", f"nothing of what builds is in the image: {tools}")


def nodes_start_together_and_serve(cluster):
    cluster.compose("up", "-d", "--no-build", seconds=3 * PATIENCE_SECONDS)
    wait_until("the service that waits for the cluster ends with 0",
               lambda: cluster.inspect("ready", "{{.State.Status}} {{.State.ExitCode}}") == "exited 0")
    cluster.wait_in_step()
    check(cluster.leader() == 3, "the highest id leads")
    check([member["address"] for member in cluster.status()["members"]] == cluster.server().split(","),
          "clients are told the addresses on this machine")
    for node in NODES:
        wait_until(f"node {node} is healthy", lambda: cluster.inspect(f"node{node}", "{{.State.Health.Status}}") == "healthy")
    about = cluster.shell("node1", "id -u; grep -E '^(CapEff|NoNewPrivs)' /proc/1/status; ulimit -n; touch /x 2>&1 || true")
    check(about.split("\n")[0] != "0", "a node does not run as root")
    check("CapEff:\t0000000000000000" in about and "NoNewPrivs:\t1" in about and "16384" in about and "Read-only" in about,
          f"a node has no privileges, room for connections and no root that can be written: {about}")


def clients_are_served_wherever_they_are(cluster):
    task = cluster.enqueue(1, "places", "from this machine, through a follower")
    on_network = ("run", "--rm", "--network", cluster.network, "--entrypoint", "fila", cluster.images.now)
    work = ("work", "--queue", "places", "--json")
    # The advertised address of the leader leads nowhere from there: the client goes on through the node that it was given.
    done = json.loads(docker(*on_network, "--server", "node1:50051", *work))
    check(done["task_id"] == task and done["acked"], f"a client on the network that names one node is served: {done}")
    docker(*on_network, "--server", "node1:50051", "bench", "--mode", "unary", "--messages", "20", "--queue", "places")
    inside = cluster.compose("exec", "-T", "node2", "fila", "work", "--queue", "places", "--count", "20", "--json")
    check(inside.count('"acked":true') == 20, "the command in a node's container needs no address")


def legacy_clients_on_this_machine_are_served(cluster):
    gateway = docker("network", "inspect", "-f", "{{(index .IPAM.Config 0).Gateway}}", cluster.network).strip()
    with socket.create_server(("", 0)) as listener:
        listener.settimeout(PATIENCE_SECONDS)
        where = {"reply_host": gateway, "reply_port": listener.getsockname()[1]}
        ask_legacy(cluster.json_port(1), {"payload": "by a connection of its own", **where}).close()
        with listener.accept()[0] as connection:
            check('"enqueue_ack"' in line_of(connection), "the reply comes at the address that the node sees")
    with ask_legacy(cluster.json_port(2), {"payload": "by the same connection"}) as connection:
        check('"enqueue_ack"' in line_of(connection), "without reply_host the reply comes on the same connection")
    with ask_legacy(cluster.json_port(3), {"payload": "to 127.0.0.1", **where, "reply_host": "127.0.0.1"}) as connection:
        check("json_reply_hosts" in line_of(connection), "what can't be reached from a container is refused")
    cluster.fila(1, "work", "--count", "2")


def ask_legacy(port, payload):
    connection = socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS)
    message = {"type": "enqueue", "source": 9000, "target": None, "lamport_ts": 1, "payload": payload}
    connection.sendall((json.dumps(message) + "\n").encode())
    return connection


def line_of(connection):
    with connection.makefile() as file:
        return file.readline()


def nothing_is_lost_or_leased_twice_under_faults(cluster):
    with Load(cluster.server(1), (cluster.server(2), cluster.server(3)), "faults", call_seconds=30) as load:
        load.wait_for_more(TASKS_BETWEEN_FAULTS)
        leader = cluster.leader()
        docker("kill", cluster.container(f"node{leader}"))
        load.wait_for_more(TASKS_BETWEEN_FAULTS)
        check(cluster.leader(*(node for node in NODES if node != leader)) not in (None, leader), "another node leads")
        docker("start", cluster.container(f"node{leader}"))
        cluster.wait_in_step()
        print(f"killed node {leader}, the leader")

        cut = 1 if leader != 1 else 2
        cluster.disconnect(cut)
        load.wait_for_more(TASKS_BETWEEN_FAULTS)
        time.sleep(DOWNTIME_SECONDS)
        cluster.connect(cut)
        cluster.wait_in_step()
        print(f"cut node {cut} off the network")

        paused = cluster.leader()
        docker("pause", cluster.container(f"node{paused}"))
        load.wait_for_more(TASKS_BETWEEN_FAULTS)
        time.sleep(DOWNTIME_SECONDS)
        docker("unpause", cluster.container(f"node{paused}"))
        cluster.wait_in_step()
        print(f"paused node {paused}, the leader")

        crash(cluster, 2)
        load.wait_for_more(TASKS_BETWEEN_FAULTS)
        cluster.wait_in_step()
        print("node 2 crashed, and was started again by the engine")
        print(load.finish(cluster.server()))
    load.check_exactly_once()


def crash(cluster, node):
    """Kills the process from outside of its container, which is no stop to the engine: it starts the node again."""
    restarts = int(cluster.inspect(f"node{node}", "{{.RestartCount}}"))
    pid = cluster.inspect(f"node{node}", "{{.State.Pid}}")
    docker("run", "--rm", "--pid", "host", "--user", "0", "--entrypoint", "sh", cluster.images.now, "-c", f"kill -KILL {pid}")
    wait_until("the engine starts the node again", lambda: int(cluster.inspect(f"node{node}", "{{.RestartCount}}")) > restarts)


def lease_of_before_a_pause_is_stale(cluster):
    """A worker and the leader are stopped for longer than a lease: another worker gets the task, and the old token nothing."""
    cluster.enqueue(1, "pause", "one of a kind")
    leader = cluster.leader()
    others = cluster.server(*(node for node in NODES if node != leader))
    work = ("work", "--queue", "pause", "--lease", "2s", "--wait", "30s", "--json", "--exec")
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        def worker(name, server):
            taken, go = (os.path.join(folder, f"{name}-{word}") for word in ("taken", "go"))
            script = f"touch {taken}; until [ -e {go} ]; do sleep 0.05; done"
            process = stack.enter_context(subprocess.Popen([FILA, "--server", server, *work, script], text=True,
                                                           stdout=subprocess.PIPE, stderr=subprocess.PIPE))
            stack.callback(process.kill)
            stack.callback(lambda: open(go, "w", encoding="utf-8").close())
            wait_until(f"the {name} worker takes the task", lambda: os.path.exists(taken))
            return process, lambda: open(go, "w", encoding="utf-8").close()

        def outcome(process):
            out, error = process.communicate(timeout=PATIENCE_SECONDS)
            return json.loads(out), error

        early, let_early_go = worker("early", cluster.server(leader))
        early.send_signal(signal.SIGSTOP)
        docker("pause", cluster.container(f"node{leader}"))
        stack.callback(lambda: early.send_signal(signal.SIGCONT))
        late, let_late_go = worker("late", others)
        docker("unpause", cluster.container(f"node{leader}"))
        cluster.wait_in_step()
        let_early_go()
        early.send_signal(signal.SIGCONT)
        first, error = outcome(early)
        check(not first["acked"] and "its lease had ended" in error, f"the old lease is worth nothing: {first} {error}")
        let_late_go()
        second, error = outcome(late)
        check(second["acked"] and second["attempt"] == 2, f"the new lease holds: {second} {error}")
        (begin1, end1), (begin2, _) = leases_of([first, second], lease_seconds=2)
        check(begin1 < end1 <= begin2, "the new lease began when the old one had ended")


def rolling_restart_fails_no_call(cluster):
    before = {node: cluster.container(f"node{node}") for node in NODES}
    cluster.use(cluster.images.next)
    wanted = docker("image", "inspect", "-f", "{{.Id}}", cluster.images.next).strip()
    with Load(cluster.server(1), (cluster.server(2), cluster.server(3)), "rolling", CALL_SECONDS) as load:
        load.wait_for_more(TASKS_BETWEEN_FAULTS)
        with cluster.watch_live() as live:
            cluster.script("rolling-restart.sh")
        load.wait_for_more(TASKS_BETWEEN_FAULTS)
        moments = [count for count in live if count is not None]
        check(moments and min(moments) >= len(NODES) - 1, f"at most one node at a time is down: of {len(NODES)} answer {moments}")
        print(load.finish(cluster.server()))
    for node in NODES:
        check(cluster.container(f"node{node}") != before[node] and cluster.inspect(f"node{node}", "{{.Image}}") == wanted,
              f"node {node} runs in a container of the next image")
    load.check_exactly_once()
    load.check_no_call_failed()


def rolling_restart_stops_at_a_node_that_does_not_come_back(cluster):
    others = [cluster.container(f"node{node}") for node in (2, 3)]
    with cluster.override("services: {node1: {environment: {FILA_LEASE_DEFAULT: never}}}"):
        try:
            cluster.script("rolling-restart.sh", "--wait", "2")
        except AssertionError as failure:
            check("node1 is not ready and in step after 2 s" in str(failure) and 'FILA_LEASE_DEFAULT: lease_default "never"' in str(failure),
                  f"the script says which node and why: {failure}")
        else:
            check(False, "a node that does not start ends the script")
    check([cluster.container(f"node{node}") for node in (2, 3)] == others, "the other nodes are left alone")
    cluster.enqueue(2, "stopped", "served by the others")
    cluster.script("rolling-restart.sh", "node1")
    cluster.wait_in_step()


def nodes_stop_in_time_and_come_back(cluster):
    tasks = {cluster.enqueue(node, "kept", f"task {node}") for node in NODES}
    leader = cluster.leader()
    began = time.monotonic()
    docker("stop", "-t", str(2 * GRACE_SECONDS), cluster.container(f"node{leader}"))
    took = time.monotonic() - began
    check(took < GRACE_SECONDS, f"a leader stops within its grace period: {took:.1f} s")
    check(cluster.inspect(f"node{leader}", "{{.State.ExitCode}}") == "0", "a node ends with 0 at SIGTERM")
    check("handover_sent" in cluster.compose("logs", "--no-color", "--tail", "200", f"node{leader}"), "the leader hands over")
    cluster.compose("up", "-d", "--no-build")
    cluster.wait_in_step()
    cluster.compose("stop")
    codes = [cluster.inspect(f"node{node}", "{{.State.ExitCode}}") for node in NODES]
    check(codes == ["0"] * len(NODES), f"all nodes stopped at once end with 0: {codes}")
    cluster.compose("up", "-d", "--no-build")
    cluster.wait_in_step()
    out = cluster.fila(2, "work", "--queue", "kept", "--count", str(len(tasks)), "--json")
    check({json.loads(line)["task_id"] for line in out.splitlines()} == tasks, "what was in is still in")


def lost_node_is_replaced(cluster):
    cluster.enqueue(1, "replaced", "before the loss")
    cluster.compose("rm", "-s", "-f", "node2")
    docker("volume", "rm", f"{cluster.name}_node2")
    cluster.compose("up", "-d", "--no-build", "node2")
    def wiped():
        return [member for member in (cluster.status(2) or {}).get("members", []) if "wiped" in member["condition"]]
    wait_until("the new disk is known as one", wiped)
    cluster.fila(1, "cluster", "replace-member", "--node", "2")
    cluster.wait_in_step()
    check(cluster.ready("replaced") == 1, "the task is there")


def legacy_clients_at_loopback_have_the_host_network(cluster):
    cluster.compose("down")
    with cluster.files("docker-compose.host-network.yml"):
        cluster.compose("up", "-d", "--no-build")
        cluster.wait_in_step()
        check(cluster.ready("replaced") == 1, "the data is the same")
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(PATIENCE_SECONDS)
            where = {"reply_host": "127.0.0.1", "reply_port": listener.getsockname()[1]}
            ask_legacy(cluster.json_port(1), {"payload": "to 127.0.0.1", **where}).close()
            with listener.accept()[0] as connection:
                check('"enqueue_ack"' in line_of(connection), "the reply comes to 127.0.0.1")
        cluster.compose("down")


def nothing_is_left_behind(cluster):
    cluster.remove()
    check(cluster.leftovers() == "", f"containers, volumes and networks are gone: {cluster.leftovers()}")


TESTS = (image_holds_only_what_runs, nodes_start_together_and_serve, clients_are_served_wherever_they_are,
         legacy_clients_on_this_machine_are_served, nothing_is_lost_or_leased_twice_under_faults,
         lease_of_before_a_pause_is_stale, rolling_restart_fails_no_call,
         rolling_restart_stops_at_a_node_that_does_not_come_back, nodes_stop_in_time_and_come_back,
         lost_node_is_replaced, legacy_clients_at_loopback_have_the_host_network, nothing_is_left_behind)


def name_of(test):
    return "Compose." + test.__name__.title().replace("_", "")


def report(test, began, word):
    print(f"[{word}] {name_of(test)} ({int((time.monotonic() - began) * 1000)} ms)", flush=True)


def run_tests(tests, cluster=None):
    """True if all passed. They build on one another, so the first that fails is the last that runs."""
    for test in tests:
        print(f"[ RUN      ] {name_of(test)}", flush=True)
        began = time.monotonic()
        try:
            test(cluster)
        except (AssertionError, subprocess.SubprocessError, OSError, ValueError, LookupError) as problem:
            print(f"{type(problem).__name__}: {problem}")
            if cluster:
                print(f"the nodes' logs are kept in {keep_logs(cluster)}; the tests after this one did not run")
            report(test, began, "  FAILED  ")
            return False
        report(test, began, "       OK ")
    return True


def keep_logs(cluster):
    folder = tempfile.mkdtemp(prefix="fila-compose-")
    with open(os.path.join(folder, "logs"), "w", encoding="utf-8") as file:
        for arguments in (["ps"], ["logs", "--no-color", "-t"]):
            subprocess.run([*cluster.command, *arguments], env=cluster.environment, cwd=TOP, stdout=file, stderr=file,
                           timeout=PATIENCE_SECONDS, check=False)
    return folder


def skip_all(why):
    for test in TESTS:
        print(f"[ RUN      ] {name_of(test)}\n{why}")
        report(test, time.monotonic(), "  SKIPPED ")


def main():
    arguments = sys.argv[1:]
    if arguments in (["-h"], ["--help"]):
        print(__doc__.strip())
        return 0
    if arguments not in ([], ["--whole-image"]):
        print(f"compose_test.py: unknown arguments {' '.join(arguments)} (compose_test.py --help)", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if not run_tests([planted_violations_are_found]):
        return 1
    try:
        need_engine(whole_image=bool(arguments))
    except Skipped as why:
        skip_all(why)
        return 0
    name = f"fila-test-{os.getpid()}"
    images = Images(name)
    cluster = Compose(name, images)
    try:
        if arguments:
            images.build_whole()
        else:
            images.build_around(os.path.dirname(FILA))
        return 0 if run_tests(TESTS, cluster) else 1
    finally:
        subprocess.run([*cluster.command, "down", "-v", "--remove-orphans", "-t", "1"], env=cluster.environment, cwd=TOP,
                       capture_output=True, check=False)
        images.remove()


if __name__ == "__main__":
    sys.exit(main())
