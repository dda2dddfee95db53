#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace sock::pkgcache {

/// Modules to import for a package, by its normalised name.
using PreloadTable = std::map<std::string, std::vector<std::string>, std::less<>>;

/// Packages for which "import every public top-level module" is the wrong thing, because
/// - programs use submodules that the bare import leaves unloaded (pillow's codecs), or
/// - a top-level module does more than define things (pylab pulls in pyplot and builds a font
///   cache; setuptools replaces distutils), or
/// - the package is a tool that handlers do not import (pip).
/// The list is complete: it takes the place of the top-level modules, and may be empty.
[[nodiscard]] const PreloadTable& built_in_preload();

/// False for private names ("_x") and for test suites installed as top-level modules.
[[nodiscard]] bool is_public_module(std::string_view name);

}  // namespace sock::pkgcache
