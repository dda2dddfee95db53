#include "cli/netns_view.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <sstream>

#include "tests/cli/command_line.h"
#include "tests/cli/fake_server.h"

namespace sock::cli {
namespace {

constexpr const char* kClasses =
    R"([{"class":"none","ready":32,"kept":0,"leased":5,"target":32,"low":8,"high":32,"most":1275,)"
    R"("leases":900,"builds":40,"misses":0,"returned":850,"burned":12,)"
    R"("burns":{"socket":9,"time-wait":3},"destroyed":20,"failures":0,"build_us_p50":310,)"
    R"("last_error":""},)"
    R"({"class":"nat","ready":2,"kept":1,"leased":1,"target":4,"low":2,"high":16,"most":1275,)"
    R"("leases":3,"builds":4,"misses":1,"returned":0,"burned":0,"burns":{},"destroyed":0,)"
    R"("failures":1,"build_us_p50":null,"last_error":"no reply\u001b[2J"}])";
constexpr const char* kNamespaces =
    R"([{"id":4026532801,"class":"none","state":"ready","age_s":12,"leases":3,"function":"",)"
    R"("address":""},)"
    R"({"id":4026532805,"class":"nat","state":"leased","age_s":61,"leases":1,)"
    R"("function":"hello","address":"10.107.0.2"}])";

constexpr const char* kShown =
    "CLASS  READY  KEPT  LEASED  TARGET  LEASES  BUILDS  MISSES  BUILD P50  BURNED  BECAUSE OF\n"
    "none      32     0       5      32     900      40       0    0.31 ms      12  socket 9, "
    "time-wait 3\n"
    "nat        2     1       1       4       3       4       1          -       0  -\n"
    "\n"
    "last error:  nat: no reply\\x1b[2J\n"
    "\n"
    "ID          CLASS  STATE     AGE  LEASES  FUNCTION  ADDRESS\n"
    "4026532801  none   ready     12s       3  -         -\n"
    "4026532805  nat    leased  1m 1s       1  hello     10.107.0.2\n";

TEST(NetnsView, ShowsClassesAndNamespaces) {
  const std::string document =
      std::string(R"({"classes":)") + kClasses + R"(,"namespaces":)" + kNamespaces + "}";
  FakeServer server([&](const FakeRequest& request) {
    FakeResponse response;
    response.status = request.target == "/v1/netns" ? 200 : 404;
    response.body = document;
    return response;
  });
  const Ran ran = sockctl({"--socket", server.socket(), "netns"});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_EQ(ran.out, kShown);
  EXPECT_EQ(sockctl({"--socket", server.socket(), "netns", "-o", "json"}).out, document + "\n");
}

std::string shown(std::string_view classes, std::string_view namespaces) {
  std::ostringstream out;
  print_netns_classes(out, boost::json::parse(classes).as_array());
  print_netns(out, boost::json::parse(namespaces).as_array());
  return out.str();
}

TEST(NetnsView, NoErrorAndNoNamespacesTakeNoRoom) {
  EXPECT_EQ(
      shown(R"([{"class":"none","last_error":""}])", "[]"),
      "CLASS  READY  KEPT  LEASED  TARGET  LEASES  BUILDS  MISSES  BUILD P50  BURNED  BECAUSE "
      "OF\n"
      "none                                                                -          -\n");
}

TEST(NetnsView, WhatIsNotTrustedStaysOnItsLine) {
  const std::string out = shown(
      R"([1,null,{"class":"a\nb","burns":{"x\u001b[1m":"\r9"},"last_error":"one\ntwo\u009b"}])",
      R"(["x",{"id":{},"class":[],"state":"\u0007","function":"f\u001b]0;t","address":"\n"}])");
  for (const char c : {'\x1b', '\r', '\a'}) EXPECT_EQ(out.find(c), std::string::npos) << out;
  EXPECT_EQ(out.find("\xc2\x9b"), std::string::npos) << out;
  // Two tables of a title and a line, the error, and the blanks between.
  EXPECT_EQ(std::count(out.begin(), out.end(), '\n'), 7) << out;
}

}  // namespace
}  // namespace sock::cli
