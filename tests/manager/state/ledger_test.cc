#include "manager/state/ledger.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/crc.hpp>
#include <chrono>
#include <cstring>
#include <optional>
#include <random>
#include <set>
#include <thread>
#include <tuple>

#include "base/process.h"
#include "tests/manager/temporary_folder.h"

namespace sock::manager {
namespace {

namespace fs = std::filesystem;

// The file's layout, restated: a ledger written by one release is read by the next.
constexpr std::size_t kHeaderBytes = 512;
constexpr std::size_t kSlotBytes = 512;
constexpr std::size_t kHeaderCrcAt = 8;
constexpr std::size_t kVersionAt = 12;
constexpr std::size_t kSlotCrcAt = 4;
constexpr std::size_t kBootAt = 8;
constexpr std::size_t kTicksAt = 16;
constexpr std::size_t kKindAt = 28;
constexpr std::size_t kNameSizeAt = 30;
constexpr std::size_t kNameAt = 32;

using Record = std::tuple<LedgerKind, std::string, pid_t>;

std::set<Record> records_of(const std::vector<LedgerEntry>& entries) {
  std::set<Record> records;
  for (const auto& entry : entries) {
    EXPECT_TRUE(records.emplace(entry.kind, entry.name, entry.pid).second) << entry.name;
  }
  return records;
}

std::string all_problems(const std::vector<std::string>& problems) {
  std::string text;
  for (const auto& problem : problems) text += problem + "\n";
  return text;
}

template <class T>
void poke(std::string& bytes, std::size_t at, T value) {
  ASSERT_LE(at + sizeof value, bytes.size());
  std::memcpy(bytes.data() + at, &value, sizeof value);
}

void fix_crc(std::string& bytes, std::size_t crc_at, std::size_t from, std::size_t to) {
  boost::crc_optimal<32, 0x1EDC6F41, 0xFFFFFFFF, 0xFFFFFFFF, true, true> crc;
  crc.process_bytes(bytes.data() + from, to - from);
  poke<std::uint32_t>(bytes, crc_at, crc.checksum());
}

/// A forked child that is always reaped.
class Child {
 public:
  template <class Body>
  explicit Child(Body body) : pid_(::fork()) {
    if (pid_ == 0) {
      body();
      ::_exit(0);
    }
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() { kill_and_reap(); }

  [[nodiscard]] pid_t pid() const { return pid_; }

  void kill_and_reap() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

  /// Waits for its end; true for exit code 0.
  bool succeeded() {
    int status = -1;
    if (::waitpid(std::exchange(pid_, -1), &status, 0) < 0) return false;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }

  /// The child has ended or stopped; -1 stands for ended.
  int wait_stop() {
    int status = 0;
    if (::waitpid(pid_, &status, 0) < 0) return -1;
    if (WIFSTOPPED(status)) return WSTOPSIG(status);
    pid_ = -1;
    return -1;
  }

 private:
  pid_t pid_;
};

/// A folder of the test's own, in memory where the host has /dev/shm: thousands of ledgers are made
/// here, and a disk would take its time over each.
class MemoryFolder {
 public:
  MemoryFolder() {
    const fs::path shm = "/dev/shm";
    const fs::path parent = ::access(shm.c_str(), W_OK) == 0 ? shm : fs::temp_directory_path();
    std::string name = (parent / "sock-ledger-XXXXXX").native();
    if (::mkdtemp(name.data()) == nullptr) ADD_FAILURE() << "mkdtemp " << name;
    path_ = name;
  }
  MemoryFolder(const MemoryFolder&) = delete;
  MemoryFolder& operator=(const MemoryFolder&) = delete;
  ~MemoryFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }

  [[nodiscard]] const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

class LedgerTest : public testing::Test {
 protected:
  [[nodiscard]] fs::path path() const { return folder_.path() / "ledger"; }

  Ledger::Opened open(std::uint32_t capacity = 4) {
    auto opened = Ledger::open(path(), capacity);
    if (!opened) throw std::runtime_error(opened.error().describe());
    return std::move(*opened);
  }

