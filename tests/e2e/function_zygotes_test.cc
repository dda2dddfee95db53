/// Functions whose handler is loaded before their calls come.

#include <signal.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <chrono>
#include <map>
#include <set>

#include "tests/e2e/process.h"
#include "tests/e2e/suite.h"

namespace sock::e2e {
namespace {

/// RESTORED tells a handler whether its module was loaded ahead of the call.
constexpr const char* kMarked =
    "import snapshot_restore_py\n"
    "RESTORED = []\n"
    "snapshot_restore_py.register_before_snapshot(RESTORED.append, True)\n";
constexpr const char* kKeepOne = R"({"keep_ready":1})";

std::string marked(const std::string& rest) { return kMarked + rest; }

class FunctionZygotes : public Suite<Bare> {
 protected:
  /// Deploys `source` and waits for its zygote.
  [[nodiscard]] bool prepare(const std::string& source, const std::string& options = kKeepOne,
                             const std::string& name = "t") {
    const Reply deployed = api().deploy(name, source, options);
    EXPECT_LT(deployed.status, 300U) << deployed.body;
    const bool ready = api().wait_for_function_zygote(name);
    EXPECT_TRUE(ready) << boost::json::serialize(api().function_zygote(name));
    return ready;
  }

  /// Calls it in a clone of its own zygote.
  [[nodiscard]] Reply invoke(const std::string& event = "{}", const std::string& name = "t") {
    EXPECT_TRUE(api().wait_for_function_zygote(name));
    return api().invoke(name, event);
  }
};

TEST_F(FunctionZygotes, ServeCallsWithTheModuleLoaded) {
  ASSERT_TRUE(
      prepare(marked("import os\n"
                     "import_pid = os.getpid()\n"
                     "table = {n: n * n for n in range(1000)}\n"
                     "def handler(e):\n"
                     "    return [RESTORED, table[31], import_pid == os.getpid()]\n")));
  for (int i = 0; i < 3; ++i) {
    const Reply reply = invoke();
    EXPECT_EQ(reply.body, "[[true],961,false]");
    EXPECT_EQ(reply.header("x-sock-start"), "parked");
  }
  const auto zygote = api().function_zygote("t");
  EXPECT_EQ(zygote.at("clones").to_number<int>(), 3);
  EXPECT_GT(zygote.at("image_bytes").to_number<int>(), 0);
  EXPECT_EQ(zygote.at("error").as_string(), "");
}

TEST_F(FunctionZygotes, NoCallSeesAnother) {
  ASSERT_TRUE(
      prepare("import json, os\n"
              "calls, history = 0, []\n"
              "def handler(e):\n"
              "    global calls\n"
              "    calls += 1\n"
              "    history.append(e)\n"
              "    json.seen = getattr(json, 'seen', 0) + 1\n"
              "    os.environ['SEEN'] = os.environ.get('SEEN', '') + 'x'\n"
              "    os.chdir('/tmp')\n"
              "    open('left', 'w').write('x')\n"
              "    return [calls, history, json.seen, os.environ['SEEN']]\n"));
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(invoke(std::to_string(i)).body, "[1,[" + std::to_string(i) + R"(],1,"x"])");
  }
}

TEST_F(FunctionZygotes, AnImportSpoilsItsOwnFunctionOnly) {
  ASSERT_TRUE(
      prepare("import random, builtins\n"
              "random.random = lambda: 4\n"
              "builtins.spoilt = True\n"
              "def handler(e):\n"
              "    return [random.random(), spoilt]\n"));
  EXPECT_EQ(invoke().body, "[4,true]");
  const std::string other =
      "import builtins, random\n"
      "def handler(e):\n"
      "    return [random.random() < 1, hasattr(builtins, 'spoilt')]\n";
  ASSERT_TRUE(prepare(other, kKeepOne, "other"));
  EXPECT_EQ(invoke("{}", "other").body, "[true,false]");
  ASSERT_DEPLOYED(api().deploy("plain", other));
  EXPECT_EQ(api().invoke("plain").body, "[true,false]");
}

TEST_F(FunctionZygotes, HooksRunAroundTheSnapshot) {
  ASSERT_TRUE(
      prepare("from snapshot_restore_py import *\n"
              "from snapshot_restore_py import register_before_snapshot as before\n"
              "from snapshot_restore_py import register_after_restore as after\n"
              "ran = []\n"
              "@before\n"
              "def first():\n"
              "    ran.append('first')\n"
              "before(lambda *a, **k: ran.append(['second', a, k]), 1, two=2)\n"
              "@after\n"
              "def third():\n"
              "    ran.append('third')\n"
              "after(lambda *a, **k: ran.append(['fourth', a, k]), 3, four=4)\n"
              "def handler(e):\n"
              "    return [ran, callable(first), callable(third)]\n"));
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(
        invoke().body,
        R"([[["second",[1],{"two":2}],"first","third",["fourth",[3],{"four":4}]],true,true])");
  }
}

