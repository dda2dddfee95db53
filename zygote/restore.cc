#include "zygote/restore.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>

#include "zygote/image.h"

namespace sock::zygote {
namespace {

/// Records read at a time; on the stack.
constexpr std::size_t kBatch = 64;

template <class T>
bool read_at(int fd, T* out, std::size_t count, std::uint64_t offset) {
  const auto size = static_cast<ssize_t>(sizeof(T) * count);
  return ::syscall(SYS_pread64, fd, out, sizeof(T) * count, offset) == size;
}

/// Calls `use` with batches of the `count` records at `offset`.
template <class T, class Use>
bool for_batches(int fd, std::uint32_t count, std::uint64_t offset, Use use) {
  std::array<T, kBatch> batch;
  while (count > 0) {
    const std::size_t n = std::min<std::size_t>(count, kBatch);
    if (!read_at(fd, batch.data(), n, offset) || !use(batch.data(), n)) return false;
    count -= static_cast<std::uint32_t>(n);
    offset += n * sizeof(T);
  }
  return true;
}

void* pointer(std::uint64_t address) { return reinterpret_cast<void*>(address); }

bool map_parts(int image, std::uint32_t count, std::uint64_t offset) {
  auto map = [image](const ImageMap* maps, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) {
      const ImageMap& it = maps[i];
      const int kind = it.empty != 0 ? MAP_ANONYMOUS | MAP_NORESERVE : 0;
      const void* at = ::mmap(pointer(it.address), it.bytes, static_cast<int>(it.protection),
                              MAP_PRIVATE | MAP_FIXED | kind, it.empty != 0 ? -1 : image,
                              it.empty != 0 ? 0 : static_cast<off_t>(it.offset));
      if (at == MAP_FAILED) return false;
    }
    return true;
  };
  return for_batches<ImageMap>(image, count, offset, map);
}

template <class Move>
bool move_all(std::size_t size, Move move) {
  for (std::size_t done = 0; done < size;) {
    const long n = move(done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    done += static_cast<std::size_t>(n);
  }
  return true;
}

}  // namespace

bool raw_read(int fd, void* data, std::size_t size) {
  return move_all(size, [&](std::size_t done) {
    return ::syscall(SYS_read, fd, static_cast<char*>(data) + done, size - done);
  });
}

bool raw_write(int fd, const void* data, std::size_t size) {
  return move_all(size, [&](std::size_t done) {
    return ::syscall(SYS_write, fd, static_cast<const char*>(data) + done, size - done);
  });
}

bool restore_image(int image) {
  ImageHeader header;
  if (!read_at(image, &header, 1, 0) || header.magic != ImageHeader::kMagic) {
    errno = EPROTO;
    return false;
  }
  // The kernel replaces each mapping at once: what this code itself stands on, the library's data
  // among it, is there all the time.
  if (!map_parts(image, header.changes, sizeof header)) return false;
  // By now glibc's idea of the heap's end is the recorded one; the kernel's must agree before the
  // mappings of the part beyond the zygote's take their place.
  const auto wanted = reinterpret_cast<long>(::sbrk(0));
  if (::syscall(SYS_brk, wanted) != wanted) {
    errno = ENOMEM;
    return false;
  }
  return map_parts(image, header.additions, sizeof header + header.changes * sizeof(ImageMap));
}

bool populate(int touches) {
  TouchHeader header;
  if (!read_at(touches, &header, 1, 0) || header.magic != TouchHeader::kMagic) return false;
  auto advise = [](int advice) {
    return [advice](const TouchRange* ranges, std::size_t n) {
      for (std::size_t i = 0; i < n; ++i) {
        (void)::madvise(pointer(ranges[i].address), ranges[i].bytes, advice);
      }
      return true;
    };
  };
  return for_batches<TouchRange>(touches, header.writes, sizeof header,
                                 advise(MADV_POPULATE_WRITE)) &&
         for_batches<TouchRange>(touches, header.reads,
                                 sizeof header + header.writes * sizeof(TouchRange),
                                 advise(MADV_POPULATE_READ));
}

}  // namespace sock::zygote
