"""The rules of the source tree. Each takes a tree, {path: text} of the tracked files, and yields its violations as text."""

import os
import re

# Which folders a folder may include; protos stands for generated headers, except gRPC's.
ARROWS = {
    "common": {"protos"},
    "server/algorithms": {"common", "protos"},
    "server/queue": {"common", "protos"},
    "server/replica": {"server/algorithms", "server/queue", "common", "protos"},
    "server/journal": {"common", "protos"},
    "server/store": {"server/queue", "common", "protos"},
    "server/security": {"common"},
    "server/transport": {"server/security", "common", "protos"},
    "server/connections": {"common"},
    "server/api": {"server/connections", "server/security", "common", "protos"},
    "server/gateway": {"server/security", "common", "protos"},
    "server/settings": {"common"},
    "server/metrics": {"common", "protos"},
    "server/http": {"server/security", "common"},
    "server/node": {"server/replica", "server/journal", "server/store", "server/queue", "common", "protos"},
    "client": {"common", "protos"},
}
# Headers that a folder may include besides: the interfaces through which node meets api and transport.
INTERFACES = {
    "server/node": {"server/metrics/instruments.h", "server/metrics/reading.h", "server/api/backend.h", "server/transport/mesh.h", "server/transport/peer_events.h",
                    "server/transport/state_copy.h"},
    # The gateway asks the node for the same things as the gRPC services, by the same rules.
    "server/gateway": {"server/api/authorization.h", "server/api/backend.h", "server/api/bounds.h", "server/api/errors.h", "server/api/limits.h",
                       "server/api/validation.h"},
    # `fila inspect` reads a stopped node's disk.
    "client": {"server/journal/data_directory.h", "server/journal/journal.h", "server/store/live_store.h",
               "server/store/store.h",
               "server/queue/table.h", "server/queue/task_machine.h", "server/queue/views.h"},
}
# Folders whose code is a function of its arguments.
PURE = ("server/algorithms/", "server/replica/", "server/queue/")
# Where a library's headers may be included; each is slow to compile or belongs to one layer.
LIBRARIES = {
    r"grpcpp/|grpc/|.*\.grpc\.pb\.h": ("server/api/", "server/transport/", "server/security/credentials.", "server/connections/stream_meter.cc", "server/main", "client/"),
    r"rocksdb/": ("server/store/",),
    r"isa-l": ("common/",),
    r"CLI/": ("server/settings/flags.cc", "client/"),
    r"toml\+\+/": ("server/settings/config_file.cc", "server/security/auth_file.cc"),
    r"openssl/": ("server/security/", "client/security.cc"),
    r"nlohmann/": ("client/", "server/gateway/legacy_message.cc", "server/connections/stream_meter.cc"),
    r"asio": ("server/gateway/gateway.cc", "server/gateway/session.", "server/http/http_server.cc", "server/http/connection.", "server/http/tls_context."),
    r"httplib": ("server/http/exchange.cc",),
    r"prometheus/": ("server/metrics/text.cc",),
}
IMPURE = re.compile(
    r"#include <(thread|mutex|shared_mutex|condition_variable|future|semaphore|random|fstream|iostream|filesystem|ctime"
    r"|time\.h|unistd\.h|fcntl\.h|sys/\w+\.h|glog/.*|grpcpp/.*|rocksdb/.*)>"
    r'|#include "(absl/synchronization/.*|glog/.*|grpcpp/.*|rocksdb/.*)"'
    r"|absl::Now\(|GetCurrentTimeNanos\(|\w+_clock::now\(|\bgettimeofday\(|\btime\(nullptr\)|\bgetenv\(|\bLOG\(|\bVLOG\("
    r"|\bstd::(thread|jthread|mutex|random_device|mt19937|cout|cerr)\b|\brand\(|absl::(Mutex|BitGen|SleepFor)\b")
SLEEP = re.compile(r"\b(sleep_for|sleep_until|SleepFor|usleep|nanosleep)\b|\bsleep\(")
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
MACHINE_PATHS = re.compile(r"(?<![\w.])/(home|root|work)/\w|\.\./shared\b")

FILE_LINES_MAX = 620
TEST_LINES_MAX = 900
COLUMNS_MAX = 120


def sources(tree, *folders):
    """The C++ files below the folders (all, without folders), as (path, lines)."""
    for path, text in sorted(tree.items()):
        if path.endswith((".h", ".cc")) and (not folders or path.startswith(folders)):
            yield path, text.split("\n")


def without_comment(line):
    return re.sub(r"//.*", "", line)


def folder_of(path):
    """The folder of ARROWS that the path belongs to, or None."""
    return max((f for f in ARROWS if path.startswith(f + "/")), key=len, default=None)


