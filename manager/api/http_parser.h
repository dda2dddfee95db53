#pragma once

#include <boost/beast/http/basic_parser.hpp>
#include <cstdint>
#include <span>

#include "manager/api/http_server.h"

namespace sock::manager {

/// How reading a request stands.
enum class HttpRead {
  kMore,      ///< needs more bytes
  kHeader,    ///< the header is complete, the body is not
  kComplete,  ///< the whole request is there
  kFailed,    ///< see HttpParser::error()
};

/// One request, parsed into an HttpRequest. Stricter than Beast's own parser where leniency would
/// let two readers disagree on where a request ends: any transfer coding but "chunked", and
/// chunked in HTTP/1.0, are refused.
class HttpParser final : private boost::beast::http::basic_parser<true> {
 public:
  /// Clears `request`, which must outlive the parser.
  HttpParser(HttpRequest& request, std::uint32_t header_limit);

  struct Failure {
    unsigned status = 0;
    std::string message;
  };

  /// Consumes from the front of `bytes`; `used` tells how much. Unconsumed bytes must be presented
  /// again with more behind them, or belong to the next request once complete. Stops at the end of
  /// the header, so that limit_body() can be called.
  [[nodiscard]] HttpRead feed(std::span<const char> bytes, std::size_t& used);

  /// Refuses a longer body from now on; true if the announced length is within it.
  [[nodiscard]] bool limit_body(std::size_t limit);

  [[nodiscard]] const Failure& error() const { return failure_; }
  [[nodiscard]] bool got_some() const { return basic_parser::got_some(); }
  [[nodiscard]] bool keep_alive() const { return http11_ && basic_parser::keep_alive(); }
  /// The client waits for "100 Continue" before it sends the body.
  [[nodiscard]] bool expects_continue() const { return expects_continue_ && http11_; }

 private:
  using error_code = boost::beast::error_code;
  using string_view = boost::beast::string_view;

  void on_request_impl(boost::beast::http::verb verb, string_view method, string_view target,
                       int version, error_code& error) override;
  void on_response_impl(int, string_view, int, error_code&) override;
  void on_field_impl(boost::beast::http::field field, string_view name, string_view value,
                     error_code& error) override;
  void on_header_impl(error_code& error) override;
  void on_body_init_impl(const boost::optional<std::uint64_t>& length, error_code& error) override;
  std::size_t on_body_impl(string_view body, error_code& error) override;
  void on_chunk_header_impl(std::uint64_t size, string_view extensions, error_code& error) override;
  std::size_t on_chunk_body_impl(std::uint64_t remain, string_view body,
                                 error_code& error) override;
  void on_finish_impl(error_code& error) override;

  [[nodiscard]] HttpRead stop(unsigned status, std::string message);

  HttpRequest& request_;
  std::uint32_t header_limit_;
  std::size_t header_bytes_ = 0;
  bool http11_ = false;
  bool header_seen_ = false;  ///< further fields are trailers
  bool expects_continue_ = false;
  Failure failure_;
};

}  // namespace sock::manager
