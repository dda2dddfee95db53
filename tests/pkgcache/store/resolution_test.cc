#include "pkgcache/store/resolution.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include "tests/pkgcache/store/pip.h"

namespace sock::pkgcache {
namespace {

namespace json = boost::json;
using Names = std::vector<std::string>;

const std::string kDigest(64, 'd');

/// One entry of a report; `wheel` is the last part of its URL.
json::object entry(const std::string& name, const std::string& version,
                   const std::vector<std::string>& requirements = {}, std::string wheel = "") {
  if (wheel.empty()) wheel = name + "-" + version + "-py3-none-any.whl";
  json::array list(requirements.begin(), requirements.end());
  return {{"metadata", {{"name", name}, {"version", version}, {"requires_dist", list}}},
          {"download_info",
           {{"url", "https://example.org/x/" + wheel},
            {"archive_info", {{"hash", "sha256=" + kDigest}}}}},
          {"requested", true},
          {"is_direct", false}};
}

std::string report(const std::vector<json::object>& entries) {
  return json::serialize(
      json::object{{"version", "1"}, {"install", json::array(entries.begin(), entries.end())}});
}

std::string refusal(const std::string& text) {
  const auto parsed = parse_report(text);
  if (parsed) return "(accepted)";
  EXPECT_EQ(parsed.error().code, Code::kInvalid);
  return parsed.error().message;
}

Resolution parsed(const std::vector<json::object>& entries) {
  auto resolution = parse_report(report(entries));
  EXPECT_TRUE(resolution) << resolution.error().message;
  return resolution ? std::move(*resolution) : Resolution();
}

/// What check_resolution says; "" when it agrees.
std::string check(const std::vector<json::object>& entries, const std::string& requirements) {
  const auto checked = check_resolution(parsed(entries), requirements_of(requirements));
  return checked ? "" : checked.error().message;
}

TEST(Resolution, ReadsTheReportOfTheHostsPip) {
  const Pip pip;
  const auto foo = pip.add({.name = "Foo.Bar", .version = "1.0"});
  const auto ext =
      pip.add({.name = "ext",
               .version = "2",
               .requirements = {"foo_bar<2; extra == 'more'", "nowhere; extra == 'less'",
                                "x @ https://example.org/x ; extra == 'dev'"},
               .extras = {"more", "less", "dev"}});
  const auto requirements = requirements_of("ext[more]==2\n");
  const auto answer = pip.resolve(requirements);
  const auto resolution = parse_report(answer.report);
  ASSERT_TRUE(resolution) << resolution.error().message << answer.output;
  EXPECT_EQ(resolution->packages(),
            (std::vector<Package>{{"ext", "2", ext.sha256}, {"foo-bar", "1.0", foo.sha256}}));
  const ResolvedWheel& wheel = resolution->wheels[0];
  EXPECT_EQ(wheel.file, "ext-2-py3-none-any.whl");
  EXPECT_TRUE(wheel.url.starts_with("file:///")) << wheel.url;
  EXPECT_EQ(wheel.dependencies.size(), 2U);
  EXPECT_TRUE(wheel.requested);
  EXPECT_FALSE(wheel.yanked);
  EXPECT_FALSE(resolution->wheels[1].requested);
  const auto checked = check_resolution(*resolution, requirements);
  EXPECT_TRUE(checked) << checked.error().message;
}

TEST(Resolution, FileNamesAreDecodedAndMustBeThePackages) {
  EXPECT_EQ(
      parsed({entry("a-b", "1.0+x", {}, "A_B-1.0%2Bx-2-cp311-abi3-linux_x86_64.whl#sha256=0")})
          .wheels[0]
          .file,
      "A_B-1.0+x-2-cp311-abi3-linux_x86_64.whl");
  EXPECT_EQ(parsed({entry("a", "1.0", {}, "a-1-py3-none-any.whl")}).wheels[0].package.version,
            "1.0");
  for (const char* const file :
       {"b-1-py3-none-any.whl", "a-2-py3-none-any.whl", "a-1.whl", "a-1-py3-none.whl", "a.whl",
        "a-1-py3-none-any%2F..%2Fx.whl", "..%2Fa-1-py3-none-any.whl", "a-1-py3-none-any%00.whl",
        "a-1-py3-none-any%2.whl", "a-1-py3 -none-any.whl", "-1-py3-none-any.whl", ".whl"}) {
    EXPECT_NE(refusal(report({entry("a", "1", {}, file)})), "(accepted)") << file;
  }
}

TEST(Resolution, OnlyWheelsAreTaken) {
  EXPECT_EQ(
      refusal(report({entry("a", "1", {}, "a-1.tar.gz")})),
      "pip's report: a==1 comes as \"a-1.tar.gz\", which is no wheel; provide one, or choose a "
      "version that has wheels");
  json::object direct = entry("a", "1");
  direct["is_direct"] = true;
  EXPECT_NE(refusal(report({direct})).find("direct reference"), std::string::npos);
  json::object vcs = entry("a", "1");
  vcs["download_info"] = {{"url", "https://example.org/a.git"}, {"vcs_info", {{"vcs", "git"}}}};
  EXPECT_NE(refusal(report({vcs})).find("version control"), std::string::npos);
  for (const char* const url :
       {"ftp://x/a-1-py3-none-any.whl", "a-1-py3-none-any.whl", "",
        "https://x/\n/a-1-py3-none-any.whl", "file://x/a-1-py3-none-any.whl"}) {
    json::object bad = entry("a", "1");
    bad["download_info"].as_object()["url"] = url;
    EXPECT_NE(refusal(report({bad})).find("is not a URL"), std::string::npos) << url;
  }
}

TEST(Resolution, DigestMustBeASha256) {
  const auto with = [](const json::value& archive) {
    json::object item = entry("a", "1");
    item["download_info"].as_object()["archive_info"] = archive;
    return report({item});
  };
  const std::string other(64, 'e');
  EXPECT_EQ(parse_report(with({{"hash", "sha256=" + kDigest}, {"hashes", {{"sha256", other}}}}))
                ->wheels[0]
                .package.digest,
            other);
  for (const json::value& archive :
       std::vector<json::value>{json::object{},
                                {{"hash", "md5=" + kDigest}},
                                {{"hash", "sha256=" + kDigest + "0"}},
                                {{"hash", 7}},
                                {{"hashes", {{"sha512", other}}}},
                                {{"hashes", {{"sha256", "../../x"}}}}}) {
    EXPECT_EQ(refusal(with(archive)), "pip's report: a==1: its digest is not a sha256");
  }
}

TEST(Resolution, HostileReportsAreRefused) {
  json::object no_metadata = entry("a", "1");
  no_metadata.erase("metadata");
  json::object wrong_list = entry("a", "1");
  wrong_list["metadata"].as_object()["requires_dist"] = "b";
  json::object wrong_item = entry("a", "1");
  wrong_item["metadata"].as_object()["requires_dist"] = {7};
  for (const std::string& text : {std::string(),
                                  std::string("[]"),
                                  std::string("{}"),
                                  std::string("{\"version\":\"1\"}"),
                                  std::string("{\"version\":\"0\",\"install\":[]}"),
                                  std::string("{\"version\":1,\"install\":[]}"),
                                  std::string("{\"version\":\"1\",\"install\":{}}"),
                                  std::string("{\"version\":\"1\",\"install\":[7]}"),
                                  report({no_metadata}),
                                  report({wrong_list}),
                                  report({wrong_item}),
                                  report({entry("a", "1", {"b @ file:///x"})}),
                                  report({entry("a", "1", {"b; nonsense"})}),
                                  report({entry("../a", "1")}),
                                  report({entry("a", "1/../x")}),
                                  report({entry("a", "")}),
                                  report({entry("a", "1"), entry("A", "2")}),
                                  report({entry("a", "1")}) + "x",
                                  std::string(100'000, '['),
                                  std::string((8 << 20) + 1, ' ')}) {
    EXPECT_NE(refusal(text), "(accepted)") << text.substr(0, 200);
  }
  std::vector<json::object> many;
  for (int i = 0; i <= 500; ++i) many.push_back(entry("p" + std::to_string(i), "1"));
  EXPECT_EQ(refusal(report(many)), "pip's report: more than 500 packages are needed");
  many.pop_back();
  EXPECT_EQ(parsed(many).wheels.size(), 500U);
}

TEST(Resolution, WheelsMustBeExactlyWhatIsNeeded) {
  EXPECT_EQ(
      check({entry("a", "1", {"b>=2; python_version > '3'", "c; extra == 'x'"}), entry("b", "2")},
            "a\n"),
      "");
  EXPECT_EQ(check({entry("a", "1")}, "\nb\n"),
            "requirements.txt line 2: b: pip chose no wheel of 'b'");
  EXPECT_EQ(check({entry("a", "1")}, "a==2\n"), "requirements.txt line 1: a==2: pip chose a 1");
  EXPECT_EQ(check({entry("a", "1", {"b>=2"})}, "a\n"),
            "requirements.txt line 1: a: needs a → b>=2: pip chose no wheel of 'b'");
  EXPECT_EQ(check({entry("a", "1", {"b>=2"}), entry("b", "1")}, "a\n"),
            "requirements.txt line 1: a: needs a → b>=2: pip chose b 1");
  EXPECT_EQ(check({entry("a", "1", {"c; extra == 'x'"})}, "a[x]\n"),
            "requirements.txt line 1: a[x]: needs a → c; extra == 'x': pip chose no wheel of 'c'");
  EXPECT_EQ(check({entry("a", "1"), entry("evil", "1")}, "a\n"),
            "pip chose evil==1, which nothing needs");
}

TEST(Resolution, DigestsMustBeTheLines) {
  const std::string good = " --hash=sha256:" + std::string(64, '0') + " --hash=sha256:" + kDigest;
  EXPECT_EQ(check({entry("a", "1")}, "a==1" + good + "\n"), "");
  EXPECT_EQ(check({entry("a", "1")}, "a==1 --hash=sha256:" + std::string(64, '0') + "\n"),
            "requirements.txt line 1: a==1: the wheel a-1-py3-none-any.whl has the sha256 " +
                kDigest + ", which is none of the line's");
  EXPECT_EQ(check({entry("a", "1", {"b"}), entry("b", "1")}, "a==1" + good + "\n"),
            "requirements.txt: b==1 is needed but has no line; in hash-checking mode every package "
            "must have one, with --hash=sha256:" +
                kDigest);
}

TEST(Resolution, YankedWheelsAreRefused) {
  json::object yanked = entry("b", "1");
  yanked["is_yanked"] = true;
  EXPECT_EQ(check({entry("a", "1", {"b"}), yanked}, "a\n"),
            "b==1 was withdrawn (yanked) by its maintainers; choose another version");
  yanked["yanked_reason"] = "broken \x1b[31m";
  EXPECT_EQ(
      check({entry("a", "1", {"b"}), yanked}, "a\nb==1\n"),
      "requirements.txt line 2: b==1: b==1 was withdrawn (yanked) by its maintainers: \"broken "
      "\\x1b[31m\"; choose another version");
}

}  // namespace
}  // namespace sock::pkgcache