  /// A ledger of four slots, three in use, as a crash would leave it.
  std::string crashed_ledger() {
    auto opened = open();
    for (int i = 0; i < 4; ++i) {
      const Record record = record_number(i);
      auto ticket =
          opened.ledger.record(std::get<0>(record), std::get<1>(record), std::get<2>(record));
      if (!ticket) throw std::runtime_error(ticket.error().describe());
      if (i == kErased) continue;
      ticket->leave();
    }
    return read_text(path());
  }

  static Record record_number(int i) {
    return {static_cast<LedgerKind>(1 + i % 5), "thing-" + std::to_string(i) + "-of-four", 100 + i};
  }

  static constexpr int kErased = 1;

  MemoryFolder folder_;
};

TEST_F(LedgerTest, NewLedgerIsEmptyAndPrivate) {
  auto opened = open();
  EXPECT_TRUE(opened.left_behind.empty());
  EXPECT_TRUE(opened.problems.empty()) << all_problems(opened.problems);
  EXPECT_EQ(opened.ledger.size(), 0U);
  struct stat info {};
  ASSERT_EQ(::stat(path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777U, 0600U);
  // All blocks are there, so that no store can fail for want of space.
  EXPECT_GE(info.st_blocks * 512, info.st_size);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_.path()), {}), 1);
}

TEST_F(LedgerTest, ReportsWhatWasNotErased) {
  crashed_ledger();
  auto opened = open();
  EXPECT_TRUE(opened.problems.empty()) << all_problems(opened.problems);
  const std::set<Record> expected{record_number(0), record_number(2), record_number(3)};
  EXPECT_EQ(records_of(opened.left_behind), expected);
  for (const auto& entry : opened.left_behind) EXPECT_TRUE(entry.this_boot);
}

TEST_F(LedgerTest, EveryOpeningHasItsOwnId) {
  const auto first = open().ledger.instance();
  EXPECT_EQ(first.size(), 32U);
  EXPECT_NE(first, open().ledger.instance());
}

TEST_F(LedgerTest, LeftBehindStaysRecordedUntilDestroyed) {
  crashed_ledger();
  {
    auto reclaiming = open();
    EXPECT_EQ(reclaiming.ledger.size(), 3U);
    auto after_second_crash = open();
    EXPECT_EQ(after_second_crash.left_behind.size(), 3U);
    // One could not be given back.
    after_second_crash.left_behind[0].ticket.leave();
    // The first one's memory is of a file nobody sees any more.
  }
  EXPECT_EQ(open().left_behind.size(), 1U);
  EXPECT_EQ(open().left_behind.size(), 0U);
}

TEST_F(LedgerTest, FullLedgerRejects) {
  crashed_ledger();
  auto opened = open(2);
  // What was left behind takes no room from new records.
  EXPECT_EQ(opened.ledger.size(), 3U);
  auto first = opened.ledger.record(LedgerKind::kCgroup, "a");
  auto second = opened.ledger.record(LedgerKind::kCgroup, "b");
  ASSERT_TRUE(first && second);
  auto third = opened.ledger.record(LedgerKind::kCgroup, "c");
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().code, Code::kRejected);
  EXPECT_NE(third.error().message.find("full"), std::string::npos) << third.error().describe();
  first->erase();
  third = opened.ledger.record(LedgerKind::kCgroup, "c");
  EXPECT_TRUE(third);
  EXPECT_EQ(opened.ledger.size(), 5U);
}

TEST_F(LedgerTest, RefusesBadArguments) {
  auto opened = open();
  for (const std::size_t size : {std::size_t{0}, Ledger::kMaxName + 1}) {
    auto ticket = opened.ledger.record(LedgerKind::kScratchPath, std::string(size, 'x'));
    ASSERT_FALSE(ticket);
    EXPECT_EQ(ticket.error().code, Code::kInvalid);
  }
  const std::string longest(Ledger::kMaxName, 'x');
  auto ticket = opened.ledger.record(LedgerKind::kScratchPath, longest);
  ASSERT_TRUE(ticket);
  ticket->leave();
  auto again = open();
  ASSERT_EQ(again.left_behind.size(), 1U);
  EXPECT_EQ(again.left_behind[0].name, longest);
  for (const std::uint32_t capacity : {0U, Ledger::kMaxCapacity + 1}) {
    auto bad = Ledger::open(path(), capacity);
    ASSERT_FALSE(bad);
    EXPECT_EQ(bad.error().code, Code::kInvalid);
  }
}

