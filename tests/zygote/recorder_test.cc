// The algebra of touched pages, and copies of a real process.

#include "zygote/recorder.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "tests/zygote/child.h"
#include "zygote/image.h"
#include "zygote/restore.h"

namespace sock::zygote {
namespace {

constexpr std::uint64_t kNoLimit = 1ULL << 40;

/// Pages by number: "a-b " for each range.
std::string text(const std::vector<PageRange>& ranges) {
  std::string out;
  for (const auto& range : ranges) {
    out += std::to_string(range.begin / kPage) + "-" + std::to_string(range.end / kPage) + " ";
  }
  return out;
}

std::string text(const Touched& touched) {
  return "w " + text(touched.writes) + "r " + text(touched.reads);
}

std::vector<PageRange> pages(std::initializer_list<std::pair<std::uint64_t, std::uint64_t>> list) {
  std::vector<PageRange> out;
  for (const auto& [begin, end] : list) out.push_back({begin * kPage, end * kPage});
  return out;
}

TEST(Touched, CountsBytes) {
  EXPECT_EQ(Touched{}.written_bytes(), 0U);
  EXPECT_EQ((Touched{pages({{1, 3}, {7, 8}}), pages({{9, 10}})}).written_bytes(), 3 * kPage);
}

TEST(Touched, ACallsTouchesAreWhatItWroteAndAllThatIsRead) {
  const Touched parked{pages({{2, 4}, {10, 12}}), pages({{20, 30}})};
  EXPECT_EQ(text(touches_of_call(parked, parked)), "w r 20-30 ");
  EXPECT_EQ(text(touches_of_call({}, parked)), text(parked));
  EXPECT_EQ(text(touches_of_call(parked, {})), "w r ");
  // Cut at the front, at the end, in the middle, over two at once, beside.
  const Touched answered{pages({{1, 3}, {5, 6}, {9, 13}}), pages({{19, 21}, {25, 32}})};
  EXPECT_EQ(text(touches_of_call(parked, answered)), "w 1-2 5-6 9-10 12-13 r 19-21 25-32 ");
  EXPECT_EQ(text(touches_of_call(parked, {pages({{0, 40}}), {}})), "w 0-2 4-10 12-40 r ");
  // Read before, written now.
  EXPECT_EQ(text(touches_of_call(parked, {pages({{22, 23}}), {}})), "w 22-23 r ");
}

TEST(Touched, MergedIsWhatEitherHas) {
  const Touched a{pages({{1, 3}, {10, 12}}), pages({{20, 22}})};
  const Touched b{pages({{2, 5}, {12, 13}}), pages({{0, 2}, {21, 25}})};
  // Joined where they meet; what one writes is not read.
  EXPECT_EQ(text(merged(a, b)), "w 1-5 10-13 r 0-1 20-25 ");
  EXPECT_EQ(text(merged(b, a)), text(merged(a, b)));
  EXPECT_EQ(text(merged(a, {})), text(a));
  EXPECT_EQ(text(merged(a, a)), text(a));
}

TEST(Touched, PagesOfAProcessAreInOrderAndDisjoint) {
  const Child child([] { return true; });
  const auto memory = ProcessMemory::open(child.pid());
  ASSERT_TRUE(memory) << memory.error().describe();
  const auto touched = touched_pages(*memory);
  ASSERT_TRUE(touched) << touched.error().describe();
  EXPECT_GT(touched->written_bytes(), 0U);
  for (const auto* const kind : {&touched->writes, &touched->reads}) {
    for (std::size_t i = 1; i < kind->size(); ++i) {
      EXPECT_LT((*kind)[i - 1].end, (*kind)[i].begin);
    }
  }
  EXPECT_TRUE(touches_of_call(*touched, *touched).writes.empty());
}

/// Where the child's work goes: memory that exists before the fork, as a zygote's does.
struct Scene {
  char* region = nullptr;  ///< of kRegion pages
  char* added = nullptr;
  char* guarded = nullptr;
  char* read_only = nullptr;
  std::vector<std::string>* strings = nullptr;
};

constexpr std::size_t kRegion = 8;
constexpr std::size_t kStrings = 40'000;
Scene g_scene;

char* map(std::size_t pages, int protection, int kind = MAP_PRIVATE) {
  void* const at = ::mmap(nullptr, pages * kPage, protection, kind | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) return nullptr;
  // Page by page, also where the host prefers huge ones.
  (void)::madvise(at, pages * kPage, MADV_NOHUGEPAGE);
  return static_cast<char*>(at);
}

std::string string_at(std::size_t i) { return "a string that is allocated: " + std::to_string(i); }

/// What an import might do.
bool build_scene() {
  std::memset(g_scene.region + 3 * kPage, 'c', 2 * kPage);
  g_scene.added = map(4, PROT_READ | PROT_WRITE);
  std::memset(g_scene.added + kPage, 'a', 2 * kPage);
  g_scene.guarded = map(2, PROT_NONE);
  g_scene.read_only = map(1, PROT_READ | PROT_WRITE);
  g_scene.read_only[7] = 'r';
  ::mprotect(g_scene.read_only, kPage, PROT_READ);
  // Some megabytes of heap: its end moves.
  g_scene.strings = new std::vector<std::string>;
  for (std::size_t i = 0; i < kStrings; ++i) g_scene.strings->push_back(string_at(i));
  return true;
}

bool all(const char* at, std::size_t bytes, char value) {
  for (std::size_t i = 0; i < bytes; ++i) {
    if (at[i] != value) return false;
  }
  return true;
}

/// Whether the memory is as build_scene() left it, and can be worked with.
bool scene_is_right() {
  const Scene& scene = g_scene;
  if (!all(scene.region, 3 * kPage, 'z') || !all(scene.region + 3 * kPage, 2 * kPage, 'c') ||
      !all(scene.region + 5 * kPage, 3 * kPage, 'z') || scene.added == nullptr ||
      !all(scene.added, kPage, 0) || !all(scene.added + kPage, 2 * kPage, 'a') ||
      !all(scene.added + 3 * kPage, kPage, 0) || scene.read_only[7] != 'r' ||
      scene.strings->size() != kStrings) {
    return false;
  }
  for (std::size_t i = 0; i < kStrings; ++i) {
    if ((*scene.strings)[i] != string_at(i)) return false;
  }
  // Frees it all, grows beyond what it was, and finds zeros where the kernel must have put them.
  delete scene.strings;
  for (std::size_t size = 1000; size < (32U << 20U); size *= 2) {
    auto* const fresh = static_cast<char*>(std::calloc(size, 1));
    if (fresh == nullptr || !all(fresh, size, 0)) return false;
    std::memset(fresh, 'q', size);
    if (size % 3 == 0) std::free(fresh);
  }
  scene.added[0] = scene.region[0] = 'w';
  return true;
}

class Recorder : public testing::Test {
 protected:
  void SetUp() override {
    g_scene = {};
    g_scene.region = map(kRegion, PROT_READ | PROT_WRITE);
    ASSERT_NE(g_scene.region, nullptr);
    std::memset(g_scene.region, 'z', kRegion * kPage);
  }
  void TearDown() override { ::munmap(g_scene.region, kRegion * kPage); }

