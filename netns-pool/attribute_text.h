#pragma once

#include <linux/netlink.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace sock::netns {

/// How the bytes of a netlink attribute are written for a person.
enum class Form {
  kNumber,   ///< of 1, 2, 4 or 8 bytes, in the machine's order
  kText,     ///< with everything but printable characters escaped
  kAddress,  ///< of the internet, by its length; MAC addresses, too
  kBytes,    ///< hexadecimal; of attributes that no table names, as well
  kLeftOut,  ///< counters, ages, and what is told elsewhere
};

struct AttributeName {
  int type;
  const char* name;
  Form form = Form::kNumber;
};

/// The attributes of one message after a header of `Header`'s size.
class Attributes {
 public:
  Attributes(const nlmsghdr& message, std::size_t header_size);
  /// Those within another.
  explicit Attributes(std::span<const char> nest) : bytes_(nest) {}

  /// The content of the first of this type; empty when there is none.
  [[nodiscard]] std::span<const char> find(int type) const;
  [[nodiscard]] std::string find(int type, Form form) const;
  /// 0 when there is none.
  [[nodiscard]] std::uint32_t number(int type) const;

  /// All of them, as " name=value" each, in the kernel's order.
  [[nodiscard]] std::string text(std::span<const AttributeName> names) const;

 private:
  std::span<const char> bytes_;
};

[[nodiscard]] std::string text_of(std::span<const char> value, Form form);

/// `name`=`value` with a space before.
[[nodiscard]] std::string word(std::string_view name, std::uint64_t value);

/// Copies the header of a message; zeros where the message is too short for it.
template <class Header>
[[nodiscard]] Header header_of(const nlmsghdr& message) {
  Header header{};
  if (message.nlmsg_len >= NLMSG_LENGTH(sizeof header)) {
    header = *static_cast<const Header*>(NLMSG_DATA(&message));
  }
  return header;
}

}  // namespace sock::netns
