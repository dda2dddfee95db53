#pragma once

namespace sock::zygote {

/// Backs this process's heap with huge pages where the kernel can (MADV_COLLAPSE, Linux 6.1): a
/// clone then copies one page-table entry for each 2 MiB instead of 512, and its exit frees as few.
/// Does nothing where the kernel cannot. Call it when nothing will be allocated any more.
void collapse_heap();

/// Makes malloc take everything from the heap proper, nothing from mappings of its own. While a
/// zygote imports: a clone's realloc would grow such a mapping by mremap, which sealed memory
/// (seal.h) cannot stand; and one heap is fewer mappings for clones to copy.
void keep_heap_together();

/// Back to mappings for what is large, at the thresholds that malloc arrives at by itself once a
/// program has freed a large block. Also gives free memory inside the heap back to the kernel: a
/// clone gets an empty page for it at less expense than a copy of a used one. After the last
/// allocation.
void settle_heap();

}  // namespace sock::zygote
