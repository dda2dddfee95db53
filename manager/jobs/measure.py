"""Measures what importing packages costs and what it leaves behind. Runs as a call.

Event:  {"packages": [{"key": text,
                       "path": [folder, …],       follows the standard library on sys.path
                       "first": [module, …],      its dependencies', loaded before it is measured
                       "modules": [module, …]}, …],
         "seconds": number}                       for each package; 60 unless given
Answer: {"interpreter": text,      version, build, bytecode, checksum of the modules held already
         "packages": [{"key": text,
                       "ended": text,             why there is nothing else; "" as a rule
                       "ms": number, "private_bytes": int, "vmas": int, "modules": int,
                       "standard_modules": [module, …],
                       "errors": [text, …],       of the modules that could not be imported
                       "changes": [[kind, what], …]}, …]}         see _differences()

Each package is imported in forked processes of its own: none sees what another did, and one that
ends its process is known by name. Such a process uses only functions of C modules and its own, and
builtins that a package cannot replace. It is the package's all the same, and so is its report:
whoever reads the answer must not trust it.
"""

import builtins

# Functions find builtins where their module's globals say, so from here on in a copy that a package
# which replaces len() does not change.
__builtins__ = dict(vars(builtins))

import binascii
import gc
import importlib.util
import json
import os
import select
import signal
import sys
import traceback
from _locale import LC_ALL, setlocale
from _signal import getitimer, getsignal
from importlib import import_module
from operator import is_not, ne
from os import O_CLOEXEC, O_RDONLY, _exit, close, getcwd, listdir, read, readlink, write
from os import open as open_file
from sys import getprofile, getrecursionlimit, gettrace
from time import monotonic, perf_counter
from types import BuiltinFunctionType, FunctionType, ModuleType

RUNS = 2  # the first finds on disk what the second finds in memory
MOST_CHANGES = 64
MOST_MODULES = 1024
LONGEST_TEXT = 300
LONGEST_REPORT = 1 << 18

CODE = (FunctionType, BuiltinFunctionType, type)
SIGNALS = {int(number): number.name for number in signal.Signals}
SIGNAL_MASKS = (b"SigBlk", b"SigIgn", b"SigCgt")
TIMERS = {"real": signal.ITIMER_REAL, "virtual": signal.ITIMER_VIRTUAL, "profile": signal.ITIMER_PROF}
STANDARD = frozenset(sys.stdlib_module_names)
# Kinds of changes that are told by what is there now, the others by name.
TOLD_BY_VALUE = ("descriptor", "working folder", "umask", "locale")

_builtins = vars(builtins)
_environment = os.environ._data
_name_of_type = type.__dict__["__name__"].__get__
# All C: nothing in it can be replaced from Python.
_to_json = json.encoder.c_make_encoder({}, None, json.encoder.encode_basestring_ascii, None, ":",
                                       ",", False, False, False)  # fmt: skip


def handler(event, context=None):
    interpreter = _interpreter()
    seconds = event.get("seconds", 60)
    answers = []
    for package in event["packages"]:
        best = None
        for _ in range(RUNS):
            report = _measure(package, seconds)
            if best is not None and not report["ended"]:
                report["ms"] = min(report["ms"], best["ms"])
            best = report
            if report["ended"]:
                break
        answers.append({"key": package["key"]} | best)
    return {"interpreter": interpreter, "packages": answers}


def _interpreter():
    magic = int.from_bytes(importlib.util.MAGIC_NUMBER[:2], "little")
    held = "\n".join(sorted(name for name in sys.modules if name != __name__))
    checksum = binascii.crc32(held.encode("utf-8", "replace"))
    return f"{sys.version.split('[')[0].strip()}, bytecode {magic}, root {checksum:08x}"


# The process that measures, which stays clean.


