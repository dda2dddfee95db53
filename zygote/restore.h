#pragma once

#include <cstddef>

namespace sock::zygote {

/// Turns this confined clone into a copy of the process that `image` was recorded from (image.h):
/// its changed pages and its additional mappings. Everything from the caller's stack frame up
/// stays; no object on the heap that is younger than the clone may be used afterwards.
///
/// From here on the memory is the tenant's: until its call comes, only this program's own text may
/// run, and no interpreter. Use raw_read() and raw_write() until then: glibc's are cancellation
/// points, which look at memory that is the tenant's. No allocation. False with errno when it
/// cannot be done; the process must then end.
[[nodiscard]] bool restore_image(int image);

/// Populates the pages listed in `touches` (madvise(2), MADV_POPULATE_WRITE and _READ, Linux 5.14).
/// A page that cannot be had is left to its fault. No allocation. False when the list is malformed.
[[nodiscard]] bool populate(int touches);

/// read(2) and write(2) of all of it, EINTR retried, by system calls that nothing in memory can
/// divert. False on error and end of file.
[[nodiscard]] bool raw_read(int fd, void* data, std::size_t size);
[[nodiscard]] bool raw_write(int fd, const void* data, std::size_t size);

}  // namespace sock::zygote
