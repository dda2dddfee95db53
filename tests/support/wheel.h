#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace sock::test_support {

/// A wheel to be made (PEP 427): small, valid, and the same bytes for the same spec.
struct WheelSpec {
  std::string name;                            ///< as written in METADATA: "My.Package"
  std::string version;                         ///< "1.0"
  std::vector<std::string> requirements = {};  ///< Requires-Dist: "other>=1; extra == 'more'"
  /// Path → content: "mine/__init__.py". Without any, one module that holds `VERSION`. What is
  /// given here under the path of a generated file (METADATA, WHEEL, RECORD) replaces it.
  std::map<std::string, std::string> files = {};
  std::vector<std::string> extras = {};  ///< Provides-Extra
  std::string requires_python = {};      ///< ">=3.9"
  std::string tags = "py3-none-any";
  /// Path → target: symbolic links, which no wheel may have. Not in RECORD.
  std::map<std::string, std::string> links = {};
};

struct Wheel {
  std::string file_name;  ///< NAME-VERSION-TAGS.whl
  std::string bytes;      ///< a zip with METADATA, WHEEL and a RECORD with the files' digests
  std::string sha256;     ///< of the bytes, in lower-case hexadecimal
};

/// "my_package", the name's spelling in file names; also the module that a spec without files has.
[[nodiscard]] std::string wheel_name(const std::string& name);

/// Throws std::runtime_error when libarchive or libcrypto refuses.
[[nodiscard]] Wheel make_wheel(const WheelSpec& spec);

/// Makes the wheel and writes it into `folder`, which exists. Throws when it cannot.
Wheel write_wheel(const std::filesystem::path& folder, const WheelSpec& spec);

}  // namespace sock::test_support
