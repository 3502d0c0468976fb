// What:          the table of inner loops, one entry for each instruction set, and the choice among them.
// Source:        this project.
// Complexity:    see each function.
// Thread safety: the loops touch only what their arguments point to; select_instruction_set is for tests and
//                start-up, not to be called while a registration runs.
#pragma once

#include <cstdint>

namespace deeds {

constexpr int kLanes = 8;           ///< control points that one call of hamming_sums handles
constexpr int kChannels = 12;       ///< self-similarity channels of a descriptor word
constexpr int kLevelBits = 5;       ///< thermometer bits of one channel
constexpr int kVectorFloats = 8;    ///< rows of labels are padded to a multiple of this many floats
constexpr int kMaximumRadius = 16;  ///< largest search radius
constexpr int kNormalSums = 9;      ///< entries of a symmetric matrix and of its right side

/// Hamming sums of eight neighbouring control points over all displacements.
/// Rows of words are stored by phase: word i of a row lies at [i mod spacing][i div spacing].
struct HammingBlock {
    const std::uint64_t* fixed;  ///< sampled fixed rows of this control row, at the first of the eight points
    std::int64_t fixed_row_stride;
    std::int64_t fixed_phase_stride;
    const std::uint64_t* moving;   ///< padded moving words, at the first of the eight points
    const std::int64_t* offset_k;  ///< start of slice: by (sample + displacement) voxel along k
    const std::int64_t* offset_j;  ///< start of row inside a slice: by voxel along j
    const std::int64_t* offset_i;  ///< start of the eight words inside a row: [sample along i][label along i]
    const std::int64_t* row_k;     ///< voxels along k from the patch's first one, of each sampled row
    const std::int64_t* row_j;     ///< the same along j
    int rows;                      ///< sampled rows of a patch
    int spacing;
    int length;  ///< displacements along one axis
    int quantization;
    std::uint16_t* sums;  ///< out: [label][kLanes]
};

/// Labels of one node: rows of `length` floats padded to `padded`; label = (k * length + j) * length + i.
struct LabelShape {
    int length;
    int padded;

    int rows() const { return length * length; }
    std::int64_t floats() const { return static_cast<std::int64_t>(rows()) * padded; }
    std::int64_t labels() const { return static_cast<std::int64_t>(rows()) * length; }
};

/// One row of a trilinear warp; coordinates are in the source image.
struct WarpRow {
    const float* image;
    std::int64_t size_x, size_y, size_z;
    const float* x;  ///< coordinates of the row's voxels
    const float* y;
    const float* z;
    float* out;
    std::int64_t count;
    bool replicate;    ///< outside the image: border value (true) or `background`
    float background;  ///< used when not replicating
};

/// One row of voxels of the normal equations of a descent.
struct NormalRows {
    const float* weight;
    const float* slope[3];
    const float* difference;
    std::int64_t count;
};

struct Kernels {
    const char* name;

    void (*hamming_sums)(const HammingBlock& block);

    /// out[c][label] = sums[label][c] for c < count; rows of out lie `stride` apart.
    void (*transpose_sums)(const std::uint16_t* sums, std::int64_t labels, int count, std::uint16_t* out,
                           std::int64_t stride);

    /// out = (a - b)^2, added to what is there when `accumulate`.
    void (*squared_difference)(const float* a, const float* b, std::int64_t count, bool accumulate, float* out);
    /// out[x] = sum of rows[r][x].
    void (*sum_rows)(const float* const* rows, int row_count, std::int64_t count, float* out);
    /// out[x] = sum of in[x - radius .. x + radius]; `in` is readable that far.
    void (*sum_along)(const float* in, int radius, std::int64_t count, float* out);
    /// Words of one row from its twelve channel rows.
    void (*quantise)(const float* const channels[kChannels], std::int64_t count, std::uint64_t* words);

    /// out += |a - b|
    void (*absolute_difference)(const float* a, const float* b, std::int64_t count, float* out);

    void (*warp_row)(const WarpRow& row);

    /// out = weight * (scale * data + received); one of data and received may be null. Data is read up to `padded` past its end.
    void (*belief)(const std::uint16_t* data, float scale, const float* received, float weight, LabelShape shape,
                   float* out);
    /// Exact min-plus with sum over axes of (parent label - label + delta)^2, in place; scratch as large as belief.
    void (*min_plus)(float* belief, float* scratch, LabelShape shape, const float delta[3]);
    /// parent = message - min(message), or parent += ... when `accumulate`.
    void (*add_message)(const float* message, LabelShape shape, bool accumulate, float* parent);
    /// Sixteen-bit copy of a belief above its minimum; returns the value of one step.
    float (*store_belief)(const float* belief, LabelShape shape, std::uint16_t* out);
    /// First label with the least step * stored + cost_i + cost_j + cost_k; cost_i is a padded
    /// row with large values in its padding, and stored is read up to `padded` past its end.
    std::int64_t (*best_label)(const std::uint16_t* stored, float step, const float* cost_i, const float* cost_j,
                               const float* cost_k, LabelShape shape);

    /// out = weights[0] * rows[reach] + weights[1] * (rows[reach - 1] + rows[reach + 1]) + ..., in this order.
    void (*weigh_rows)(const float* weights, int reach, const float* const* rows, std::int64_t count, float* out);
    /// out = weight * slope * slope, xx, xy, xz, yy, yz, zz, then weight * slope * difference; added to what is there when `accumulate`.
    void (*normal_rows)(const NormalRows& rows, bool accumulate, float* const out[kNormalSums]);
};

enum class InstructionSet { portable, avx2, avx512 };

/// True where the program holds the loops and the processor runs them.
bool is_supported(InstructionSet set);
/// Throws std::invalid_argument where unsupported.
void select_instruction_set(InstructionSet set);
/// The table in use: the best supported one unless selected otherwise.
const Kernels& kernels();

inline LabelShape label_shape(int length) {
    return {length, (length + kVectorFloats - 1) / kVectorFloats * kVectorFloats};
}

}  // namespace deeds
