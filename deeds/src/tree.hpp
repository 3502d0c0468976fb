// What:          the spanning tree of a control grid that joins similar patches, in an order fit for messages.
// Source:        Heinrich et al., IEEE TMI 2013; Prim's algorithm.
// Complexity:    O(n log n) in the control points, plus one pass over the image.
// Thread safety: every call owns its data.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "thread_pool.hpp"
#include "volume3.hpp"

namespace deeds {

/// Children come before their parents in `order`, and every subtree is one contiguous part of it.
struct Tree {
    std::vector<std::int32_t> order;         ///< control points, the root last
    std::vector<std::int32_t> parent;        ///< by control point; -1 at the root
    std::vector<std::int32_t> subtree_size;  ///< by control point, itself included
    std::vector<float> weight;               ///< by control point: weight of the edge to the parent; 1 at the root
};

/// Edge weight exp(-mean |difference of neighbouring patches| / (2 standard deviation of the image)); the tree
/// keeps the largest weights and its root is the centre of the grid. Throws std::invalid_argument when the image is constant.
Tree spanning_tree(const Grid3<float>& image, int spacing, ThreadPool& pool);

/// Of all voxels.
double standard_deviation(const Grid3<float>& image);

/// An image and the standard deviation of its voxels, which is the same at every level.
struct ImageOfTree {
    const Grid3<float>& voxels;
    double deviation;
};

/// The trees of two images of one size. Each grows on one thread, so two threads grow both at the same time.
std::array<Tree, 2> spanning_trees(const ImageOfTree& first, const ImageOfTree& second, int spacing, ThreadPool& pool);

}  // namespace deeds
