#include "zygote/recorder.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>

#include "base/frame.h"
#include "zygote/image.h"

namespace sock::zygote {
namespace {

/// A part of a clone's mapping that the zygote lacks.
struct Addition {
  PageRange range;
  const Region* mapping = nullptr;
};

struct Difference {
  std::vector<Addition> additions;
  std::vector<PageRange> changes;
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

Result<> compare(const ProcessMemory& clone, const std::vector<Region>& zygote,
                 const Region& mapping, Difference& out) {
  std::uint64_t at = mapping.begin;
  while (at < mapping.end) {
    const auto other = std::ranges::upper_bound(zygote, at, {}, &Region::end);
    const bool covered = other != zygote.end() && other->begin <= at;
    const std::uint64_t limit = other == zygote.end() ? mapping.end
                                : covered             ? other->end
                                                      : other->begin;
    const PageRange part{at, std::min(mapping.end, limit)};
    at = part.end;
    if (covered && same(*other, mapping, part.begin)) {
      if (mapping.shared) continue;
      auto pages = clone.pages(ProcessMemory::Pages::kOwn, part.begin, part.end);
      if (!pages) return std::unexpected(pages.error());
      out.changes.insert(out.changes.end(), pages->begin(), pages->end());
      continue;
    }
    if (mapping.shared) {
      return fail(Code::kInvalid, "snapshot", "it maps shared memory: " + describe(mapping));
    }
    out.additions.push_back({part, &mapping});
  }
  return {};
}

std::uint64_t total(const std::vector<PageRange>& ranges) {
  std::uint64_t sum = 0;
  for (const auto& range : ranges) sum += range.bytes();
  return sum;
}

/// Copies what an addition holds to the image; false in `stored` when nothing needs to be.
Result<> copy_addition(const ProcessMemory& clone, const Addition& addition, int image,
                       std::uint64_t offset) {
  const auto [begin, end] = addition.range;
  if (addition.mapping->inode != 0) return clone.copy(begin, end - begin, image, offset);
  // Of anonymous memory only what was ever touched: the rest is zero, which a hole is too.
  for (const auto kind : {ProcessMemory::Pages::kOwn, ProcessMemory::Pages::kMapped}) {
    auto pages = clone.pages(kind, begin, end);
    if (!pages) return std::unexpected(pages.error());
    for (const auto& range : *pages) {
      auto copied = clone.copy(range.begin, range.bytes(), image, offset + (range.begin - begin));
      if (!copied) return copied;
    }
  }
  return {};
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

std::vector<PageRange> concatenated(std::vector<PageRange> a, const std::vector<PageRange>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

}  // namespace

std::uint64_t Touched::bytes() const { return total(writes) + total(reads); }

Result<Fd> record_image(const ProcessMemory& zygote, const ProcessMemory& clone,
                        std::uint64_t limit) {
  Difference difference;
  for (const auto& mapping : clone.regions()) {
    if (mapping.special()) continue;
    auto compared = compare(clone, zygote.regions(), mapping, difference);
    if (!compared) return std::unexpected(compared.error());
  }
  std::vector<ImageRun> runs;
  std::uint64_t offset = sizeof(ImageHeader) + difference.additions.size() * sizeof(ImageMap) +
                         difference.changes.size() * sizeof(ImageRun);
  offset = (offset + kPage - 1) / kPage * kPage;
  ImageHeader header;
  header.contents_offset = offset;
  for (const auto& range : difference.changes) {
    runs.push_back({range.begin, range.bytes()});
    offset += range.bytes();
  }
  std::vector<ImageMap> maps;
  for (const auto& [range, mapping] : difference.additions) {
    const bool empty = mapping->protection == PROT_NONE;
    maps.push_back({range.begin, range.bytes(), offset, mapping->protection, empty ? 1U : 0U});
    if (!empty) offset += range.bytes();
  }
  if (offset > limit) {
    return fail(Code::kInvalid, "snapshot",
                "its memory of " + std::to_string(offset >> 20) + " MiB is more than the " +
                    std::to_string(limit >> 20) + " MiB allowed");
  }
  header.maps = static_cast<std::uint32_t>(maps.size());
  header.runs = static_cast<std::uint32_t>(runs.size());

  Fd image(::memfd_create("sock-image", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!image || !write_exactly(image.get(), &header, sizeof header) ||
      !write_records(image.get(), maps) || !write_records(image.get(), runs) ||
      ::ftruncate(image.get(), static_cast<off_t>(offset)) < 0) {
    return fail_errno("write", "image of a clone");
  }
  std::uint64_t at = header.contents_offset;
  for (const auto& run : runs) {
    auto copied = clone.copy(run.address, run.bytes, image.get(), at);
    if (!copied) return std::unexpected(copied.error());
    at += run.bytes;
  }
  for (std::size_t i = 0; i < maps.size(); ++i) {
    if (maps[i].empty != 0) continue;
    auto copied = copy_addition(clone, difference.additions[i], image.get(), maps[i].offset);
    if (!copied) return std::unexpected(copied.error());
  }
  return sealed_off(std::move(image));
}

Result<Touched> touched_pages(const ProcessMemory& process) {
  Touched out;
  for (const auto& mapping : process.regions()) {
    if (mapping.name.starts_with("[v")) continue;
    auto own = process.pages(ProcessMemory::Pages::kOwn, mapping.begin, mapping.end);
    if (!own) return std::unexpected(own.error());
    auto mapped = process.pages(ProcessMemory::Pages::kMapped, mapping.begin, mapping.end);
    if (!mapped) return std::unexpected(mapped.error());
    out.writes.insert(out.writes.end(), own->begin(), own->end());
    out.reads.insert(out.reads.end(), mapped->begin(), mapped->end());
  }
  return Touched{joined(std::move(out.writes)), joined(std::move(out.reads))};
}

Touched difference(const Touched& later, const Touched& earlier) {
  return {without(later.writes, earlier.writes),
          without(without(later.reads, earlier.reads), earlier.writes)};
}

Touched merged(const Touched& a, const Touched& b) {
  auto writes = joined(concatenated(a.writes, b.writes));
  auto reads = without(joined(concatenated(a.reads, b.reads)), writes);
  return {std::move(writes), std::move(reads)};
}

Result<Fd> write_touches(const Touched& touched) {
  std::vector<TouchRange> ranges;
  for (const auto& kind : {touched.writes, touched.reads}) {
    for (const auto& range : kind) ranges.push_back({range.begin, range.bytes()});
  }
  TouchHeader header;
  header.writes = static_cast<std::uint32_t>(touched.writes.size());
  header.reads = static_cast<std::uint32_t>(touched.reads.size());
  Fd list(::memfd_create("sock-touches", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!list || !write_exactly(list.get(), &header, sizeof header) ||
      !write_records(list.get(), ranges)) {
    return fail_errno("write", "list of touched pages");
  }
  return sealed_off(std::move(list));
}

}  // namespace sock::zygote
