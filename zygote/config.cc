#include "zygote/config.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "base/frame.h"

namespace sock::zygote {
namespace {

constexpr std::size_t kLargest = 1 << 20;

struct Header {
  std::uint64_t search_path_bytes;
  std::uint64_t modules_bytes;
  std::uint64_t inherited_bytes;  ///< of the seccomp policy's parts
  std::uint64_t last_bytes;
  std::uint64_t seal;
};

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const auto end = text.find('\0');
    out.emplace_back(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return out;
}

/// False unless it is a whole number of instructions.
bool read_filter(std::string_view bytes, std::vector<sock_filter>& out) {
  out.resize(bytes.size() / sizeof(sock_filter));
  if (!bytes.empty()) std::memcpy(out.data(), bytes.data(), out.size() * sizeof(sock_filter));
  return bytes.size() % sizeof(sock_filter) == 0;
}

}  // namespace

std::string join(const std::vector<std::string>& texts) {
  std::string out;
  for (const auto& text : texts) out.append(text).push_back('\0');
  return out;
}

Result<Fd> write_config(const ZygoteConfig& config) {
  Fd file(::memfd_create("zygote-config", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file) return fail_errno("memfd_create", "zygote configuration");
  const std::string search_path = join(config.search_path);
  const std::string modules = join(config.modules);
  const auto inherited = std::as_bytes(std::span(config.filter.inherited));
  const auto last = std::as_bytes(std::span(config.filter.last));
  const Header header{search_path.size(), modules.size(), inherited.size(), last.size(),
                      config.seal ? 1U : 0U};
  if (!write_exactly(file.get(), &header, sizeof header) ||
      !write_exactly(file.get(), search_path.data(), search_path.size()) ||
      !write_exactly(file.get(), modules.data(), modules.size()) ||
      !write_exactly(file.get(), inherited.data(), inherited.size()) ||
      !write_exactly(file.get(), last.data(), last.size()) ||
      ::fcntl(file.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW) < 0) {
    return fail_errno("write", "zygote configuration");
  }
  return file;
}

Result<ZygoteConfig> read_config(int fd) {
  const off_t size = ::lseek(fd, 0, SEEK_END);
  const auto total = static_cast<std::size_t>(size);
  if (size < static_cast<off_t>(sizeof(Header)) || total > kLargest) {
    return fail(Code::kInternal, "zygote configuration", "bad size");
  }
  std::string text(total, '\0');
  if (::pread(fd, text.data(), total, 0) != size) return fail_errno("read", "zygote configuration");
  Header header{};
  std::memcpy(&header, text.data(), sizeof header);
  std::string_view rest = std::string_view(text).substr(sizeof header);
  bool whole = true;
  auto take = [&rest, &whole](std::uint64_t length) {
    whole = whole && length <= rest.size();
    const auto part = rest.substr(0, whole ? length : 0);
    rest.remove_prefix(part.size());
    return part;
  };
  ZygoteConfig config;
  config.search_path = split(take(header.search_path_bytes));
  config.modules = split(take(header.modules_bytes));
  whole = read_filter(take(header.inherited_bytes), config.filter.inherited) && whole;
  whole = read_filter(take(header.last_bytes), config.filter.last) && whole;
  config.seal = header.seal != 0;
  if (!whole || !rest.empty() || header.seal > 1) {
    return fail(Code::kInternal, "zygote configuration", "lengths do not add up");
  }
  return config;
}

}  // namespace sock::zygote
