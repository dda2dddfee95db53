#include "pkgcache/store/recovery.h"

#include <fcntl.h>

#include <algorithm>
#include <set>
#include <system_error>
#include <utility>

#include "base/file.h"
#include "base/text.h"
#include "base/tree.h"
#include "pkgcache/store/record.h"

namespace sock::pkgcache {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxRecord = 4 << 20;
constexpr std::string_view kSuffix = ".json";

class Recovery {
 public:
  explicit Recovery(const fs::path& store) : store_(store) {}

  Recovered run() {
    for (const fs::path& leftover : list("staging")) remove(leftover);
    std::set<std::string> kept;
    for (const fs::path& record : list("records")) {
      auto package = load(record);
      if (package) {
        kept.insert(folder_name(package->package()));
        out_.packages.push_back(std::move(*package));
      } else {
        drop(record, package.error().describe());
      }
    }
    for (const fs::path& folder : list("packages")) {
      if (!kept.contains(folder.filename().native())) drop(folder, "it has no valid record");
    }
    return std::move(out_);
  }

 private:
  [[nodiscard]] Result<StoredPackage> load(const fs::path& record) const {
    std::error_code error;
    if (!fs::is_regular_file(fs::symlink_status(record, error))) {
      return fail(Code::kInvalid, "record", "not a file");
    }
    const auto text = read_file(AT_FDCWD, record.native(), kMaxRecord);
    if (!text) return std::unexpected(text.error());
    auto package = from_record(*text, store_ / "packages");
    if (!package) return package;
    const std::string folder = folder_name(package->package());
    if (record.filename() != folder + std::string(kSuffix)) {
      return fail(Code::kInvalid, "record", "it belongs to " + folder);
    }
    const auto size = measure_tree(store_ / "packages" / folder);
    if (!size) return std::unexpected(size.error());
    if (size->files != package->files || size->bytes != package->bytes) {
      return fail(Code::kInvalid, "record",
                  "the package has " + std::to_string(size->files) + " files of " +
                      std::to_string(size->bytes) + " bytes instead of " +
                      std::to_string(package->files) + " of " + std::to_string(package->bytes));
    }
    return package;
  }

  std::vector<fs::path> list(const char* name) {
    std::vector<fs::path> out;
    std::error_code error;
    for (fs::directory_iterator i(store_ / name, error), end; !error && i != end;
         i.increment(error)) {
      out.push_back(i->path());
    }
    if (error) report(store_ / name, error.message());
    std::ranges::sort(out);
    return out;
  }

  void drop(const fs::path& path, const std::string& why) {
    report(path, why + "; removed");
    remove(path);
  }

  void remove(const fs::path& path) {
    if (auto removed = remove_tree(path); !removed) report(path, removed.error().describe());
  }

  void report(const fs::path& path, const std::string& why) {
    out_.problems.push_back(in_quotes(path.lexically_relative(store_).native()) + ": " + why);
  }

  const fs::path& store_;
  Recovered out_;
};

}  // namespace

Recovered recover_store(const fs::path& store) { return Recovery(store).run(); }

}  // namespace sock::pkgcache
