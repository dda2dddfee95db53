#pragma once

namespace sock::zygote {

/// runtime/runtime.py, compiled into the program.
extern const char kRuntimeSource[];

}  // namespace sock::zygote
