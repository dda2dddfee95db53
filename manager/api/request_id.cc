#include "manager/api/request_id.h"

#include <sys/random.h>

#include <cerrno>
#include <cstring>
#include <system_error>

namespace sock::manager {

namespace {

constexpr std::size_t kLength = 36;

constexpr bool is_dash(std::size_t position) {
  return position == 8 || position == 13 || position == 18 || position == 23;
}

}  // namespace

std::string RequestIds::next() {
  if (used_ == pool_.size()) {
    if (getrandom(pool_.data(), pool_.size(), 0) != static_cast<ssize_t>(pool_.size())) {
      throw std::system_error(errno, std::generic_category(), "getrandom");
    }
    used_ = 0;
  }
  std::array<unsigned char, kIdBytes> bytes{};
  std::memcpy(bytes.data(), pool_.data() + used_, kIdBytes);
  used_ += kIdBytes;
  bytes[6] = static_cast<unsigned char>((bytes[6] & 0x0f) | 0x40);  // version 4
  bytes[8] = static_cast<unsigned char>((bytes[8] & 0x3f) | 0x80);  // the RFC's variant

  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string id(kLength, '-');
  std::size_t at = 0;
  for (const unsigned char byte : bytes) {
    if (is_dash(at)) ++at;
    id[at++] = kDigits[byte >> 4];
    id[at++] = kDigits[byte & 15];
  }
  return id;
}

bool is_request_id(std::string_view text) {
  if (text.size() != kLength) return false;
  for (std::size_t i = 0; i < kLength; ++i) {
    const char c = text[i];
    const bool fits = is_dash(i) ? c == '-' : (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
    if (!fits) return false;
  }
  return true;
}

}  // namespace sock::manager
