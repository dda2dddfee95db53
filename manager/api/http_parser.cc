#include "manager/api/http_parser.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/error.hpp>

namespace sock::manager {

namespace http = boost::beast::http;

namespace {

/// Bodies are reserved up to this on the word of the client alone; beyond it they grow as they
/// arrive.
constexpr std::uint64_t kTrustedReserve = 256 << 10;

std::string describe(const boost::beast::error_code& error) {
  return "malformed HTTP request: " + error.message();
}

}  // namespace

HttpParser::HttpParser(HttpRequest& request, std::uint32_t header_limit)
    : request_(request), header_limit_(header_limit) {
  request_.method.clear();
  request_.target.clear();
  request_.content_type.clear();
  request_.options.clear();
  request_.body.clear();
  request_.on_gone = nullptr;
  basic_parser::header_limit(header_limit);
  // The limit depends on the route, which is known only once the header has been read.
  basic_parser::body_limit(boost::none);
}

HttpRead HttpParser::feed(std::span<const char> bytes, std::size_t& used) {
  const bool in_header = !header_seen_;
  error_code error;
  used = put(boost::asio::const_buffer(bytes.data(), bytes.size()), error);
  if (in_header) {
    // Beast limits each stretch it looks at; lines consumed before count as well.
    header_bytes_ += used;
    const std::size_t pending = error == http::error::need_more ? bytes.size() - used : 0;
    if (error == http::error::header_limit || header_bytes_ + pending > header_limit_) {
      return stop(413,
                  "the request header is larger than " + std::to_string(header_limit_) + " bytes");
    }
  }
  if (error == http::error::need_more) return HttpRead::kMore;
  if (error == http::error::body_limit) return stop(413, "the request body is too large");
  if (error) {
    if (failure_.status != 0) return HttpRead::kFailed;
    return stop(400, describe(error));
  }
  if (is_done()) return HttpRead::kComplete;
  if (!header_seen_) return HttpRead::kMore;
  // From here on whatever is in the buffer can be worked off in one go.
  const bool just_completed = !eager();
  eager(true);
  return just_completed ? HttpRead::kHeader : HttpRead::kMore;
}

bool HttpParser::limit_body(std::size_t limit) {
  basic_parser::body_limit(limit);
  const auto length = content_length();
  return !length || *length <= limit;
}

HttpRead HttpParser::stop(unsigned status, std::string message) {
  failure_ = {status, std::move(message)};
  return HttpRead::kFailed;
}

void HttpParser::on_request_impl(http::verb, string_view method, string_view target, int version,
                                 error_code&) {
  request_.method.assign(method.data(), method.size());
  request_.target.assign(target.data(), target.size());
  http11_ = version >= 11;
}

void HttpParser::on_response_impl(int, string_view, int, error_code& error) {
  error = http::error::bad_method;
}

void HttpParser::on_field_impl(http::field field, string_view name, string_view value,
                               error_code& error) {
  if (header_seen_) return;
  switch (field) {
    case http::field::content_type:
      request_.content_type.assign(value.data(), value.size());
      return;
    case http::field::transfer_encoding:
      if (!boost::beast::iequals(value, "chunked") || !http11_) {
        failure_ = {501, "the only transfer coding is chunked, in HTTP/1.1"};
        error = http::error::bad_transfer_encoding;
      }
      return;
    case http::field::expect:
      if (!boost::beast::iequals(value, "100-continue")) {
        failure_ = {417, "the only expectation is 100-continue"};
        error = http::error::bad_value;
      }
      expects_continue_ = true;
      return;
    default:
      if (boost::beast::iequals(name, "X-Sock-Options")) {
        request_.options.assign(value.data(), value.size());
      }
  }
}

void HttpParser::on_header_impl(error_code&) { header_seen_ = true; }

void HttpParser::on_body_init_impl(const boost::optional<std::uint64_t>& length, error_code&) {
  if (length) request_.body.reserve(std::min(*length, kTrustedReserve));
}

std::size_t HttpParser::on_body_impl(string_view body, error_code&) {
  request_.body.append(body.data(), body.size());
  return body.size();
}

void HttpParser::on_chunk_header_impl(std::uint64_t, string_view, error_code&) {}

std::size_t HttpParser::on_chunk_body_impl(std::uint64_t, string_view body, error_code&) {
  request_.body.append(body.data(), body.size());
  return body.size();
}

void HttpParser::on_finish_impl(error_code&) {}

}  // namespace sock::manager
