#include "zygote/config.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <string_view>

#include "base/frame.h"

namespace sock::zygote {
namespace {

constexpr std::size_t kLargest = 1 << 20;

struct Header {
  std::uint64_t search_path_bytes;
  std::uint64_t modules_bytes;
  std::uint64_t filter_bytes;
  std::uint64_t seal;
};

std::string join(const std::vector<std::string>& strings) {
  std::string out;
  for (const auto& text : strings) out.append(text).push_back('\0');
  return out;
}

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const auto end = text.find('\0');
    out.emplace_back(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return out;
}

}  // namespace

Result<Fd> write_config(const ZygoteConfig& config) {
  Fd file(::memfd_create("zygote-config", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file) return fail_errno("memfd_create", "zygote configuration");
  const std::string search_path = join(config.search_path);
  const std::string modules = join(config.modules);
  const Header header{search_path.size(), modules.size(),
                      config.filter.size() * sizeof(sock_filter), config.seal ? 1U : 0U};
  if (!write_exactly(file.get(), &header, sizeof header) ||
      !write_exactly(file.get(), search_path.data(), search_path.size()) ||
      !write_exactly(file.get(), modules.data(), modules.size()) ||
      !write_exactly(file.get(), config.filter.data(), header.filter_bytes) ||
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
  if (header.search_path_bytes > kLargest || header.modules_bytes > kLargest ||
      header.filter_bytes > kLargest || header.filter_bytes % sizeof(sock_filter) != 0 ||
      header.seal > 1 ||
      header.search_path_bytes + header.modules_bytes + header.filter_bytes != rest.size()) {
    return fail(Code::kInternal, "zygote configuration", "lengths do not add up");
  }
  ZygoteConfig config;
  config.seal = header.seal != 0;
  config.search_path = split(rest.substr(0, header.search_path_bytes));
  config.modules = split(rest.substr(header.search_path_bytes, header.modules_bytes));
  config.filter.resize(header.filter_bytes / sizeof(sock_filter));
  rest.remove_prefix(header.search_path_bytes + header.modules_bytes);
  if (!rest.empty()) std::memcpy(config.filter.data(), rest.data(), rest.size());
  return config;
}

}  // namespace sock::zygote
