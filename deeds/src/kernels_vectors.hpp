// What:          vectors of floats and steps, as the other parts use them.
// Source:        this project.
// Complexity:    constant.
// Thread safety: functions of their arguments.
//
// A part of kernels_body.hpp, which says what may stand here.

using Vector = float __attribute__((vector_size(sizeof(float) * kVectorFloats)));
using Steps = std::uint16_t __attribute__((vector_size(sizeof(std::uint16_t) * kVectorFloats)));
using Integers = std::int32_t __attribute__((vector_size(sizeof(std::int32_t) * kVectorFloats)));

// Copies, not casts of the pointer: rows begin anywhere, and a vector in memory is taken to be aligned.
inline Vector load(const float* p) {
    Vector v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}
inline void store(float* p, Vector v) { __builtin_memcpy(p, &v, sizeof v); }
inline Vector load_steps(const std::uint16_t* p) {
    Steps steps;
    __builtin_memcpy(&steps, p, sizeof steps);
    return __builtin_convertvector(__builtin_convertvector(steps, Integers), Vector);
}
/// The first `count` steps, then zeros: what lies behind may be written by another thread meanwhile.
inline Vector load_first_steps(const std::uint16_t* p, int count) {
    Vector v{};
    for (int lane = 0; lane < kVectorFloats && lane < count; ++lane) v[lane] = static_cast<float>(p[lane]);
    return v;
}
inline void store_steps(std::uint16_t* p, Vector v) {
    const Steps steps = __builtin_convertvector(__builtin_convertvector(v, Integers), Steps);
    __builtin_memcpy(p, &steps, sizeof steps);
}
inline Vector smaller(Vector a, Vector b) { return a < b ? a : b; }
inline Vector broadcast(float value) { return Vector{} + value; }
inline float smaller(float a, float b) { return a < b ? a : b; }