def _measure(package, seconds):
    read_end, write_end = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        try:
            close(read_end)
            _import_package(package, write_end)
        except BaseException:
            traceback.print_exc()
        finally:
            _exit(1)
    close(write_end)
    process = os.pidfd_open(child)
    try:
        for stage in ("dependencies", "package"):
            line, why = _receive(read_end, process, monotonic() + seconds)
            if line is None:
                if why == "":
                    why = _how_it_ended(child)
                    child = 0
                whose = "" if stage == "package" else " while its dependencies are imported"
                return {"ended": why.format(seconds=seconds) + whose}
        return _checked(line)
    finally:
        close(read_end)
        close(process)
        if child:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _receive(channel, process, deadline):
    """One message, or None with the reason, "" when the process has ended."""
    poll = select.poll()
    poll.register(channel, select.POLLIN)
    poll.register(process, select.POLLIN)
    data, size = b"", 0
    while True:
        left = deadline - monotonic()
        ready = [fd for fd, _ in poll.poll(max(0, left) * 1000)]
        if not ready:
            return None, "takes longer than {seconds} s"
        if channel in ready:
            # What follows belongs to the next message.
            wanted = 4 - len(data) if len(data) < 4 else 4 + size - len(data)
            chunk = read(channel, wanted)
            data += chunk
            if len(data) == 4:
                size = int.from_bytes(data, "little")
                if size > LONGEST_REPORT:
                    return None, "tampers with its own measuring"
            if len(data) >= 4 and len(data) == 4 + size:
                return data[4:], ""
            if chunk:
                continue
            poll.unregister(channel)
        if process in ready:
            return None, ""


def _how_it_ended(child):
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code >= 0:
        return f"ends the process with exit status {code}"
    name = SIGNALS.get(-code, f"signal {-code}")
    return f"ends the process by {name}"


def _checked(line):
    """The report as what can be JSON again, whatever it says; a report that is none told of."""
    try:
        report = json.loads(line)
        checked = {name: report[name] for name in ("ms", "private_bytes", "vmas", "modules")}
        for name, number in checked.items():
            if type(number) not in (int, float) or number != number:
                raise ValueError(name)
            checked[name] = min(max(0, number), 1 << 50)
        for name in ("standard_modules", "errors"):
            checked[name] = [_clean(text) for text in report[name]]
        checked["changes"] = [[_clean(kind), _clean(what)] for kind, what in report["changes"]]
        return {"ended": ""} | checked
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {"ended": "tampers with its own measuring"}


def _clean(text):
    return text[:LONGEST_TEXT].encode("utf-8", "replace").decode()


# The process that imports.


def _import_package(package, channel):
    gc.disable()
    for folder in package["path"]:
        # A folder that was missing when the importer first looked is remembered as empty.
        sys.path_importer_cache.pop(folder, None)
        if folder not in sys.path:
            sys.path.append(folder)
    for name in package["first"]:
        try:
            import_module(name)
        except BaseException:
            pass
    try:
        # Lists the folders now: that is no package's cost.
        import_module("_sock_no_such_module")
    except BaseException:
        pass
    _send(channel, {})

    errors = []
    before = _state()
    modules_before = set(sys.modules)
    private, vmas = _memory()
    begin = perf_counter()
    for name in package["modules"]:
        try:
            import_module(name)
        except BaseException as error:
            errors.append((name, error))
    ms = (perf_counter() - begin) * 1000
    private_after, vmas_after = _memory()
    added = [name for name in sys.modules if name not in modules_before]
    own = {name.partition(".")[0] for name in package["modules"]}
    standard = [name for name in added if _is_standard(name) and name.partition(".")[0] not in own]
    _send(channel, {
        "ms": ms,
        "private_bytes": private_after - private,
        "vmas": vmas_after - vmas,
        "modules": len(added),
        "standard_modules": [_cut(name) for name in standard[:MOST_MODULES]],
        "errors": [_cut(f"{name}: {_text_of(error)}") for name, error in errors[:MOST_CHANGES]],
        "changes": _differences(before, _state()),
    })  # fmt: skip


def _send(channel, message):
    data = "".join(_to_json(message, 0)).encode("ascii")
    data = len(data).to_bytes(4, "little") + data
    while data:
        data = data[write(channel, data):]  # fmt: skip


def _cut(text):
    return text[:LONGEST_TEXT]


def _text_of(error):
    name = _name_of_type(type(error))
    try:
        message = str.__str__(str(error))
    except BaseException:
        message = "an error that cannot be shown"
    return f"{name}: {message[:LONGEST_TEXT]}" if message else name


