#include "manager/packages/warm_list.h"

#include <fcntl.h>

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <cerrno>
#include <utility>

#include "base/file.h"
#include "pkgcache/requirement.h"

namespace sock::manager {

namespace json = boost::json;

namespace {

/// False for anything but a list of lists of requirements.
bool read_sets(const json::value& value, std::set<std::vector<std::string>>& out) {
  if (!value.is_array()) return false;
  for (const json::value& item : value.get_array()) {
    if (!item.is_array() || item.get_array().empty()) return false;
    std::vector<std::string> set;
    for (const json::value& line : item.get_array()) {
      if (!line.is_string() || !pkgcache::parse_requirement(line.get_string())) return false;
      set.emplace_back(line.get_string());
    }
    out.insert(std::move(set));
  }
  return true;
}

}  // namespace

WarmList::Opened WarmList::open(std::filesystem::path file) {
  Opened opened{WarmList(std::move(file)), ""};
  const auto text = read_file(AT_FDCWD, opened.list.file_.native());
  if (!text) {
    if (text.error().sys_errno != ENOENT) opened.problem = text.error().describe();
    return opened;
  }
  boost::system::error_code error;
  const json::value value = json::parse(*text, error);
  if (error || !read_sets(value, opened.list.sets_)) {
    opened.list.sets_.clear();
    opened.problem = opened.list.file_.native() + " is not a list of sets; it is written anew";
  }
  return opened;
}

Result<bool> WarmList::add(std::vector<std::string> set) {
  if (sets_.contains(set)) return false;
  if (sets_.size() >= kMost) {
    return fail(Code::kRejected, "warm",
                "there are " + std::to_string(kMost) +
                    " sets kept warm already; let go of one: sockctl packages cool");
  }
  sets_.insert(std::move(set));
  return true;
}

bool WarmList::remove(const std::vector<std::string>& set) { return sets_.erase(set) > 0; }

Result<> WarmList::save() const {
  json::array out;
  for (const auto& set : sets_) {
    json::array lines;
    for (const std::string& line : set) lines.push_back(json::string(line));
    out.push_back(std::move(lines));
  }
  return replace_file(file_, json::serialize(out) + "\n", 0600);
}

}  // namespace sock::manager
