#pragma once

#include <array>
#include <string>
#include <vector>

#include "base/error.h"

namespace sock::netns {

/// Reads the settings of one network namespace. It remembers what files there are, some 10 kB,
/// because to list them takes as long as to read them: new ones come with a new link, or with a
/// module of the host's kernel, and with nothing else. Not thread safe.
class SettingReader {
 public:
  /// All files below /proc/sys/net that can be read, of the calling thread's network namespace, as
  /// lines "path=value". Left out: the number of tracked connections, which is not a setting, and
  /// the lists of what the host's kernel has loaded, which no namespace can change.
  ///
  /// About 1 µs a file, of which there are some 580, and 130 more for each link but loopback. The
  /// first time the kernel also makes 1 kB of (reclaimable) directory entries for each.
  [[nodiscard]] Result<std::string> read();

 private:
  struct Folder {
    std::string path;   // below /proc/sys/net, with a slash behind it, or empty
    std::string names;  // of its files, each with a NUL behind it
  };

  [[nodiscard]] Result<> list(int parent, const std::string& name, const std::string& path);
  [[nodiscard]] Result<> read_folder(int root, const Folder& folder, std::string& text);
  [[nodiscard]] Result<> read_file(int folder, const char* name, std::string& text);

  std::vector<Folder> folders_;  // empty before the first time
  std::array<char, 256> small_{};
};

}  // namespace sock::netns