TEST_F(LedgerTest, TicketsMove) {
  auto opened = open();
  auto make = [&opened](const char* name) {
    return std::move(*opened.ledger.record(LedgerKind::kHelper, name));
  };
  EXPECT_FALSE(LedgerTicket().valid());
  LedgerTicket first = make("first");
  LedgerTicket moved(std::move(first));
  EXPECT_TRUE(moved.valid());
  EXPECT_FALSE(first.valid());  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(opened.ledger.size(), 1U);

  LedgerTicket second = make("second");
  EXPECT_EQ(opened.ledger.size(), 2U);
  second = std::move(moved);  // erases "second"
  EXPECT_EQ(opened.ledger.size(), 1U);
  LedgerTicket& same = second;
  second = std::move(same);
  EXPECT_TRUE(second.valid());
  second.erase();
  second.erase();
  EXPECT_EQ(opened.ledger.size(), 0U);

  // No slot was given back twice: all four are different.
  std::vector<LedgerTicket> tickets;
  for (const char* name : {"a", "b", "c", "d"}) tickets.push_back(make(name));
  EXPECT_FALSE(opened.ledger.record(LedgerKind::kHelper, "e"));
  for (auto& ticket : tickets) ticket.leave();
  EXPECT_EQ(open().left_behind.size(), 4U);
}

TEST_F(LedgerTest, TicketMayOutliveLedger) {
  std::optional<Ledger::Opened> opened = open();
  LedgerTicket ticket = std::move(*opened->ledger.record(LedgerKind::kHelper, "last"));
  Ledger moved = std::move(opened->ledger);
  opened.reset();
  EXPECT_EQ(moved.size(), 1U);
  { const Ledger gone = std::move(moved); }
  ticket.erase();
  EXPECT_TRUE(open().left_behind.empty());
}

TEST_F(LedgerTest, TruncatedAtEveryByte) {
  const std::string whole = crashed_ledger();
  // Number 2 is in the slot that number 1 gave back; the last slot is free.
  const std::vector<Record> by_slot{record_number(0), record_number(2), record_number(3)};
  for (std::size_t size = 0; size < whole.size(); ++size) {
    write_text(path(), whole.substr(0, size));
    auto opened = open();
    std::set<Record> expected;
    for (std::size_t i = 0; i < by_slot.size(); ++i) {
      if (kHeaderBytes + (i + 1) * kSlotBytes <= size) expected.insert(by_slot[i]);
    }
    ASSERT_EQ(records_of(opened.left_behind), expected) << size;
    ASSERT_EQ(opened.problems.size(), 1U) << size;
    ASSERT_NE(opened.problems[0].find("cut off"), std::string::npos) << opened.problems[0];
  }
}

TEST_F(LedgerTest, EveryBitOfASlotMatters) {
  const std::string whole = crashed_ledger();
  const std::set<Record> others{record_number(2), record_number(3)};
  const std::size_t used = kNameAt + std::get<1>(record_number(0)).size();
  for (std::size_t bit = 0; bit < used * 8; ++bit) {
    std::string bytes = whole;
    bytes[kHeaderBytes + bit / 8] ^= static_cast<char>(1U << bit % 8);
    write_text(path(), bytes);
    auto opened = open();
    ASSERT_EQ(records_of(opened.left_behind), others) << "bit " << bit;
    ASSERT_EQ(opened.problems.size(), 1U) << "bit " << bit;
    ASSERT_NE(opened.problems[0].find("1 damaged slots (0)"), std::string::npos)
        << opened.problems[0];
  }
}

TEST_F(LedgerTest, RandomBitFlips) {
  const std::string whole = crashed_ledger();
  const std::set<Record> all{record_number(0), record_number(2), record_number(3)};
  std::mt19937 random(20240229);
  int with_losses = 0;
  for (int round = 0; round < 2000; ++round) {
    std::string bytes = whole;
    const std::size_t flips = 1 + random() % 40;
    for (std::size_t i = 0; i < flips; ++i) {
      const std::size_t bit = random() % (bytes.size() * 8);
      bytes[bit / 8] ^= static_cast<char>(1U << bit % 8);
    }
    write_text(path(), bytes);
    auto opened = open();
    const auto found = records_of(opened.left_behind);
    for (const auto& record : found) ASSERT_TRUE(all.contains(record)) << "round " << round;
    if (found.size() == all.size()) continue;
    ++with_losses;
    ASSERT_FALSE(opened.problems.empty()) << "round " << round << ": lost in silence";
  }
  EXPECT_GT(with_losses, 100);
}

