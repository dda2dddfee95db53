"""Draws what `scaling --json` or `netns --json` measured: `plot.py RESULT.json OUTPUT.svg [OUTPUT.png …]`."""

import json
import statistics
import sys

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402  (the backend must be chosen first)

COLOURS = ("#1b6ca8", "#d1495b", "#2e933c", "#8f5fbf", "#c98a00", "#444444")
MARKERS = {"os.fork()": "v", "python3": "s", "bwrap": "D", "crun run": "P"}


def draw(result, latency, rate):
    series = [one for one in result["series"] if one["median"]["calls"]]
    packages = list(dict.fromkeys(one["packages"] for one in series))
    colour = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(packages)}

    for name in packages:
        ours = sorted(
            (one["clients"], one["median"])
            for one in series
            if one["system"] == "sock" and one["packages"] == name
        )
        clients = [count for count, _ in ours]
        for key, style in (("p50_us", "-"), ("p99_us", ":")):
            values = [median[key] / 1000 for _, median in ours]
            label = f"sock, {name}, {key[:3]}"
            latency.plot(clients, values, style, marker="o", ms=4, color=colour[name], label=label)
        rates = [median["calls_per_s"] for _, median in ours]
        rate.plot(clients, rates, "-", marker="o", ms=4, color=colour[name], label=f"sock, {name}")

    # Baselines are a few points, not a curve: they run at most as many at a time as there are
    # processors.
    for one in series:
        if one["system"] == "sock":
            continue
        style = {"marker": MARKERS.get(one["system"], "x"), "ls": "none", "ms": 6}
        style |= {"color": colour[one["packages"]], "mfc": "none"}
        latency.plot(one["clients"], one["median"]["p50_us"] / 1000, **style)
        rate.plot(one["clients"], one["median"]["calls_per_s"], **style)
    for system in dict.fromkeys(one["system"] for one in series if one["system"] != "sock"):
        marker = MARKERS.get(system, "x")
        rate.plot([], [], marker=marker, ls="none", color="#666", mfc="none", label=system)

    counts = sorted({one["clients"] for one in series})
    for axes, title in ((latency, "latency of a call, ms"), (rate, "calls per second")):
        finish(axes, title, "clients", counts)


def finish(axes, title, unit, counts):
    axes.set_title(title)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.set_xlabel(unit)
    axes.grid(True, which="major", color="#ddd")
    axes.legend(fontsize=7)


NETNS_METHODS = {
    "linked": "new, linked to a bridge",
    "unshare": "new, loopback only",
    "pooled": "leased from the pool",
    "none": "no namespace: the floor",
}


def draw_starts(result, own, crowd):
    crowd.sharey(own)
    medians = {key: statistics.median(values) for key, values in result["samples"].items()}
    counts = sorted({int(key.split(".")[2]) for key in medians if key.startswith("start.")})
    for axes, clock, methods, title in (
        (own, "own", ("linked", "unshare", "pooled"), "start of a network, µs, without waiting for a processor"),
        (crowd, "all", NETNS_METHODS, "with waiting for a processor, in a crowd of as many"),
    ):
        for method in methods:
            colour = COLOURS[list(NETNS_METHODS).index(method)]
            label = NETNS_METHODS[method]
            for figure, style in (("p50", "-"), ("p99", ":")):
                keys = [f"start.{method}.{count}.{clock}.{figure}_us" for count in counts]
                points = [(n, medians[key]) for n, key in zip(counts, keys) if key in medians]
                axes.plot(*zip(*points), style, marker="o", ms=4, color=colour, label=label)
                label = None
        finish(axes, title, "starts at the same time; line p50, dots p99", counts)


def main():
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as file:
        result = json.load(file)
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4.5), constrained_layout=True)
    if "series" in result:
        subject = "A fresh interpreter for every call"
        draw(result, left, right)
    else:
        subject = "A network namespace for every start"
        draw_starts(result, left, right)
    host = result["host"]
    figure.suptitle(
        f"{subject}: {host['processors']} processors, Linux {host['kernel']}", fontsize=10
    )
    for output in sys.argv[2:]:
        figure.savefig(output, dpi=110)


if __name__ == "__main__":
    main()