def target_of(include):
    """What an #include "…" of ours means in the words of ARROWS."""
    if include.endswith(".pb.h") and include.startswith(("fila/", "google/", "grpc/")):
        return "protos"
    return folder_of(include)


def arrows(tree):
    for path, lines in sources(tree):
        here = folder_of(path)
        if here is None:
            continue
        for number, line in enumerate(lines, 1):
            match = re.match(r'#include "([^"]+)"', line)
            there = target_of(match.group(1)) if match else None
            if there in (None, here) or there in ARROWS[here] or match.group(1) in INTERFACES.get(here, ()):
                continue
            yield f"{path}:{number}: {here} may not include {match.group(1)}"


def purity(tree):
    for path, lines in sources(tree, *PURE):
        for number, line in enumerate(lines, 1):
            if IMPURE.search(without_comment(line) if not line.startswith("#") else line):
                yield f"{path}:{number}: not pure: {line.strip()}"


def libraries_in_their_place(tree):
    for path, lines in sources(tree, "common/", "server/", "client/"):
        for number, line in enumerate(lines, 1):
            match = re.match(r'#include [<"]([^">]+)[">]', line)
            for pattern, places in LIBRARIES.items():
                if match and re.match(pattern, match.group(1)) and not path.startswith(places):
                    yield f"{path}:{number}: {match.group(1)} belongs in {', '.join(places)}"


def client_sees_public_protos_only(tree):
    for path, lines in sources(tree, "client/"):
        for number, line in enumerate(lines, 1):
            if re.match(r'#include "fila/peer/', line):
                yield f"{path}:{number}: the client may not speak between nodes"


def no_sleeps_in_tests(tree):
    for path, lines in sources(tree, "tests/"):
        for number, line in enumerate(lines, 1):
            if SLEEP.search(without_comment(line)):
                yield f"{path}:{number}: a test waits for a condition, it never sleeps"


def nothing_left_unfinished(tree):
    for path, text in sorted(tree.items()):
        if path.startswith(("tests/structure/", "protos/third_party/")):
            continue
        for number, line in enumerate(text.split("\n"), 1):
            if UNFINISHED.search(line):
                yield f"{path}:{number}: unfinished: {line.strip()}"
            if MACHINE_PATHS.search(line):
                yield f"{path}:{number}: a path of one machine: {line.strip()}"


def proto_is_commented(tree):
    """Every service, rpc, message, enum, field and value has a comment line right above it."""
    element = re.compile(r"\s*(service|rpc|message|enum|oneof) \w+|\s*(repeated |optional )?[\w.<>, ]+ \w+ = \d+|\s*\w+ = \d+;")
    for path, text in sorted(tree.items()):
        if not path.endswith(".proto") or path.startswith("protos/third_party/"):
            continue
        lines = text.split("\n")
        for number, line in enumerate(lines, 1):
            if element.match(line) and not re.match(r"\s*(reserved|option)\b", line):
                if not lines[number - 2].strip().startswith("//"):
                    yield f"{path}:{number}: no comment: {line.strip()}"


def headers_are_the_manual(tree):
    """A header starts with its purpose and has the guard of its path."""
    for path, lines in sources(tree, "common/", "server/", "client/"):
        if not path.endswith(".h"):
            continue
        if not lines[0].startswith("//"):
            yield f"{path}:1: a header starts by saying what it is for"
        guard = "FILA_" + re.sub(r"\W", "_", path).upper() + "_"
        if f"#ifndef {guard}" not in lines:
            yield f"{path}: the include guard is {guard}"


def files_hold_one_idea(tree):
    for path, lines in sources(tree, "common/", "server/", "client/", "tests/"):
        most = TEST_LINES_MAX if path.startswith("tests/") else FILE_LINES_MAX
        if len(lines) > most:
            yield f"{path}: {len(lines)} lines; a file holds one idea, in at most {most}"
        for number, line in enumerate(lines, 1):
            if len(line) > COLUMNS_MAX:
                yield f"{path}:{number}: longer than {COLUMNS_MAX} columns"