TEST_F(LedgerTest, DamagedHeaderLosesNothing) {
  const std::string whole = crashed_ledger();
  for (std::size_t at = 0; at < 48; ++at) {
    std::string bytes = whole;
    bytes[at] ^= 0x10;
    write_text(path(), bytes);
    auto opened = open();
    ASSERT_EQ(opened.left_behind.size(), 3U) << at;
    ASSERT_EQ(opened.problems.size(), 1U) << at;
  }
}

TEST_F(LedgerTest, OtherVersionIsDroppedWhole) {
  std::string bytes = crashed_ledger();
  poke<std::uint32_t>(bytes, kVersionAt, 7);
  fix_crc(bytes, kHeaderCrcAt, kVersionAt, kHeaderBytes);
  write_text(path(), bytes);
  auto opened = open();
  EXPECT_TRUE(opened.left_behind.empty());
  ASSERT_EQ(opened.problems.size(), 1U);
  EXPECT_NE(opened.problems[0].find("version 7"), std::string::npos) << opened.problems[0];
  EXPECT_TRUE(opened.ledger.record(LedgerKind::kCgroup, "works"));
}

TEST_F(LedgerTest, SoundChecksumOfNonsenseIsNotEnough) {
  const std::string whole = crashed_ledger();
  const std::size_t slot = kHeaderBytes;
  const std::size_t end = slot + kNameAt + std::get<1>(record_number(0)).size();
  for (const std::uint16_t kind : std::initializer_list<std::uint16_t>{0, 6, 65535}) {
    std::string bytes = whole;
    poke<std::uint16_t>(bytes, slot + kKindAt, kind);
    fix_crc(bytes, slot + kSlotCrcAt, slot + kBootAt, end);
    write_text(path(), bytes);
    EXPECT_EQ(open().left_behind.size(), 2U) << kind;
  }
  for (const std::uint16_t size : std::initializer_list<std::uint16_t>{0, 481, 65535}) {
    std::string bytes = whole;
    poke<std::uint16_t>(bytes, slot + kNameSizeAt, size);
    fix_crc(bytes, slot + kSlotCrcAt, slot + kBootAt,
            std::min<std::size_t>(slot + kNameAt + size, bytes.size()));
    write_text(path(), bytes);
    EXPECT_EQ(open().left_behind.size(), 2U) << size;
  }
}

TEST_F(LedgerTest, GarbageIsNoError) {
  std::mt19937 random(7);
  for (const std::size_t size : {1, 511, 512, 513, 1024, 5000, 100'000}) {
    std::string bytes(size, '\0');
    for (auto& byte : bytes) byte = static_cast<char>(random());
    write_text(path(), bytes);
    auto opened = open();
    EXPECT_TRUE(opened.left_behind.empty()) << size;
    EXPECT_FALSE(opened.problems.empty()) << size;
  }
  // Sparse: must not be read at all.
  ASSERT_EQ(::truncate(path().c_str(), off_t{1} << 40), 0);
  auto opened = open();
  ASSERT_EQ(opened.problems.size(), 1U);
  EXPECT_NE(opened.problems[0].find("too large"), std::string::npos) << opened.problems[0];
}

TEST_F(LedgerTest, RefusesWhatIsNoFile) {
  ASSERT_EQ(::mkfifo(path().c_str(), 0600), 0);
  auto opened = Ledger::open(path(), 4);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::kInvalid);
  fs::remove(path());
  write_text(folder_.path() / "precious", "text");
  fs::create_symlink("precious", path());
  opened = Ledger::open(path(), 4);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::kInvalid);
  EXPECT_EQ(read_text(folder_.path() / "precious"), "text");
  EXPECT_FALSE(Ledger::open(folder_.path() / "missing" / "ledger", 4));
}

