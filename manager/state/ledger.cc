#include "manager/state/ledger.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/crc.hpp>
#include <cstddef>
#include <cstring>
#include <type_traits>
#include <utility>

#include "base/file.h"
#include "manager/state/mapped_file.h"
#include "manager/state/process_identity.h"

namespace sock::manager {
namespace {

constexpr std::uint64_t kMagic = 0x0172656764656c73;  // "sledger\1"
constexpr std::uint32_t kVersion = 1;

/// States far apart in bits, so that no flipped bit turns one into the other.
constexpr std::uint32_t kFree = 0;
constexpr std::uint32_t kUsed = 0x64657375;  // "used"

/// The file: this, then `slots` slots.
struct Header {
  std::uint64_t magic;
  std::uint32_t crc;  ///< of all that follows
  std::uint32_t version;
  std::uint32_t slot_bytes;
  std::uint32_t slots;
  std::uint64_t boot;
  std::array<std::uint8_t, 16> instance;
  std::array<std::byte, 464> reserved;
};
static_assert(sizeof(Header) == 512);

struct Slot {
  std::uint32_t state;
  std::uint32_t crc;  ///< of all that follows, up to the end of the name
  std::uint64_t boot;
  std::uint64_t recorded_ticks;
  std::int32_t pid;
  std::uint16_t kind;
  std::uint16_t name_bytes;
  std::array<char, Ledger::kMaxName> name;
};
static_assert(sizeof(Slot) == 512 && std::is_trivially_copyable_v<Slot>);

/// A ledger of kMaxCapacity and as many left behind; anything larger is no ledger.
constexpr std::size_t kMaxFile =
    sizeof(Header) + 2 * std::size_t{Ledger::kMaxCapacity} * sizeof(Slot);

/// CRC-32C, the Castagnoli polynomial.
std::uint32_t crc_of(const std::byte* data, std::size_t size) {
  boost::crc_optimal<32, 0x1EDC6F41, 0xFFFFFFFF, 0xFFFFFFFF, true, true> crc;
  crc.process_bytes(data, size);
  return crc.checksum();
}

std::uint32_t crc_of(const Header& header) {
  constexpr std::size_t kFrom = offsetof(Header, version);
  return crc_of(reinterpret_cast<const std::byte*>(&header) + kFrom, sizeof header - kFrom);
}

/// `name_bytes` must be within the slot.
std::uint32_t crc_of(const Slot& slot) {
  constexpr std::size_t kFrom = offsetof(Slot, boot);
  constexpr std::size_t kFixed = offsetof(Slot, name) - kFrom;
  return crc_of(reinterpret_cast<const std::byte*>(&slot) + kFrom, kFixed + slot.name_bytes);
}

bool trustworthy(const Slot& slot) {
  return slot.name_bytes >= 1 && slot.name_bytes <= Ledger::kMaxName && slot.crc == crc_of(slot) &&
         slot.kind >= static_cast<std::uint16_t>(LedgerKind::kCgroup) &&
         slot.kind <= static_cast<std::uint16_t>(LedgerKind::kNetworkLink);
}

struct Recovered {
  std::vector<Slot> slots;
  std::vector<std::string> problems;
};

/// Whatever the bytes are, only slots whose checksum is right come out.
class Recovery {
 public:
  explicit Recovery(std::string_view bytes) : bytes_(bytes) {}

  Recovered run() && {
    if (bytes_.size() < sizeof(Header)) {
      problem("is cut off within its header; nothing could be read");
      return std::move(out_);
    }
    Header header;
    std::memcpy(&header, bytes_.data(), sizeof header);
    bytes_.remove_prefix(sizeof header);
    std::size_t slots = bytes_.size() / sizeof(Slot);
    if (header.magic != kMagic || header.crc != crc_of(header)) {
      // Each slot vouches for itself: one flipped bit up there loses nothing.
      problem("has a damaged header; reading the slots that are sound");
    } else if (header.version != kVersion || header.slot_bytes != sizeof(Slot)) {
      problem("is of version " + std::to_string(header.version) + ", and not " +
              std::to_string(kVersion) + "; dropped whole");
      slots = 0;
    } else if (slots < header.slots) {
      problem("is cut off: " + std::to_string(header.slots - slots) + " of " +
              std::to_string(header.slots) + " slots are missing");
    }
    for (std::size_t i = 0; i < slots; ++i) read(i);
    report_damaged();
    return std::move(out_);
  }

