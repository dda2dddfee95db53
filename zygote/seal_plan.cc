#include "zygote/seal_plan.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/rseq.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string>

#include "base/fd.h"
#include "zygote/huge_pages.h"
#include "zygote/memory_map.h"
#include "zygote/seal_libraries.h"

namespace sock::zygote {
namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kScratch = 48 << 20;
constexpr std::size_t kLargestText = 24 << 20;
/// Well below the usual vm.max_map_count of 65,530.
constexpr std::size_t kMostPieces = 30'000;
constexpr std::uint64_t kLargestImage = std::uint64_t{4} << 30;
constexpr std::size_t kPagesAtOnce = 4096;
/// Untouched pages between two written ones that are copied along, because a mapping more costs
/// every clone more than they cost once. Measured: docs/architecture.md, "Sealing".
constexpr std::size_t kBridge = 16;

std::unexpected<Error> refuse(const Mapping& mapping, std::string_view why) {
  std::string message(why);
  message.append(": ").append(mapping.name.empty() ? "anonymous memory" : mapping.name);
  return fail(Code::kInvalid, "seal", message);
}

/// What the kernel maps into every process; a clone gets its own or shares it at no cost.
bool is_kernels(const Mapping& mapping) {
  for (const std::string_view name :
       {"[stack]", "[vdso]", "[vvar]", "[vvar_vclock]", "[vsyscall]"}) {
    if (mapping.name == name) return true;
  }
  return false;
}

/// Whether the mapping means what its protection, file and contents say and nothing beyond that. Of
/// the flags that do, some are lost in a new mapping, to no harm: hg and nh (huge pages), sr and rr
/// (read ahead), dd (core dumps), mg (KSM), sd (soft-dirty).
bool is_ordinary(const Mapping& mapping) {
  static constexpr std::array<std::string_view, 15> kKnown = {
      "rd", "wr", "ex", "mr", "mw", "me", "ac", "nr", "hg", "nh", "sr", "rr", "dd", "mg", "sd"};
  return all_flags(mapping.flags, [](std::string_view flag) {
    return std::ranges::find(kKnown, flag) != kKnown.end();
  });
}

struct Range {
  std::uintptr_t begin;
  std::uintptr_t end;
};

/// The pages of the thread's control block that are written all the time: errno by failing system
/// calls, the rseq area (rseq(2)) by the kernel whenever it runs the thread somewhere else.
Range thread_pages() {
  const auto self = reinterpret_cast<std::uintptr_t>(__builtin_thread_pointer());
  const auto rseq = self + static_cast<std::uintptr_t>(__rseq_offset);
  const auto error = reinterpret_cast<std::uintptr_t>(&errno);
  const std::uintptr_t first = std::min({self, rseq, error}), last = std::max({self, rseq, error});
  return {first / kPage * kPage, (last + sizeof(struct rseq)) / kPage * kPage + kPage};
}

bool host_swaps() {
  struct sysinfo host {};
  return ::sysinfo(&host) < 0 || host.totalswap > 0;
}

class Planner {
 public:
  Planner(std::span<Piece> pieces, std::span<std::uint8_t> resident, std::span<const int> ancestors,
          const Libraries& libraries)
      : pieces_(pieces), resident_(resident), ancestors_(ancestors), libraries_(libraries) {}

  [[nodiscard]] Result<> add(const Mapping& mapping) {
    if (is_kernels(mapping)) return {};
    if (mapping.shared) {
      if ((mapping.protection & PROT_WRITE) == 0) return {};
      return refuse(mapping, "writable shared memory");
    }
    // Wiped or missing in a clone, and meant to be.
    if (has_flag(mapping, "wf") || has_flag(mapping, "dc")) return {};
    if (mapping.name.starts_with('[') && mapping.name != "[heap]" &&
        !mapping.name.starts_with("[anon:")) {
      return refuse(mapping, "memory of an unknown kind");
    }
    if (!is_ordinary(mapping)) return refuse(mapping, "memory with unusual flags");
    if (libraries_.want(mapping)) return add_library(mapping);
    if (mapping.anonymous == 0 && mapping.swapped == 0) return {};
    if ((mapping.protection & PROT_READ) == 0) return refuse(mapping, "unreadable memory");
    if (mapping.name.starts_with("/dev/")) return refuse(mapping, "memory of a device");
    // The two sides of what must stay as it is; without any of that in it, the mapping as a whole.
    Mapping before = mapping, after = mapping;
    before.end = std::clamp(kept_.begin, mapping.begin, mapping.end);
    after.begin = std::clamp(kept_.end, before.end, mapping.end);
    after.offset += after.begin - mapping.begin;
    if (before.end == after.begin) return add_part(mapping);
    if (auto added = add_part(before); !added) return added;
    return add_part(after);
  }

