#include "zygote/seal.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "zygote/huge_pages.h"
#include "zygote/seal_plan.h"

namespace sock::zygote {
namespace {

constexpr unsigned kMfdNoexecSeal = 8;  // MFD_NOEXEC_SEAL, newer than this glibc
constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;
/// Below the stack pointer; what this thread calls from here on fits in it many times.
constexpr std::size_t kStackKept = 64 << 10;

Fd create_image() {
  Fd image(::memfd_create("sock-zygote", MFD_CLOEXEC | MFD_ALLOW_SEALING | kMfdNoexecSeal));
  // Before Linux 6.3.
  if (!image) image.reset(::memfd_create("sock-zygote", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  return image;
}

/// Copied by the kernel, which answers EFAULT where a page cannot be read (behind the end of a
/// file).
bool copy_out(int image, const Piece& piece) {
  for (std::size_t done = 0; done < piece.size();) {
    const ssize_t n = ::pwrite(image, reinterpret_cast<const void*>(piece.begin + done),
                               piece.size() - done, static_cast<off_t>(piece.offset + done));
    if (n <= 0) return false;
    done += static_cast<std::size_t>(n);
  }
  return true;
}

bool holds(int image, const SealPlan& plan) {
  struct stat file {};
  return ::fstat(image, &file) == 0 &&
         static_cast<std::uint64_t>(file.st_blocks) * 512 >= plan.copied_bytes;
}

/// Finds bytes that got lost, not forgeries. Four chains, so that the multiplications overlap.
std::uint64_t checksum(const Piece& piece) {
  constexpr std::uint64_t kPrime = 0x9e3779b97f4a7c15;
  std::uint64_t lanes[4] = {1, 2, 3, 4};
  const auto* words = reinterpret_cast<const std::uint64_t*>(piece.begin);
  for (std::size_t i = 0; i < piece.size() / sizeof *words; i += 4) {
    for (std::size_t lane = 0; lane < 4; ++lane) {
      lanes[lane] = (lanes[lane] ^ words[i + lane]) * kPrime;
      lanes[lane] ^= lanes[lane] >> 29;
    }
  }
  return ((lanes[0] * kPrime + lanes[1]) * kPrime + lanes[2]) * kPrime + lanes[3];
}

bool map_back(int image, const Piece& piece) {
  const bool zeros = piece.source == Piece::Source::kZeros;
  const int flags = MAP_PRIVATE | MAP_FIXED | (zeros ? MAP_ANONYMOUS : 0) |
                    (zeros && !piece.reserve ? MAP_NORESERVE : 0);
  const int fd = piece.source == Piece::Source::kImage ? image : piece.fd;
  void* at = reinterpret_cast<void*>(piece.begin);
  return ::mmap(at, piece.size(), piece.protection, flags, zeros ? -1 : fd,
                zeros ? 0 : static_cast<off_t>(piece.offset)) == at;
}

/// The pages that deep calls of the imports left below the stack pointer: each clone would copy
/// their entries.
[[gnu::noinline]] void forget_old_stack(Scratch& scratch) {
  const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  std::string_view maps = scratch.read("/proc/self/maps");
  while (!maps.empty()) {
    const auto line = maps.substr(0, maps.find('\n'));
    maps.remove_prefix(std::min(maps.size(), line.size() + 1));
    if (!line.ends_with("[stack]")) continue;
    const std::uintptr_t begin = std::strtoull(line.data(), nullptr, 16);
    const std::uintptr_t end = (here - kStackKept) & ~std::uintptr_t{4095};
    if (begin < end) (void)::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
    return;
  }
}

std::uint32_t count_mappings(Scratch& scratch) {
  const std::string_view maps = scratch.read("/proc/self/maps");
  return static_cast<std::uint32_t>(std::ranges::count(maps, '\n')) - Scratch::kMappings;
}

}  // namespace

Result<Seal> seal_memory(std::span<const int> ancestors) {
  Scratch scratch;
  auto plan = plan_sealing(scratch, ancestors);
  if (!plan) return std::unexpected(plan.error());
  Seal seal;
  seal.image = create_image();
  if (!seal.image || !grow_in_huge_pages(seal.image.get(), plan->image_bytes)) {
    return fail(Code::kInvalid, "seal", "memory for the image cannot be had");
  }
  seal.bytes = plan->copied_bytes;
  seal.mappings_before = plan->mappings - Scratch::kMappings;

  for (const Piece& piece : plan->pieces) {
    if (piece.source != Piece::Source::kImage || copy_out(seal.image.get(), piece)) continue;
    return fail(Code::kInvalid, "seal", std::string("memory cannot be copied: ") + strerror(errno));
  }
  if (!holds(seal.image.get(), *plan) || ::fcntl(seal.image.get(), F_ADD_SEALS, kSeals) < 0) {
    return fail(Code::kInvalid, "seal", "the image is incomplete");
  }
  // After the copies, so that a byte written since then shows as a difference below. From here to
  // the last checksum nothing may be written but the stack and the scratch memory: writes would be
  // lost.
  for (Piece& piece : plan->pieces) {
    if (piece.source != Piece::Source::kZeros) piece.checksum = checksum(piece);
  }
  // This code, its stack and the tables it jumps through stay usable all along: the kernel replaces
  // each mapping at once, by one with the same contents.
  for (const Piece& piece : plan->pieces) {
    if (!map_back(seal.image.get(), piece)) return fail_errno("seal", "map the image");
  }
  for (const Piece& piece : plan->pieces) {
    if (piece.source != Piece::Source::kZeros && piece.checksum != checksum(piece)) {
      return fail(Code::kInternal, "seal", "memory changed while it was sealed");
    }
  }
  forget_old_stack(scratch);
  seal.mappings_after = count_mappings(scratch);
  return seal;
}

}  // namespace sock::zygote
