"""Python side of sock-zygote: imports packages, restores uniqueness in clones, runs handlers.

Compiled into the zygote, not importable by handlers. Lives in a module of its own so that
nothing of it leaks into the namespaces of user code.
"""

import os
import sys

# A clone is made by a raw system call from a zygote that was proven single-threaded, so what these
# modules do after a fork has nothing to do in it, and would cost every clone a millisecond of page
# faults. They stay registered for the forks that a handler makes itself; a clone leaves them out:
#   threading                 no other thread existed, the main thread's ident is unchanged (same
#                             stack), its native id was set ahead by settle()
#   logging                   renews locks that no other thread can have held
#   concurrent.futures.thread the same
#   random                    reseeds; restore_uniqueness() does so for every generator there is
# Hooks of other modules are somebody's reason to do something in every child: clones run them.
NEEDLESS_IN_CLONES = frozenset(("threading", "logging", "concurrent.futures.thread", "random"))

_register_at_fork = os.register_at_fork
_clone_hooks = []


def _note_hooks(**hooks):
    module = sys._getframe(1).f_globals.get("__name__")
    if module not in NEEDLESS_IN_CLONES and "after_in_child" in hooks:
        _clone_hooks.append(hooks["after_in_child"])
    _register_at_fork(**hooks)


os.register_at_fork = _note_hooks

import builtins
import gc
import importlib
import importlib.machinery
import json
import marshal
import random
import shutil
import struct
import signal
import tempfile
import threading
import time
import traceback
import types

# What most handlers import; loading it once in the root zygote takes the cost from every call and
# from every child zygote's import. Not more: each megabyte and each shared library in the root makes
# every clone dearer.
COMMON_MODULES = (
    "__future__", "_strptime", "abc", "ast", "asyncio", "base64", "binascii", "bisect", "calendar",
    "collections", "collections.abc", "colorsys", "concurrent.futures", "concurrent.futures.thread",
    "configparser", "contextlib", "contextvars", "copy", "csv", "dataclasses", "datetime",
    "decimal", "difflib", "email.utils", "encodings.utf_16_be", "encodings.utf_16_le", "enum",
    "errno", "fnmatch", "functools", "gettext", "glob", "gzip", "hashlib", "heapq", "hmac", "html",
    "html.parser", "http.cookiejar", "http.cookies", "importlib.resources", "inspect", "io",
    "itertools", "json", "keyword", "linecache", "locale", "logging", "math", "mimetypes",
    "numbers", "operator", "optparse", "pathlib", "pickle", "pkgutil", "pprint", "queue", "random",
    "re", "secrets", "select", "selectors", "shlex", "shutil", "signal", "socket", "socketserver",
    "ssl", "stat", "string", "stringprep", "struct", "subprocess", "tempfile", "textwrap",
    "threading", "time", "traceback", "types", "typing", "unicodedata", "urllib.error",
    "urllib.parse", "urllib.request", "uuid", "warnings", "weakref", "xml.etree.ElementPath",
    "xml.parsers.expat", "xml.sax", "zipfile", "zlib",
)  # fmt: skip

TASK = "/var/task"
PACKAGES = "/var/packages/"
MAX_FRAMES = 60
MAX_MESSAGE = 16384

# The pid of every clone in its own pid namespace, where the sandbox's init is 1.
CLONE_PID = 2

_trial_code = b""
_random_objects = []
_numpy_generators = []
_kept = []  # those whose memory is renewed must never be freed
_thread_setters = {}
_libraries_seen = 0