  /// The pieces, each with its place in the image.
  [[nodiscard]] SealPlan finish(std::uint32_t mappings) {
    SealPlan plan{pieces_.first(count_), 0, 0, mappings};
    for (Piece& piece : plan.pieces) {
      if (piece.source != Piece::Source::kImage) continue;
      // A long stretch of code is mapped by huge pages where address and offset agree within one.
      if (piece.size() >= kHugePage && (piece.protection & PROT_WRITE) == 0) {
        plan.image_bytes += (piece.begin - plan.image_bytes) % kHugePage;
      }
      piece.offset = plan.image_bytes;
      plan.image_bytes += piece.size();
      plan.copied_bytes += piece.size();
    }
    return plan;
  }

 private:
  /// With one protection for code, constants and relocated constants, they are one mapping.
  [[nodiscard]] Result<> add_library(Mapping mapping) {
    mapping.protection = PROT_READ | PROT_EXEC;
    return append(mapping, mapping.begin, mapping.end, Piece::Source::kImage, -1);
  }

  [[nodiscard]] Result<> add_part(const Mapping& mapping) {
    if (mapping.begin == mapping.end) return {};
    if (mapping.inode == 0) return add_anonymous(mapping);
    if (const int fd = ancestor_of(mapping); fd >= 0) return add_inherited(mapping, fd);
    // A library's data. Few of its pages are still the file's, and the file may be gone.
    return append(mapping, mapping.begin, mapping.end, Piece::Source::kImage, -1);
  }

  /// The ancestor's image that the whole mapping shows; -1 when there is none.
  [[nodiscard]] int ancestor_of(const Mapping& mapping) const {
    for (const int fd : ancestors_) {
      struct stat file {};
      if (::fstat(fd, &file) == 0 && file.st_ino == mapping.inode &&
          file.st_dev == mapping.device &&
          mapping.offset + mapping.size() <= static_cast<std::uint64_t>(file.st_size)) {
        return fd;
      }
    }
    return -1;
  }

  /// Anonymous memory: what is all zeros need not be copied. Pages never touched are not read,
  /// which would make the kernel map them.
  [[nodiscard]] Result<> add_anonymous(const Mapping& mapping) {
    Run run{mapping.begin, false};
    for (std::uintptr_t page = mapping.begin; page < mapping.end;) {
      const std::size_t count = std::min(resident_.size(), (mapping.end - page) / kPage);
      // A page that is swapped out, or will be in a moment, looks like one never touched; then all
      // are read.
      if (swapping_) {
        std::ranges::fill(resident_, std::uint8_t{1});
      } else if (::mincore(reinterpret_cast<void*>(page), count * kPage, resident_.data()) < 0) {
        return refuse(mapping, "mincore failed");
      }
      for (std::size_t i = 0; i < count; ++i, page += kPage) {
        const bool written = (resident_[i] & 1) != 0 && !is_zero(page);
        if (auto added = extend(mapping, run, page, written, -1); !added) return added;
      }
    }
    return end_run(mapping, run, mapping.end, -1);
  }

  /// Memory that a sealed ancestor left: what still equals its image stays mapped from there.
  /// Compared page by page: a process that has changed its identity may not open its own pagemap,
  /// which would tell what was written, and a page may have been written back as it was.
  [[nodiscard]] Result<> add_inherited(const Mapping& mapping, int ancestor) {
    void* image = ::mmap(nullptr, mapping.size(), PROT_READ, MAP_PRIVATE, ancestor,
                         static_cast<off_t>(mapping.offset));
    if (image == MAP_FAILED) return refuse(mapping, "an ancestor's image cannot be mapped");
    Run run{mapping.begin, false};
    Result<> added;
    for (std::uintptr_t page = mapping.begin; page < mapping.end && added; page += kPage) {
      const auto* was = static_cast<const std::byte*>(image) + (page - mapping.begin);
      const bool written = std::memcmp(reinterpret_cast<const void*>(page), was, kPage) != 0;
      added = extend(mapping, run, page, written, ancestor);
    }
    ::munmap(image, mapping.size());
    return added ? end_run(mapping, run, mapping.end, ancestor) : added;
  }

  static bool is_zero(std::uintptr_t page) {
    const auto* bytes = reinterpret_cast<const char*>(page);
    return bytes[0] == 0 && std::memcmp(bytes, bytes + 1, kPage - 1) == 0;
  }

  /// Pages in a row that are written, or that are not.
  struct Run {
    std::uintptr_t begin;
    bool written;
  };

  [[nodiscard]] Result<> extend(const Mapping& mapping, Run& run, std::uintptr_t page, bool written,
                                int ancestor) {
    if (written == run.written) return {};
    auto ended = end_run(mapping, run, page, ancestor);
    run = {page, written};
    return ended;
  }

