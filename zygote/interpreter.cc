#include "zygote/interpreter.h"

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <link.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "zygote/entropy.h"
#include "zygote/runtime_source.h"

namespace sock::zygote::interpreter {
namespace {

using Object = std::unique_ptr<PyObject, decltype([](PyObject* object) { Py_XDECREF(object); })>;

PyObject* g_runtime = nullptr;  ///< the runtime module; lives as long as the process
PyObject* g_call = nullptr;     ///< its call function

bool g_work_in_clones = true;       ///< whether the runtime has something to do in each clone
std::vector<pid_t> g_settled_pids;  ///< under which a heap was frozen; see restore_uniqueness()

/// The runtime's own functions, under names of its module.

PyObject* peek(PyObject* /*module*/, PyObject* arguments) {
  Py_ssize_t address = 0, length = 0;
  if (!PyArg_ParseTuple(arguments, "nn", &address, &length)) return nullptr;
  return PyBytes_FromStringAndSize(reinterpret_cast<const char*>(address), length);
}

PyObject* keep_random(PyObject* /*module*/, PyObject* arguments) {
  Py_ssize_t address = 0, length = 0;
  if (!PyArg_ParseTuple(arguments, "nn", &address, &length)) return nullptr;
  return PyBool_FromLong(
      zygote::keep_random(static_cast<std::uintptr_t>(address), static_cast<std::size_t>(length)));
}

PyObject* remember_pid(PyObject* /*module*/, PyObject* /*arguments*/) {
  g_settled_pids.push_back(::getpid());
  Py_RETURN_NONE;
}

bool has_known_pid() {
  return std::ranges::find(g_settled_pids, ::getpid()) != g_settled_pids.end();
}

PyObject* pid_is_known(PyObject* /*module*/, PyObject* /*arguments*/) {
  return PyBool_FromLong(has_known_pid() ? 1 : 0);
}

PyObject* count_libraries(PyObject* /*module*/, PyObject* /*arguments*/) {
  long count = 0;
  auto one_more = [](dl_phdr_info*, std::size_t, void* sum) {
    ++*static_cast<long*>(sum);
    return 0;
  };
  ::dl_iterate_phdr(one_more, &count);
  return PyLong_FromLong(count);
}

PyMethodDef g_functions[] = {{"count_libraries", count_libraries, METH_NOARGS, nullptr},
                             {"peek", peek, METH_VARARGS, nullptr},
                             {"keep_random", keep_random, METH_VARARGS, nullptr},
                             {"pid_is_known", pid_is_known, METH_NOARGS, nullptr},
                             {"remember_pid", remember_pid, METH_NOARGS, nullptr},
                             {nullptr, nullptr, 0, nullptr}};

/// Takes the pending exception as "Type: message".
std::string take_exception() {
  PyObject *type = nullptr, *value = nullptr, *trace = nullptr;
  PyErr_Fetch(&type, &value, &trace);
  PyErr_NormalizeException(&type, &value, &trace);
  const Object owned_type(type), owned_value(value), owned_trace(trace);
  std::string out = "unknown exception";
  if (value != nullptr) {
    out = Py_TYPE(value)->tp_name;
    const Object text(PyObject_Str(value));
    const char* message = text ? PyUnicode_AsUTF8(text.get()) : nullptr;
    if (message != nullptr) out.append(": ").append(message);
  }
  PyErr_Clear();
  return out;
}

std::unexpected<Error> python_error(std::string_view step) {
  return fail(Code::kInvalid, step, take_exception());
}

Result<> call_runtime(const char* function, PyObject* argument = nullptr) {
  const Object callable(PyObject_GetAttrString(g_runtime, function));
  if (!callable) return python_error(function);
  const Object result(argument == nullptr ? PyObject_CallNoArgs(callable.get())
                                          : PyObject_CallOneArg(callable.get(), argument));
  if (!result) return python_error(function);
  return {};
}

Object list_of(const std::vector<std::string>& strings) {
  Object list(PyList_New(0));
  for (const auto& text : strings) {
    const Object item(
        PyUnicode_FromStringAndSize(text.data(), static_cast<Py_ssize_t>(text.size())));
    if (!list || !item || PyList_Append(list.get(), item.get()) < 0) return nullptr;
  }
  return list;
}

Result<> initialise(const std::vector<std::string>& search_path) {
  PyPreConfig preconfig;
  PyPreConfig_InitIsolatedConfig(&preconfig);
  preconfig.utf8_mode = 1;
  PyStatus status = Py_PreInitialize(&preconfig);
  if (PyStatus_Exception(status)) return fail(Code::kInternal, "interpreter", status.err_msg);

  PyConfig config;
  PyConfig_InitIsolatedConfig(&config);
  config.site_import = 0;
  config.write_bytecode = 0;
  config.install_signal_handlers = 1;  // SIGPIPE ignored, SIGINT raises: as programs expect
  config.module_search_paths_set = 1;
  auto set = [&](wchar_t** field, const char* text) {
    if (!PyStatus_Exception(status)) status = PyConfig_SetBytesString(&config, field, text);
  };
  set(&config.program_name, "python3");
  // multiprocessing's spawn and programs that run sys.executable find the real interpreter.
  set(&config.executable, "/usr/bin/python3.11");
  set(&config.home, "/usr");
  // Without it the frozen part of the standard library has no __file__.
  set(&config.stdlib_dir, "/usr/lib/python3.11");
  for (const auto& path : search_path) {
    if (PyStatus_Exception(status)) break;
    wchar_t* wide = Py_DecodeLocale(path.c_str(), nullptr);
    if (wide == nullptr) break;
    status = PyWideStringList_Append(&config.module_search_paths, wide);
    PyMem_RawFree(wide);
  }
  if (!PyStatus_Exception(status)) status = Py_InitializeFromConfig(&config);
  PyConfig_Clear(&config);
  if (PyStatus_Exception(status)) {
    return fail(Code::kInternal, "interpreter", status.err_msg ? status.err_msg : "start failed");
  }
  return {};
}

Object environment_of(std::string_view pairs) {
  Object dict(PyDict_New());
  while (dict && !pairs.empty()) {
    const auto name = pairs.substr(0, pairs.find('\0'));
    if (name.size() >= pairs.size()) break;
    pairs.remove_prefix(name.size() + 1);
    const auto value = pairs.substr(0, pairs.find('\0'));
    pairs.remove_prefix(std::min(pairs.size(), value.size() + 1));
    const Object key(
        PyUnicode_FromStringAndSize(name.data(), static_cast<Py_ssize_t>(name.size())));
    const Object text(
        PyUnicode_FromStringAndSize(value.data(), static_cast<Py_ssize_t>(value.size())));
    if (!key || !text || PyDict_SetItem(dict.get(), key.get(), text.get()) < 0) return nullptr;
  }
  return dict;
}

/// sys.path for a call; empty: as it is.
Object path_of(std::string_view texts) {
  Object list(PyList_New(0));
  while (list && !texts.empty()) {
    const auto text = texts.substr(0, texts.find('\0'));
    texts.remove_prefix(std::min(texts.size(), text.size() + 1));
    const Object item(
        PyUnicode_FromStringAndSize(text.data(), static_cast<Py_ssize_t>(text.size())));
    if (!item || PyList_Append(list.get(), item.get()) < 0) return nullptr;
  }
  return list;
}

Py_ssize_t size_of(std::string_view text) { return static_cast<Py_ssize_t>(text.size()); }

/// A view of a bytes object, which must outlive it.
bool bytes_of(PyObject* object, std::string_view& out) {
  char* data = nullptr;
  Py_ssize_t length = 0;
  if (PyBytes_AsStringAndSize(object, &data, &length) < 0) return false;
  out = {data, static_cast<std::size_t>(length)};
  return true;
}

}  // namespace

Result<> start(const std::vector<std::string>& search_path) {
  if (auto started = initialise(search_path); !started) return started;
  const Object code(Py_CompileString(kRuntimeSource, "<sock>", Py_file_input));
  if (!code) return python_error("compile runtime");
  // Not under its own name in sys.modules: user code has no business importing it.
  g_runtime = PyImport_ExecCodeModule("_sock_runtime", code.get());
  if (g_runtime == nullptr || PyModule_AddFunctions(g_runtime, g_functions) < 0) {
    return python_error("load runtime");
  }
  PyDict_DelItemString(PyImport_GetModuleDict(), "_sock_runtime");
  g_call = PyObject_GetAttrString(g_runtime, "call");
  if (g_call == nullptr) return python_error("load runtime");
  return call_runtime("import_common");
}

Result<> import_modules(const std::vector<std::string>& modules,
                        const std::vector<std::string>& search_path) {
  const Object path = list_of(search_path);
  const Object list = list_of(modules);
  if (!path || !list) return python_error("import");
  if (auto used = call_runtime("use_path", path.get()); !used) return used;
  return call_runtime("import_modules", list.get());
}

Result<> settle() {
  if (auto settled = call_runtime("settle"); !settled) return settled;
  const Object work(PyObject_CallMethod(g_runtime, "has_work_in_clones", nullptr));
  if (!work) return python_error("settle");
  g_work_in_clones = PyObject_IsTrue(work.get()) == 1;
  return {};
}

Result<> after_clone() {
  if (!renew_randomness()) return fail_errno("getrandom", "in a clone");
  return g_work_in_clones || has_known_pid() ? call_runtime("after_clone") : Result<>{};
}

Result<Outcome> run(const Call& call) {
  const Object environment = environment_of(call.environment);
  const Object path = path_of(call.search_path);
  if (!environment || !path) return python_error("environment");
  PyObject* result = PyObject_CallFunction(
      g_call, "s#s#s#s#ILOOy#I", call.handler.data(), size_of(call.handler), call.event.data(),
      size_of(call.event), call.id.data(), size_of(call.id), call.function.data(),
      size_of(call.function), call.memory_mb, static_cast<long long>(call.deadline_ns),
      environment.get(), path.get(), call.code.data(), size_of(call.code), call.cpus);
  if (result == nullptr) return python_error("call");
  int succeeded = 0;
  const char* json = nullptr;
  Py_ssize_t length = 0;
  long long init_us = 0, run_us = 0;
  // `result` is never released: the bytes it holds go out, then the process ends.
  if (!PyArg_ParseTuple(result, "py#LL", &succeeded, &json, &length, &init_us, &run_us)) {
    return python_error("call result");
  }
  return Outcome{succeeded != 0, {json, static_cast<std::size_t>(length)}, init_us, run_us};
}

Result<Outcome> prepare(const Call& call) {
  const Object environment = environment_of(call.environment);
  const Object path = path_of(call.search_path);
  if (!environment || !path) return python_error("environment");
  const Object function(PyObject_GetAttrString(g_runtime, "prepare"));
  if (!function) return python_error("prepare");
  PyObject* problem =
      PyObject_CallFunction(function.get(), "s#y#OO", call.handler.data(), size_of(call.handler),
                            call.code.data(), size_of(call.code), environment.get(), path.get());
  if (problem == nullptr) return python_error("prepare");
  Outcome outcome;
  outcome.succeeded = problem == Py_None;
  if (!outcome.succeeded && !bytes_of(problem, outcome.json)) return python_error("prepare");
  return outcome;
}

Result<Outcome> compile_handler(const Call& call) {
  const Object function(PyObject_GetAttrString(g_runtime, "compile_handler"));
  if (!function) return python_error("compile");
  PyObject* code =
      PyObject_CallFunction(function.get(), "s#", call.handler.data(), size_of(call.handler));
  Outcome outcome;
  outcome.succeeded = true;
  if (code == nullptr || !bytes_of(code, outcome.json)) return python_error("compile");
  return outcome;
}

}  // namespace sock::zygote::interpreter
