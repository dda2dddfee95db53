#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "tests/pkgcache/temporary_folder.h"
#include "tests/support/wheel.h"

namespace sock::pkgcache {
namespace {

using test_support::Wheel;
using test_support::WheelSpec;
using test_support::write_wheel;

constexpr const char* kCheck = R"(
import base64, csv, hashlib, importlib.metadata, sys
sys.path.insert(0, sys.argv[1])
import mine, other
assert (mine.x, other.VERSION) == (7, "2.0")
for file in importlib.metadata.distribution("my-package").files:
    if file.hash and file.name != "INSTALLER":
        digest = hashlib.sha256(file.read_binary()).digest()
        assert base64.urlsafe_b64encode(digest).decode().rstrip("=") == file.hash.value, file
)";

TEST(WheelMakerTest, PipTakesTheWheel) {
  const TemporaryFolder folder;
  const std::string path = folder.path().string();
  const Wheel other = write_wheel(folder.path(), {.name = "Other", .version = "2.0"});
  const Wheel wheel = write_wheel(folder.path(), {.name = "My.Package",
                                                  .version = "1.0",
                                                  .requirements = {"other>=1"},
                                                  .files = {{"mine/__init__.py", "x = 7\n"}},
                                                  .requires_python = ">=3.9"});
  EXPECT_EQ(wheel.file_name, "my_package-1.0-py3-none-any.whl");
  folder.write("requirements.txt", "my-package==1.0 --hash=sha256:" + wheel.sha256 +
                                       "\nother==2.0 --hash=sha256:" + other.sha256 + "\n");
  folder.write("check.py", kCheck);
  const std::string pip =
      "/usr/bin/python3 -I -m pip -q --disable-pip-version-check install --root-user-action ignore "
      "--no-index --find-links " +
      path + " --target " + path + "/out -r " + path + "/requirements.txt";
  ASSERT_EQ(std::system(pip.c_str()), 0);
  const std::string check = "/usr/bin/python3 -I " + path + "/check.py " + path + "/out";
  EXPECT_EQ(std::system(check.c_str()), 0);
}

TEST(WheelMakerTest, TheSameSpecGivesTheSameBytes) {
  const WheelSpec spec{.name = "a", .version = "1", .links = {{"l", "/etc/passwd"}}};
  EXPECT_EQ(test_support::make_wheel(spec).bytes, test_support::make_wheel(spec).bytes);
}

}  // namespace
}  // namespace sock::pkgcache
