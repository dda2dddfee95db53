#include "manager/state/mapped_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/interprocess/file_mapping.hpp>
#include <boost/interprocess/mapped_region.hpp>
#include <string>
#include <utility>

#include "base/file.h"

namespace sock::manager {

namespace ipc = boost::interprocess;

MappedFile::MappedFile(std::filesystem::path path, Fd file)
    : path_(std::move(path)), file_(std::move(file)) {}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      file_(std::move(other.file_)),
      draft_(std::exchange(other.draft_, false)),
      region_(std::move(other.region_)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  if (this != &other) {
    discard();
    path_ = std::move(other.path_);
    file_ = std::move(other.file_);
    draft_ = std::exchange(other.draft_, false);
    region_ = std::move(other.region_);
  }
  return *this;
}

MappedFile::~MappedFile() { discard(); }

void MappedFile::discard() {
  if (std::exchange(draft_, false)) ::unlink(draft().c_str());
}

std::filesystem::path MappedFile::draft() const { return path_.native() + ".new"; }

Result<MappedFile> MappedFile::create(std::filesystem::path path, std::size_t size, Mode mode) {
  MappedFile mapped(std::move(path), Fd());
  const std::string draft = mapped.draft().native();
  // What an interrupted creation has left.
  if (::unlink(draft.c_str()) < 0 && errno != ENOENT) return fail_errno("unlink", draft);
  auto file = open_fd(AT_FDCWD, draft, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
  if (!file) return std::unexpected(file.error());
  mapped.file_ = std::move(*file);
  mapped.draft_ = true;
  if (const int error = ::posix_fallocate(mapped.file_.get(), 0, static_cast<off_t>(size));
      error != 0) {
    return fail_errno("allocate", std::to_string(size) + " bytes for " + mapped.path_.native(),
                      error);
  }
  if (mode.group && ::fchown(mapped.file_.get(), static_cast<uid_t>(-1), *mode.group) < 0) {
    return fail_errno("chown", draft);
  }
  // After the owner, whose change may clear bits.
  if (::fchmod(mapped.file_.get(), mode.bits) < 0) return fail_errno("chmod", draft);
  if (auto done = mapped.map(true); !done) return std::unexpected(done.error());
  return mapped;
}

Result<> MappedFile::publish() {
  if (::rename(draft().c_str(), path_.c_str()) < 0) {
    return fail_errno("rename", draft().native() + " to " + path_.native());
  }
  draft_ = false;
  return {};
}

Result<MappedFile> MappedFile::open(std::filesystem::path path, std::size_t size) {
  auto file = open_fd(AT_FDCWD, path.native(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!file) return std::unexpected(file.error());
  struct stat info {};
  if (::fstat(file->get(), &info) < 0) return fail_errno("stat", path.native());
  if (!S_ISREG(info.st_mode) || info.st_size != static_cast<off_t>(size)) {
    return fail(Code::kInvalid, "map",
                path.native() + " is not a file of " + std::to_string(size) + " bytes");
  }
  MappedFile mapped(std::move(path), std::move(*file));
  if (auto done = mapped.map(false); !done) return std::unexpected(done.error());
  return mapped;
}

Result<> MappedFile::map(bool writable) {
  // Through the descriptor, so that what was checked is what gets mapped: Boost opens by name.
  const std::string name = "/proc/self/fd/" + std::to_string(file_.get());
  const auto access = writable ? ipc::read_write : ipc::read_only;
  try {
    const ipc::file_mapping mapping(name.c_str(), access);
    region_ = std::make_unique<ipc::mapped_region>(mapping, access);
  } catch (const ipc::interprocess_exception& error) {
    return fail_errno("map", path_.native(), error.get_native_error());
  }
  return {};
}

void* MappedFile::data() const { return region_->get_address(); }

bool MappedFile::intact() const {
  struct stat info {};
  return ::fstat(file_.get(), &info) == 0 &&
         info.st_size >= static_cast<off_t>(region_->get_size());
}

bool MappedFile::current() const {
  struct stat ours {};
  struct stat there {};
  return ::fstat(file_.get(), &ours) == 0 && ::lstat(path_.c_str(), &there) == 0 &&
         ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

}  // namespace sock::manager
