#pragma once

#include <memory>
#include <string>

#include "base/error.h"

struct nft_ctx;

namespace sock::netns {

/// libnftables, for the network namespace of the thread that opened it. Move only.
///
/// Not thread safe, and neither is libnftables itself: its parser keeps state for the whole
/// process. All objects of a process are to be used by one thread, or by one at a time.
class Nftables {
 public:
  [[nodiscard]] static Result<Nftables> open();

  /// Runs commands as nft(8) would a file: as one transaction, all or nothing. The error carries
  /// libnftables' words; its code is kInternal.
  [[nodiscard]] Result<> run(const std::string& commands, std::string_view step);

  /// The same, for commands that list: what nft(8) would print.
  [[nodiscard]] Result<std::string> list(const std::string& commands);

 private:
  struct Free {
    void operator()(nft_ctx* context) const;
  };
  explicit Nftables(nft_ctx* context) : context_(context) {}

  std::unique_ptr<nft_ctx, Free> context_;
};

}  // namespace sock::netns
