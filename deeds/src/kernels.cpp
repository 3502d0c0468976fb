// What:          the choice of an instruction set at run time.
// Source:        this project.
// Complexity:    constant.
// Thread safety: see kernels.hpp.
#include "kernels.hpp"

#include <stdexcept>

#include "kernels_sets.hpp"

namespace deeds {
namespace {

Kernels table_of(InstructionSet set) {
    switch (set) {
#ifdef DEEDS_HAVE_X86
        case InstructionSet::avx512: return avx512_kernels();
        case InstructionSet::avx2: return avx2_kernels();
#endif
        default: return portable_kernels();
    }
}

InstructionSet best_set() {
    if (is_supported(InstructionSet::avx512)) return InstructionSet::avx512;
    if (is_supported(InstructionSet::avx2)) return InstructionSet::avx2;
    return InstructionSet::portable;
}

Kernels& active() {
    static Kernels table = table_of(best_set());
    return table;
}

}  // namespace

bool is_supported(InstructionSet set) {
#ifdef DEEDS_HAVE_X86
    if (set == InstructionSet::avx512) {
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512vpopcntdq");
    }
    if (set == InstructionSet::avx2) return __builtin_cpu_supports("avx2");
#endif
    return set == InstructionSet::portable;
}

void select_instruction_set(InstructionSet set) {
    if (!is_supported(set)) throw std::invalid_argument("this processor does not run the chosen instruction set");
    active() = table_of(set);
}

const Kernels& kernels() { return active(); }

}  // namespace deeds