def _file(path):
    try:
        file = open_file(path, O_RDONLY | O_CLOEXEC)
    except OSError:
        return b""
    try:
        parts = []
        while part := read(file, 1 << 20):
            parts.append(part)
        return b"".join(parts)
    finally:
        close(file)


def _memory():
    private = 0
    for line in _file("/proc/self/smaps_rollup").splitlines():
        if line.startswith((b"Private_Dirty:", b"Private_Clean:")):
            private += int(line.split()[1]) * 1024
    return private, _file("/proc/self/maps").count(b"\n")


def _state():
    """What an import should leave as it was, kind → name → value: what compares by value, and what by
    identity, for objects may lie about equality."""
    status = dict(line.split(b":", 1) for line in _file("/proc/self/status").splitlines())
    masks = [int(status[mask], 16) for mask in SIGNAL_MASKS]
    by_value = {
        "thread": dict.fromkeys(listdir("/proc/self/task")),
        "child": dict.fromkeys(_children()),
        "descriptor": _descriptors(),
        "shared memory": dict.fromkeys(_shared_memory()),
        "signal": {name: [mask >> (number - 1) & 1 for mask in masks]
                   for number, name in SIGNALS.items()},
        "timer": {name: getitimer(timer)[0] > 0 for name, timer in TIMERS.items()},
        "environment": dict(_environment),
        "working folder": {"": getcwd()},
        "umask": {"": _text(status[b"Umask"]).strip()},
        "limit": {_text(line[:26]).strip(): line for line in _file("/proc/self/limits").splitlines()},
        "locale": {"": setlocale(LC_ALL)},
        "interpreter": {"recursion limit": getrecursionlimit(), "trace": gettrace() is None,
                        "profile": getprofile() is None},
        "search path": dict.fromkeys(entry for entry in sys.path if type(entry) is str),
    }  # fmt: skip
    by_identity = {
        "signal": {name: getsignal(number) for number, name in SIGNALS.items()},
        "import hook": {_hook_name(hook): hook for hook in (*sys.meta_path, *sys.path_hooks)},
        "builtin": dict(_builtins),
        "patch": _standard_code(),
    }
    return by_value, by_identity


def _differences(before, after):
    changes = []
    for differ, old_kinds, new_kinds in zip((ne, is_not), before, after):
        for kind, old in old_kinds.items():
            new = new_kinds[kind]
            # What a module gains is no replacement of anything.
            for name in old if kind == "patch" else old | new:
                if name in old and name in new and not differ(old[name], new[name]):
                    continue
                told = new.get(name, name) if kind in TOLD_BY_VALUE else name
                changes.append([kind, _cut(_text(told))])
    if len(changes) > MOST_CHANGES:
        # Told of, for what is left out may be what matters.
        changes[MOST_CHANGES:] = [["and", f"{len(changes) - MOST_CHANGES} more"]]
    return changes


def _text(name):
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)


def _children():
    return [child for task in listdir("/proc/self/task")
            for child in _file(f"/proc/self/task/{task}/children").split()]  # fmt: skip


def _descriptors():
    found = {}
    for number in listdir("/proc/self/fd"):
        try:
            found[number] = readlink(f"/proc/self/fd/{number}")
        except OSError:
            pass  # the one that listed them
    return found


def _shared_memory():
    for line in _file("/proc/self/maps").splitlines():
        fields = line.split(None, 5)
        if fields[1][1:2] == b"w" and fields[1][3:4] == b"s":
            yield fields[5] if len(fields) > 5 else b"without a name"


def _hook_name(hook):
    return _name_of_type(hook if isinstance(hook, type) else type(hook))


def _is_standard(name):
    return type(name) is str and name.partition(".")[0] in STANDARD


def _standard_code():
    """Functions and classes in the standard library's modules, by where they are found."""
    found = {}
    for name, module in list(sys.modules.items()):
        if type(module) is ModuleType and _is_standard(name) and name != "builtins":
            for attribute, value in list(module.__dict__.items()):
                if isinstance(value, CODE):
                    found[f"{name}.{attribute}"] = value
    return found