TEST_F(LedgerTest, ReplacesAnUnfinishedDraft) {
  crashed_ledger();
  write_text(path().native() + ".new", "half");
  EXPECT_EQ(open().left_behind.size(), 3U);
  EXPECT_FALSE(fs::exists(path().native() + ".new"));
}

TEST_F(LedgerTest, FullDiskIsAnErrorAndKeepsTheOldFile) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to mount a small tmpfs";
  // In a mount namespace of its own, so that no mount stays behind whatever happens.
  enum Outcome { kOk, kNoNamespace = 10, kNoError, kWrongError, kDamaged, kLitter };
  const fs::path folder = folder_.path();
  const pid_t pid = ::fork();
  if (pid == 0) {
    if (::unshare(CLONE_NEWNS) < 0 ||
        ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0 ||
        ::mount("tmpfs", folder.c_str(), "tmpfs", 0, "size=64k") < 0) {
      ::_exit(kNoNamespace);
    }
    crashed_ledger();
    const std::string before = read_text(path());
    const auto opened = Ledger::open(path(), 1000);
    if (opened) ::_exit(kNoError);
    if (opened.error().sys_errno != ENOSPC) ::_exit(kWrongError);
    if (read_text(path()) != before) ::_exit(kDamaged);
    ::_exit(fs::exists(path().native() + ".new") ? kLitter : kOk);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  ASSERT_TRUE(WIFEXITED(status)) << status;
  if (WEXITSTATUS(status) == kNoNamespace) GTEST_SKIP() << "no mount namespaces here";
  EXPECT_EQ(WEXITSTATUS(status), kOk);
}

TEST_F(LedgerTest, FindsTheRecordedProcess) {
  Child child([] {
    for (;;) ::pause();
  });
  open().ledger.record(LedgerKind::kHelper, "pauses", child.pid())->leave();
  auto opened = open();
  ASSERT_EQ(opened.left_behind.size(), 1U);
  LedgerEntry& entry = opened.left_behind[0];
  {
    auto process = entry.process();
    ASSERT_TRUE(process) << process.error().describe();
    const auto found = pid_of(process->get());
    ASSERT_TRUE(found);
    EXPECT_EQ(*found, child.pid());
  }
  child.kill_and_reap();
  auto gone = entry.process();
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().code, Code::kNotFound);
}

TEST_F(LedgerTest, NeverMistakesALaterProcess) {
  // As if our own number had been another's when it was recorded, and as if before a reboot.
  open().ledger.record(LedgerKind::kHelper, "somebody", ::getpid())->leave();
  const std::string whole = read_text(path());
  const std::size_t slot = kHeaderBytes;
  const std::size_t end = slot + kNameAt + std::string("somebody").size();
  ASSERT_TRUE(open().left_behind.at(0).process());

  std::string early = whole;
  poke<std::uint64_t>(early, slot + kTicksAt, 1);
  fix_crc(early, slot + kSlotCrcAt, slot + kBootAt, end);
  write_text(path(), early);
  {
    auto opened = open();
    ASSERT_EQ(opened.left_behind.size(), 1U) << all_problems(opened.problems);
    EXPECT_TRUE(opened.left_behind[0].this_boot);
    auto process = opened.left_behind[0].process();
    ASSERT_FALSE(process);
    EXPECT_EQ(process.error().code, Code::kNotFound);
  }

  std::string other_boot = whole;
  other_boot[slot + kBootAt] ^= 1;
  fix_crc(other_boot, slot + kSlotCrcAt, slot + kBootAt, end);
  write_text(path(), other_boot);
  // Twice: carrying a record over must not make it one of this boot.
  for (int round = 0; round < 2; ++round) {
    auto opened = open();
    ASSERT_EQ(opened.left_behind.size(), 1U) << all_problems(opened.problems);
    EXPECT_FALSE(opened.left_behind[0].this_boot);
    auto process = opened.left_behind[0].process();
    ASSERT_FALSE(process);
    EXPECT_EQ(process.error().code, Code::kNotFound);
    opened.left_behind[0].ticket.leave();
  }
}

/// A name that says what kind and pid belong to it, so that a mixture of two records shows.
std::string name_for(std::uint32_t number) {
  std::string name = std::to_string(number) + ":";
  name.append(number % 400, static_cast<char>('a' + number % 26));
  return name;
}

