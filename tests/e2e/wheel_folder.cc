#include "tests/e2e/wheel_folder.h"

#include <stdlib.h>

#include <stdexcept>

namespace sock::e2e {

namespace fs = std::filesystem;

WheelFolder::WheelFolder(const std::function<void(WheelFolder&)>& fill) {
  // Not beneath /tmp's private mode: pip reads it as nobody in particular.
  char name[] = "/tmp/sock-e2e-wheels-XXXXXX";
  if (::mkdtemp(name) == nullptr) throw std::runtime_error("mkdtemp");
  folder_ = name;
  fs::permissions(folder_, fs::perms(0755));
  fill(*this);
}

WheelFolder::~WheelFolder() {
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

void WheelFolder::add(const test_support::WheelSpec& spec) {
  digests_[{spec.name, spec.version}] = test_support::write_wheel(folder_, spec).sha256;
}

std::string WheelFolder::setting() const {
  return "[packages]\nfind_links = [\"" + folder_.string() + "\"]\n";
}

}  // namespace sock::e2e