  [[nodiscard]] Result<> end_run(const Mapping& mapping, const Run& run, std::uintptr_t end,
                                 int ancestor) {
    if (run.begin == end) return {};
    const auto other = ancestor < 0 ? Piece::Source::kZeros : Piece::Source::kAncestor;
    const bool copied = run.written || end - run.begin <= kBridge * kPage;
    return append(mapping, run.begin, end, copied ? Piece::Source::kImage : other, ancestor);
  }

  /// Adds a stretch, as one piece with the one before it where the kernel would make one mapping of
  /// both.
  [[nodiscard]] Result<> append(const Mapping& mapping, std::uintptr_t begin, std::uintptr_t end,
                                Piece::Source source, int fd) {
    Piece piece;
    piece.begin = begin;
    piece.end = end;
    piece.protection = mapping.protection;
    piece.source = source;
    piece.reserve = !has_flag(mapping, "nr");
    if (source == Piece::Source::kAncestor) {
      piece.fd = fd;
      piece.offset = mapping.offset + (begin - mapping.begin);
    }
    if (source == Piece::Source::kImage && (image_bytes_ += piece.size()) > kLargestImage) {
      return refuse(mapping, "too much memory");
    }
    if (count_ > 0) {
      Piece& last = pieces_[count_ - 1];
      const bool follows =
          source != Piece::Source::kAncestor || last.offset + last.size() == piece.offset;
      if (last.end == begin && last.source == source && last.protection == piece.protection &&
          last.fd == piece.fd && last.reserve == piece.reserve && follows) {
        last.end = end;
        return {};
      }
    }
    if (count_ == pieces_.size()) return refuse(mapping, "too many mappings");
    pieces_[count_++] = piece;
    return {};
  }

  std::span<Piece> pieces_;
  std::span<std::uint8_t> resident_;
  std::span<const int> ancestors_;
  const Libraries& libraries_;
  const Range kept_ = thread_pages();
  const bool swapping_ = host_swaps();
  std::size_t count_ = 0;
  std::uint64_t image_bytes_ = 0;
};

}  // namespace

Scratch::Scratch() {
  void* at = ::mmap(nullptr, kScratch + 2 * kPage, PROT_NONE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) return;
  auto* inner = static_cast<std::byte*>(at) + kPage;
  if (::mprotect(inner, kScratch, PROT_READ | PROT_WRITE) < 0) {
    ::munmap(at, kScratch + 2 * kPage);
    return;
  }
  begin_ = inner;
}

Scratch::~Scratch() {
  if (valid()) ::munmap(begin_ - kPage, kScratch + 2 * kPage);
}

std::byte* Scratch::take_bytes(std::size_t size) {
  size = (size + kAlignment - 1) / kAlignment * kAlignment;
  if (!valid() || size > kScratch - used_) return nullptr;
  std::byte* at = begin_ + used_;
  used_ += size;
  return at;
}

std::string_view Scratch::read(const char* path) {
  const Fd file(::open(path, O_RDONLY | O_CLOEXEC));
  const auto buffer = take<char>(kLargestText);
  if (!file || buffer.empty()) return {};
  std::size_t filled = 0;
  for (;;) {
    const ssize_t n = ::read(file.get(), buffer.data() + filled, buffer.size() - filled);
    if (n < 0 || filled == buffer.size()) return {};
    if (n == 0) break;
    filled += static_cast<std::size_t>(n);
  }
  // Gives back what the text did not need.
  used_ -= (buffer.size() - filled) / kAlignment * kAlignment;
  return {buffer.data(), filled};
}

Result<SealPlan> plan_sealing(Scratch& scratch, std::span<const int> ancestors) {
  const auto pieces = scratch.take<Piece>(kMostPieces);
  const auto resident = scratch.take<std::uint8_t>(kPagesAtOnce);
  const std::string_view text = scratch.read("/proc/self/smaps");
  if (pieces.empty() || resident.empty() || text.empty()) {
    return fail(Code::kInvalid, "seal", "/proc/self/smaps cannot be read");
  }
  const Libraries libraries(scratch, text);
  if (!libraries.valid()) return fail(Code::kInvalid, "seal", "too many libraries");
  Planner planner(pieces, resident, ancestors, libraries);
  MemoryMap map(text);
  Mapping mapping;
  std::uint32_t mappings = 0;
  while (map.next(mapping)) {
    ++mappings;
    if (mapping.begin == scratch.begin()) continue;
    if (auto added = planner.add(mapping); !added) return std::unexpected(added.error());
  }
  if (map.malformed()) return fail(Code::kInvalid, "seal", "/proc/self/smaps is not understood");
  return planner.finish(mappings);
}

}  // namespace sock::zygote