bool consistent(const LedgerEntry& entry) {
  const auto number = static_cast<std::uint32_t>(entry.pid);
  return entry.name == name_for(number) && entry.kind == static_cast<LedgerKind>(1 + number % 5);
}

TEST_F(LedgerTest, WriterKilledAtRandomLeavesWholeRecords) {
  constexpr std::uint32_t kCapacity = 16;
  std::mt19937 random(99);
  std::size_t seen = 0;
  for (int round = 0; round < 100; ++round) {
    int ready[2];
    ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
    {
      Child writer([&] {
        auto opened = open(kCapacity);
        opened.left_behind.clear();
        std::vector<LedgerTicket> tickets(kCapacity);
        for (std::uint32_t i = 1;; ++i) {
          auto& ticket = tickets[i * 7 % kCapacity];
          ticket.erase();
          if (i % 3 == 0) continue;
          auto made = opened.ledger.record(static_cast<LedgerKind>(1 + i % 5), name_for(i),
                                           static_cast<pid_t>(i));
          if (!made) ::_exit(1);
          ticket = std::move(*made);
          if (i == 100) (void)!::write(ready[1], "r", 1);
        }
      });
      ::close(ready[1]);
      char byte = 0;
      ASSERT_EQ(::read(ready[0], &byte, 1), 1) << "the writer failed";
      ::close(ready[0]);
      std::this_thread::sleep_for(std::chrono::microseconds(random() % 2000));
    }
    auto opened = open();
    ASSERT_TRUE(opened.problems.empty()) << all_problems(opened.problems);
    ASSERT_LE(opened.left_behind.size(), kCapacity);
    for (const auto& entry : opened.left_behind) {
      ASSERT_TRUE(consistent(entry)) << entry.pid << " " << entry.name;
    }
    seen += opened.left_behind.size();
  }
  EXPECT_GT(seen, 100U);
}

TEST_F(LedgerTest, ConsistentBetweenAnyTwoInstructions) {
  // A tracer steps the writer through a record, its erasure and another record in the same slot,
  // and looks at the file whenever an instruction has changed it.
  Child writer([this] {
    auto opened = open(1);
    const std::string first = name_for(350);
    const std::string second = name_for(17);
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) < 0) ::_exit(0);
    ::raise(SIGSTOP);
    auto ticket = opened.ledger.record(static_cast<LedgerKind>(1 + 350 % 5), first, 350);
    ticket->erase();
    *ticket = std::move(*opened.ledger.record(static_cast<LedgerKind>(1 + 17 % 5), second, 17));
    ::raise(SIGSTOP);
    ticket->leave();
  });
  if (writer.wait_stop() != SIGSTOP) GTEST_SKIP() << "ptrace is not allowed here";

  const fs::path copy = folder_.path() / "copy";
  std::string last;
  std::vector<pid_t> states;  ///< the record's number, 0 for none; consecutive ones differ
  int changes = 0;
  for (long step = 0;; ++step) {
    ASSERT_LT(step, 5'000'000) << "the writer never ends";
    std::string now = read_text(path());
    if (now != last) {
      ++changes;
      write_text(copy, now);
      auto opened = Ledger::open(copy, 1);
      ASSERT_TRUE(opened) << opened.error().describe();
      ASSERT_TRUE(opened->problems.empty()) << step << ": " << all_problems(opened->problems);
      ASSERT_LE(opened->left_behind.size(), 1U);
      pid_t state = 0;
      for (const auto& entry : opened->left_behind) {
        ASSERT_TRUE(consistent(entry)) << step << ": " << entry.pid << " " << entry.name;
        state = entry.pid;
      }
      if (states.empty() || states.back() != state) states.push_back(state);
      last = std::move(now);
    }
    ASSERT_EQ(::ptrace(PTRACE_SINGLESTEP, writer.pid(), nullptr, nullptr), 0);
    const int signal = writer.wait_stop();
    if (signal == SIGSTOP) break;
    ASSERT_EQ(signal, SIGTRAP);
  }
  EXPECT_EQ(states, (std::vector<pid_t>{0, 350, 0, 17}));
  // The stores really were seen one by one.
  EXPECT_GT(changes, 8);
}

}  // namespace
}  // namespace sock::manager
