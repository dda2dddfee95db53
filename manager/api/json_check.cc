#include "manager/api/json_check.h"

#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <cstdint>
#include <string>
#include <vector>

namespace sock::manager {

namespace json = boost::json;

namespace {

/// Receives the parser's events and remembers nothing but the keys of open objects, as hashes: a
/// document made to collide is merely refused.
class Listener {
 public:
  static constexpr std::size_t max_array_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_object_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_string_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_key_size = static_cast<std::size_t>(-1);

  void clear(JsonCheck::Keys keys) {
    unique_ = keys == JsonCheck::Keys::kUnique;
    keys_.clear();
    marks_.clear();
    hash_ = kSeed;
    depth_ = 0;
    only_strings_ = true;
    duplicate_ = false;
    if (keys_.capacity() > kKeptKeys) keys_.shrink_to_fit();
  }
  [[nodiscard]] bool array_of_strings() const { return only_strings_; }
  [[nodiscard]] bool duplicate() const { return duplicate_; }

  bool on_document_begin(json::error_code&) { return true; }
  bool on_document_end(json::error_code&) { return true; }
  bool on_array_begin(json::error_code&) {
    if (depth_++ != 0) only_strings_ = false;
    return true;
  }
  bool on_array_end(std::size_t, json::error_code&) {
    --depth_;
    return true;
  }
  bool on_object_begin(json::error_code&) {
    only_strings_ = false;
    ++depth_;
    marks_.push_back(keys_.size());
    return true;
  }
  bool on_object_end(std::size_t, json::error_code& error) {
    --depth_;
    const auto first = keys_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    if (unique_) std::sort(first, keys_.end());
    duplicate_ = unique_ && std::adjacent_find(first, keys_.end()) != keys_.end();
    keys_.erase(first, keys_.end());
    marks_.pop_back();
    if (duplicate_) error = json::error::syntax;
    return !duplicate_;
  }
  bool on_string_part(json::string_view, std::size_t, json::error_code&) { return true; }
  bool on_string(json::string_view, std::size_t, json::error_code&) {
    if (depth_ == 0) only_strings_ = false;
    return true;
  }
  bool on_key_part(json::string_view part, std::size_t, json::error_code&) {
    // FNV-1a.
    for (const char c : part) hash_ = (hash_ ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
    return true;
  }
  bool on_key(json::string_view part, std::size_t size, json::error_code& error) {
    on_key_part(part, size, error);
    keys_.push_back(hash_);
    hash_ = kSeed;
    return true;
  }
  bool on_number_part(json::string_view, json::error_code&) { return true; }
  bool on_int64(std::int64_t, json::string_view, json::error_code&) { return other(); }
  bool on_uint64(std::uint64_t, json::string_view, json::error_code&) { return other(); }
  bool on_double(double, json::string_view, json::error_code&) { return other(); }
  bool on_bool(bool, json::error_code&) { return other(); }
  bool on_null(json::error_code&) { return other(); }
  bool on_comment_part(json::string_view, json::error_code&) { return true; }
  bool on_comment(json::string_view, json::error_code&) { return true; }

 private:
  static constexpr std::uint64_t kSeed = 0xcbf29ce484222325ULL;
  static constexpr std::size_t kKeptKeys = 4096;

  bool other() {
    only_strings_ = false;
    return true;
  }

  std::vector<std::uint64_t> keys_;
  std::vector<std::size_t> marks_;
  std::uint64_t hash_ = kSeed;
  std::size_t depth_ = 0;
  bool unique_ = true;
  bool only_strings_ = true;
  bool duplicate_ = false;
};

json::parse_options options() {
  json::parse_options options;
  options.max_depth = JsonCheck::kMaxDepth;
  return options;
}

}  // namespace

struct JsonCheck::Parser {
  json::basic_parser<Listener> parser{options()};
};

JsonCheck::JsonCheck() : parser_(std::make_unique<Parser>()) {}
JsonCheck::JsonCheck(JsonCheck&&) noexcept = default;
JsonCheck& JsonCheck::operator=(JsonCheck&&) noexcept = default;
JsonCheck::~JsonCheck() = default;

Result<> JsonCheck::check(std::string_view text, Keys keys) {
  auto& parser = parser_->parser;
  parser.reset();
  parser.handler().clear(keys);
  json::error_code error;
  const std::size_t used = parser.write_some(false, text.data(), text.size(), error);
  if (!error && used < text.size()) error = json::error::extra_data;
  if (!error) return {};
  std::string what = parser.handler().duplicate() ? "an object has the same key twice"
                     : error == json::error::too_deep
                         ? "nested more than " + std::to_string(kMaxDepth) + " deep"
                         : error.message();
  return fail(Code::kInvalid, "read JSON",
              "not valid JSON at byte " + std::to_string(used) + ": " + what);
}

Result<> JsonCheck::check_strings(std::string_view text) {
  auto checked = check(text, Keys::kAny);
  if (checked && !parser_->parser.handler().array_of_strings()) {
    return fail(Code::kInvalid, "read JSON", "not an array of strings");
  }
  return checked;
}

}  // namespace sock::manager
