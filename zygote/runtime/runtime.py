"""Python side of sock-zygote: imports packages, restores uniqueness in clones, runs handlers.

Compiled into the zygote, not importable by handlers. Lives in a module of its own so that
nothing of it leaks into the namespaces of user code.
"""

import os
import sys

# A clone is made by a raw system call from a zygote that was proven single-threaded, so most of what
# these modules do after a fork has nothing to do there, and it costs every clone a millisecond of
# page faults. Their hooks are held back while a zygote lives and registered in each clone, for the
# forks that a handler makes itself. Why each may be left out of the clone:
#   threading                 no other thread existed, the main thread's ident is unchanged (same
#                             stack); its native id is set again in restore_uniqueness()
#   logging                   renews locks that no other thread can have held
#   concurrent.futures.thread the same
#   random                    reseeds; restore_uniqueness() does so for every generator there is
HELD_BACK = frozenset(("threading", "logging", "concurrent.futures.thread", "random"))

_register_at_fork = os.register_at_fork
_held_back_hooks = []


def _hold_back(**hooks):
    if sys._getframe(1).f_globals.get("__name__") in HELD_BACK:
        _held_back_hooks.append(hooks)
    else:
        _register_at_fork(**hooks)


os.register_at_fork = _hold_back

import builtins
import gc
import importlib
import importlib.machinery
import json
import shutil
import tempfile
import threading
import time
import traceback
import types

# What most handlers import; loading it once in the root zygote takes the cost from every call and
# from every child zygote's import. Not more: each megabyte and each shared library in the root makes
# every clone dearer.
COMMON_MODULES = (
    "abc", "ast", "asyncio", "base64", "binascii", "bisect", "calendar", "collections",
    "collections.abc", "concurrent.futures", "concurrent.futures.thread", "contextlib",
    "contextvars", "copy", "csv", "dataclasses", "datetime", "email.utils", "enum", "errno",
    "fnmatch", "functools", "glob", "gzip", "hashlib", "heapq", "hmac", "html", "html.parser",
    "inspect", "io", "itertools", "json", "keyword", "linecache", "locale", "logging", "math",
    "numbers", "operator", "pathlib", "pickle", "queue", "random", "re", "secrets", "select",
    "selectors", "shutil", "signal", "socket", "ssl", "stat", "string", "struct", "subprocess",
    "tempfile", "textwrap", "threading", "time", "traceback", "types", "typing", "unicodedata",
    "urllib.error", "urllib.parse", "urllib.request", "uuid", "warnings", "weakref", "zipfile",
    "zlib",
)  # fmt: skip

TASK = "/var/task"
MAX_FRAMES = 60
MAX_MESSAGE = 16384

_random_objects = []
_numpy_generators = []


def import_modules(names):
    """Imports the zygote's packages; any exception is the caller's to report."""
    gc.disable()
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


def warm_up():
    """Runs the way of a call once in the root zygote, on a handler of our own: what the interpreter
    and OpenSSL set up lazily is then set up for every clone."""
    folder = tempfile.mkdtemp()
    try:
        with open(folder + "/_sock_warm_up.py", "w") as file:
            file.write("import json\ndef handler(event, context):\n    return {'n': event['n'] + 1}\n")
        function = _load("_sock_warm_up.handler", folder)
        context = Context("id", "name", 1, 0)
        context.get_remaining_time_in_millis()
        if _takes_context(function):
            _encode(function(json.loads('{"n": 1}'), context))
        try:
            function({}, context)
        except KeyError as error:
            _describe(error)
    finally:
        sys.modules.pop("_sock_warm_up", None)
        sys.path.remove(folder)
        sys.path_importer_cache.pop(folder, None)
        os.chdir("/")
        shutil.rmtree(folder)


