#include "manager/calls/zygote_node.h"

namespace sock::manager {

std::string ZygoteNode::packages() const {
  std::string out;
  for (const auto& package : spec.packages) {
    if (!out.empty()) out += ',';
    out += package.name;
  }
  return out;
}

}  // namespace sock::manager
