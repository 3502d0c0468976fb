// What:          the labels of least total cost on a tree: exact min-sum with a quadratic pairwise cost.
// Source:        Heinrich et al., IEEE TMI 2013.
// Complexity:    nodes x 3 length^4; memory for a few nodes' labels beside the data cost, which is overwritten.
// Thread safety: whole subtrees are shared out to the pool; sums are taken in one order, so the result does not
//                depend on the number of threads.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "data_cost.hpp"
#include "thread_pool.hpp"
#include "tree.hpp"

namespace deeds {

/// Label indices of every node. `base` holds each node's displacement before this level in steps of
/// quantization, [axis][node]; neighbours pay the squared difference of base plus label. `sums` holds the costs of the
/// points that are compared and becomes the beliefs in sixteen bits; the others cost nothing and follow their
/// neighbours: a subtree of them alone sends no message.
std::vector<std::int32_t> best_labels(const Tree& tree, const SearchLevel& level, float scale,
                                      const std::array<std::vector<float>, 3>& base, const ControlPoints& points,
                                      ThreadPool& pool, std::vector<std::uint16_t>& sums);

}  // namespace deeds
