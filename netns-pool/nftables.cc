#include "netns-pool/nftables.h"

#include <cerrno>

#undef _GNU_SOURCE  // which the compiler was told, and the next header defines once more
#include <nftables/libnftables.h>

namespace sock::netns {
namespace {

/// The first line says it; what follows quotes the command and points at a column.
std::string first_line(const char* text) {
  const std::string words(text == nullptr ? "" : text);
  return words.substr(0, words.find('\n'));
}

}  // namespace

void Nftables::Free::operator()(nft_ctx* context) const { nft_ctx_free(context); }

Result<Nftables> Nftables::open() {
  Nftables opened(nft_ctx_new(NFT_CTX_DEFAULT));
  if (!opened.context_) return fail_errno("open nftables", "nft_ctx_new");
  if (nft_ctx_buffer_output(opened.context_.get()) != 0 ||
      nft_ctx_buffer_error(opened.context_.get()) != 0) {
    return fail_errno("open nftables", "allocate buffers", ENOMEM);
  }
  return opened;
}

Result<> Nftables::run(const std::string& commands, std::string_view step) {
  if (nft_run_cmd_from_buffer(context_.get(), commands.c_str()) == 0) return {};
  return fail(Code::kInternal, step, first_line(nft_ctx_get_error_buffer(context_.get())));
}

Result<std::string> Nftables::list(const std::string& commands) {
  auto listed = run(commands, "list nftables");
  // Fetching it empties it.
  const char* output = nft_ctx_get_output_buffer(context_.get());
  if (!listed) return std::unexpected(listed.error());
  return output == nullptr ? "" : std::string(output);
}

}  // namespace sock::netns
