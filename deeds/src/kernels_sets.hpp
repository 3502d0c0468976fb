// What:          the tables that kernels_<set>.cpp define; only kernels.cpp chooses among them.
// Source:        this project.
// Complexity:    constant.
// Thread safety: pure.
#pragma once

#include "kernels.hpp"

namespace deeds {

Kernels portable_kernels();
Kernels avx2_kernels();    ///< defined where DEEDS_HAVE_X86
Kernels avx512_kernels();  ///< defined where DEEDS_HAVE_X86

}  // namespace deeds
