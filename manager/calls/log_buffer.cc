#include "manager/calls/log_buffer.h"

#include <utility>

namespace sock::manager {

void LogBuffer::append(std::string_view bytes) {
  total_ += bytes.size();
  text_.append(bytes.substr(0, limit_ - text_.size()));
}

std::string LogBuffer::take() {
  total_ = 0;
  return std::exchange(text_, {});
}

}  // namespace sock::manager