def documents_link_to_what_exists(tree):
    """Relative links of Markdown files, and docs/ files that code cites."""
    folders = {os.path.dirname(path) for path in tree}
    for path, text in sorted(tree.items()):
        found = []
        if path.endswith(".md") and not path.startswith("protos/third_party/"):
            found = [os.path.normpath(os.path.join(os.path.dirname(path), link))
                     for link in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", re.sub(r"`[^`]*`", "", text))]
        elif path.endswith((".h", ".cc", ".proto", ".sh")) or path in ("run-tests.sh", "run-local.sh"):
            found = re.findall(r"\bdocs/[\w/.-]+\.md\b", text)
        for link in found:
            if link.rstrip("/") not in tree and link.rstrip("/") not in folders:
                yield f"{path}: {link} is not there"


# Where the tests are that the table of the algorithms speaks of.
TEST_FOLDERS = {"unit": "tests/unit/", "stories": "tests/scenario/", "processes": "tests/integration/",
                "checker": "tests/simulation/"}


def algorithms_name_what_exists(tree):
    """The files, tests, planted bugs and events in docs/ALGORITHMS.md exist, and no algorithm or bug is left out."""
    document = tree.get("docs/ALGORITHMS.md")
    if document is None:
        return

    def text_below(folder):
        return "\n".join(text for path, text in tree.items() if path.startswith(folder))

    def ticked(cell):
        return re.findall(r"`([^`]+)`", cell)

    bugs = set(re.findall(r'PlantedBug::k\w+, "(\w+)"', tree.get("tests/simulation/profile.cc", "")))
    absent = []
    for row in [line for line in document.split("\n") if line.startswith("| ")][1:]:
        _, _, code, tests, planted, seen = row.strip("| ").split(" | ")
        absent += [path for path in ticked(code) if path not in tree]
        absent += [bug for bug in ticked(planted) if bug not in bugs]
        absent += [event for event in ticked(seen) if re.fullmatch("[a-z_]+", event) and f'"{event}' not in text_below("server/")]
        for kinds, suites in (part.split(": ") for part in tests.split(" · ")):
            for folder in (TEST_FOLDERS[kind] for kind in kinds.split(", ")):
                for suite, _, test in (name.partition(".") for name in ticked(suites)):
                    if not re.search(rf"^TEST(_F|_P)?\({suite}, {test}", text_below(folder), re.MULTILINE):
                        absent.append(f"{suite}.{test or '*'} in {folder}")
    yield from (f"docs/ALGORITHMS.md: {name} is not there" for name in absent)
    expected = bugs | {path for path in tree if re.fullmatch(r"server/algorithms/\w+\.h", path)}
    yield from (f"docs/ALGORITHMS.md: {name} is left out" for name in sorted(expected - set(ticked(document))))


def metrics_are_documented(tree):
    """docs/METRICS.md has the names, types and labels of the catalog, in its order; alert rules speak of no others."""
    catalog = tree.get("server/metrics/catalog.cc")
    if catalog is None:
        return
    declared = [(name, kind.lower(), re.findall(r'"(\w+)"', labels))
                for name, kind, labels in re.findall(r'\{"(fila_\w+)",\s*Type::k(\w+),\s*\{([^}]*)\}', catalog)]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in tree.get("docs/METRICS.md", "").split("\n")
            if line.startswith("| `fila_")]
    documented = [(row[0].strip("`"), row[1], re.findall(r"`(\w+)`", row[2])) for row in rows]
    yield from (f"docs/METRICS.md: {metric} is not as the catalog has it" for metric in documented if metric not in declared)
    yield from (f"docs/METRICS.md: {metric} is left out" for metric in declared if metric not in documented)
    if sorted(documented) == sorted(declared) and documented != declared:
        yield "docs/METRICS.md: its rows are in another order than the catalog's"
    yield from (f"docs/METRICS.md: {row[0]} has no meaning or nothing to do" for row in rows if len(row) < 5 or "" in row[3:5])
    names = {name for name, _, _ in declared}
    for used in re.findall(r"\bfila_[a-z_]+", tree.get("docker/alerts.yml", "")):
        if used not in names and re.sub(r"_(bucket|sum|count)$", "", used) not in names:
            yield f"docker/alerts.yml: no node has {used}"


def translation_shows_the_same(tree):
    """The tables of the demonstration have the same commands and outputs in both languages."""
    def shown(path):
        return [re.findall(r"`([^`]+)`", line) for line in tree.get(path, "").split("\n") if line.startswith("|")]

    one, other = shown("docs/DEMO.md"), shown("docs/pt-BR/ROTEIRO.md")
    if len(one) != len(other):
        yield f"docs/pt-BR/ROTEIRO.md: {len(other)} rows, where docs/DEMO.md has {len(one)}"
    yield from (f"docs/pt-BR/ROTEIRO.md: {b}, where docs/DEMO.md has {a}" for a, b in zip(one, other) if a != b)


ALL = (arrows, purity, libraries_in_their_place, client_sees_public_protos_only, no_sleeps_in_tests,
       nothing_left_unfinished, proto_is_commented, headers_are_the_manual, files_hold_one_idea,
       documents_link_to_what_exists, algorithms_name_what_exists, metrics_are_documented, translation_shows_the_same)