class _PackageFinder:
    """Looks for top-level modules where sys.path says, but for those of the store's folders that do not
    have the name. Each package is a folder of its own there, and the importer would ask the kernel about
    all of them, again for each module."""

    def __init__(self):
        self._folders = frozenset()
        self._names = None

    def use(self, folders):
        self._folders = frozenset(folders)
        self._names = None

    def find_spec(self, name, path=None, target=None):
        if path is not None or not self._folders:
            return None
        if self._names is None:
            self._names = {folder: self._look(folder) for folder in self._folders}
        places = [entry for entry in sys.path
                  if entry not in self._folders or name in self._names[entry]]  # fmt: skip
        return importlib.machinery.PathFinder.find_spec(name, places, target)

    def invalidate_caches(self):
        self._names = None

    @staticmethod
    def _look(folder):
        try:
            return {entry.partition(".")[0] for entry in os.listdir(folder)}
        except OSError:
            return ()


_package_finder = _PackageFinder()


def use_path(path):
    """What can be imported from now on: the folders of `path`; an empty one changes nothing.
    Interpreters that a handler starts itself find the same packages."""
    if not path:
        return
    sys.path[:] = path
    packages = [folder for folder in path if folder.startswith(PACKAGES)]
    _package_finder.use(packages)
    if packages and _package_finder not in sys.meta_path:
        sys.meta_path.insert(sys.meta_path.index(importlib.machinery.PathFinder), _package_finder)
    if packages:
        os.environ["PYTHONPATH"] = ":".join(packages)
    else:
        os.environ.pop("PYTHONPATH", None)


def import_modules(names):
    """Imports the zygote's packages; any exception is the caller's to report."""
    gc.disable()
    os.register_at_fork = _note_hooks
    for name in names:
        importlib.import_module(name)


def import_common():
    """Imports the common standard library; a module this build of Python lacks is left out."""
    for name in COMMON_MODULES:
        try:
            importlib.import_module(name)
        except ImportError:
            pass
    # The site module is off in zygotes (its .pth files run code); programs expect these two.
    quitter = importlib.import_module("_sitebuiltins").Quitter
    builtins.exit = quitter("exit", "Ctrl-D (i.e. EOF)")
    builtins.quit = quitter("quit", "Ctrl-D (i.e. EOF)")
    # Output must not be lost when a handler dies; the pipe is put behind descriptor 1 in the clone.
    sys.stdout.reconfigure(line_buffering=True)
    warm_up()


# The interpreter rewrites a function's bytecode while it is new: it counts its first calls, then
# specialises what it has seen (PEP 659). By so many runs it is done, and clones that run it need no
# copy of its pages.
WARM_UPS = 40


def warm_up():
    """Runs the way of a call in the root zygote, on a handler of our own: what the interpreter and
    OpenSSL set up lazily is then set up for every clone."""
    global _trial_code, _prepared
    folder = tempfile.mkdtemp()
    try:
        with open(folder + "/_sock_trial.py", "w") as file:
            file.write("import json\ndef handler(event, context):\n    return {'n': event['n'] + 1}\n")
        _trial_code = marshal.dumps(_compile(_read_source("_sock_trial", folder), "<trial>"))
    finally:
        shutil.rmtree(folder)
    os.chdir("/")
    for _ in range(WARM_UPS):
        function = _run_trial()
        sys.modules.pop("_sock_trial")
        sys.path.remove(TASK)
    _prepared = function, True
    for _ in range(WARM_UPS):
        _run_trial()
    _prepared = None
    try:
        function({}, None)
    except KeyError as error:
        _describe(error)
    os.chdir("/")
    gc.disable()


def _run_trial():
    succeeded, result, _, _ = call("", '{"n": 1}', "id", "name", 1, 0, {}, [], b"", 1)
    if not succeeded:
        raise RuntimeError(result.decode())
    Context("id", "name", 1, 0).get_remaining_time_in_millis()
    return getattr(sys.modules.get("_sock_trial"), "handler", None)


def settle():
    """Last Python to run in a zygote: remember what must be reseeded, then freeze the heap."""
    os.register_at_fork = _register_at_fork
    gc.collect()
    _note_generators()
    _find_thread_setters()
    # Once here, so that clones pay for reseeding alone and not for setting generators up.
    restore_uniqueness()
    if "ssl" in sys.modules:
        sys.modules["ssl"].RAND_bytes(1)
    _leave_to_kernel()
    _forget_drawn()
    threading.main_thread()._native_id = CLONE_PID
    gc.collect()
    _freeze()