 private:
  void read(std::size_t index) {
    Slot slot;
    std::memcpy(&slot, bytes_.data() + index * sizeof slot, sizeof slot);
    if (slot.state == kFree) return;
    if (slot.state == kUsed && trustworthy(slot)) {
      out_.slots.push_back(slot);
    } else {
      damaged_.push_back(index);
    }
  }

  void report_damaged() {
    if (damaged_.empty()) return;
    constexpr std::size_t kNamed = 8;
    std::string list;
    for (std::size_t i = 0; i < std::min(damaged_.size(), kNamed); ++i) {
      list += (i == 0 ? "" : ", ") + std::to_string(damaged_[i]);
    }
    if (damaged_.size() > kNamed) list += ", …";
    problem(std::to_string(damaged_.size()) + " damaged slots (" + list +
            "): what they recorded is not known");
  }

  void problem(std::string text) { out_.problems.push_back(std::move(text)); }

  std::string_view bytes_;
  std::vector<std::size_t> damaged_;
  Recovered out_;
};

/// read(2) and not a mapping: a file that shrinks meanwhile is a short text then, not a SIGBUS.
Result<Recovered> recover(const std::filesystem::path& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) < 0) {
    if (errno == ENOENT) return Recovered{};
    return fail_errno("stat", path.native());
  }
  if (!S_ISREG(info.st_mode)) {
    return fail(Code::kInvalid, "open ledger", path.native() + " is not a regular file; remove it");
  }
  if (info.st_size > static_cast<off_t>(kMaxFile)) {
    return Recovered{{}, {path.native() + " is too large for a ledger; dropped"}};
  }
  const auto bytes = read_file(AT_FDCWD, path.native(), kMaxFile);
  if (!bytes) return std::unexpected(bytes.error());
  auto recovered = Recovery(*bytes).run();
  for (auto& problem : recovered.problems) problem.insert(0, path.native() + " ");
  return recovered;
}

}  // namespace

std::string_view to_string(LedgerKind kind) {
  switch (kind) {
    case LedgerKind::kCgroup:
      return "cgroup";
    case LedgerKind::kZygote:
      return "zygote";
    case LedgerKind::kHelper:
      return "helper";
    case LedgerKind::kScratchPath:
      return "scratch path";
    case LedgerKind::kNetworkLink:
      return "network link";
  }
  return "unknown";
}

/// The mapping, shared by the ledger and its tickets.
struct LedgerTicket::State {
  State(MappedFile mapped, std::uint32_t count, std::uint64_t boot_now)
      : file(std::move(mapped)),
        header(new (file.data()) Header{}),
        slots(reinterpret_cast<Slot*>(header + 1)),
        boot(boot_now),
        capacity(count) {
    free.reserve(count);
    for (std::uint32_t i = count; i > 0; --i) free.push_back(i - 1);
  }

  /// Puts a complete slot (but for its state and checksum) into the file. A slot must be free.
  std::uint32_t add(const Slot& filled) {
    const std::uint32_t index = free.back();
    free.pop_back();
    Slot& slot = slots[index];
    // Everything behind the checksum, then the checksum, then the state: the release keeps the
    // compiler from moving a store past it, and the kernel sees a dead thread's stores complete.
    constexpr std::size_t kFrom = offsetof(Slot, boot);
    std::memcpy(reinterpret_cast<std::byte*>(&slot) + kFrom,
                reinterpret_cast<const std::byte*>(&filled) + kFrom,
                offsetof(Slot, name) - kFrom + filled.name_bytes);
    slot.crc = crc_of(filled);
    std::atomic_ref(slot.state).store(kUsed, std::memory_order_release);
    return index;
  }

  void erase(std::uint32_t index) {
    std::atomic_ref(slots[index].state).store(kFree, std::memory_order_release);
    free.push_back(index);
  }

  MappedFile file;
  Header* header;
  Slot* slots;
  std::uint64_t boot;
  std::uint32_t capacity;
  std::vector<std::uint32_t> free;
};

