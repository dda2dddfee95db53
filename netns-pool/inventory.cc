#include "netns-pool/inventory.h"

#include <algorithm>
#include <iterator>
#include <sstream>

namespace sock::netns {
namespace {

/// Nothing of the kind is part of a namespace as it is built.
bool never_built(Stain stain) { return stain < Stain::kLink; }

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(std::move(word));
  return words;
}

/// The first "name=value" of `now` that `before` has not, or the other way round.
std::string change(const std::string& before, const std::string& now) {
  const auto old_words = words_of(before);
  const auto new_words = words_of(now);
  for (const auto& word : new_words) {
    if (std::ranges::find(old_words, word) != old_words.end()) continue;
    const auto name = word.substr(0, word.find('=') + 1);
    const auto was =
        std::ranges::find_if(old_words, [&](const auto& old) { return old.starts_with(name); });
    if (was == old_words.end()) return word;
    return word + ", was " + was->substr(name.size());
  }
  for (const auto& word : old_words) {
    if (std::ranges::find(new_words, word) == new_words.end()) return "no " + word;
  }
  return "in another order";
}

std::optional<Difference> difference_of_items(const std::vector<Item>& built,
                                              const std::vector<Item>& now) {
  auto before = built.begin();
  auto after = now.begin();
  while (before != built.end() || after != now.end()) {
    if (after != now.end() && never_built(after->stain)) {
      return Difference{after->stain, after->what};
    }
    if (before != built.end() && never_built(before->stain)) {
      ++before;
    } else if (before != built.end() && after != now.end() && *before == *after) {
      ++before, ++after;
    } else if (before != built.end() && after != now.end() && before->stain == after->stain &&
               before->what == after->what) {
      return Difference{after->stain, after->what + ": " + change(before->state, after->state)};
    } else if (before == built.end() || (after != now.end() && *after < *before)) {
      return Difference{after->stain, after->what};
    } else {
      return Difference{before->stain, before->what + " is missing"};
    }
  }
  return std::nullopt;
}

std::vector<std::string> sorted_lines(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(std::move(line));
  std::ranges::sort(lines);
  return lines;
}

std::optional<Difference> difference_of_settings(const std::string& built, const std::string& now) {
  if (built == now) return std::nullopt;
  const auto before = sorted_lines(built);
  const auto after = sorted_lines(now);
  std::vector<std::string> fresh;
  std::vector<std::string> lost;
  std::ranges::set_difference(after, before, std::back_inserter(fresh));
  std::ranges::set_difference(before, after, std::back_inserter(lost));
  if (fresh.empty() && lost.empty()) return std::nullopt;  // another order
  if (fresh.empty()) return Difference{Stain::kSetting, lost.front() + " is missing"};
  const auto name = fresh.front().substr(0, fresh.front().find('=') + 1);
  for (const auto& line : lost) {
    if (!line.starts_with(name)) continue;
    return Difference{Stain::kSetting, fresh.front() + ", was " + line.substr(name.size())};
  }
  return Difference{Stain::kSetting, fresh.front()};
}

}  // namespace

std::string_view to_string(Stain stain) {
  switch (stain) {
    case Stain::kSocket:
      return "socket";
    case Stain::kTimeWait:
      return "time_wait";
    case Stain::kFlowLabel:
      return "flow_label";
    case Stain::kFragment:
      return "fragment";
    case Stain::kLink:
      return "link";
    case Stain::kAddress:
      return "address";
    case Stain::kMulticast:
      return "multicast";
    case Stain::kRoute:
      return "route";
    case Stain::kRule:
      return "rule";
    case Stain::kNexthop:
      return "nexthop";
    case Stain::kNeighbour:
      return "neighbour";
    case Stain::kQueue:
      return "queue";
    case Stain::kPeer:
      return "peer";
    case Stain::kConnection:
      return "connection";
    case Stain::kFilter:
      return "filter";
    case Stain::kSetting:
      return "setting";
  }
  return "unknown";
}

std::optional<Difference> difference(const Inventory& built, const Inventory& now) {
  if (auto found = difference_of_items(built.items, now.items)) return found;
  return difference_of_settings(built.settings, now.settings);
}

}  // namespace sock::netns
