#include "manager/calls/call.h"

namespace sock::manager {

std::string_view to_string(Start start) {
  switch (start) {
    case Start::kNone:
      return "none";
    case Start::kParked:
      return "parked";
    case Start::kClone:
      return "clone";
    case Start::kCold:
      return "cold";
  }
  return "none";
}

}  // namespace sock::manager
