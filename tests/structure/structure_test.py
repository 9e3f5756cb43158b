#!/usr/bin/env python3
"""Checks the source tree by rules.py, and rules.py by planted violations. Reports in gtest's words."""

import os
import shutil
import subprocess
import sys
import time

import rules

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# What each rule must find: (rule, path, text with a violation, the same without).
PLANTED = [
    (rules.arrows, "server/queue/x.cc", '#include "server/replica/replica.h"', '#include "common/ids.h"'),
    (rules.arrows, "server/api/x.cc", '#include "server/node/node.h"', '#include "server/api/backend.h"'),
    (rules.arrows, "server/gateway/x.cc", '#include "server/api/queue_service.h"', '#include "server/api/validation.h"'),
    (rules.arrows, "server/node/x.cc", '#include "server/api/queue_service.h"', '#include "server/api/backend.h"'),
    (rules.arrows, "common/x.h", '#include "server/api/backend.h"', '#include "fila/v1/queue.pb.h"'),
    (rules.arrows, "client/x.cc", '#include "server/api/backend.h"', '#include "client/client.h"'),
    (rules.purity, "server/replica/x.cc", "auto t = absl::Now();", "// absl::Now() is the node's\n"),
    (rules.purity, "server/replica/x.cc", "#include <thread>", "#include <vector>"),
    (rules.purity, "server/algorithms/x.cc", "std::mutex m;", "int m;"),
    (rules.purity, "server/queue/x.cc", '#include "rocksdb/db.h"', '#include "server/queue/table.h"'),
    (rules.purity, "server/queue/x.cc", "LOG(INFO) << 1;", "LogIndex index;"),
    (rules.purity, "server/queue/x.cc", "auto t = std::chrono::steady_clock::now();", "int t;"),
    (rules.libraries_in_their_place, "server/node/x.h", "#include <grpcpp/grpcpp.h>", "#include <vector>"),
    (rules.libraries_in_their_place, "server/node/x.h", '#include "fila/v1/queue.grpc.pb.h"', '#include "fila/v1/queue.pb.h"'),
    (rules.libraries_in_their_place, "server/journal/x.cc", '#include "rocksdb/db.h"', "#include <string>"),
    (rules.libraries_in_their_place, "server/gateway/reply_address.cc", "#include <asio.hpp>", "#include <string>"),
    (rules.client_sees_public_protos_only, "client/x.cc", '#include "fila/peer/v1/peer.pb.h"', '#include "fila/v1/queue.pb.h"'),
    (rules.no_sleeps_in_tests, "tests/unit/x_test.cc", "std::this_thread::sleep_for(x);", "WaitUntil(x);"),
    (rules.nothing_left_unfinished, "common/x.cc", "// TO" "DO later", "// done"),
    (rules.nothing_left_unfinished, "common/x.cc", '"/ho' 'me/me/x"', '"data/x"'),
    (rules.proto_is_commented, "protos/fila/v1/x.proto", "// M.\nmessage M {\n  string a = 1;\n}",
     "// M.\nmessage M {\n  // A.\n  string a = 1;\n}"),
    (rules.proto_is_commented, "protos/fila/v1/x.proto", "// E.\nenum E {\n  E_A = 0;\n}", "// E.\nenum E {\n  // A.\n  E_A = 0;\n}"),
    (rules.headers_are_the_manual, "common/x.h", "#ifndef FILA_COMMON_X_H_\n", "// X.\n#ifndef FILA_COMMON_X_H_\n"),
    (rules.headers_are_the_manual, "common/x.h", "// X.\n#ifndef X_H\n", "// X.\n#ifndef FILA_COMMON_X_H_\n"),
    (rules.files_hold_one_idea, "common/x.cc", "\n" * rules.FILE_LINES_MAX, "\n"),
    (rules.files_hold_one_idea, "common/x.cc", "x" * (rules.COLUMNS_MAX + 1), "x" * rules.COLUMNS_MAX),
    (rules.documents_link_to_what_exists, "README.md", "[a](docs/ABSENT.md)", "[a](README.md) [b](https://a.b/c.md)"),
    (rules.documents_link_to_what_exists, "common/x.cc", "// docs/ABSENT.md", "// docs"),
    *((rules.algorithms_name_what_exists, "docs/ALGORITHMS.md", f"| a | b | c | d | e | f |\n{bad}", "")
      for bad in ("| A | p | `server/absent.h` | unit: – | – | – |", "| A | p | – | unit: `Absent` | – | – |",
                  "| A | p | – | unit: – | `absent` | – |", "| A | p | – | unit: – | – | `absent_event` |")),
    (rules.metrics_are_documented, "server/metrics/catalog.cc", '{"fila_a", Type::kGauge, {}, "A.", 1, F},', ""),
    (rules.translation_shows_the_same, "docs/pt-BR/ROTEIRO.md", "| B | `fila absent` |", "> `fila`"),
]


