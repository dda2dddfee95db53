#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"

struct evp_md_ctx_st;

namespace sock::manager {

/// An incremental SHA-256 (libcrypto). Move only; not thread safe.
class Sha256 {
 public:
  Sha256();

  void update(std::string_view bytes);

  /// 64 lower-case hexadecimal digits, once. kInternal when libcrypto could not allocate or hash;
  /// a failure of an earlier call shows up here.
  [[nodiscard]] Result<std::string> finish();

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
  bool good_ = false;
};

/// The digest of one text.
[[nodiscard]] Result<std::string> sha256(std::string_view bytes);

}  // namespace sock::manager
