#pragma once

#include <cstddef>
#include <cstdint>

namespace sock::zygote {

/// Memory that holds nothing but randomness, such as the state of a generator, and must be
/// different in every clone. The interpreter notes where it is while a zygote gets ready; a clone
/// fills it without running any Python, so this is possible in memory that is a tenant's already.

/// Notes `length` bytes at `address`; false when no more can be kept.
[[nodiscard]] bool keep_random(std::uintptr_t address, std::size_t length);

/// Fills all of it from the kernel (getrandom(2)). Allocates nothing. False when that fails.
[[nodiscard]] bool renew_randomness();

}  // namespace sock::zygote
