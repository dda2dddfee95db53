#include "cli/zygote_tree.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json/parse.hpp>
#include <sstream>

namespace sock::cli {
namespace {

std::string drawn(const std::string& zygotes) {
  std::ostringstream out;
  print_zygotes(out, boost::json::parse(zygotes).as_array());
  return out.str();
}

std::string node(const std::string& id, const std::string& parent, const std::string& packages) {
  return R"({"id":")" + id + R"(","parent":)" + parent + R"(,"packages":)" + packages +
         R"(,"state":"ready","generation":3,"pid":7,"replicas":[8,9],"memory_bytes":1048576,"sealed":true,"parked":2,"clones":3,"age_s":4,)"
         R"("error":""})";
}

std::string first_columns(const std::string& text) {
  std::istringstream lines(text);
  std::string line;
  std::string out;
  std::getline(lines, line);
  while (std::getline(lines, line)) out += line.substr(0, line.find("  ")) + "\n";
  return out;
}

TEST(ZygoteTree, DrawsChildrenBelowParents) {
  const std::string text = drawn("[" + node("root", "null", "[]") + "," +
                                 node("np", "\"root\"", R"([{"name":"numpy","version":"1"}])") +
                                 "," + node("pd", "\"np\"", R"(["numpy==1","pandas==2"])") + "," +
                                 node("pil", "\"root\"", R"(["pillow==9"])") + "]");
  EXPECT_EQ(
      text,
      "ZYGOTE             ID    STATE  GEN  PID    MEMORY  SEALED  PARKED  CLONES  SAVES  AGE  "
      "ERROR\n"
      "python             root  ready    3  7,8,9  1.0 MB  yes          2       3      -   4s\n"
      "├── numpy==1       np    ready    3  7,8,9  1.0 MB  yes          2       3      -   4s\n"
      "│   └── pandas==2  pd    ready    3  7,8,9  1.0 MB  yes          2       3      -   4s\n"
      "└── pillow==9      pil   ready    3  7,8,9  1.0 MB  yes          2       3      -   4s\n")
      << text;
}

TEST(ZygoteTree, WhatIsNotSealedSaysWhyUnlessItHasFailed) {
  const std::string text =
      drawn(R"([{"id":"a","sealed":false,"seal_error":"locked memory","error":""},)"
            R"({"id":"b","sealed":false,"seal_error":"locked memory","error":"it died"}])");
  EXPECT_NE(text.find("not sealed: locked memory\n"), std::string::npos) << text;
  EXPECT_NE(text.find("  it died\n"), std::string::npos) << text;
}

TEST(ZygoteTree, UnknownParentsAndRingsAreRoots) {
  const std::string text = drawn(
      "[" + node("a", "\"gone\"", R"(["a==1"])") + "," + node("b", "\"c\"", R"(["b==1"])") + "," +
      node("c", "\"b\"", R"(["c==1"])") + "," + node("d", "\"d\"", R"(["d==1"])") + ",5,null]");
  EXPECT_EQ(first_columns(text), "a==1\nd==1\nb==1\n└── c==1\n");
}

TEST(ZygoteTree, DuplicatesAndDeepChainsAreAllDrawn) {
  std::string zygotes = "[" + node("z0", "null", "[]") + "," + node("z0", "null", "[]");
  for (int i = 1; i < 500; ++i) {
    zygotes += "," + node("z" + std::to_string(i), "\"z" + std::to_string(i - 1) + "\"", "[]");
  }
  const std::string text = drawn(zygotes + "]");
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 502);
}

TEST(ZygoteTree, EmptyShowsTitles) {
  EXPECT_EQ(drawn("[]"),
            "ZYGOTE  ID  STATE  GEN  PID  MEMORY  SEALED  PARKED  CLONES  SAVES  AGE  ERROR\n");
}

TEST(FunctionZygotes, AreListedWithTheirReasons) {
  std::ostringstream out;
  print_function_zygotes(
      out,
      boost::json::parse(
          R"([{"function":"hot","state":"ready","image_bytes":1048576,"parked":2,"clones":9,"error":""},)"
          R"(5,{"function":"odd","state":"failed","image_bytes":0,"parked":0,"clones":0,"error":"it leaves a thread"}])")
          .as_array());
  EXPECT_EQ(out.str(),
            "\n"
            "FUNCTION  STATE    IMAGE  PARKED  CLONES  ERROR\n"
            "hot       ready   1.0 MB       2       9\n"
            "odd       failed     0 B       0       0  it leaves a thread\n");
}

TEST(FunctionZygotes, NoneIsNothing) {
  std::ostringstream out;
  print_function_zygotes(out, {});
  EXPECT_EQ(out.str(), "");
}

}  // namespace
}  // namespace sock::cli
