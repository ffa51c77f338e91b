"""Plays Lambda for the functions and times their shell. Usage: shell.py FOLDER [RUNS], with the release binaries in FOLDER

    cargo build --release --workspace --bins --example noop && python3 tests/bench/shell.py target/release

Of each function: from the process's start to its first poll (median of RUNS, 20 unless said), and the resident memory of a
process that waits. Of `examples/noop`, the shell with a handler that does nothing: messages a second through one process, as
batches come one after the other, and messages per CPU second of that process.
"""

import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

BATCHES = 20_000
QUEUES = ("SEARCH", "DOWNLOAD", "WRITE", "COMMIT", "INGEST")
# As on AWS; nobody is asked before the first poll, but by `commit`, which opens its lake: it gets a folder.
SETTINGS = {
    "SWATH_LAKE": "s3://lake/base",
    "SWATH_OUT": "s3://lake/assets",
    "SWATH_INBOX": "s3://inbox",
    **{f"SWATH_{name}_QUEUE": f"https://sqs.eu-west-1.amazonaws.com/000000000000/{name.lower()}" for name in QUEUES},
    "AWS_REGION": "eu-west-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_LAMBDA_FUNCTION_VERSION": "1",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024",
}


class Runtime:
    """Lambda's runtime interface: hands out `count` events, then lets whoever polls wait."""

    def __init__(self, event=b"", count=0):
        self.left, self.polled, self.done = count, threading.Event(), threading.Event()
        head = (
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nLambda-Runtime-Aws-Request-Id: 8476a536\r\n"
            "Lambda-Runtime-Deadline-Ms: 4102444800000\r\nLambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:eu-west-1:1:function:f\r\n"
            f"Content-Length: {len(event)}\r\n\r\n"
        )
        self.event = head.encode() + event
        self.server = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.server.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.server.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        requests = connection.makefile("rb")
        while line := requests.readline():
            length = 0
            while (header := requests.readline()) not in (b"\r\n", b""):
                if header[:15].lower() == b"content-length:":
                    length = int(header[15:])
            answer = requests.read(length)
            if line.startswith(b"GET"):
                if not self.next(connection):
                    return
            else:
                if answer != b'{"batchItemFailures":[]}':
                    raise SystemExit(f"the function answered {answer}")
                connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")

    def next(self, connection):
        self.polled.set()
        if self.left:
            self.left -= 1
            connection.sendall(self.event)
            return True
        self.done.set()
        # The process is ended from outside while it waits.
        connection.recv(1)
        return False


def start(binary, runtime, lake):
    settings = {**SETTINGS, "SWATH_LAKE": str(lake)} if binary.name == "commit" else SETTINGS
    environment = {**settings, "AWS_LAMBDA_RUNTIME_API": runtime.address, "AWS_LAMBDA_FUNCTION_NAME": binary.name}
    return subprocess.Popen([binary], env=environment, stdout=subprocess.DEVNULL)


def ended(process):
    process.kill()
    process.wait()


def awaited(event, process, what):
    while not event.wait(timeout=0.5):
        if process.poll() is not None:
            raise SystemExit(f"{what}: the process ended with exit code {process.returncode}")


def first_poll(binary, lake):
    """Returns milliseconds from start to first poll, and MiB that the process holds while it waits."""
    runtime = Runtime()
    begin = time.perf_counter()
    process = start(binary, runtime, lake)
    try:
        awaited(runtime.polled, process, binary.name)
        elapsed = time.perf_counter() - begin
        status = Path(f"/proc/{process.pid}/status").read_text()
        held = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
    finally:
        ended(process)
        runtime.server.close()
    return elapsed * 1000, held / 1024


def throughput(binary, messages):
    """Returns messages a second, and messages per CPU second of the function."""
    body = json.dumps({"version": 1, "run_id": "0123456789abcdef", "kind": "RepairAssets", "body": {"predicate": "true"}})
    records = [
        {"messageId": f"19dd0b57-b21e-4ac1-bd88-{n:012}", "body": body, "eventSource": "aws:sqs",
         "eventSourceARN": "arn:aws:sqs:eu-west-1:000000000000:q",
         "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1718000000000"}}
        for n in range(messages)
    ]
    batches = BATCHES // messages
    runtime = Runtime(json.dumps({"Records": records}).encode(), batches)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = start(binary, runtime, None)
    awaited(runtime.polled, process, binary.name)
    begin = time.perf_counter()
    awaited(runtime.done, process, binary.name)
    elapsed = time.perf_counter() - begin
    ended(process)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return batches * messages / elapsed, batches * messages / cpu


def main():
    binaries, runs = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 20
    root = Path(__file__).resolve().parents[2]
    print(f"{'function':<10} {'first poll, ms':>15} {'slowest':>8} {'at rest, MiB':>13}")
    with tempfile.TemporaryDirectory() as lake:
        for name in sorted(os.listdir(root / "functions")):
            found = [first_poll(binaries / name, lake) for _ in range(runs)]
            times, held = zip(*found)
            print(f"{name:<10} {statistics.median(times):>15.1f} {max(times):>8.1f} {max(held):>13.1f}")
    for messages in (1, 10, 100):
        a_second, a_cpu_second = throughput(binaries / "examples/noop", messages)
        print(f"batches of {messages}: {a_second:,.0f} messages a second, {a_cpu_second:,.0f} per CPU second")


if __name__ == "__main__":
    main()
