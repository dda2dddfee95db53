#pragma once

namespace sock::zygote {

/// Backs this process's heap with huge pages where the kernel can (MADV_COLLAPSE, Linux 6.1): a
/// clone then copies one page-table entry for each 2 MiB instead of 512, and its exit frees as few.
/// Does nothing where the kernel cannot. Call it when nothing will be allocated any more.
void collapse_heap();

}  // namespace sock::zygote
