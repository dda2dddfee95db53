#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "pkgcache/requirement.h"
#include "tests/pkgcache/temporary_folder.h"
#include "tests/support/wheel.h"

namespace sock::pkgcache {

/// A folder of wheels, and the host's own pip to resolve requirements from it.
class Pip {
 public:
  struct Answer {
    std::string report;  ///< "" when pip failed
    std::string output;  ///< standard error, then standard output
  };

  test_support::Wheel add(const test_support::WheelSpec& spec) const {
    return test_support::write_wheel(folder_.path(), spec);
  }

  /// Beside the wheels.
  void write(const std::string& name, std::string_view text) const { folder_.write(name, text); }

  /// What a deployment would ask pip. `links` is a file or folder beside the wheels.
  Answer resolve(const std::vector<Requirement>& requirements,
                 const std::string& links = "") const {
    folder_.write("run/requirements.txt", to_requirements_text(requirements));
    const std::string path = folder_.path().string();
    const std::string command =
        "cd " + path +
        "/run && rm -f report.json && PIP_CONFIG_FILE=/dev/null /usr/bin/python3 -I "
        "-m pip install --dry-run --ignore-installed --report report.json --only-binary :all: "
        "--disable-pip-version-check --no-input --no-index --find-links " +
        path + "/" + links + " -r requirements.txt 2> err > out";
    const int status = std::system(command.c_str());
    Answer answer{.report = "", .output = read("run/err") + read("run/out")};
    if (status == 0) answer.report = read("run/report.json");
    return answer;
  }

 private:
  [[nodiscard]] std::string read(const std::string& name) const {
    std::ifstream in(folder_.path() / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  TemporaryFolder folder_;
};

inline std::vector<Requirement> requirements_of(const std::string& text) {
  auto parsed = parse_requirements(text);
  EXPECT_TRUE(parsed) << parsed.error().message;
  return parsed ? std::move(*parsed) : std::vector<Requirement>();
}

}  // namespace sock::pkgcache
