#include "netns-pool/attribute_text.h"

#include <arpa/inet.h>
#include <netlink/attr.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace sock::netns {
namespace {

std::string hexadecimal(std::span<const char> value, std::string_view between) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (!text.empty()) text += between;
    text += kDigits[byte >> 4U];
    text += kDigits[byte & 15U];
  }
  return text;
}

std::string number_text(std::span<const char> value) {
  std::uint64_t number = 0;
  if (value.size() > sizeof number) return hexadecimal(value, "");
  std::memcpy(&number, value.data(), value.size());  // little endian, as are all our machines
  return std::to_string(number);
}

std::string address_text(std::span<const char> value) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (value.size() == 4 || value.size() == 16) {
    ::inet_ntop(value.size() == 4 ? AF_INET : AF_INET6, value.data(), text.data(), text.size());
    return text.data();
  }
  return hexadecimal(value, ":");
}

std::string printable(std::span<const char> value) {
  std::string text;
  for (const char c : value) {
    if (c == '\0') break;
    if (c > ' ' && c <= '~' && c != '\\') {
      text += c;
    } else {
      text += "\\x" + hexadecimal({&c, 1}, "");
    }
  }
  return text;
}

}  // namespace

std::string text_of(std::span<const char> value, Form form) {
  switch (form) {
    case Form::kNumber:
      return number_text(value);
    case Form::kText:
      return printable(value);
    case Form::kAddress:
      return address_text(value);
    case Form::kBytes:
      return hexadecimal(value, "");
    case Form::kLeftOut:
      break;
  }
  return "";
}

Attributes::Attributes(const nlmsghdr& message, std::size_t header_size) {
  const std::size_t skip = NLMSG_LENGTH(NLMSG_ALIGN(header_size));
  if (message.nlmsg_len > skip) {
    bytes_ = {reinterpret_cast<const char*>(&message) + skip, message.nlmsg_len - skip};
  }
}

std::span<const char> Attributes::find(int type) const {
  const auto* attribute = nla_find(reinterpret_cast<const nlattr*>(bytes_.data()),
                                   static_cast<int>(bytes_.size()), type);
  if (attribute == nullptr) return {};
  return {static_cast<const char*>(nla_data(attribute)),
          static_cast<std::size_t>(nla_len(attribute))};
}

std::string Attributes::find(int type, Form form) const {
  const auto value = find(type);
  return value.empty() ? "" : text_of(value, form);
}

std::uint32_t Attributes::number(int type) const {
  std::uint32_t number = 0;
  const auto value = find(type);
  std::memcpy(&number, value.data(), std::min(value.size(), sizeof number));
  return number;
}

std::string Attributes::text(std::span<const AttributeName> names) const {
  std::string text;
  int left = 0;
  const nlattr* attribute = nullptr;
  nla_for_each_attr(attribute, reinterpret_cast<const nlattr*>(bytes_.data()),
                    static_cast<int>(bytes_.size()), left) {
    const int type = nla_type(attribute);
    const auto known = std::ranges::find(names, type, &AttributeName::type);
    const Form form = known == names.end() ? Form::kBytes : known->form;
    if (form == Form::kLeftOut) continue;
    const std::string name =
        known == names.end() ? "attribute-" + std::to_string(type) : known->name;
    text += " " + name + "=" +
            text_of({static_cast<const char*>(nla_data(attribute)),
                     static_cast<std::size_t>(nla_len(attribute))},
                    form);
  }
  return text;
}

std::string word(std::string_view name, std::uint64_t value) {
  return " " + std::string(name) + "=" + std::to_string(value);
}

}  // namespace sock::netns
