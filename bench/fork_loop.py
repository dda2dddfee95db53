"""The plain alternative to sock: fork a warm interpreter for every call, with no isolation at all.

Imports the package once, then forks for each call; the child runs the handler, writes its JSON answer
to a pipe and leaves. Latency is from before the fork to the answer read, as a server would see it; the
child is reaped after that, which counts in calls per second only. With --empty the child runs nothing,
and latency is from before the fork to the child reaped. Writes one JSON object.
"""

import argparse
import importlib
import json
import os
import resource
import signal
import time

CALLS = 0


def handler(event, context):
    global CALLS
    CALLS += 1
    return CALLS


def call(event):
    started = time.monotonic_ns()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        os.write(writer, json.dumps(handler(json.loads(event), None)).encode())
        os._exit(0)
    os.close(writer)
    answer = os.read(reader, 65536)
    micros = (time.monotonic_ns() - started) // 1000
    os.close(reader)
    os.waitpid(child, 0)
    if answer != b"1":
        raise SystemExit(f"fork_loop: a child answered {answer!r}")
    return micros


def call_nothing():
    started = time.monotonic_ns()
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return (time.monotonic_ns() - started) // 1000


def own_cpu_us():
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    ) * 1e6


def machine_cpu_us():
    """As cpu.cc counts it."""
    with open("/proc/stat", encoding="ascii") as stat:
        user, nice, system, _, _, irq, softirq = map(int, stat.readline().split()[1:8])
    return (user + nice + system + irq + softirq) * 1e6 / os.sysconf("SC_CLK_TCK")


def work(until, options):
    latencies = []
    while time.monotonic() < until:
        if options.pause:
            time.sleep(options.pause)
        latencies.append(call_nothing() if options.empty else call("{}"))
    return latencies


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--package")
    arguments.add_argument("--seconds", type=float, required=True)
    arguments.add_argument("--workers", type=int, default=1)
    arguments.add_argument("--empty", action="store_true", help="the child exits at once")
    arguments.add_argument("--pause", type=float, default=0.0, help="seconds before each call")
    arguments.add_argument("--output", required=True)
    options = arguments.parse_args()

    # A terminal's interrupt is for the benchmark, which waits for this window to end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if options.package:
        importlib.import_module(options.package)
    machine, own, began = machine_cpu_us(), own_cpu_us(), time.monotonic()
    until = began + options.seconds
    # Each further worker is a copy of this warm interpreter that forks for itself.
    others = []
    for _ in range(options.workers - 1):
        reader, writer = os.pipe()
        worker = os.fork()
        if worker == 0:
            os.close(reader)
            with os.fdopen(writer, "w") as pipe:
                json.dump(work(until, options), pipe)
            os._exit(0)
        os.close(writer)
        others.append((worker, reader))
    latencies = work(until, options)
    for worker, reader in others:
        with os.fdopen(reader) as pipe:
            latencies += json.load(pipe)
        os.waitpid(worker, 0)

    result = {
        "latencies_us": latencies,
        "seconds": time.monotonic() - began,
        "own_cpu_us": own_cpu_us() - own,
        "machine_cpu_us": machine_cpu_us() - machine,
    }
    with open(options.output, "w", encoding="ascii") as output:
        json.dump(result, output)


if __name__ == "__main__":
    main()