  /// The image of a fork of this process that did `work`.
  template <class Work>
  static Result<Fd> image_of(Work work, std::uint64_t limit = kNoLimit) {
    const Child child(work);
    EXPECT_TRUE(child.worked());
    const auto own = ProcessMemory::open(::getpid());
    const auto its = ProcessMemory::open(child.pid());
    if (!own || !its) return fail(Code::kInternal, "test", "no memory to look at");
    return record_image(*own, *its, limit);
  }
};

TEST_F(Recorder, ACopyHasWhatTheRecordedProcessHad) {
  const auto image = image_of(build_scene);
  ASSERT_TRUE(image) << image.error().describe();
  // This process has none of it.
  ASSERT_EQ(g_scene.added, nullptr);
  const int fd = image->get();
  for (int i = 0; i < 2; ++i) {
    const Child copy([fd] { return restore_image(fd) && scene_is_right(); });
    EXPECT_TRUE(copy.worked());
    const auto memory = ProcessMemory::open(copy.pid());
    ASSERT_TRUE(memory);
    std::size_t guarded = 0, read_only = 0;
    for (const auto& mapping : memory->regions()) {
      guarded += mapping.protection == PROT_NONE && mapping.end - mapping.begin == 2 * kPage;
      read_only +=
          mapping.protection == PROT_READ && mapping.name.find("sock-image") != std::string::npos;
    }
    EXPECT_GE(guarded, 1U);
    EXPECT_GE(read_only, 1U);
  }
  EXPECT_TRUE(all(g_scene.region, kRegion * kPage, 'z'));
}

TEST_F(Recorder, AnImageCannotBeChanged) {
  const auto image = image_of(build_scene);
  ASSERT_TRUE(image) << image.error().describe();
  EXPECT_LT(::pwrite(image->get(), "x", 1, 0), 0);
  EXPECT_LT(::ftruncate(image->get(), 0), 0);
  EXPECT_EQ(::mmap(nullptr, kPage, PROT_WRITE, MAP_SHARED, image->get(), 0), MAP_FAILED);
}

TEST_F(Recorder, SharedMemoryIsRefused) {
  const auto image = image_of([] { return map(3, PROT_READ | PROT_WRITE, MAP_SHARED) != nullptr; });
  ASSERT_FALSE(image);
  EXPECT_EQ(image.error().code, Code::kInvalid);
  EXPECT_NE(image.error().message.find("shared memory"), std::string::npos);
}

TEST_F(Recorder, MoreThanTheLimitIsRefused) {
  const auto large = [] {
    char* const at = map(1024, PROT_READ | PROT_WRITE);
    return at != nullptr && std::memset(at, 1, 1024 * kPage) == at;
  };
  const auto image = image_of(large, 1 << 20);
  ASSERT_FALSE(image);
  EXPECT_EQ(image.error().code, Code::kInvalid);
  EXPECT_NE(image.error().message.find("1 MiB allowed"), std::string::npos)
      << image.error().message;
}

TEST_F(Recorder, WhatIsNoImageIsNotRestored) {
  const Fd empty(::memfd_create("empty", MFD_CLOEXEC));
  EXPECT_FALSE(restore_image(empty.get()));
  EXPECT_FALSE(populate(empty.get()));
  const Fd zeros(::memfd_create("zeros", MFD_CLOEXEC));
  ASSERT_EQ(::ftruncate(zeros.get(), kPage), 0);
  EXPECT_FALSE(restore_image(zeros.get()));
  EXPECT_FALSE(populate(zeros.get()));
  EXPECT_FALSE(restore_image(-1));
}

TEST_F(Recorder, TouchesArePopulated) {
  constexpr std::size_t kPages = 200;
  char* const base = map(kPages, PROT_READ | PROT_WRITE);
  ASSERT_NE(base, nullptr);
  const std::uint64_t first = reinterpret_cast<std::uint64_t>(base) / kPage;
  // More ranges than are read at a time, one of them unmapped.
  Touched touched;
  for (std::uint64_t i = 0; i < 90; ++i) {
    touched.writes.push_back({(first + 2 * i) * kPage, (first + 2 * i + 1) * kPage});
  }
  touched.writes.push_back({kPage, 2 * kPage});
  // One page: of neighbours the kernel is only asked for the first.
  touched.reads.push_back({(first + 190) * kPage, (first + 191) * kPage});
  const auto list = write_touches(touched);
  ASSERT_TRUE(list) << list.error().describe();
  const int fd = list->get();
  const Child child([fd] { return populate(fd); });
  ASSERT_TRUE(child.worked());
  const auto memory = ProcessMemory::open(child.pid());
  ASSERT_TRUE(memory);
  const auto written =
      memory->pages(ProcessMemory::Pages::kOwn, first * kPage, (first + kPages) * kPage);
  ASSERT_TRUE(written);
  touched.writes.pop_back();
  EXPECT_EQ(text(*written), text(touched.writes));
  const auto read =
      memory->pages(ProcessMemory::Pages::kMapped, first * kPage, (first + kPages) * kPage);
  ASSERT_TRUE(read);
  EXPECT_EQ(text(*read), text(touched.reads));
  ::munmap(base, kPages * kPage);
}

TEST_F(Recorder, WhatIsReadIsPopulatedInEveryMapping) {
  constexpr std::size_t kPages = 32;
  char* const base = map(kPages, PROT_READ | PROT_WRITE);
  ASSERT_NE(base, nullptr);
  // Two mappings of a file within what the kernel maps together where it is one.
  const Fd file(::memfd_create("file", MFD_CLOEXEC));
  ASSERT_EQ(::ftruncate(file.get(), kPages * kPage), 0);
  char* const first = reinterpret_cast<char*>((reinterpret_cast<std::uint64_t>(base) + 0xffff) &
                                              ~std::uint64_t{0xffff});
  std::vector<std::uint64_t> mappings;
  for (const std::size_t page : {0, 8}) {
    ASSERT_NE(::mmap(first + page * kPage, 8 * kPage, page == 0 ? PROT_READ : PROT_READ | PROT_EXEC,
                     MAP_PRIVATE | MAP_FIXED, file.get(), static_cast<off_t>(page * kPage)),
              MAP_FAILED);
    mappings.push_back(reinterpret_cast<std::uint64_t>(first + page * kPage));
  }
  const std::uint64_t begin = mappings.front();
  const PageRange all{begin, begin + 16 * kPage};
  const Touched touched{{}, {all}, mappings};
  const auto list = write_touches(touched);
  ASSERT_TRUE(list) << list.error().describe();
  const int fd = list->get();
  // The file's pages exist, as an image's do.
  for (std::size_t page = 0; page < 16; ++page) {
    ASSERT_EQ(::pwrite(file.get(), "x", 1, static_cast<off_t>(page * kPage)), 1);
  }
  const Child child([fd] { return populate(fd); });
  ASSERT_TRUE(child.worked());
  const auto memory = ProcessMemory::open(child.pid());
  ASSERT_TRUE(memory);
  const auto read = memory->pages(ProcessMemory::Pages::kMapped, all.begin, all.end);
  ASSERT_TRUE(read);
  EXPECT_EQ(text(*read), text({all}));
  ::munmap(base, kPages * kPage);
}

}  // namespace
}  // namespace sock::zygote