class Skipped(Exception):
    """Why a test can't run here."""


def tracked_files():
    """The text files that git knows, or would with `git add .`; outside of a git tree, all that are no build output."""
    try:
        listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=TOP, capture_output=True, text=True,
                                check=True).stdout.split("\n")
    except (OSError, subprocess.CalledProcessError):
        listed = [os.path.relpath(os.path.join(folder, name), TOP) for folder, _, names in os.walk(TOP) for name in names]
        listed = [path for path in listed if not path.startswith(("build/", "data/", ".git/", ".cache/"))]
    tree = {}
    for path in filter(None, listed):
        try:
            with open(os.path.join(TOP, path), encoding="utf-8") as file:
                tree[path] = file.read()
        except (UnicodeDecodeError, OSError):
            continue  # not text, or deleted
    return tree


def tool(*names):
    for name in names:
        for place in (None, os.path.join(TOP, ".cache/bin"), os.path.expanduser("~/go/bin")):
            found = shutil.which(name, path=place)
            if found:
                return found
    raise Skipped(f"{names[0]} is not at hand")


def output_of(command):
    done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)
    return [] if done.returncode == 0 else (done.stdout + done.stderr).strip().split("\n")


def clang_format(tree):
    formatter = tool("clang-format-14")
    files = [path for path, _ in rules.sources(tree)]
    return [line for line in output_of([formatter, "--dry-run", "-Werror", *files]) if ": error:" in line]


def buf_lint(_):
    return output_of([tool("buf"), "lint"])


def buf_breaking(_):
    buf = tool("buf")
    tags = subprocess.run(["git", "tag", "--list", "v*", "--sort=-v:refname"], cwd=TOP, capture_output=True, text=True,
                          check=False).stdout.split()
    if not tags:
        raise Skipped("there is no release yet to compare the protos with")
    return output_of([buf, "breaking", "--against", f".git#tag={tags[0]}"])


def alert_rules(_):
    return output_of([tool("promtool"), "check", "rules", "docker/alerts.yml"])


def planted(rule, path, bad, good):
    def test(_):
        problems = []
        if not list(rule({path: bad})):
            problems.append(f"missed in {path}: {bad[:80]!r}")
        problems += [f"found without cause: {found}" for found in rule({path: good})]
        return problems
    return test


def run(name, test, tree):
    """Runs one test; true if it passed or was skipped."""
    print(f"[ RUN      ] {name}")
    start = time.monotonic()
    try:
        problems, end = list(test(tree)), ""
    except Skipped as why:
        problems, end = [], str(why)
    for problem in problems:
        print(problem)
    if end:
        print(end)
    word = "  FAILED  " if problems else "  SKIPPED " if end else "       OK "
    print(f"[{word}] {name} ({int((time.monotonic() - start) * 1000)} ms)")
    return not problems


def main():
    tree = tracked_files()
    tests = [(f"Tree.{rule.__name__}", rule) for rule in (*rules.ALL, clang_format, buf_lint, buf_breaking, alert_rules)]
    tests += [(f"Planted.{case[0].__name__}/{n}", planted(*case)) for n, case in enumerate(PLANTED)]
    uncovered = set(rules.ALL) - {case[0] for case in PLANTED}
    tests.append(("Planted.every_rule_is_tested", lambda _: [rule.__name__ for rule in uncovered]))
    results = [run(name, test, tree) for name, test in tests]
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
