#include "netns-pool/netns.h"

#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>

#include <memory>
#include <string>

namespace sock::netns {

bool LiveNamespaces::claim(std::uint64_t inode) {
  const std::lock_guard lock(mutex_);
  return inodes_.insert(inode).second;
}

void LiveNamespaces::release(std::uint64_t inode) {
  const std::lock_guard lock(mutex_);
  inodes_.erase(inode);
}

bool LiveNamespaces::contains(std::uint64_t inode) const {
  const std::lock_guard lock(mutex_);
  return inodes_.contains(inode);
}

void Netns::Release::operator()(const std::uint64_t* inode) const {
  live->release(*inode);
  delete inode;
}

Netns& Netns::operator=(Netns&& other) noexcept {
  // Member by member, in their order, would release the claim and the place before the descriptor.
  Netns taken(std::move(other));
  std::destroy_at(this);
  return *std::construct_at(this, std::move(taken));
}

Result<Netns> Netns::adopt(Fd descriptor, const NamespaceId& owner,
                           const std::shared_ptr<LiveNamespaces>& live) {
  constexpr const char* kStep = "adopt network namespace";
  auto id = namespace_id(descriptor.get());
  if (!id) return std::unexpected(id.error());
  const std::string name = "net:[" + std::to_string(id->inode) + "]";
  const int type = ::ioctl(descriptor.get(), NS_GET_NSTYPE);
  if (type < 0) return fail_errno("NS_GET_NSTYPE", name);
  if (type != CLONE_NEWNET) {
    return fail(Code::kInvalid, kStep,
                "namespace " + std::to_string(id->inode) + " is not a network namespace");
  }
  auto actual = owner_of(descriptor.get());
  if (!actual) return std::unexpected(actual.error());
  if (*actual != owner) {
    return fail(Code::kInvalid, kStep,
                name + " belongs to user:[" + std::to_string(actual->inode) + "], not to user:[" +
                    std::to_string(owner.inode) + "]");
  }
  auto inode = std::make_unique<const std::uint64_t>(id->inode);
  if (!live->claim(id->inode)) return fail(Code::kInvalid, kStep, name + " is in use already");
  Netns netns;
  netns.claim_ = {inode.release(), Release{live}};
  netns.fd_ = std::move(descriptor);
  netns.inode_ = id->inode;
  netns.owner_ = owner.inode;
  netns.built = Clock::now();
  return netns;
}

Result<> Netns::watch(Fd census_socket, std::shared_ptr<const UseWatch> watch) {
  auto id = namespace_id(fd_.get());
  if (!id) return std::unexpected(id.error());
  auto census = SocketCensus::adopt(std::move(census_socket), *id);
  if (!census) return std::unexpected(census.error());
  auto cookie = census->cookie();
  if (!cookie) return std::unexpected(cookie.error());
  auto use = WatchedUse::begin(std::move(watch), *cookie);
  if (!use) return std::unexpected(use.error());
  census_ = std::move(*census);
  use_ = std::move(*use);
  return {};
}

Result<> Netns::take_route(Fd socket) {
  auto id = namespace_id(fd_.get());
  if (!id) return std::unexpected(id.error());
  auto route = Rtnetlink::adopt(std::move(socket), *id);
  if (!route) return std::unexpected(route.error());
  route_ = std::move(*route);
  return {};
}

bool Netns::as_built() { return use_.untouched() && census_.no_unix_socket().value_or(false); }

std::vector<int> Netns::sockets() const {
  std::vector<int> sockets;
  if (census_.valid()) sockets.push_back(census_.fd());
  if (route_) sockets.push_back(route_->fd());
  return sockets;
}

}  // namespace sock::netns
