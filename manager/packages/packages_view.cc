#include <boost/json/array.hpp>

#include "manager/packages/packages.h"

namespace sock::manager {

namespace json = boost::json;

namespace {

template <class Texts>
json::array to_array(const Texts& texts) {
  json::array out;
  for (const auto& text : texts) out.push_back(json::string(text));
  return out;
}

/// What measuring it has found; null: it was not measured.
json::value view_of(const std::optional<pkgcache::Profile>& profile) {
  if (!profile) return nullptr;
  return json::object{{"verdict", to_string(profile->verdict)},
                      {"reasons", to_array(profile->reasons)},
                      {"import_ms", profile->ms},
                      {"memory_bytes", profile->private_bytes},
                      {"mappings", profile->vmas},
                      {"modules", profile->modules},
                      {"measured_at", profile->measured_at.time_since_epoch().count()}};
}

}  // namespace

json::object Packages::view() const {
  json::array packages;
  const auto add = [&](const pkgcache::Entry& entry, const pkgcache::StoredPackage* stored) {
    const auto users = users_.find(entry.package);
    json::object view{{"name", entry.package.name},
                      {"version", entry.package.version},
                      {"source", stored != nullptr ? "store" : "host"},
                      {"requires", to_array(entry.needs())},
                      {"modules", to_array(catalogue_.preloads_of(entry))},
                      {"functions", users == users_.end() ? 0U : users->second},
                      {"profile", view_of(book_->find(entry.package))}};
    if (stored != nullptr) {
      view["digest"] = entry.package.digest;
      view["wheel"] = stored->wheel;
      view["bytes"] = stored->bytes;
      view["installed_at"] = stored->installed_at;
    }
    packages.push_back(std::move(view));
  };
  for (const auto& entry : catalogue_.entries()) add(entry, nullptr);
  for (const auto& stored : store_->list()) add(stored->entry, stored.get());
  json::array warm;
  for (const auto& set : warm_.sets()) warm.push_back(to_array(set));
  return {{"packages", std::move(packages)},
          {"warm", std::move(warm)},
          {"measuring", measurer_ ? measurer_->waiting() : 0}};
}

}  // namespace sock::manager