def _freeze():
    # This and keep_random(), peek(), pid_is_known() and count_libraries() are interpreter.cc's.
    remember_pid()
    gc.freeze()


def _note_generators():
    """Adds the generators made since the heap was last frozen: gc.get_objects() leaves frozen
    objects out."""
    numpy_random = sys.modules.get("numpy.random")
    generator_type = getattr(numpy_random, "Generator", ())
    state_type = getattr(numpy_random, "RandomState", ())
    for candidate in gc.get_objects():
        if isinstance(candidate, random.Random) and not isinstance(candidate, random.SystemRandom):
            _random_objects.append(candidate)
        elif isinstance(candidate, (generator_type, state_type)):
            _numpy_generators.append(candidate)


def _state_of(generator):
    """Where a Mersenne Twister keeps its 624 words, and their bytes; None for other generators."""
    if isinstance(generator, random.Random):
        words = super(random.Random, generator).getstate()[:-1]
        # RandomObject of Modules/_randommodule.c: the object's head, an int, the words.
        return id(generator) + object.__basicsize__ + 4, struct.pack("=624I", *words)
    bits = getattr(generator, "_bit_generator", None)
    if type(bits).__name__ == "MT19937":
        return bits.ctypes.state_address, bits.state["state"]["key"].tobytes()
    return None


def _leave_to_kernel():
    """Generators whose state is random words and nothing else, at a place that is found to hold just
    them, need no Python in clones: those words are filled from the kernel (entropy.h)."""
    for generators in (_random_objects, _numpy_generators):
        for generator in list(generators):
            state = _state_of(generator)
            if state and peek(state[0], len(state[1])) == state[1]:
                if keep_random(state[0], len(state[1])):
                    generators.remove(generator)
                    _kept.append(generator)


def has_work_in_clones():
    """Whether after_clone() has anything to do."""
    return bool(_clone_hooks or _random_objects or _numpy_generators
                or "multiprocessing.process" in sys.modules)  # fmt: skip


def _forget_drawn():
    """What is drawn at random once and then kept; whoever needs it draws it anew."""
    tempfile = sys.modules.get("tempfile")
    if tempfile is not None:
        tempfile._name_sequence = None
    uuid = sys.modules.get("uuid")
    if uuid is not None:
        uuid._node = None
        uuid._last_timestamp = None


def restore_uniqueness():
    """Nothing random may repeat between two clones: what entropy.h does not renew."""
    for generator in _random_objects:
        generator.seed()
    renewed = []
    for generator in _numpy_generators:
        # The module-level functions of numpy.random belong to a RandomState that is among these.
        if hasattr(generator, "seed"):
            generator.seed()
            continue
        # In place, as somebody may hold the bit generator itself: its state, and the seed sequence
        # that others are spawned from. It gets a new lock on the way, which all of its users share.
        bits = generator.bit_generator
        if not any(bits is other for other in renewed):
            bits.__init__()
            renewed.append(bits)
        sys.modules["numpy.random"].Generator.__init__(generator, bits)
    # OpenSSL notices a fork by getpid() alone (RAND_DRBG(7)). No zygote should have had this pid in
    # its namespace (sandbox/init_main.cc sees to it); if one had, OpenSSL must be told.
    if pid_is_known() and "ssl" in sys.modules:
        sys.modules["ssl"].RAND_add(os.urandom(48), 48.0)
    process = sys.modules.get("multiprocessing.process")
    if process is not None:
        process.current_process().authkey = os.urandom(32)


# Libraries that run numeric kernels on threads of their own, and how each is told how many.
THREAD_SETTERS = (("openblas", "openblas_set_num_threads"), ("libmkl_rt", "MKL_Set_Num_Threads"),
                  ("libblis", "bli_thread_set_num_threads"), ("libgomp", "omp_set_num_threads"),
                  ("libomp", "omp_set_num_threads"))  # fmt: skip
THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def _find_thread_setters():
    """Zygotes import with one thread per library; looks up here, where it costs no call anything,
    how clones raise that to their function's share of the CPU."""
    global _libraries_seen
    if count_libraries() == _libraries_seen:
        return
    _libraries_seen = count_libraries()
    with open("/proc/self/maps") as maps:
        paths = {line.split(None, 5)[5].strip() for line in maps if ".so" in line}
    found = [(path, symbol) for path in sorted(paths) for name, symbol in THREAD_SETTERS
             if name in os.path.basename(path)]  # fmt: skip
    if not found:
        return
    ctypes = importlib.import_module("ctypes")
    for path, symbol in found:
        # RTLD_NOLOAD: only what is loaded already.
        setter = getattr(ctypes.CDLL(path, mode=os.RTLD_NOLOAD | os.RTLD_NOW), symbol, None)
        if setter is not None:
            setter.argtypes, setter.restype = [ctypes.c_int], None
            _thread_setters[path] = setter


def _use_cpus(cpus):
    """Lets numeric libraries use what the function's CPU limit allows, rounded up."""
    count = min(cpus, len(os.sched_getaffinity(0))) if cpus > 1 else 1
    if count == 1:
        return
    for name in THREAD_VARIABLES:
        os.environ[name] = str(count)
    for setter in _thread_setters.values():
        setter(count)


def after_clone():
    """First Python in a clone and in a child zygote."""
    for hook in _clone_hooks:
        hook()
    restore_uniqueness()


