#include "manager/deployer.h"

#include <utility>

#include "manager/functions/function_options.h"

namespace sock::manager {

namespace asio = boost::asio;

Result<Deployer::Draft> Deployer::unpack(const DeployRequest& request) const {
  if (auto named = check_function_name(request.name); !named) {
    return std::unexpected(named.error());
  }
  auto staged = registry_.prepare(request.bundle, request.content_type);
  if (!staged) return std::unexpected(staged.error());
  auto sock_toml = staged->read_text("sock.toml");
  if (!sock_toml) return std::unexpected(sock_toml.error());
  auto requirements_txt = staged->read_text("requirements.txt");
  if (!requirements_txt) return std::unexpected(requirements_txt.error());
  auto spec = build_spec(request.name, request.options, *sock_toml, *requirements_txt, config_);
  if (!spec) return std::unexpected(spec.error());
  return Draft{std::move(*staged), std::move(*spec), std::move(*requirements_txt)};
}

void Deployer::removed(const std::string& name) {
  if (at_work_ > 0) latest_[name] = ++tickets_;
}

asio::awaitable<Result<std::shared_ptr<const Function>>> Deployer::deploy(DeployRequest request) {
  ++at_work_;
  auto deployed = co_await deploy_as(++tickets_, std::move(request));
  if (--at_work_ == 0) latest_.clear();
  co_return deployed;
}

asio::awaitable<Result<std::shared_ptr<const Function>>> Deployer::deploy_as(
    std::uint64_t ticket, DeployRequest request) {
  auto unpack_it = [this, &request] { return unpack(request); };
  auto draft = co_await disk_.run(unpack_it);
  if (!draft) co_return std::unexpected(draft.error());
  // Minutes may pass while packages are installed: not with a bundle in memory.
  request.bundle = {};
  auto closure = co_await packages_.resolve(draft->spec.requirements, draft->requirements_txt);
  if (!closure) co_return std::unexpected(closure.error());
  std::uint64_t& latest = latest_[request.name];
  if (latest > ticket) {
    co_return fail(Code::kConflict, "deploy",
                   request.name + " was deployed or removed by somebody who came later");
  }
  latest = ticket;
  draft->spec.packages = closure->packages;
  auto commit = [this, &draft, &closure] {
    return registry_.commit(std::move(*draft->staged), std::move(draft->spec),
                            std::move(closure->pin));
  };
  co_return co_await disk_.run(commit);
}

}  // namespace sock::manager