def settle():
    """Last Python to run in a zygote: remember what must be reseeded, then freeze the heap."""
    gc.collect()
    _random_objects.clear()
    _numpy_generators.clear()
    random_type = getattr(sys.modules.get("random"), "Random", ())
    system_random = getattr(sys.modules.get("random"), "SystemRandom", ())
    numpy_random = sys.modules.get("numpy.random")
    generator_type = getattr(numpy_random, "Generator", ())
    state_type = getattr(numpy_random, "RandomState", ())
    for candidate in gc.get_objects():
        if isinstance(candidate, random_type) and not isinstance(candidate, system_random):
            _random_objects.append(candidate)
        elif isinstance(candidate, (generator_type, state_type)):
            _numpy_generators.append(candidate)
    # Once here, so that clones pay for reseeding alone and not for setting generators up.
    restore_uniqueness()
    if "ssl" in sys.modules:
        sys.modules["ssl"].RAND_bytes(1)
    gc.collect()
    gc.freeze()


def restore_uniqueness():
    """Runs first in every clone: nothing random may repeat between two clones."""
    for generator in _random_objects:
        generator.seed()
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        # The module-level functions belong to a RandomState that is among these.
        for generator in _numpy_generators:
            if hasattr(generator, "seed"):
                generator.seed()
            else:
                bits = generator.bit_generator
                bits.state = type(bits)().state
    # OpenSSL notices a fork by getpid() alone, and every clone is the same pid in its namespace.
    ssl = sys.modules.get("ssl")
    if ssl is not None:
        ssl.RAND_add(os.urandom(48), 48.0)
    tempfile = sys.modules.get("tempfile")
    if tempfile is not None:
        tempfile._name_sequence = None
    process = sys.modules.get("multiprocessing.process")
    if process is not None:
        process.current_process().authkey = os.urandom(32)
    uuid = sys.modules.get("uuid")
    if uuid is not None:
        uuid._node = None
        uuid._last_timestamp = None


def finish_fork():
    """What the held-back hooks leave to do in a clone. A clone is no zygote any more: hooks that its
    handler's imports register are registered at once."""
    os.register_at_fork = _register_at_fork
    for hooks in _held_back_hooks:
        _register_at_fork(**hooks)
    threading.main_thread()._set_native_id()


def after_clone():
    finish_fork()
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


_ERROR_TYPES = {
    HandlerNotFound: "Runtime.HandlerNotFound",
    ResultNotSerializable: "Runtime.MarshalError",
    HandlerExit: "Runtime.ExitError",
}


def _import(name, folder):
    """importlib.import_module(name) for a plain module file in `folder`, the common case, without
    the search through finders and caches, which costs a clone three times as much as compiling."""
    path = folder + "/" + name + ".py"
    package = folder + "/" + name + "/__init__.py"
    if name in sys.modules or "." in name or os.access(package, os.F_OK):
        return importlib.import_module(name)
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return importlib.import_module(name)
    try:
        source = os.read(file, os.fstat(file).st_size)
    finally:
        os.close(file)
    loader = importlib.machinery.SourceFileLoader(name, path)
    spec = importlib.machinery.ModuleSpec(name, loader, origin=path)
    spec.has_location = True
    module = types.ModuleType(name)
    module.__spec__, module.__loader__, module.__file__, module.__package__ = spec, loader, path, ""
    sys.modules[name] = module
    try:
        exec(compile(source, path, "exec", dont_inherit=True), module.__dict__)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return sys.modules[name]


def _load(handler, folder=TASK):
    module_name, _, function_name = handler.rpartition(".")
    # A path entry that did not exist when the importer first looked is remembered as empty.
    sys.path_importer_cache.pop(folder, None)
    sys.path.insert(0, folder)
    os.chdir(folder)
    module = _import(module_name, folder)
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


def _encode(result):
    try:
        return json.dumps(result, allow_nan=False, separators=(",", ":")).encode("ascii")
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


def call(handler, event, request_id, function_name, memory_mb, deadline_ns, environment):
    """Runs one call. Returns (succeeded, JSON bytes, init µs, run µs); never raises."""
    begin = loaded = time.monotonic_ns()
    running = False
    try:
        gc.enable()
        if environment:
            os.environ.update(environment)
        function = _load(handler)
        arguments = [json.loads(event)]
        if _takes_context(function):
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
