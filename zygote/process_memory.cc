#include "zygote/process_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstdio>
#include <sstream>

#include "base/file.h"
#include "zygote/image.h"

namespace sock::zygote {
namespace {

constexpr std::size_t kLargestMaps = 16 << 20;

// Bits of a pagemap entry (Documentation/admin-guide/mm/pagemap.rst).
constexpr std::uint64_t kPresent = 1ULL << 63;
constexpr std::uint64_t kSwapped = 1ULL << 62;
constexpr std::uint64_t kFileOrShared = 1ULL << 61;
constexpr std::uint64_t kExclusive = 1ULL << 56;

std::uint32_t protection_of(const char* text) {
  return (text[0] == 'r' ? PROT_READ : 0U) | (text[1] == 'w' ? PROT_WRITE : 0U) |
         (text[2] == 'x' ? PROT_EXEC : 0U);
}

Result<std::vector<Region>> parse(const std::string& maps) {
  std::vector<Region> out;
  std::istringstream lines(maps);
  for (std::string line; std::getline(lines, line);) {
    Region it;
    char protection[5] = {};
    unsigned major = 0, minor = 0;
    int name = 0;
    if (std::sscanf(line.c_str(), "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %x:%x %" SCNu64 " %n",
                    &it.begin, &it.end, protection, &it.offset, &major, &minor, &it.inode,
                    &name) < 7) {
      return fail(Code::kInternal, "maps", "unknown line: " + line);
    }
    it.protection = protection_of(protection);
    it.shared = protection[3] == 's';
    it.device = (static_cast<std::uint64_t>(major) << 32) | minor;
    if (name > 0 && static_cast<std::size_t>(name) < line.size()) {
      it.name = line.substr(static_cast<std::size_t>(name));
    }
    out.push_back(std::move(it));
  }
  return out;
}

bool is_kind(ProcessMemory::Pages kind, std::uint64_t entry) {
  const bool present = (entry & kPresent) != 0;
  const bool own = (entry & kFileOrShared) == 0 && (entry & kExclusive) != 0;
  return present &&
         (kind == ProcessMemory::Pages::kPresent || own == (kind == ProcessMemory::Pages::kOwn));
}

}  // namespace

bool Region::special() const {
  return name == "[stack]" || name.starts_with("[v") || name == "[uprobes]";
}

ProcessMemory::ProcessMemory(std::vector<Region> mappings, Fd pagemap, Fd memory)
    : regions_(std::move(mappings)), pagemap_(std::move(pagemap)), memory_(std::move(memory)) {}

Result<ProcessMemory> ProcessMemory::open(pid_t pid) {
  const std::string folder = "/proc/" + std::to_string(pid);
  auto text = read_file(AT_FDCWD, folder + "/maps", kLargestMaps);
  if (!text) return std::unexpected(text.error());
  auto mappings = parse(*text);
  if (!mappings) return std::unexpected(mappings.error());
  auto pagemap = open_fd(AT_FDCWD, folder + "/pagemap", O_RDONLY);
  if (!pagemap) return std::unexpected(pagemap.error());
  auto memory = open_fd(AT_FDCWD, folder + "/mem", O_RDONLY);
  if (!memory) return std::unexpected(memory.error());
  return ProcessMemory(std::move(*mappings), std::move(*pagemap), std::move(*memory));
}

Result<std::vector<PageRange>> ProcessMemory::pages(Pages kind, std::uint64_t begin,
                                                    std::uint64_t end) const {
  std::vector<PageRange> out;
  std::array<std::uint64_t, 4096> entries;
  while (begin < end) {
    const std::uint64_t wanted = std::min<std::uint64_t>((end - begin) / kPage, entries.size());
    const ssize_t got = ::pread(pagemap_.get(), entries.data(), wanted * sizeof entries[0],
                                static_cast<off_t>(begin / kPage * sizeof entries[0]));
    if (got <= 0) return fail_errno("pagemap", "of a clone");
    const std::size_t count = static_cast<std::size_t>(got) / sizeof entries[0];
    for (std::size_t i = 0; i < count; ++i, begin += kPage) {
      if ((entries[i] & kSwapped) != 0) return fail(Code::kInvalid, "pagemap", "swapped out");
      if (!is_kind(kind, entries[i])) continue;
      if (!out.empty() && out.back().end == begin) {
        out.back().end += kPage;
      } else {
        out.push_back({begin, begin + kPage});
      }
    }
  }
  return out;
}

bool ProcessMemory::same_page(const ProcessMemory& other, std::uint64_t address) const {
  std::array<char, kPage> ours, theirs;
  const auto at = static_cast<off_t>(address);
  return ::pread(memory_.get(), ours.data(), kPage, at) == static_cast<ssize_t>(kPage) &&
         ::pread(other.memory_.get(), theirs.data(), kPage, at) == static_cast<ssize_t>(kPage) &&
         ours == theirs;
}

Result<> ProcessMemory::copy(std::uint64_t address, std::uint64_t bytes, int out,
                             std::uint64_t offset) const {
  std::array<char, 64 * kPage> buffer;
  while (bytes > 0) {
    const std::size_t wanted = std::min<std::uint64_t>(bytes, buffer.size());
    const ssize_t got = ::pread(memory_.get(), buffer.data(), wanted, static_cast<off_t>(address));
    // An unreadable page: leave a hole and go on behind it.
    const std::uint64_t step = got > 0 ? static_cast<std::uint64_t>(got) : kPage;
    if (got > 0 && ::pwrite(out, buffer.data(), static_cast<std::size_t>(got),
                            static_cast<off_t>(offset)) != got) {
      return fail_errno("write", "image of a clone");
    }
    address += step;
    offset += step;
    bytes -= std::min(step, bytes);
  }
  return {};
}

}  // namespace sock::zygote
