#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace sock::manager {

/// What a record says must be given back. The values are in the file: never renumber.
enum class LedgerKind : std::uint16_t {
  kCgroup = 1,       ///< a cgroup, by name
  kZygote = 2,       ///< a process
  kHelper = 3,       ///< a process
  kScratchPath = 4,  ///< a file or folder
  kNetworkLink = 5,  ///< a network interface of the host, by name
};

[[nodiscard]] std::string_view to_string(LedgerKind kind);  // "cgroup", "scratch path", …

/// One record; destroying the ticket erases it. Move only; keeps the ledger's memory alive.
/// On the ledger's thread, like the ledger itself.
class LedgerTicket {
 public:
  LedgerTicket() = default;
  LedgerTicket(LedgerTicket&& other) noexcept;
  LedgerTicket& operator=(LedgerTicket&& other) noexcept;
  LedgerTicket(const LedgerTicket&) = delete;
  LedgerTicket& operator=(const LedgerTicket&) = delete;
  ~LedgerTicket() { erase(); }

  [[nodiscard]] bool valid() const { return state_ != nullptr; }

  /// Erases the record now: what it named has been given back. Idempotent.
  void erase();

  /// Gives the ticket up but not the record, which the next open() reports: what it names could not
  /// be given back.
  void leave() { state_.reset(); }

 private:
  friend class Ledger;
  struct State;
  LedgerTicket(std::shared_ptr<State> state, std::uint32_t slot);

  std::shared_ptr<State> state_;
  std::uint32_t slot_ = 0;
};

/// What an instance that ended without giving it back had recorded.
struct LedgerEntry {
  LedgerKind kind = LedgerKind::kCgroup;
  std::string name;
  pid_t pid = 0;                     ///< 0 = none
  bool this_boot = false;            ///< else its processes and cgroups are gone, files may not be
  std::uint64_t recorded_ticks = 0;  ///< when, as ticks_now() counts

  /// Still in the ledger until this is destroyed, so that a crash while reclaiming loses nothing.
  LedgerTicket ticket;

  /// A pidfd of the recorded process, if that very one is still there; kNotFound if it is gone,
  /// also when its number now belongs to another. A zombie counts as there.
  [[nodiscard]] Result<Fd> process() const;
};

/// Records, in a memory-mapped file, what somebody must give back if this process dies without
/// doing it itself: sockd killed by SIGKILL leaves cgroups and helper processes behind.
///
/// Surviving SIGKILL needs no flushing: a mapped page belongs to the page cache, which keeps every
/// store the process made. Only a crash of the machine loses stores, and with it goes nearly
/// everything that a record could name.
///
/// A record is written to a free slot, checksum included, before one store of the slot's state
/// makes it count; one store erases it. So death between any two instructions leaves a slot as it
/// was or as it was to be, and a slot damaged otherwise is found by its checksum.
///
/// One process a path at a time (sockd holds the lock of its state directory) and one thread. No
/// system calls after open(), no allocation.
class Ledger {
 public:
  /// Bytes of a record's name.
  static constexpr std::size_t kMaxName = 480;
  /// Records a ledger may be opened for.
  static constexpr std::uint32_t kMaxCapacity = 1 << 16;

  struct Opened;

  /// Opens the ledger at `path`, whose folder must exist, with room for `capacity` new records.
  ///
  /// A file that is cut short, damaged, of another version or no ledger at all is never an error:
  /// what can be trusted is reported, the rest dropped and named. Errors: kInvalid for a capacity
  /// of 0 or above kMaxCapacity, or a path that is not a regular file; kInternal when the file
  /// cannot be read or made (no space, no permission), and then the old file is as it was.
  [[nodiscard]] static Result<Opened> open(const std::filesystem::path& path,
                                           std::uint32_t capacity);

  Ledger(Ledger&&) noexcept = default;
  Ledger& operator=(Ledger&&) noexcept = default;

  /// Adds a record, before or right after the thing it names exists. `pid`, if positive, must be
  /// alive and ours now: LedgerEntry::process() rests on that. kRejected when the ledger is full,
  /// kInvalid for an empty or too long name.
  [[nodiscard]] Result<LedgerTicket> record(LedgerKind kind, std::string_view name, pid_t pid = 0);

  /// Records in it now, those left behind included.
  [[nodiscard]] std::size_t size() const;

  /// Random id of this opening, as in the file's header; 32 hexadecimal digits.
  [[nodiscard]] std::string instance() const;

 private:
  explicit Ledger(std::shared_ptr<LedgerTicket::State> state) : state_(std::move(state)) {}

  std::shared_ptr<LedgerTicket::State> state_;
};

struct Ledger::Opened {
  Ledger ledger;
  std::vector<LedgerEntry> left_behind;
  std::vector<std::string> problems;  ///< what was dropped and why, for the log
};

}  // namespace sock::manager
