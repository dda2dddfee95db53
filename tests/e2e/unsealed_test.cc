/// Packages that cannot be sealed: their zygotes work unsealed, and say why.

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "tests/e2e/package_folder.h"
#include "tests/e2e/process.h"
#include "tests/e2e/suite.h"

namespace sock::e2e {
namespace {

/// A package whose import leaves memory that sealing does not understand.
struct Unsealable {
  const char* name;
  const char* source;  ///< of its module
  const char* reason;  ///< a part of what the API says
};

void PrintTo(const Unsealable& unsealable, std::ostream* out) { *out << unsealable.name; }

/// One page of its own, mapped with these flags from this descriptor, and written to.
#define ONE_PAGE(flags, fd)                                                         \
  "import ctypes, os\n"                                                             \
  "libc = ctypes.CDLL(None)\n"                                                      \
  "libc.mmap.restype = ctypes.c_void_p\n"                                           \
  "libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + 3 * [ctypes.c_int] + " \
  "[ctypes.c_long]\n"                                                               \
  "page = ctypes.c_void_p(libc.mmap(None, 4096, 3, " flags ", " fd                  \
  ", 0))\n"                                                                         \
  "ctypes.memset(page, 7, 4096)\n"

const std::vector<Unsealable>& unsealables() {
  static const std::vector<Unsealable> all = {
      {"locked", ONE_PAGE("0x22", "-1") "assert libc.mlock(page, 4096) == 0\n",
       "memory with unusual flags"},
      {"unreadable", ONE_PAGE("0x22", "-1") "assert libc.mprotect(page, 4096, 0) == 0\n",
       "unreadable memory"},
      {"device",
       "import os\nfile = os.open('/dev/zero', os.O_RDWR)\n" ONE_PAGE("2",
                                                                      "file") "os.close(file)\n",
       "memory of a device"},
      // What sealing itself cannot know: only a clone of the sealed zygote finds out.
      {"picky",
       ONE_PAGE("0x22",
                "-1") "def leave_if_sealed():\n"
                      "    for line in open('/proc/self/maps'):\n"
                      "        begin, end = (int(n, 16) for n in line.split()[0].split('-'))\n"
                      "        if begin <= page.value < end and '/memfd:' in line:\n"
                      "            os._exit(3)\n"
                      "os.register_at_fork(after_in_child=leave_if_sealed)\n",
       "a trial clone failed"},
  };
  return all;
}

struct WithThem {
  static std::string text() {
    static PackageFolder folder;
    // Their imports are so cheap that no call would earn them a zygote.
    std::string sets;
    for (const Unsealable& each : unsealables()) {
      folder.add(each.name, each.source);
      sets += "[\"" + std::string(each.name) + "\"],";
    }
    return "[zygotes]\nplan = \"configured\"\nsets = [" + sets + "]\n" + folder.setting();
  }
};

class Unsealed : public Suite<WithThem>, public testing::WithParamInterface<Unsealable> {
 protected:
  /// Of GET /v1/zygotes; empty when there is none for the package alone.
  [[nodiscard]] boost::json::object zygote_of(const std::string& package) {
    const Reply reply = api().get("/v1/zygotes");
    for (const auto& each : reply.json().at("zygotes").as_array()) {
      if (each.at("packages") == boost::json::array{package + "==1.0"}) return each.as_object();
    }
    return {};
  }

  /// Deploys a function that needs this test's package, and waits for the zygote that has it.
  void deploy(const std::string& more_options = "") {
    const std::string name = GetParam().name;
    const std::string source =
        "import " + name + "\ndef handler(e):\n    return " + name + ".__name__\n";
    ASSERT_DEPLOYED(api().deploy(
        name, source,
        R"({"requirements":[")" + name + R"("],"timeout":"60s")" + more_options + "}"));
    const auto ready = [&] {
      const auto zygote = zygote_of(name);
      return !zygote.empty() && zygote.at("state") == "ready" && zygote.at("parked") != 0;
    };
    ASSERT_TRUE(eventually(ready, Millis(60'000))) << api().get("/v1/zygotes").body;
  }
};

TEST_P(Unsealed, ZygotesServeAndSayWhy) {
  ASSERT_NO_FATAL_FAILURE(deploy());
  const std::string name = GetParam().name;
  const auto zygote = zygote_of(name);
  EXPECT_EQ(zygote.at("sealed"), false);
  const std::string reason(zygote.at("seal_error").as_string());
  EXPECT_NE(reason.find(GetParam().reason), std::string::npos) << reason;

  const Reply reply = api().invoke(name);
  EXPECT_EQ(reply.body, '"' + name + '"');
  EXPECT_EQ(reply.header("x-sock-start"), "parked");
  EXPECT_EQ(api().record_of(reply).text("zygote"), name);

  const Finished listed =
      run_program(program("sockctl"), {"--socket", daemon().socket(), "zygotes"});
  EXPECT_EQ(listed.exit, 0) << listed.err;
  EXPECT_NE(listed.out.find("not sealed: " + reason), std::string::npos) << listed.out;
}

TEST_P(Unsealed, FunctionsHaveNoZygoteAndRunAllTheSame) {
  ASSERT_NO_FATAL_FAILURE(deploy(R"(,"keep_ready":2)"));
  const std::string name = GetParam().name;
  std::string error;
  const auto refused = [&] {
    const auto view = api().function_zygote(name);
    if (!view.empty()) error = view.at("error").as_string();
    return error.find("its package zygote is not sealed") != std::string::npos;
  };
  EXPECT_TRUE(eventually(refused)) << error;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(api().invoke(name).body, '"' + name + '"');
}

INSTANTIATE_TEST_SUITE_P(Of, Unsealed, testing::ValuesIn(unsealables()),
                         [](const auto& of) { return std::string(of.param.name); });

}  // namespace
}  // namespace sock::e2e