TEST_F(FunctionZygotes, AHookThatFailsAfterTheRestoreIsTheCallsError) {
  ASSERT_TRUE(
      prepare("import snapshot_restore_py\n"
              "def connect():\n"
              "    raise ConnectionError('no base')\n"
              "snapshot_restore_py.register_after_restore(connect)\n"
              "def handler(e):\n"
              "    return 1\n"));
  const Reply reply = invoke();
  EXPECT_TRUE(failed(reply, 502, "app_error"));
  EXPECT_EQ(reply.text("errorType"), "ConnectionError");
}

TEST_F(FunctionZygotes, NothingOfATenantRunsBeforeItsCall) {
  ASSERT_TRUE(
      prepare("import snapshot_restore_py, time\n"
              "print('at import')\n"
              "imported = time.monotonic_ns()\n"
              "snapshot_restore_py.register_after_restore(\n"
              "    lambda: globals().update(restored=time.monotonic_ns()))\n"
              "def handler(sent):\n"
              "    print('in the call')\n"
              "    return imported < sent < restored\n"));
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(api().wait_for_function_zygote("t"));
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    const Reply reply = api().invoke(
        "t", std::to_string(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count()));
    EXPECT_EQ(reply.body, "true");
    EXPECT_EQ(api().record_of(reply).text("logs"), "in the call\n");
  }
}

TEST_F(FunctionZygotes, ExceptionsNameTheirLines) {
  ASSERT_TRUE(
      prepare("import json\n\ndef inner(n):\n    raise KeyError(n)\n"
              "def handler(e):\n    inner('k')\n"));
  const Reply reply = invoke();
  ASSERT_TRUE(failed(reply, 502, "app_error"));
  const auto& trace = reply.json().at("stackTrace").as_array();
  ASSERT_EQ(trace.size(), 2U) << reply.body;
  EXPECT_TRUE(
      trace[0].as_string().starts_with("File \"/var/task/handler.py\", line 6, in handler"));
  EXPECT_TRUE(trace[1].as_string().starts_with("File \"/var/task/handler.py\", line 4, in inner"));
}

TEST_F(FunctionZygotes, RedeployingAndRemovingTakeEffectAtOnce) {
  for (int i = 0; i < 5; ++i) {
    const std::string n = std::to_string(i);
    ASSERT_DEPLOYED(api().deploy("t", marked("def handler(e):\n    return " + n + "\n"), kKeepOne));
    EXPECT_EQ(api().invoke("t").body, n);
    EXPECT_EQ(invoke().body, n);
  }
  ASSERT_EQ(api().remove("t").status, 200U);
  EXPECT_TRUE(api().function_zygote("t").empty());
  EXPECT_EQ(api().invoke("t").status, 404U);
  ASSERT_TRUE(prepare(marked("def handler(e):\n    return RESTORED\n")));
  EXPECT_EQ(invoke().body, "[true]");
}

