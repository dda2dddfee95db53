"""What a call costs in a process that is kept warm: no fresh process, no isolation, no socket.

Imports a handler's file, then for every call reads the event from JSON, runs the handler and writes
the answer as JSON. The program bench/targets holds sock against this. Writes one JSON object, as
fork_loop.py does.
"""

import argparse
import importlib.util
import json
import signal
import time


def load(path):
    spec = importlib.util.spec_from_file_location("handler", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.handler


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--handler", required=True, help="a .py file with handler(event, context)")
    arguments.add_argument("--event", required=True, help="a file with the event's JSON")
    arguments.add_argument("--seconds", type=float, required=True)
    arguments.add_argument("--workers", type=int, default=1, choices=[1])
    arguments.add_argument("--pause", type=float, default=0.0)
    arguments.add_argument("--output", required=True)
    options = arguments.parse_args()

    # A terminal's interrupt is for the benchmark, which waits for this window to end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    handler = load(options.handler)
    with open(options.event, encoding="utf-8") as file:
        event = file.read()
    for _ in range(20):  # what a warm process has behind it
        json.dumps(handler(json.loads(event), None))

    latencies = []
    began, used = time.monotonic(), time.process_time_ns()
    while not latencies or time.monotonic() - began < options.seconds:
        if options.pause:
            time.sleep(options.pause)
        started = time.monotonic_ns()
        json.dumps(handler(json.loads(event), None))
        latencies.append((time.monotonic_ns() - started) // 1000)

    result = {
        "latencies_us": latencies,
        "seconds": time.monotonic() - began,
        "own_cpu_us": (time.process_time_ns() - used) / 1000,
        "machine_cpu_us": 0.0,
    }
    with open(options.output, "w", encoding="ascii") as output:
        json.dump(result, output)


if __name__ == "__main__":
    main()
