#!/usr/bin/env python3
"""Runs what documents show of grpcurl and ghz against a cluster of this build, and compares; prints gtest's words.

In a ```console block a line after "$ " is a command (a trailing backslash continues it), the lines below are what it prints.
"…" within a line stands for anything; a line that is "…" for any lines. Blocks of one document share a shell and its folder.
"""

import os
import pathlib
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
DOCUMENTS = {"README.md": "Transcript.Readme", "docs/GRPCURL.md": "Transcript.EveryCallWithGrpcurl"}
TOOLS = ("grpcurl", "ghz")
SECONDS_MAX = 120
PORT_SHOWN = 50051
MARK = "\001"


def steps(text):
    """[command, expected lines] of the document's console blocks."""
    found = []
    for block in re.findall(r"^```console\n(.*?)^```$", text, re.M | re.S):
        continued = False
        for line in block.rstrip("\n").split("\n"):
            if continued:
                found[-1][0] += "\n" + line
            elif line.startswith("$ "):
                found.append([line[2:], []])
            else:
                found[-1][1].append(line)
            continued = line.endswith("\\")
    return found


def pattern(lines):
    """A regular expression for what a command may print."""
    parts = [r"(?:[^\n]*\n)*?" if line == "…" else
             ".*".join(re.escape(part) for part in line.split("…")) + "\n" for line in lines]
    return re.compile("".join(parts) + r"\Z")


def free_port():
    while True:
        port = random.randrange(20000, 30000)
        try:
            for i in range(3):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port + i))
            return port
        except OSError:
            continue


def play(found, port, folder):
    """The first step that does not print what is shown, as text; None if all do."""
    shift = lambda text: re.sub(r"127\.0\.0\.1:(5005\d)\b", lambda m: f"127.0.0.1:{int(m[1]) - PORT_SHOWN + port}", text)
    script = "".join(f"printf '{MARK}'\n{shift(command)}\n" for command, _ in found) + f"printf '{MARK}end'"
    done = subprocess.run(["bash", "-c", script], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=SECONDS_MAX, check=False)
    _, *printed_each, end = done.stdout.split(MARK)
    if end != "end" or len(printed_each) != len(found):
        return f"the shell ended after {len(printed_each)} of {len(found)} commands:\n{end}"
    for (command, expected), printed in zip(found, printed_each):
        if not pattern([shift(line) for line in expected]).match(printed):
            return f"$ {command}\n-- shown\n" + "\n".join(expected) + "\n-- printed\n" + printed
    return None


def main():
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    failed = False
    for document, name in DOCUMENTS.items():
        print(f"[ RUN      ] {name}", flush=True)
        start = time.monotonic()
        result, said = "       OK", None
        if missing:
            result, said = "  SKIPPED", f"{' and '.join(missing)} not at hand"
        else:
            found = steps((TOP / document).read_text())
            with tempfile.TemporaryDirectory(prefix="fila-transcript-") as folder:
                port = free_port()
                cluster = [str(TOP / "run-local.sh"), "--base-port", str(port), "--data-dir", folder + "/data"]
                try:
                    subprocess.run(cluster + ["--detach"], stdout=subprocess.DEVNULL, check=True, timeout=SECONDS_MAX)
                    said = play(found, port, folder) if found else "it shows no command"
                finally:
                    subprocess.run(cluster + ["--stop"], stdout=subprocess.DEVNULL, check=False)
            if said is not None:
                result, failed = "  FAILED ", True
        if said is not None:
            print(said)
        print(f"[{result} ] {name} ({int((time.monotonic() - start) * 1000)} ms)", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    os.environ["PATH"] += f"{os.pathsep}{TOP / '.cache/bin'}"
    sys.exit(main())
