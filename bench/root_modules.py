#!/usr/bin/python3.11 -I
"""Which modules of the standard library pay in the root zygote beside those it holds.

    bench/root_modules.py [BUDGET]        µs that all additions may cost a clone; 5 unless given

Every module that the root holds spares its calls an import and makes every clone dearer. Chosen is,
again and again, the module that saves most for what it costs, until no other fits the budget:

  saved  Σ over the modules it brings: own import time × part of the functions that need it
         (data/standard_modules.csv: own times and which packages import it; data/functions.csv)
  cost   private memory and mappings it brings, measured here in an interpreter that holds the root's
         modules (COMMON_MODULES of zygote/runtime/runtime.py), at a sealed clone's price for them
         (docs/pkgcache.md, "The cost model")

Prints the choice as CSV: module, part of the functions, µs saved a call, µs a clone costs more, kB,
mappings, modules it brings.
"""

# Nothing that the root lacks: it would not be found lacking.
import ast
import csv
import gc
import importlib
import os
import pathlib
import pickle
import sys

HERE = pathlib.Path(__file__).resolve().parent
US_PER_MB = 3
US_PER_VMA = 0.2
LEAST_COST_US = 0.05
LEAST_SHARE = 0.05  # of the functions: rarer modules are noise in this data
# Would have every clone run Python of its own before its call (runtime.py, has_work_in_clones()).
EXCLUDED = ("multiprocessing",)
ROUNDS = 3


def common_modules():
    tree = ast.parse((HERE.parent / "zygote/runtime/runtime.py").read_text())
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "COMMON_MODULES":
            return ast.literal_eval(node.value)
    raise SystemExit("runtime.py has no COMMON_MODULES")


def shares():
    """Own µs and part of the functions that need it, by module. Functions without any package
    whose modules are known are left out."""
    with open(HERE / "data/standard_modules.csv") as file:
        modules = {row["module"]: (float(row["self_us"]), set(row["packages"].split()))
                   for row in csv.DictReader(file)}  # fmt: skip
    known = set().union(*(packages for _, packages in modules.values()))
    with open(HERE / "data/functions.csv") as file:
        closures = [{package.partition("==")[0] for package in row["closure"].split()} & known
                    for row in csv.DictReader(file)]  # fmt: skip
    closures = [closure for closure in closures if closure]
    return {module: (us, sum(not closure.isdisjoint(packages) for closure in closures) / len(closures))
            for module, (us, packages) in modules.items()}  # fmt: skip


def memory():
    with open("/proc/self/smaps_rollup") as rollup:
        kilobytes = sum(int(line.split()[1]) for line in rollup if line.startswith("Private_"))
    with open("/proc/self/maps") as maps:
        return kilobytes, sum(1 for _ in maps)


def beside_root(root, module):
    """kB, mappings and modules that come with `module` (the root's, if ""); None: there is none such.
    In a process of its own, which is forked before anything is imported."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        gc.disable()  # as zygotes do; a collection touches every page
        result = None
        try:
            for name in root:
                importlib.import_module(name)
            held = set(sys.modules) if module else set()
            kilobytes, mappings = memory()
            if module:
                importlib.import_module(module)
            more_kilobytes, more_mappings = memory()
            result = (more_kilobytes - kilobytes, more_mappings - mappings, set(sys.modules) - held)
        except ImportError:
            pass
        with open(write_end, "wb") as pipe:
            pickle.dump(result, pipe)
        os._exit(0)
    os.close(write_end)
    with open(read_end, "rb") as pipe:
        result = pickle.load(pipe)
    os.waitpid(child, 0)
    return result


def measured(root, module):
    results = [beside_root(root, module) for _ in range(ROUNDS)]
    if results[0] is None:
        return None
    kilobytes, mappings = (sorted(values)[ROUNDS // 2] for values in list(zip(*results))[:2])
    return kilobytes, mappings, results[0][2]


def main():
    left = float(sys.argv[1]) if len(sys.argv) > 1 else 5
    root = common_modules()
    held = beside_root(root, "")[2]
    share = shares()
    worth = {name: us * part for name, (us, part) in share.items()}
    print(f"a function's standard library: {sum(worth.values()) / 1000:.1f} ms, of it beyond the root "
          f"{sum(us for name, us in worth.items() if name not in held) / 1000:.1f} ms",
          file=sys.stderr)  # fmt: skip
    candidates = {name: measured(root, name) for name, (_, part) in share.items()
                  if name not in held and part >= LEAST_SHARE
                  and name.partition(".")[0] not in EXCLUDED}  # fmt: skip
    candidates = {name: found for name, found in candidates.items() if found}

    out = csv.writer(sys.stdout)
    out.writerow(("module", "share", "saved_us", "cost_us", "kb", "mappings", "brings"))
    while True:
        best = None
        for name, (kilobytes, mappings, brings) in candidates.items():
            if name in held:
                continue
            cost = max(kilobytes / 1024 * US_PER_MB + mappings * US_PER_VMA, LEAST_COST_US)
            saved = sum(worth.get(other, 0) for other in brings - held)
            if cost <= left and (best is None or saved / cost > best[0]):
                best = saved / cost, name, saved, cost
        if best is None:
            return
        _, name, saved, cost = best
        kilobytes, mappings, brings = candidates[name]
        out.writerow((name, f"{share[name][1]:.2f}", f"{saved:.0f}", f"{cost:.2f}", f"{kilobytes:.0f}",
                      int(mappings), len(brings - held)))  # fmt: skip
        left -= cost
        held |= brings


if __name__ == "__main__":
    main()
