#pragma once

#include "manager/settings/config.h"
#include "manager/settings/option_reader.h"

namespace sock::manager {

/// [packages] but for its folders and its table of preloads: where wheels come from, and what
/// installing them may take.
void read_package_sources(OptionReader& in, Config::Packages& packages);

/// [zygotes] sets: lists of requirements, "numpy" or "numpy==1.26.4".
void read_sets(OptionReader& in, std::vector<std::vector<std::string>>& sets);

}  // namespace sock::manager
