// seal_memory() in a process of its own, looked at from outside: what it must keep, share and
// refuse.

#include "zygote/seal.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/file.h"
#include "zygote/heap.h"
#include "zygote/memory_map.h"

namespace sock::zygote {
namespace {

constexpr std::size_t kPage = 4096;

char* map_pages(std::size_t count, int protection = PROT_READ | PROT_WRITE) {
  void* at = ::mmap(nullptr, count * kPage, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return static_cast<char*>(at);
}

/// A forked process that pauses whenever it says so.
class Subject {
 public:
  explicit Subject(const std::function<void(Subject&)>& life) {
    int down[2], up[2];
    if (::pipe2(down, O_CLOEXEC) < 0 || ::pipe2(up, O_CLOEXEC) < 0) std::abort();
    pid_ = ::fork();
    wait_fd_ = Fd(pid_ == 0 ? down[0] : up[0]);
    wake_fd_ = Fd(pid_ == 0 ? up[1] : down[1]);
    ::close(pid_ == 0 ? down[1] : down[0]);
    ::close(pid_ == 0 ? up[0] : up[1]);
    if (pid_ != 0) return;
    life(*this);
    ::_exit(0);
  }
  ~Subject() { finish(); }

  /// In the process: tells the test, waits for it.
  void pause() {
    char byte = 0;
    if (::write(wake_fd_.get(), &byte, 1) != 1 || ::read(wait_fd_.get(), &byte, 1) != 1) ::_exit(9);
  }
  /// In the test: until the process pauses; false when it ended instead.
  bool await() {
    char byte = 0;
    return ::read(wait_fd_.get(), &byte, 1) == 1;
  }
  void resume() const {
    const char byte = 0;
    ASSERT_EQ(::write(wake_fd_.get(), &byte, 1), 1);
  }
  /// In the test: lets it run to its end and returns its wait status.
  int finish() {
    if (pid_ <= 0) return -1;
    wake_fd_.reset();
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = -1;
    return status;
  }
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  pid_t pid_;
  Fd wait_fd_;
  Fd wake_fd_;
};

struct PageView {
  int protection = 0;
  bool shared = false;
  bool of_file = false;
  std::string bytes;  ///< empty when it cannot be read
};

bool is_special(std::string_view name) { return name == "[stack]" || name.starts_with("[v"); }

/// Every page of a paused process but its stack's and the kernel's.
std::map<std::uintptr_t, PageView> pages_of(pid_t pid) {
  std::map<std::uintptr_t, PageView> out;
  const std::string folder = "/proc/" + std::to_string(pid);
  const auto text = read_file(AT_FDCWD, folder + "/smaps", 32 << 20);
  const Fd memory(::open((folder + "/mem").c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_TRUE(text && memory);
  MemoryMap map(*text);
  for (Mapping mapping; map.next(mapping);) {
    if (is_special(mapping.name)) continue;
    for (std::uintptr_t at = mapping.begin; at < mapping.end; at += kPage) {
      PageView view{mapping.protection, mapping.shared, mapping.inode != 0,
                    std::string(kPage, '\0')};
      const ssize_t n = ::pread(memory.get(), view.bytes.data(), kPage, static_cast<off_t>(at));
      if (n != static_cast<ssize_t>(kPage)) view.bytes.clear();
      out[at] = std::move(view);
    }
  }
  EXPECT_FALSE(map.malformed());
  return out;
}

/// The mappings that still are the process's own, but for the stack.
std::vector<std::string> own_mappings(pid_t pid) {
  std::vector<std::string> out;
  const auto text = read_file(AT_FDCWD, "/proc/" + std::to_string(pid) + "/smaps", 32 << 20);
  EXPECT_TRUE(text);
  MemoryMap map(*text);
  for (Mapping mapping; map.next(mapping);) {
    if (mapping.anonymous > 0 && !is_special(mapping.name)) {
      out.push_back(std::string(mapping.name) + " " + std::to_string(mapping.anonymous));
    }
  }
  return out;
}

TEST(Seal, KeepsEveryPageAndItsProtection) {
  Subject subject([](Subject& self) {
    // 64 written, 300 untouched, 4 written; then one page each of other protections.
    char* memory = map_pages(368 + 4);
    for (std::size_t i = 0; i < 64 * kPage; i += 8) memory[i] = static_cast<char>(i >> 3 | 1);
    std::memset(memory + 364 * kPage, 'x', 8 * kPage);
    ::mprotect(memory + 368 * kPage, kPage, PROT_READ);
    ::mprotect(memory + 369 * kPage, kPage, PROT_READ | PROT_EXEC);
    ::mprotect(memory + 370 * kPage, kPage, PROT_READ | PROT_WRITE | PROT_EXEC);
    map_pages(16, PROT_NONE);
    self.pause();
    const auto seal = seal_memory({});
    self.pause();
    if (!seal) ::_exit(2);
    // Still its own memory, in every respect.
    memory[0] = 'y';
    memory[200 * kPage] = 'y';
    std::string grown(8 << 20, 'z');
    ::_exit(memory[0] == 'y' && grown.back() == 'z' ? 0 : 3);
  });
  ASSERT_TRUE(subject.await());
  const auto before = pages_of(subject.pid());
  subject.resume();
  ASSERT_TRUE(subject.await());
  const auto own = own_mappings(subject.pid());
  const auto after = pages_of(subject.pid());
  subject.resume();
  EXPECT_EQ(subject.finish(), 0);

  ASSERT_EQ(before.size(), after.size());
  std::size_t changed = 0;
  for (const auto& [at, was] : before) {
    const auto found = after.find(at);
    ASSERT_NE(found, after.end()) << std::hex << at << " is gone";
    // Of a library, constants may have become one mapping with the code.
    const bool constant = was.of_file && was.protection == PROT_READ;
    const int is = found->second.protection;
    EXPECT_TRUE(is == was.protection || (constant && is == (PROT_READ | PROT_EXEC)))
        << std::hex << at << ": " << is << " instead of " << was.protection;
    EXPECT_EQ(found->second.shared, was.shared) << std::hex << at;
    if (found->second.bytes != was.bytes) ++changed;
  }
  // What the process itself wrote in between: the page of its thread, the result on the heap.
  EXPECT_LE(changed, 3U);
  // The page of its thread, which is never sealed, and what returning the result wrote.
  EXPECT_LE(own.size(), 2U) << testing::PrintToString(own);
}

TEST(Seal, TheImageIsDenseAndCannotChange) {
  Subject subject([](Subject&) {
    std::memset(map_pages(100), 1, 100 * kPage);
    const auto seal = seal_memory({});
    struct stat file {};
    const int wanted = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
    const bool good = seal && ::fstat(seal->image.get(), &file) == 0 &&
                      static_cast<std::uint64_t>(file.st_blocks) * 512 >= seal->bytes &&
                      seal->bytes >= 100 * kPage &&
                      (::fcntl(seal->image.get(), F_GET_SEALS) & wanted) == wanted &&
                      ::pwrite(seal->image.get(), "x", 1, 0) < 0;
    ::_exit(good ? 0 : 2);
  });
  EXPECT_EQ(subject.finish(), 0);
}

TEST(Seal, ASecondSealCopiesOnlyWhatChanged) {
  Subject subject([](Subject&) {
    constexpr std::size_t kPages = 4096;
    char* memory = map_pages(kPages);
    for (std::size_t i = 0; i < kPages; ++i) memory[i * kPage] = static_cast<char>(i % 100 + 1);
    auto first = seal_memory({});
    if (!first || first->bytes < kPages * kPage) ::_exit(2);
    memory[2000 * kPage] = 'x';
    // Written, but as it was.
    std::memset(memory + 3000 * kPage + 8, 0, 8);
    const int ancestors[] = {first->image.get()};
    auto second = seal_memory(ancestors);
    if (!second) ::_exit(3);
    // The rest is what this process's heap and libraries have written meanwhile.
    if (second->bytes > 2 << 20) ::_exit(4);
    for (std::size_t i = 0; i < kPages; ++i) {
      if (memory[i * kPage] != (i == 2000 ? 'x' : static_cast<char>(i % 100 + 1))) ::_exit(5);
    }
    // Without the ancestor's image, the whole stretch that it is mapped in is copied once more.
    memory[100 * kPage] = 'y';
    auto third = seal_memory({});
    const bool copied = third && third->bytes > 1900 * kPage && third->bytes < 2500 * kPage;
    ::_exit(copied && memory[100 * kPage] == 'y' && memory[1900 * kPage] == static_cast<char>(1)
                ? 0
                : 6);
  });
  EXPECT_EQ(subject.finish(), 0);
}

TEST(Seal, MallocGrowsBlocksThatWereSealed) {
  Subject subject([](Subject&) {
    keep_heap_together();
    auto* block = static_cast<char*>(std::malloc(3 << 20));
    std::memset(block, 7, 3 << 20);
    settle_heap();
    if (!seal_memory({})) ::_exit(2);
    // By mremap this would run past the image's end, into SIGBUS.
    block = static_cast<char*>(std::realloc(block, 100 << 20));
    if (block == nullptr || block[(3 << 20) - 1] != 7) ::_exit(3);
    std::memset(block, 8, 100 << 20);
    auto* zeros = static_cast<char*>(std::calloc(1, 50 << 20));
    for (std::size_t i = 0; i < 50 << 20; i += 512) {
      if (zeros[i] != 0) ::_exit(4);
    }
    std::free(block);
    std::free(zeros);
  });
  EXPECT_EQ(subject.finish(), 0);
}

TEST(Seal, LeavesMemoryThatClonesMustNotShare) {
  Subject subject([](Subject& self) {
    char* wiped = map_pages(4);
    std::memset(wiped, 5, 4 * kPage);
    if (::madvise(wiped, 4 * kPage, MADV_WIPEONFORK) < 0 || !seal_memory({})) ::_exit(2);
    self.pause();
    const pid_t child = ::fork();
    if (child == 0) ::_exit(wiped[0] == 0 ? 0 : 1);
    int status = 0;
    ::waitpid(child, &status, 0);
    ::_exit(status == 0 && wiped[0] == 5 ? 0 : 3);
  });
  ASSERT_TRUE(subject.await());
  subject.resume();
  EXPECT_EQ(subject.finish(), 0);
}

TEST(Seal, RefusesWhatItDoesNotUnderstandAndChangesNothing) {
  struct Case {
    const char* finding;
    std::function<void()> prepare;
  };
  const std::vector<Case> cases = {
      {"writable shared memory",
       [] { ::mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0); }},
      {"unusual flags",
       [] {
         char* locked = map_pages(1);
         if (::mlock(locked, kPage) < 0) ::_exit(8);
       }},
      {"unreadable memory",
       [] {
         char* hidden = map_pages(1);
         hidden[0] = 1;
         ::mprotect(hidden, kPage, PROT_NONE);
       }},
  };
  for (const auto& test : cases) {
    Subject subject([&test](Subject& self) {
      char* memory = map_pages(10);
      std::memset(memory, 3, 10 * kPage);
      test.prepare();
      const auto seal = seal_memory({});
      if (seal || seal.error().code != Code::kInvalid) ::_exit(2);
      if (seal.error().message.find(test.finding) == std::string::npos) ::_exit(3);
      self.pause();
      ::_exit(memory[9 * kPage] == 3 ? 0 : 4);
    });
    ASSERT_TRUE(subject.await()) << test.finding << ": " << subject.finish();
    const auto maps =
        read_file(AT_FDCWD, "/proc/" + std::to_string(subject.pid()) + "/maps", 1 << 20);
    EXPECT_EQ(maps->find("memfd:sock-zygote"), std::string::npos) << test.finding;
    subject.resume();
    EXPECT_EQ(subject.finish(), 0) << test.finding;
  }
}

TEST(MemoryMap, RefusesWhatIsNotSmaps) {
  const std::string good =
      "7f0000000000-7f0000002000 rw-p 00001000 00:01 42   /memfd:x y (deleted)\n"
      "Size:                  8 kB\nAnonymous:             4 kB\nSwap:                  0 kB\n"
      "VmFlags: rd wr mr mw me ac \n";
  MemoryMap map(good);
  Mapping mapping;
  ASSERT_TRUE(map.next(mapping));
  EXPECT_EQ(mapping.begin, 0x7f0000000000U);
  EXPECT_EQ(mapping.size(), 0x2000U);
  EXPECT_EQ(mapping.protection, PROT_READ | PROT_WRITE);
  EXPECT_EQ(mapping.offset, 0x1000U);
  EXPECT_EQ(mapping.inode, 42U);
  EXPECT_EQ(mapping.name, "/memfd:x y (deleted)");
  EXPECT_EQ(mapping.anonymous, 4096U);
  EXPECT_TRUE(has_flag(mapping, "ac"));
  EXPECT_FALSE(has_flag(mapping, "ht"));
  EXPECT_FALSE(map.next(mapping));
  EXPECT_FALSE(map.malformed());
  // Cut anywhere, it is either refused or a whole mapping without what was cut off.
  for (std::size_t length = 1; length < good.size(); ++length) {
    MemoryMap cut(std::string_view(good).substr(0, length));
    while (cut.next(mapping)) {
    }
    EXPECT_TRUE(cut.malformed() || length > good.find("VmFlags: rd")) << length;
  }
  for (const char* text : {"x", "\n", "7f00-7e00 rw-p 0 0:0 0\n", "1-2 rw-q 0 0:0 0\n",
                           "1-2 rw-p 0 0:0 0\nAnonymous: many\n", "VmFlags: rd\n"}) {
    MemoryMap bad(text);
    EXPECT_FALSE(bad.next(mapping)) << text;
    EXPECT_TRUE(bad.malformed()) << text;
  }
}

}  // namespace
}  // namespace sock::zygote
