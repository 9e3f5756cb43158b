"""The Docker engine as the test of the containers uses it: images, and the nodes of one project of docker-compose.yml."""

import contextlib
import json
import os
import platform
import random
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time

from load import FILA, PATIENCE_SECONDS, TASKS_PER_SECOND, TOP, run

BASE = "debian:bookworm-slim"
NODES = (1, 2, 3)
PULL_SECONDS_MAX = 60
BUILD_SECONDS_MAX = 3600
LAG_ENTRIES_MAX = TASKS_PER_SECOND
MOMENT_SECONDS_MAX = 0.2


class Skipped(Exception):
    """Why the tests can't run here."""


def check(true, what):
    if not true:
        raise AssertionError(what)


def wait_until(what, condition, seconds=PATIENCE_SECONDS):
    """Returns what the condition returned once that is true; fails with `what` after the bound."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        check(time.monotonic() < deadline, f"not within {seconds} s: {what}")
        time.sleep(0.05)


def docker(*arguments, seconds=PATIENCE_SECONDS):
    return run(["docker", *arguments], seconds)


def free_base_port():
    """The first of ten ports in a row that nobody listens at."""
    while True:
        base = random.randrange(20000, 30000, 10)
        with contextlib.ExitStack() as stack:
            try:
                for port in range(base, base + 10):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
                return base
            except OSError:
                continue


class Images:
    """Two images of this run: `now`, and `next`, that a rolling restart brings in."""

    def __init__(self, name):
        self.name, self.now, self.next = name, f"{name}:now", f"{name}:next"

    def build_whole(self):
        run([os.path.join(TOP, "docker/make-base.sh")], BUILD_SECONDS_MAX)
        build = ("build", "-q", "-f", os.path.join(TOP, "docker/Dockerfile"))
        docker(*build, "-t", self.now, TOP, seconds=BUILD_SECONDS_MAX)
        docker(*build, "-t", self.next, "--build-arg", "FILA_VERSION=next", TOP, seconds=BUILD_SECONDS_MAX)
        check(docker("run", "--rm", self.next, "--version") == "filad next\n", "the next image has a version of its own")

    def build_around(self, programs):
        """The Dockerfile with a stage `build` that has the programs instead of building them."""
        with open(os.path.join(TOP, "docker/Dockerfile"), encoding="utf-8") as file:
            stages = re.split(r"^(?=FROM )", file.read(), flags=re.MULTILINE)
        build = [number for number, stage in enumerate(stages) if re.match(r"FROM \S+ AS build\n", stage)]
        check(len(build) == 1, "docker/Dockerfile has a stage named build")
        stages[build[0]] = f"FROM scratch AS build\nLABEL fila.test={self.name}\nCOPY image /image/\n"
        with tempfile.TemporaryDirectory() as context:
            target = os.path.join(context, "image/usr/local/bin")
            os.makedirs(target)
            for program in ("filad", "fila"):
                run(["strip", "--strip-debug", "-o", os.path.join(target, program), os.path.join(programs, program)])
            dockerfile = os.path.join(context, "Dockerfile")
            with open(dockerfile, "w", encoding="utf-8") as file:
                file.write("".join(stages))
            # Under a name that stays: the libraries are the same in the next run.
            docker("build", "-q", "--target", "runtime", "-t", "fila-test:runtime", context, seconds=BUILD_SECONDS_MAX)
            docker("build", "-q", "-t", self.now, context, seconds=BUILD_SECONDS_MAX)
            with open(dockerfile, "w", encoding="utf-8") as file:
                file.write(f"FROM {self.now}\nLABEL fila.version=next\n")
            docker("build", "-q", "-t", self.next, context, seconds=BUILD_SECONDS_MAX)

    def remove(self):
        # What the whole build left stays, as the cache of the next one.
        for command in (["rmi", self.next, self.now], ["image", "prune", "-f", "--filter", f"label=fila.test={self.name}"]):
            subprocess.run(["docker", *command], capture_output=True, check=False)


class Compose:
    """One project of docker-compose.yml on this machine."""

    def __init__(self, name, images):
        self.name, self.images = name, images
        self.base = free_base_port()
        self.command = compose_command()
        self.environment = {**os.environ, "COMPOSE_PROJECT_NAME": name, "COMPOSE_FILE": os.path.join(TOP, "docker-compose.yml")}
        for node in NODES:
            self.environment[f"FILA_NODE{node}_PORT"] = str(self.port(node))
            self.environment[f"FILA_NODE{node}_JSON_PORT"] = str(self.json_port(node))
            self.environment[f"FILA_NODE{node}_HTTP_PORT"] = str(self.http_port(node))
        self.use(images.now)

    def use(self, image):
        self.environment["FILA_IMAGE"] = image

    @contextlib.contextmanager
    def files(self, *names):
        """Other compose files than docker-compose.yml."""
        usual = self.environment["COMPOSE_FILE"]
        self.environment["COMPOSE_FILE"] = os.pathsep.join(os.path.join(TOP, name) for name in names)
        try:
            yield
        finally:
            self.environment["COMPOSE_FILE"] = usual

    @contextlib.contextmanager
    def override(self, text):
        """docker-compose.yml with a file of this text laid over it."""
        with tempfile.NamedTemporaryFile("w", suffix=".yml", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            with self.files("docker-compose.yml", file.name):
                yield

    def port(self, node):
        return self.base + node

    def json_port(self, node):
        return self.base + len(NODES) + node

    def http_port(self, node):
        return self.base + 2 * len(NODES) + node

    def server(self, *nodes):
        return ",".join(f"127.0.0.1:{self.port(node)}" for node in nodes or NODES)

    def compose(self, *arguments, seconds=PATIENCE_SECONDS):
        return run([*self.command, *arguments], seconds, env=self.environment, cwd=TOP)

    def script(self, name, *arguments, seconds=10 * PATIENCE_SECONDS):
        return run([os.path.join(TOP, "docker", name), *arguments], seconds, env=self.environment, cwd=TOP)

    def container(self, service):
        return docker("ps", "-aq", "--filter", f"label=com.docker.compose.project={self.name}",
                      "--filter", f"label=com.docker.compose.service={service}").strip()

    def inspect(self, service, template):
        return docker("inspect", "-f", template, self.container(service)).strip()

    def shell(self, service, command):
        return docker("exec", self.container(service), "sh", "-c", command)

    def status(self, *nodes):
        """What the first of the nodes that answers knows; None if none does."""
        done = subprocess.run([FILA, "--server", self.server(*nodes), "status", "--json"], capture_output=True, text=True,
                              timeout=PATIENCE_SECONDS, check=False)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def leader(self, *nodes):
        """Who leads, for the nodes; None if nobody."""
        return ((self.status(*nodes) or {}).get("leader_id")) or None

    def in_step(self):
        """True if each node reaches every other, follows the same leader and has what that has."""
        seen = [self.status(node) for node in NODES]
        return (all(seen) and len({(one["leader_id"], one["epoch"]) for one in seen}) == 1 and seen[0]["leader_id"] != 0
                and all(member["reachable"] and member["condition"] == "" for one in seen for member in one["members"])
                and max(one["commit_index"] for one in seen) - min(one["commit_index"] for one in seen) < LAG_ENTRIES_MAX)

    def wait_in_step(self):
        wait_until("all nodes are in step", self.in_step)

    def live(self):
        """How many nodes answer; None if it took too long to ask them to be of one moment."""
        began = time.monotonic()
        asked = subprocess.run([FILA, "--server", self.server(), "health", "--live", "--json"], capture_output=True, text=True,
                               timeout=PATIENCE_SECONDS, check=False)
        count = sum(json.loads(line)["live"] for line in asked.stdout.splitlines())
        return count if time.monotonic() - began < MOMENT_SECONDS_MAX else None

    @contextlib.contextmanager
    def watch_live(self):
        """Looks all the time how many nodes answer; yields the list of what was seen."""
        seen, over = [], threading.Event()

        def watch():
            while not over.wait(MOMENT_SECONDS_MAX):
                seen.append(self.live())

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield seen
        finally:
            over.set()
            watcher.join(PATIENCE_SECONDS)

    def fila(self, node, *arguments):
        return run([FILA, "--server", self.server(node), *arguments])

    def enqueue(self, node, queue, payload):
        return json.loads(self.fila(node, "enqueue", "--queue", queue, "--payload", payload, "--json"))["task_id"]

    def ready(self, queue):
        return json.loads(self.fila(1, "queue", "stats", "--queue", queue, "--json"))["ready"]

    @property
    def network(self):
        return f"{self.name}_cluster"

    def disconnect(self, node):
        docker("network", "disconnect", self.network, self.container(f"node{node}"))

    def connect(self, node):
        # The name by which the others know it is not given back by itself.
        docker("network", "connect", "--alias", f"node{node}", self.network, self.container(f"node{node}"))

    def remove(self):
        self.compose("down", "-v", "--remove-orphans", seconds=2 * PATIENCE_SECONDS)

    def leftovers(self):
        label = f"label=com.docker.compose.project={self.name}"
        return "".join(docker(*what, "-q", "--filter", label) for what in (("ps", "-a"), ("volume", "ls"), ("network", "ls")))


def compose_command():
    for command in (["docker", "compose"], ["docker-compose"]):
        try:
            if subprocess.run([*command, "version"], capture_output=True, check=False).returncode == 0:
                return command
        except OSError:
            continue
    raise Skipped("neither docker compose nor docker-compose is at hand")


def need_engine(whole_image):
    if not shutil.which("docker"):
        raise Skipped("there is no docker command (apt-get install docker.io docker-compose)")
    if subprocess.run(["docker", "version"], capture_output=True, check=False).returncode != 0:
        raise Skipped("the Docker engine does not answer")
    compose_command()
    if whole_image:
        return
    if platform.freedesktop_os_release().get("VERSION_CODENAME") != "bookworm":
        raise Skipped("build/release was not built on Debian bookworm, as the image is; --whole-image builds it there")
    have = subprocess.run(["docker", "image", "inspect", BASE], capture_output=True, check=False).returncode == 0
    with contextlib.suppress(subprocess.TimeoutExpired):
        have = have or subprocess.run(["docker", "pull", BASE], capture_output=True, check=False,
                                      timeout=PULL_SECONDS_MAX).returncode == 0
    if not have:
        raise Skipped(f"there is no image {BASE}, and it can't be pulled (docker/make-base.sh makes it)")