class Context:
    """What AWS Lambda's context object offers, under the same names."""

    __slots__ = ("aws_request_id", "function_name", "memory_limit_in_mb", "_deadline_ns",
                 "function_version", "log_group_name", "log_stream_name", "identity",
                 "client_context", "invoked_function_arn")  # fmt: skip

    def __init__(self, request_id, function_name, memory_mb, deadline_ns):
        self.aws_request_id = request_id
        self.function_name = function_name
        self.memory_limit_in_mb = memory_mb
        self._deadline_ns = deadline_ns
        self.function_version = "$LATEST"
        self.log_group_name = "/sock/" + function_name
        self.log_stream_name = request_id
        self.invoked_function_arn = "sock:" + function_name
        self.identity = None
        self.client_context = None

    def get_remaining_time_in_millis(self):
        return max(0, (self._deadline_ns - time.monotonic_ns()) // 1_000_000)


class HandlerNotFound(Exception):
    pass


class ResultNotSerializable(Exception):
    pass


class HandlerExit(Exception):
    pass


class NotRestorable(Exception):
    pass


_ERROR_TYPES = {
    HandlerNotFound: "Runtime.HandlerNotFound",
    ResultNotSerializable: "Runtime.MarshalError",
    HandlerExit: "Runtime.ExitError",
    NotRestorable: "Runtime.NotRestorable",
}


def _read_source(name, folder):
    """The source of a plain module file in `folder`; None when the module is anything else."""
    package = folder + "/" + name + "/__init__.py"
    if name in sys.modules or "." in name or os.access(package, os.F_OK):
        return None
    try:
        file = os.open(folder + "/" + name + ".py", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return os.read(file, os.fstat(file).st_size)
    finally:
        os.close(file)


def _compile(source, path):
    return compile(source, path, "exec", dont_inherit=True)


def compile_handler(handler):
    """The handler's module as bytes for call()'s `code`; empty when it must be imported the long
    way. Runs nothing of it."""
    try:
        name = handler.rpartition(".")[0]
        source = _read_source(name, TASK)
        return b"" if source is None else marshal.dumps(_compile(source, f"{TASK}/{name}.py"))
    except BaseException:
        return b""


def _import(name, code):
    """importlib.import_module(name) for a plain module file of the task, the common case, without
    the search through finders and caches, which costs a clone three times as much as compiling.
    `code` is what compile_handler() made of it, or empty."""
    path = f"{TASK}/{name}.py"
    if code:
        code = marshal.loads(code)
    else:
        source = _read_source(name, TASK)
        if source is None:
            return importlib.import_module(name)
        code = _compile(source, path)
    loader = importlib.machinery.SourceFileLoader(name, path)
    spec = importlib.machinery.ModuleSpec(name, loader, origin=path)
    spec.has_location = True
    module = types.ModuleType(name)
    module.__spec__, module.__loader__, module.__file__, module.__package__ = spec, loader, path, ""
    sys.modules[name] = module
    try:
        exec(code, module.__dict__)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return sys.modules[name]


def _load(handler, code):
    module_name, _, function_name = handler.rpartition(".")
    # A path entry that did not exist when the importer first looked is remembered as empty.
    sys.path_importer_cache.pop(TASK, None)
    sys.path.insert(0, TASK)
    os.chdir(TASK)
    module = _import(module_name, code)
    function = getattr(module, function_name, None)
    if not callable(function):
        raise HandlerNotFound(f"module {module_name!r} has no function {function_name!r}")
    return function


def _takes_context(function):
    """Whether handler(event, context) is meant; inspect.signature is dear, so the common kinds
    are read off their code objects."""
    target, bound = function, 0
    if isinstance(target, types.MethodType):
        target, bound = target.__func__, 1
    if isinstance(target, types.FunctionType) and not hasattr(target, "__wrapped__"):
        code = target.__code__
        return bool(code.co_flags & 0x04) or code.co_argcount - bound >= 2
    inspect = importlib.import_module("inspect")
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return True
    kinds = [p.kind for p in parameters]
    positional = sum(k in (inspect.Parameter.POSITIONAL_ONLY,
                           inspect.Parameter.POSITIONAL_OR_KEYWORD) for k in kinds)
    return positional >= 2 or inspect.Parameter.VAR_POSITIONAL in kinds


# json.loads() and json.dumps() without what they set up for each call: every page that a fresh process
# need not touch is time.
_scan = json.JSONDecoder().scan_once
_dump = json.encoder.c_make_encoder({}, json.JSONEncoder().default,
                                    json.encoder.encode_basestring_ascii, None, ":", ",",
                                    False, False, False)  # fmt: skip


def _decode(event):
    """The event, which sockd has found to be one JSON text."""
    return _scan(event.lstrip(" \t\r\n"), 0)[0]


def _encode(result):
    try:
        return "".join(_dump(result, 0)).encode("ascii")
    except (TypeError, ValueError, RecursionError) as error:
        raise ResultNotSerializable(f"the handler's result is not JSON: {error}") from None


def _describe(error):
    kind = type(error)
    name = _ERROR_TYPES.get(kind, kind.__name__)
    try:
        message = str(error)
    except BaseException as inner:
        message = f"<{kind.__name__} whose str() raised {type(inner).__name__}>"
    frames = []
    try:
        if kind not in (ResultNotSerializable, HandlerExit):
            for frame in traceback.extract_tb(error.__traceback__, limit=-MAX_FRAMES):
                if frame.filename == "<sock>" or frame.filename.startswith("<frozen importlib"):
                    continue
                frames.append(f'File "{frame.filename}", line {frame.lineno}, in {frame.name}\n'
                              f"    {frame.line}")
    except BaseException:
        pass
    if isinstance(error, SyntaxError) and error.filename:
        frames.append(f'File "{error.filename}", line {error.lineno}\n    {(error.text or "").strip()}')
    return json.dumps({"errorType": str(name)[:256], "errorMessage": message[:MAX_MESSAGE],
                       "stackTrace": frames}).encode("ascii")  # fmt: skip


def _flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:
            pass


class _SnapshotHooks(types.ModuleType):
    """The module `snapshot_restore_py`: hooks around a function zygote's snapshot, under the names
    of AWS Lambda's library of that name (docs.aws.amazon.com/lambda, "SnapStart runtime hooks")."""

    def __init__(self):
        super().__init__("snapshot_restore_py", self.__doc__)
        self._before_snapshot = []
        self._after_restore = []

    def register_before_snapshot(self, func, *args, **kwargs):
        """Runs once the handler's module is loaded, before its zygote is sealed; last in, first out."""
        self._before_snapshot.append((func, args, kwargs))
        return func

    def register_after_restore(self, func, *args, **kwargs):
        """Runs in every clone, at the beginning of its call; first in, first out."""
        self._after_restore.append((func, args, kwargs))
        return func

    def get_before_snapshot(self):
        yield from self._before_snapshot

    def get_after_restore(self):
        yield from self._after_restore


_hooks = sys.modules["snapshot_restore_py"] = _SnapshotHooks()
_prepared = None
_prepared_folder = "/"


def _enter(environment, path):
    gc.enable()
    use_path(path)
    if environment:
        os.environ.update(environment)


def _refuse_timers():
    """A copy of this process would not have them, and nobody else can see these."""
    for timer in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF):
        if signal.getitimer(timer)[0] > 0:
            raise NotRestorable("importing it leaves a timer running (setitimer or alarm)")


def prepare(handler, code, environment, path):
    """Loads the handler's module so that a snapshot of this process serves its calls. Returns None,
    or the JSON of what went wrong. With one thread for each numeric library, as zygotes do: some
    start theirs as soon as they may have more, and a snapshot has none."""
    global _prepared, _prepared_folder
    try:
        _enter(environment, path)
        function = _load(handler, code)
        _prepared = function, _takes_context(function)
        for hook, args, kwargs in reversed(_hooks._before_snapshot):
            hook(*args, **kwargs)
        _refuse_timers()
        _find_thread_setters()
        _prepared_folder = os.getcwd()
        _note_generators()
        restore_uniqueness()
        _leave_to_kernel()
        _forget_drawn()
        _flush()
        _freeze()
        return None
    except SystemExit as error:
        return _describe(HandlerExit(f"the handler called sys.exit({error.code!r})"))
    except BaseException as error:
        return _describe(error)


def _restored(cpus):
    """The handler of a clone that was restored from prepare()'s snapshot."""
    # Not memory, and not there before the function's folder is: it is attached to parked clones.
    os.chdir(_prepared_folder)
    _use_cpus(cpus)
    restore_uniqueness()
    for hook, args, kwargs in _hooks._after_restore:
        hook(*args, **kwargs)
    return _prepared


def _loaded(handler, code, environment, path, cpus):
    _enter(environment, path)
    _use_cpus(cpus)
    if not handler:
        handler, code = "_sock_trial.handler", _trial_code
    function = _load(handler, code)
    return function, _takes_context(function)


def call(handler, event, request_id, function_name, memory_mb, deadline_ns, environment, path, code,
         cpus):  # fmt: skip
    """Runs one call; without a handler, a trial of nothing but the runtime's own work. Returns
    (succeeded, JSON bytes, init µs, run µs); never raises."""
    begin = loaded = time.monotonic_ns()
    running = False
    try:
        function, takes_context = (_restored(cpus) if _prepared else
                                   _loaded(handler, code, environment, path, cpus))  # fmt: skip
        arguments = [_decode(event)]
        if takes_context:
            arguments.append(Context(request_id, function_name, memory_mb, deadline_ns))
        loaded = time.monotonic_ns()
        running = True
        result = _encode(function(*arguments))
        succeeded = True
    except SystemExit as error:
        succeeded = False
        result = _describe(HandlerExit(f"the handler called sys.exit({error.code!r})"))
    except BaseException as error:
        succeeded = False
        result = _describe(error)
    end = time.monotonic_ns()
    if not running:
        loaded = end
    _flush()
    return succeeded, result, (loaded - begin) // 1000, (end - loaded) // 1000
