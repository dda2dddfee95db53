#include "manager/doctor.h"

#include <gtest/gtest.h>

#include <boost/json/array.hpp>

#include "tests/manager/temporary_folder.h"

namespace sock::manager {
namespace {

namespace fs = std::filesystem;

/// The check of that name.
boost::json::object check_of(const Config& config, std::string_view name) {
  const auto report = doctor_report(config);
  for (const auto& check : report.at("checks").as_array()) {
    if (check.at("name").as_string() == name) return check.as_object();
  }
  ADD_FAILURE() << "no check " << name;
  return {};
}

class DoctorWheelsTest : public testing::Test {
 protected:
  void SetUp() override {
    fs::permissions(folder_.path(), fs::perms(0755));
    fs::create_directories(folder_.path() / "dist" / "pip");
    fs::create_directories(folder_.path() / "wheels");
    config_.packages.folders = {folder_.path() / "dist"};
    config_.packages.find_links = {folder_.path() / "wheels"};
  }

  TemporaryFolder folder_;
  Config config_;
};

TEST_F(DoctorWheelsTest, AllIsWell) {
  const auto check = check_of(config_, "wheels");
  EXPECT_EQ(check.at("status"), "ok");
  EXPECT_NE(check.at("detail").as_string().find("/wheels"), std::string::npos);
}

TEST_F(DoctorWheelsTest, NothingIsConfigured) {
  const auto check = check_of(Config(), "wheels");
  EXPECT_EQ(check.at("status"), "ok");
  EXPECT_NE(check.at("advice").as_string().find("find_links"), std::string::npos);
}

TEST_F(DoctorWheelsTest, PipIsMissing) {
  fs::remove(folder_.path() / "dist" / "pip");
  const auto check = check_of(config_, "wheels");
  EXPECT_EQ(check.at("status"), "fail");
  EXPECT_NE(check.at("advice").as_string().find("python3-pip"), std::string::npos);
}

TEST_F(DoctorWheelsTest, AFolderIsMissingOrPrivate) {
  fs::permissions(folder_.path() / "wheels", fs::perms(0700));
  EXPECT_EQ(check_of(config_, "wheels").at("status"), "fail");
  fs::remove(folder_.path() / "wheels");
  EXPECT_EQ(check_of(config_, "wheels").at("status"), "fail");
}

}  // namespace
}  // namespace sock::manager
