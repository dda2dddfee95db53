#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "bench/user_namespace.h"
#include "netns-pool/netns_pool.h"

namespace sock::bench {

/// A pool of network namespaces and the event loop it lives on, driven by whoever calls. Its
/// destruction stops it.
class NetnsStock {
 public:
  struct Spec {
    std::string helper;   ///< path of sock-netns
    std::size_t low = 1;  ///< ready when start() returns
    std::size_t high = 1;
    netns::Furnish furnish = netns::Furnish::kLoopback;
  };

  [[nodiscard]] static Result<std::unique_ptr<NetnsStock>> start(const UserNamespace& users,
                                                                 const Spec& spec);
  ~NetnsStock() { (void)stop(); }
  NetnsStock(const NetnsStock&) = delete;
  NetnsStock& operator=(const NetnsStock&) = delete;

  [[nodiscard]] netns::NetnsPool& pool() { return *pool_; }

  /// Runs `work` on the loop; kTimeout after two minutes, and then the loop must not be used again.
  [[nodiscard]] Result<> run(boost::asio::awaitable<Result<>> work);

  /// From here on there is what is ready, and the pool's helper takes no time from anybody.
  [[nodiscard]] Result<> build_no_more();

  /// Leases so many; what each lease took, from call to return, in nanoseconds.
  [[nodiscard]] Result<std::vector<netns::Netns>> lease(std::size_t count,
                                                        std::vector<std::int64_t>* took = nullptr);

  [[nodiscard]] Result<> stop();

 private:
  NetnsStock() = default;

  boost::asio::io_context context_;
  std::unique_ptr<netns::NetnsPool> pool_;
  pid_t helper_ = -1;
};

}  // namespace sock::bench
