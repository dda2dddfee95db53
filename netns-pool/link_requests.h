#pragma once

#include <boost/asio/ip/address.hpp>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "netns-pool/address_plan.h"
#include "netns-pool/rtnetlink.h"

/// The changes that a bridge and the ends of a link have in common.
namespace sock::netns {

/// Gives the link an address, at once and without asking whether another has it.
[[nodiscard]] Result<> add_address(Rtnetlink& route, int index,
                                   const boost::asio::ip::address& address, unsigned prefix_length);

/// Keeps the kernel from giving the link an IPv6 address by itself, with all the messages that
/// come with it. Fine where the kernel has no IPv6.
[[nodiscard]] Result<> forbid_own_address(Rtnetlink& route, std::string_view name);

[[nodiscard]] Result<> bring_up(Rtnetlink& route, std::string_view name);

/// Waits until the link passes packets, which the kernel sees to in the background once both ends
/// are up; what is sent before is lost. kTimeout after a second.
[[nodiscard]] Result<> await_running(Rtnetlink& route, std::string_view name);

/// Waits until packets to an IPv6 address are taken, which the kernel sees to in the background
/// once it is added; what comes before is lost. kTimeout after a second.
[[nodiscard]] Result<> await_local(Rtnetlink& route, const boost::asio::ip::address_v6& address);

/// Writes down for good who has `address` on the link: nobody is asked, nobody can lie.
[[nodiscard]] Result<> add_neighbour(Rtnetlink& route, int index,
                                     const boost::asio::ip::address& address,
                                     const MacAddress& mac);
/// None is fine.
[[nodiscard]] Result<> remove_neighbour(Rtnetlink& route, int index,
                                        const boost::asio::ip::address& address);

/// Removes all links of a group at once, at hardly more than the price of one.
[[nodiscard]] Result<> remove_group(Rtnetlink& route, std::uint32_t group);

/// Puts a link into a group; none of that name is fine.
[[nodiscard]] Result<> join_group(Rtnetlink& route, std::string_view name, std::uint32_t group);

/// None of that name is fine.
[[nodiscard]] Result<> remove_link(Rtnetlink& route, std::string_view name);

}  // namespace sock::netns
