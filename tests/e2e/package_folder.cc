#include "tests/e2e/package_folder.h"

#include <stdlib.h>

#include <fstream>
#include <stdexcept>

namespace sock::e2e {

namespace fs = std::filesystem;

PackageFolder::PackageFolder() {
  // Outside /usr, which sandboxes are shown anyhow, and /tmp, of which they have one of their own.
  std::string folder = "/var/lib/sock-e2e-XXXXXX";
  if (::mkdtemp(folder.data()) == nullptr) throw std::runtime_error("mkdtemp " + folder);
  top_ = folder;
  // As deep as a virtual environment in somebody's home.
  path_ = top_ / "home/somebody/projects/predictions/environment/lib/python3.11/site-packages";
  fs::create_directories(path_);
}

PackageFolder::~PackageFolder() {
  std::error_code ignored;
  fs::remove_all(top_, ignored);
}

void PackageFolder::add(const std::string& name, const std::string& source) {
  const fs::path metadata = path_ / (name + "-1.0.dist-info");
  fs::create_directory(metadata);
  std::ofstream(metadata / "METADATA")
      << "Metadata-Version: 2.1\nName: " << name << "\nVersion: 1.0\n";
  std::ofstream(path_ / (name + ".py")) << source;
}

std::string PackageFolder::setting() const {
  return "[packages]\nfolders = [\"/usr/lib/python3/dist-packages\", \"" + path_.string() + "\"]\n";
}

}  // namespace sock::e2e
