#include "zygote/recorder.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <string>
#include <utility>

#include "base/frame.h"
#include "zygote/huge_pages.h"
#include "zygote/image.h"

namespace sock::zygote {
namespace {

/// Unchanged pages between two changed ones that are stored all the same: fewer mappings are worth
/// more than memory that all copies share.
constexpr std::uint64_t kBridge = 256 * kPage;

/// What a copy has to map.
struct Part {
  PageRange range;
  std::uint32_t protection = 0;
  bool stored = true;  ///< else fresh anonymous memory
};

struct Difference {
  std::vector<Part> changes;    ///< within the zygote's mappings
  std::vector<Part> additions;  ///< elsewhere, or instead of them
};

std::string describe(const Region& mapping) {
  char range[64];
  std::snprintf(range, sizeof range, "%llx-%llx ", static_cast<unsigned long long>(mapping.begin),
                static_cast<unsigned long long>(mapping.end));
  return range + (mapping.name.empty() ? "anonymous memory" : mapping.name);
}

/// Whether the zygote's mapping is what the clone still sees at `at`.
bool same(const Region& zygotes, const Region& clones, std::uint64_t at) {
  if (zygotes.protection != clones.protection || zygotes.shared != clones.shared ||
      zygotes.device != clones.device || zygotes.inode != clones.inode) {
    return false;
  }
  if (zygotes.inode == 0) return zygotes.begin == clones.begin && zygotes.end == clones.end;
  return zygotes.offset + (at - zygotes.begin) == clones.offset + (at - clones.begin);
}

/// Ranges with the gaps between close ones filled.
std::vector<PageRange> bridged(const std::vector<PageRange>& ranges) {
  std::vector<PageRange> out;
  for (const auto& range : ranges) {
    if (!out.empty() && range.begin - out.back().end <= kBridge) {
      out.back().end = range.end;
    } else {
      out.push_back(range);
    }
  }
  return out;
}

/// Pages of `range` that the clone has of its own and that differ from the zygote's. Many were
/// written and hold what they held before: an object was used, and its reference count is back.
Result<std::vector<PageRange>> changed_pages(const ProcessMemory& clone,
                                             const ProcessMemory& zygote, PageRange range) {
  auto own = clone.pages(ProcessMemory::Pages::kOwn, range.begin, range.end);
  if (!own) return own;
  std::vector<PageRange> out;
  for (const auto& pages : *own) {
    for (std::uint64_t at = pages.begin; at < pages.end; at += kPage) {
      if (clone.same_page(zygote, at)) continue;
      if (!out.empty() && out.back().end == at) {
        out.back().end += kPage;
      } else {
        out.push_back({at, at + kPage});
      }
    }
  }
  return out;
}

/// A range that the zygote lacks: all of a file's, of anonymous memory what was ever touched. The
/// rest is zero, and so is fresh memory.
Result<> add(const ProcessMemory& clone, const Region& region, PageRange range,
             std::vector<Part>& out) {
  if (region.protection == PROT_NONE) {
    out.push_back({range, PROT_NONE, false});
    return {};
  }
  if (region.inode != 0) {
    out.push_back({range, region.protection, true});
    return {};
  }
  auto touched = clone.pages(ProcessMemory::Pages::kPresent, range.begin, range.end);
  if (!touched) return std::unexpected(touched.error());
  out.push_back({range, region.protection, false});
  for (const auto& part : bridged(*touched)) out.push_back({part, region.protection, true});
  return {};
}

Result<> compare(const ProcessMemory& clone, const ProcessMemory& zygote, const Region& region,
                 Difference& out) {
  std::uint64_t at = region.begin;
  while (at < region.end) {
    const auto& others = zygote.regions();
    const auto other = std::ranges::upper_bound(others, at, {}, &Region::end);
    const bool covered = other != others.end() && other->begin <= at;
    const std::uint64_t limit = other == others.end() ? region.end
                                : covered             ? other->end
                                                      : other->begin;
    const PageRange part{at, std::min(region.end, limit)};
    at = part.end;
    // What waits for a call in a copy is the zygote's code on its own stack: an image may not touch
    // either, or it would run ahead of its call.
    const bool keep_off = covered && (other->special() || (other->protection & PROT_WRITE) == 0);
    const bool inherited = covered && same(*other, region, part.begin);
    if (keep_off && !inherited) {
      return fail(Code::kInvalid, "snapshot",
                  "it replaces what the interpreter runs on: " + describe(*other));
    }
    if (inherited) {
      if (region.shared) continue;
      auto changed = changed_pages(clone, zygote, part);
      if (!changed) return std::unexpected(changed.error());
      if (keep_off && !changed->empty()) {
        return fail(Code::kInvalid, "snapshot",
                    "it changes code or constants: " + describe(*other));
      }
      for (const auto& range : bridged(*changed)) {
        out.changes.push_back({range, region.protection, true});
      }
      continue;
    }
    if (region.shared) {
      return fail(Code::kInvalid, "snapshot", "it maps shared memory: " + describe(region));
    }
    if (auto added = add(clone, region, part, out.additions); !added) return added;
  }
  return {};
}

/// Whether a mapping lies where the zygote's stack is or may grow to.
bool near_stack(const ProcessMemory& zygote, const Region& region) {
  constexpr std::uint64_t kRoom = 1 << 20;
  const auto stack = std::ranges::find(zygote.regions(), "[stack]", &Region::name);
  if (stack == zygote.regions().end()) return false;
  return region.end > stack->begin - kRoom && region.begin < stack->end;
}

std::uint64_t total(const std::vector<PageRange>& ranges) {
  std::uint64_t sum = 0;
  for (const auto& range : ranges) sum += range.bytes();
  return sum;
}

template <class T>
bool write_records(int fd, const std::vector<T>& records) {
  return write_exactly(fd, records.data(), records.size() * sizeof(T));
}

Result<Fd> sealed_off(Fd file) {
  constexpr int kSeals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
  if (::fcntl(file.get(), F_ADD_SEALS, kSeals) < 0) return fail_errno("seal", "memory image");
  return file;
}

std::vector<PageRange> joined(std::vector<PageRange> ranges) {
  std::ranges::sort(ranges, {}, &PageRange::begin);
  std::vector<PageRange> out;
  for (const auto& range : ranges) {
    if (!out.empty() && range.begin <= out.back().end) {
      out.back().end = std::max(out.back().end, range.end);
    } else {
      out.push_back(range);
    }
  }
  return out;
}

std::vector<PageRange> without(const std::vector<PageRange>& ranges,
                               const std::vector<PageRange>& removed) {
  std::vector<PageRange> out;
  auto other = removed.begin();
  for (auto [at, end] : ranges) {
    while (other != removed.end() && other->end <= at) ++other;
    for (auto it = other; it != removed.end() && it->begin < end; ++it) {
      if (at < it->begin) out.push_back({at, it->begin});
      at = std::max(at, it->end);
    }
    if (at < end) out.push_back({at, end});
  }
  return out;
}

/// The same pages, cut wherever one of `edges` lies within a range.
std::vector<PageRange> split(const std::vector<PageRange>& ranges,
                             const std::vector<std::uint64_t>& edges) {
  std::vector<PageRange> out;
  for (auto [at, end] : ranges) {
    auto edge = std::ranges::upper_bound(edges, at);
    for (; edge != edges.end() && *edge < end; ++edge)
      out.push_back({std::exchange(at, *edge), *edge});
    out.push_back({at, end});
  }
  return out;
}

/// One page of every stretch that the kernel maps together: reading it brings the others along
/// (filemap_map_pages(), fault_around_bytes in debugfs, 64 KiB unless changed), as far as they
/// belong to one mapping. A huge page as a whole: it is one step for the kernel, and if it is not
/// one in the next process, not a gap.
std::vector<PageRange> thinned(const Touched& touched) {
  constexpr std::uint64_t kFaultAround = 64 << 10;
  auto mapping_of = [&touched](std::uint64_t at) {
    return std::ranges::upper_bound(touched.mappings, at);
  };
  std::vector<PageRange> out;
  for (const auto& range : split(touched.reads, touched.mappings)) {
    for (std::uint64_t at = range.begin; at < range.end;
         at = at / kFaultAround * kFaultAround + kFaultAround) {
      if (at % kHugePage == 0 && range.end - at >= kHugePage) {
        out.push_back({at, at + kHugePage});
        at += kHugePage - kFaultAround;
        continue;
      }
      const bool same = !out.empty() && out.back().begin / kFaultAround == at / kFaultAround &&
                        mapping_of(out.back().begin) == mapping_of(at);
      if (!same) out.push_back({at, at + kPage});
    }
  }
  return out;
}

std::vector<PageRange> concatenated(std::vector<PageRange> a, const std::vector<PageRange>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

}  // namespace

std::uint64_t Touched::written_bytes() const { return total(writes); }

Result<Fd> record_image(const ProcessMemory& zygote, const ProcessMemory& clone,
                        std::uint64_t limit) {
  Difference difference;
  for (const auto& region : clone.regions()) {
    if (region.special()) continue;
    if (near_stack(zygote, region)) {
      return fail(Code::kInvalid, "snapshot",
                  "it maps memory below the stack: " + describe(region));
    }
    auto compared = compare(clone, zygote, region, difference);
    if (!compared) return std::unexpected(compared.error());
  }
  ImageHeader header;
  header.changes = static_cast<std::uint32_t>(difference.changes.size());
  header.additions = static_cast<std::uint32_t>(difference.additions.size());
  std::vector<Part> parts = std::move(difference.changes);
  parts.insert(parts.end(), difference.additions.begin(), difference.additions.end());
  std::uint64_t offset = sizeof header + parts.size() * sizeof(ImageMap);
  offset = (offset + kPage - 1) / kPage * kPage;
  std::vector<ImageMap> maps;
  for (const auto& part : parts) {
    maps.push_back({part.range.begin, part.range.bytes(), part.stored ? offset : 0, part.protection,
                    part.stored ? 0U : 1U});
    if (part.stored) offset += part.range.bytes();
  }
  if (offset > limit) {
    return fail(Code::kInvalid, "snapshot",
                "its memory of " + std::to_string(offset >> 20) + " MiB is more than the " +
                    std::to_string(limit >> 20) + " MiB allowed");
  }
  Fd image(::memfd_create("sock-image", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!image || !grow_in_huge_pages(image.get(), offset) ||
      !write_exactly(image.get(), &header, sizeof header) || !write_records(image.get(), maps)) {
    return fail_errno("write", "image of a clone");
  }
  for (const auto& map : maps) {
    if (map.empty != 0) continue;
    auto copied = clone.copy(map.address, map.bytes, image.get(), map.offset);
    if (!copied) return std::unexpected(copied.error());
  }
  return sealed_off(std::move(image));
}

Result<Touched> touched_pages(const ProcessMemory& process) {
  Touched out;
  for (const auto& mapping : process.regions()) {
    if (mapping.name.starts_with("[v")) continue;
    out.mappings.push_back(mapping.begin);
    auto own = process.pages(ProcessMemory::Pages::kOwn, mapping.begin, mapping.end);
    if (!own) return std::unexpected(own.error());
    auto mapped = process.pages(ProcessMemory::Pages::kMapped, mapping.begin, mapping.end);
    if (!mapped) return std::unexpected(mapped.error());
    out.writes.insert(out.writes.end(), own->begin(), own->end());
    out.reads.insert(out.reads.end(), mapped->begin(), mapped->end());
  }
  return Touched{joined(std::move(out.writes)), joined(std::move(out.reads)),
                 std::move(out.mappings)};
}

Result<Touched> touched_pages(pid_t process) {
  auto memory = ProcessMemory::open(process);
  if (!memory) return std::unexpected(memory.error());
  return touched_pages(*memory);
}

Touched touches_of_call(const Touched& parked, const Touched& answered) {
  return {without(answered.writes, parked.writes), answered.reads, answered.mappings};
}

Touched merged(const Touched& a, const Touched& b) {
  auto writes = joined(concatenated(a.writes, b.writes));
  auto reads = without(joined(concatenated(a.reads, b.reads)), writes);
  std::vector<std::uint64_t> mappings;
  std::ranges::set_union(a.mappings, b.mappings, std::back_inserter(mappings));
  return {std::move(writes), std::move(reads), std::move(mappings)};
}

Result<Fd> write_touches(const Touched& touched) {
  const auto reads = thinned(touched);
  std::vector<TouchRange> ranges;
  for (const auto& range : touched.writes) ranges.push_back({range.begin, range.bytes()});
  for (const auto& range : reads) ranges.push_back({range.begin, range.bytes()});
  TouchHeader header;
  header.writes = static_cast<std::uint32_t>(touched.writes.size());
  header.reads = static_cast<std::uint32_t>(reads.size());
  Fd list(::memfd_create("sock-touches", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!list || !write_exactly(list.get(), &header, sizeof header) ||
      !write_records(list.get(), ranges)) {
    return fail_errno("write", "list of touched pages");
  }
  return sealed_off(std::move(list));
}

}  // namespace sock::zygote
