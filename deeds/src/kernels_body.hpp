// What:          the inner loops, written once and compiled once for every instruction set.
// Source:        see each part.
// Complexity:    see each part.
// Thread safety: functions of their arguments.
//
// Included by kernels_<set>.cpp inside a namespace of that set. Such a file is compiled with flags that other
// machines do not run, so nothing here may instantiate a template of the standard library: the linker could keep
// that copy for the whole program. Every float expression is written in one order, without contraction, so all
// sets give the same bits.

#include "kernels_vectors.hpp"
// The vectors come first.
#include "kernels_descent.hpp"
#include "kernels_descriptor.hpp"
#include "kernels_hamming.hpp"
#include "kernels_messages.hpp"
#include "kernels_warp.hpp"

template <class Words>
Kernels table(const char* name) {
    return {name,         hamming_sums<Words>, transpose_sums, squared_difference, sum_rows,    sum_along,
            quantise,     absolute_difference, warp_row,       belief,             min_plus,    add_message,
            store_belief, best_label,          weigh_rows,     normal_rows};
}