LedgerTicket::LedgerTicket(std::shared_ptr<State> state, std::uint32_t slot)
    : state_(std::move(state)), slot_(slot) {}

LedgerTicket::LedgerTicket(LedgerTicket&& other) noexcept
    : state_(std::move(other.state_)), slot_(other.slot_) {}

LedgerTicket& LedgerTicket::operator=(LedgerTicket&& other) noexcept {
  if (this != &other) {
    erase();
    state_ = std::move(other.state_);
    slot_ = other.slot_;
  }
  return *this;
}

void LedgerTicket::erase() {
  if (const auto state = std::exchange(state_, nullptr)) state->erase(slot_);
}

Result<Fd> LedgerEntry::process() const {
  if (!this_boot) return fail(Code::kNotFound, "find process", name + " is of an earlier boot");
  return open_process_of(pid, recorded_ticks);
}

Result<Ledger::Opened> Ledger::open(const std::filesystem::path& path, std::uint32_t capacity) {
  if (capacity == 0 || capacity > kMaxCapacity) {
    return fail(Code::kInvalid, "open ledger", "capacity " + std::to_string(capacity));
  }
  const auto boot = boot_tag();
  if (!boot) return std::unexpected(boot.error());
  auto recovered = recover(path);
  if (!recovered) return std::unexpected(recovered.error());
  auto& old = recovered->slots;
  // More than any sound file holds, should somebody have glued some together.
  if (old.size() > kMaxCapacity) {
    recovered->problems.push_back(path.native() + " has too many records; the last ones dropped");
    old.resize(kMaxCapacity);
  }

  // A new file with the old records in it takes the old one's place at once: whoever dies in
  // between, the next one finds them.
  const auto slots = capacity + static_cast<std::uint32_t>(old.size());
  auto file = MappedFile::create(path, sizeof(Header) + slots * sizeof(Slot), {});
  if (!file) return std::unexpected(file.error());
  auto state = std::make_shared<LedgerTicket::State>(std::move(*file), slots, *boot);

  Header& header = *state->header;
  header.magic = kMagic;
  header.version = kVersion;
  header.slot_bytes = sizeof(Slot);
  header.slots = slots;
  header.boot = *boot;
  if (::getrandom(header.instance.data(), header.instance.size(), 0) < 0) {
    return fail_errno("getrandom", "instance id");
  }
  header.crc = crc_of(header);

  Opened opened{Ledger(state), {}, std::move(recovered->problems)};
  opened.left_behind.reserve(old.size());
  for (const Slot& slot : old) {
    const std::uint32_t index = state->add(slot);
    opened.left_behind.push_back(
        {static_cast<LedgerKind>(slot.kind), std::string(slot.name.data(), slot.name_bytes),
         slot.pid, slot.boot == *boot, slot.recorded_ticks, LedgerTicket(state, index)});
  }
  if (auto published = state->file.publish(); !published) {
    return std::unexpected(published.error());
  }
  return opened;
}

Result<LedgerTicket> Ledger::record(LedgerKind kind, std::string_view name, pid_t pid) {
  if (name.empty() || name.size() > kMaxName) {
    return fail(Code::kInvalid, "record",
                "the name of a " + std::string(to_string(kind)) + " has " +
                    std::to_string(name.size()) + " bytes; 1 to " + std::to_string(kMaxName) +
                    " fit in the ledger");
  }
  if (state_->free.empty()) {
    return fail(Code::kRejected, "record",
                "the ledger is full: " + std::to_string(state_->capacity) + " records");
  }
  Slot slot;
  slot.boot = state_->boot;
  // Instead of the process's start, which only /proc tells: whoever bears the number later will
  // have started after this moment.
  slot.recorded_ticks = ticks_now();
  slot.pid = pid;
  slot.kind = static_cast<std::uint16_t>(kind);
  slot.name_bytes = static_cast<std::uint16_t>(name.size());
  std::memcpy(slot.name.data(), name.data(), name.size());
  const std::uint32_t index = state_->add(slot);
  return LedgerTicket(state_, index);
}

std::size_t Ledger::size() const { return state_->capacity - state_->free.size(); }

std::string Ledger::instance() const {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const unsigned byte : state_->header->instance) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

}  // namespace sock::manager
