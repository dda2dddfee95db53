/// Packages in folders that sandboxes are not shown anyhow.

#include "tests/e2e/package_folder.h"
#include "tests/e2e/process.h"
#include "tests/e2e/suite.h"

namespace sock::e2e {
namespace {

const PackageFolder& packages() {
  static PackageFolder folder;
  static const bool filled = [] {
    folder.add("answers", "answer = 42\n");
    // What forbids a sandbox to write to it is not the file's mode.
    std::filesystem::permissions(folder.path() / "answers.py", std::filesystem::perms{0666});
    return true;
  }();
  (void)filled;
  return folder;
}

constexpr const char* kAsk =
    "import answers\n"
    "def attempt(action):\n"
    "    try:\n"
    "        action()\n"
    "        return 'done'\n"
    "    except OSError as error:\n"
    "        return error.strerror\n"
    "def handler(e):\n"
    "    return [answers.answer, attempt(lambda: open(answers.__file__, 'a'))]\n";
constexpr const char* kAnswer = R"([42,"Read-only file system"])";
constexpr const char* kNeedsAnswers = R"({"requirements":["answers"],"timeout":"60s"})";

struct InZygotes {
  static std::string text() { return "[zygotes]\nsets = [[\"answers\"]]\n" + packages().setting(); }
};

class PackageFolders : public Suite<InZygotes> {};

TEST_F(PackageFolders, AreImportedByZygotes) {
  ASSERT_DEPLOYED(api().deploy("ask", kAsk, kNeedsAnswers));
  std::string zygote, start;
  const auto from_its_zygote = [&] {
    const Reply reply = api().invoke("ask");
    EXPECT_EQ(reply.body, kAnswer);
    zygote = api().record_of(reply).text("zygote");
    start = reply.header("x-sock-start");
    return zygote == "answers" && start != "cold";
  };
  EXPECT_TRUE(eventually(from_its_zygote))
      << zygote << " " << start << " " << api().get("/v1/zygotes").body;
}

struct InSandboxes {
  static std::string text() {
    return "[zygotes]\nmax = 1\nsets = []\nfunctions = false\n" + packages().setting();
  }
};

class PackageFoldersWithoutZygotes : public Suite<InSandboxes> {};

TEST_F(PackageFoldersWithoutZygotes, AreImportedInTheSandbox) {
  ASSERT_DEPLOYED(api().deploy("ask", kAsk, kNeedsAnswers));
  const Reply reply = api().invoke("ask");
  EXPECT_EQ(reply.body, kAnswer);
  EXPECT_EQ(reply.header("x-sock-start"), "cold");
}

TEST(PackageFoldersInTheWay, KeepSockdFromStarting) {
  if (::geteuid() != 0) GTEST_SKIP() << "sockd needs root";
  // Sandboxes have a /tmp of their own, which would hide them.
  Daemon daemon("[packages]\nfolders = [\"/tmp\"]\n");
  const auto started = daemon.start();
  ASSERT_FALSE(started);
  EXPECT_NE(started.error().message.find("/tmp"), std::string::npos) << started.error().message;
}

}  // namespace
}  // namespace sock::e2e
