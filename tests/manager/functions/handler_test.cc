#include "manager/functions/handler.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/manager/temporary_folder.h"

namespace sock::manager {
namespace {

TEST(Handler, FindsModulesAsPythonDoes) {
  const TemporaryFolder folder;
  const std::filesystem::path& code = folder.path();
  for (const char* const file :
       {"handler.py", "a/b.py", "a/c/__init__.py", "ext.cpython-311-x86_64-linux-gnu.so", "a/d.so",
        "a/e.abi3.so", "folder.py/x", "name.txt", "extra.so.bak"}) {
    write_text(code / file, "");
  }
  for (const char* const handler : {"handler.f", "a.b.f", "a.c.f", "ext.f", "a.d.f", "a.e.f"}) {
    EXPECT_TRUE(has_module(code, handler)) << handler;
  }
  for (const char* const handler : {"a.f", "b.f", "folder.f", "name.f", "extra.f", "a.b.c.f"}) {
    EXPECT_FALSE(has_module(code, handler)) << handler;
  }
  for (const char* const handler : {"a.b", "_a.b.c", "a1.B2"}) EXPECT_TRUE(is_handler(handler));
  for (const char* const handler :
       {"", ".", "a", "a.", ".a", "a..b", "1a.b", "a.b-c", "a/b.c", "a b.c", "\xc3\xa9.x"}) {
    EXPECT_FALSE(is_handler(handler)) << handler;
  }
  EXPECT_FALSE(is_handler(std::string(254, 'a') + ".b"));
}

}  // namespace
}  // namespace sock::manager
