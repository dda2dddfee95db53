#pragma once

#include "base/error.h"

namespace sock::zygote {

/// Proves that this process may be cloned safely: one thread, no child, exactly the descriptors it
/// needs, no writable shared mapping. The error names what was found.
///
/// A raw clone of a process with a second thread would copy locks in whatever state that thread
/// left them (OpenBLAS's pool then hangs the clone); a stray descriptor or shared page would be
/// shared by all clones.
[[nodiscard]] Result<> audit();

}  // namespace sock::zygote