TEST_F(FunctionZygotes, CallsGoOnWhenThePackageZygoteDies) {
  ASSERT_TRUE(prepare(marked("def handler(e):\n    return RESTORED\n")));
  const auto package_zygote = [&]() -> boost::json::object {
    const Reply reply = api().get("/v1/zygotes");
    return reply.json().at("zygotes").at(0).as_object();
  };
  const auto killed = package_zygote().at("pid").to_number<pid_t>();
  ASSERT_GT(killed, 1);
  ASSERT_EQ(::kill(killed, SIGKILL), 0);
  const auto back = [&] {
    const Reply reply = api().invoke("t");
    // Turned away while there is no zygote at all, but never answered wrongly.
    EXPECT_TRUE(reply.body == "[true]" || reply.body == "[]" || reply.status == 429) << reply.body;
    const auto now = package_zygote();
    return now.at("state").as_string() == "ready" && now.at("pid").to_number<pid_t>() != killed &&
           api().function_zygote("t").at("parked").to_number<int>() > 0;
  };
  ASSERT_TRUE(eventually(back, Millis(30'000))) << api().get("/v1/zygotes").body;
  // The image was of the old one's clones; from now on, of the new one's.
  for (int i = 0; i < 5; ++i) EXPECT_EQ(invoke().body, "[true]");
}

TEST_F(FunctionZygotes, FunctionsThatAreCalledOftenGetOne) {
  ASSERT_DEPLOYED(api().deploy("often", marked("def handler(e):\n    return RESTORED\n")));
  EXPECT_EQ(api().invoke("often").body, "[]");
  EXPECT_TRUE(api().function_zygote("often").empty());
  const auto loaded = [&] { return api().invoke("often").body == "[true]"; };
  EXPECT_TRUE(eventually(loaded)) << api().get("/v1/zygotes").body;
}

struct OnlyOnRequest {
  static const char* text() {
    return "[zygotes]\nfunctions = false\nmax_functions = 1\nsets = []\n";
  }
};

class FewFunctionZygotes : public Suite<OnlyOnRequest> {};

TEST_F(FewFunctionZygotes, AreForThoseThatAskedForThem) {
  const std::string source = marked("def handler(e):\n    return RESTORED\n");
  ASSERT_DEPLOYED(api().deploy("t", source));
  for (int i = 0; i < 20; ++i) EXPECT_EQ(api().invoke("t").body, "[]");
  EXPECT_TRUE(api().function_zygote("t").empty());
  // One that cannot have a zygote does not take another's place.
  ASSERT_DEPLOYED(api().deploy("broken", "raise ValueError\n", kKeepOne));
  ASSERT_FALSE(api().wait_for_function_zygote("broken"));
  ASSERT_DEPLOYED(api().deploy("first", source, kKeepOne));
  EXPECT_TRUE(api().wait_for_function_zygote("first"));
  ASSERT_DEPLOYED(api().deploy("second", source, kKeepOne));
  EXPECT_FALSE(api().wait_for_function_zygote("second"));
  EXPECT_NE(api().function_zygote("second").at("error").as_string().find("1 function zygotes"),
            boost::json::string_view::npos);
  EXPECT_EQ(api().invoke("second").body, "[]");
  ASSERT_EQ(api().remove("first").status, 200U);
  EXPECT_TRUE(eventually([&] { return api().wait_for_function_zygote("second"); }));
}

struct HotWithoutParking {
  static const char* text() { return "[zygotes]\nsets = []\n[parked]\nmin = 0\nmax = 0\n"; }
};

class UnparkedFunctionZygotes : public Suite<HotWithoutParking> {};

TEST_F(UnparkedFunctionZygotes, AreClonedOnDemand) {
  ASSERT_DEPLOYED(api().deploy("t", marked("def handler(e):\n    return RESTORED\n")));
  const auto loaded = [&] { return api().invoke("t").body == "[true]"; };
  ASSERT_TRUE(eventually(loaded)) << api().get("/v1/zygotes").body;
  for (int i = 0; i < 5; ++i) {
    const Reply reply = api().invoke("t");
    EXPECT_EQ(reply.body, "[true]");
    EXPECT_EQ(reply.header("x-sock-start"), "clone");
  }
}

/// Everything of `values` in 100 calls, through a zygote of the function's own, is seen once.
void expect_no_repeats(Api& api, const std::string& at_import, const std::string& values,
                       const std::string& more_options) {
  const std::string source = marked(at_import +
                                    "def handler(e):\n"
                                    "    return [RESTORED == [True], " +
                                    values + "]\n");
  ASSERT_DEPLOYED(api.deploy("dice", source, R"({"keep_ready":8)" + more_options + "}"));
  constexpr std::size_t kCalls = 100;
  std::map<std::size_t, std::set<std::string>> seen;
  for (std::size_t i = 0; i < kCalls; ++i) {
    ASSERT_TRUE(api.wait_for_function_zygote("dice")) << api.get("/v1/zygotes").body;
    const Reply reply = api.invoke("dice");
    ASSERT_TRUE(succeeded(reply));
    const auto& drawn = reply.json().as_array();
    ASSERT_TRUE(drawn[0].as_bool()) << "the module was not loaded ahead";
    for (std::size_t k = 1; k < drawn.size(); ++k) seen[k].insert(serialize(drawn[k]));
  }
  EXPECT_GT(seen.size(), 3U);
  for (const auto& [k, drawn] : seen) EXPECT_EQ(drawn.size(), kCalls) << "value " << k;
}

TEST_F(FunctionZygotes, NothingRandomRepeats) {
  expect_no_repeats(
      api(),
      "import multiprocessing, os, random, secrets, ssl, tempfile, uuid\n"
      // Drawn from at import, and again in every call.
      "random.random(); secrets.token_hex(); ssl.RAND_bytes(16); tempfile.mktemp()\n"
      "uuid.uuid1(); uuid.uuid4(); multiprocessing.current_process().authkey\n"
      "own, seeded, system = random.Random(), random.Random(7), random.SystemRandom()\n"
      "names = tempfile._get_candidate_names()\n"
      "own.random(); next(names)\n",
      "random.random(), own.random(), seeded.random(), system.random(),\n"
      "        random.Random().random(), secrets.token_hex(8), os.urandom(8).hex(),\n"
      "        ssl.RAND_bytes(8).hex(), str(uuid.uuid1()), str(uuid.uuid4()),\n"
      "        tempfile.mktemp(), next(names),\n"
      "        multiprocessing.current_process().authkey.hex()",
      "");
}

struct Numpy {
  static const char* text() { return "[zygotes]\nsets = [[\"numpy\"]]\n"; }
};

class NumpyFunctionZygotes : public Suite<Numpy> {};

TEST_F(NumpyFunctionZygotes, NothingRandomRepeats) {
  if (api().get("/v1/packages").body.find("\"numpy\"") == std::string::npos) {
    GTEST_SKIP() << "this host has no package numpy";
  }
  // A function zygote of the bare one's would be replaced while it is used.
  const auto settled = [&] {
    return api().get("/v1/zygotes").body.find("\"starting\"") == std::string::npos;
  };
  ASSERT_TRUE(eventually(settled, Millis(60'000)));
  expect_no_repeats(
      api(),
      "import numpy, random\n"
      "from numpy.random import Generator, Philox, RandomState, SFC64, default_rng\n"
      "rng, old, bits = default_rng(), RandomState(), SFC64()\n"
      "others = [Generator(Philox()), Generator(bits), Generator(bits)]\n"
      "numpy.random.random(), rng.random(), old.random()\n",
      "numpy.random.random(), rng.random(), old.random(), default_rng().random(),\n"
      "        [g.random() for g in others], int(bits.random_raw()), random.random(),\n"
      "        rng.bit_generator._seed_seq.spawn(1)[0].generate_state(1).tolist(),\n"
      "        len({id(g.bit_generator.lock) for g in others[1:]}) == 1 and rng.integers(1 << "
      "60).item()",
      R"(,"requirements":["numpy"],"memory":"512M")");
}

}  // namespace
}  // namespace sock::e2e
