// What:          see tree.hpp.
// Source:        see tree.hpp.
// Complexity:    see tree.hpp.
// Thread safety: see tree.hpp.
#include "tree.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <functional>
#include <queue>
#include <stdexcept>

#include "data_cost.hpp"
#include "kernels.hpp"

namespace deeds {
namespace {

/// Sum of absolute differences between the patch of a point and that of its next neighbour, by axis and point.
using PatchDifferences = std::array<std::vector<float>, 3>;

PatchDifferences patch_differences(const Grid3<float>& image, int spacing, ThreadPool& pool) {
    const Size3 size = image.size, control = control_size(size, spacing);
    PatchDifferences differences;
    for (auto& axis : differences) axis.assign(static_cast<std::size_t>(control.count()), 0.0f);
    const std::int64_t step[3] = {spacing, spacing * size.x, spacing * size.x * size.y};
    const std::int64_t used = control.x * spacing;
    pool.run(control.y * control.z, [&](std::int64_t control_row) {
        const std::int64_t b = control_row % control.y, c = control_row / control.y;
        std::vector<float> sums(static_cast<std::size_t>(used));
        for (int axis = 0; axis < 3; ++axis) {
            if ((axis == 1 && b + 1 == control.y) || (axis == 2 && c + 1 == control.z)) continue;
            const std::int64_t count = axis == 0 ? used - spacing : used;
            std::fill(sums.begin(), sums.end(), 0.0f);
            for (std::int64_t z = c * spacing; z < (c + 1) * spacing; ++z) {
                for (std::int64_t y = b * spacing; y < (b + 1) * spacing; ++y) {
                    const float* here = image.values.data() + image.index(0, y, z);
                    kernels().absolute_difference(here, here + step[axis], count, sums.data());
                }
            }
            float* out = differences[static_cast<std::size_t>(axis)].data() + control_row * control.x;
            for (std::int64_t a = 0; a * spacing < count; ++a) {
                float sum = 0;
                for (int s = 0; s < spacing; ++s) sum += sums[static_cast<std::size_t>(a * spacing + s)];
                out[a] = sum;
            }
        }
    });
    return differences;
}

/// Non-negative floats order as their bits do, so (difference, edge) sorts as one integer.
std::uint64_t edge_key(float difference, std::uint32_t edge) {
    std::uint32_t bits = 0;
    std::memcpy(&bits, &difference, sizeof bits);
    return (std::uint64_t{bits} << 32) | edge;
}

/// Points in the order Prim's algorithm reaches them; fills parent and the difference along the edge to it.
std::vector<std::int32_t> grow_tree(const PatchDifferences& differences, Size3 control,
                                    std::vector<std::int32_t>& parent, std::vector<float>& edge_difference) {
    const std::int64_t count = control.count();
    const std::int64_t step[3] = {1, control.x, control.x * control.y};
    const std::int32_t root =
        static_cast<std::int32_t>((control.z / 2 * control.y + control.y / 2) * control.x + control.x / 2);
    std::vector<std::int32_t> reached;
    reached.reserve(static_cast<std::size_t>(count));
    std::vector<char> done(static_cast<std::size_t>(count), 0);
    std::priority_queue<std::uint64_t, std::vector<std::uint64_t>, std::greater<>> queue;
    // An edge is named by 6 * (point to be reached) + direction from its parent.
    const auto reach = [&](std::int32_t point) {
        done[static_cast<std::size_t>(point)] = 1;
        reached.push_back(point);
        const std::int64_t at[3] = {point % control.x, point / control.x % control.y, point / step[2]};
        const std::int64_t size[3] = {control.x, control.y, control.z};
        for (std::size_t axis = 0; axis < 3; ++axis) {
            const auto& axis_differences = differences[axis];
            if (at[axis] + 1 < size[axis] && !done[static_cast<std::size_t>(point + step[axis])]) {
                queue.push(edge_key(axis_differences[static_cast<std::size_t>(point)],
                                    static_cast<std::uint32_t>(6 * (point + step[axis]) + static_cast<int>(axis))));
            }
            if (at[axis] > 0 && !done[static_cast<std::size_t>(point - step[axis])]) {
                queue.push(edge_key(axis_differences[static_cast<std::size_t>(point - step[axis])],
                                    static_cast<std::uint32_t>(6 * (point - step[axis]) + static_cast<int>(axis) + 3)));
            }
        }
    };
    parent[static_cast<std::size_t>(root)] = -1;
    reach(root);
    while (!queue.empty()) {
        const std::uint64_t key = queue.top();
        queue.pop();
        const std::uint32_t edge = static_cast<std::uint32_t>(key), direction = edge % 6;
        const std::size_t point = edge / 6;
        if (done[point]) continue;
        const std::int64_t move = step[direction % 3] * (direction < 3 ? 1 : -1);
        parent[point] = static_cast<std::int32_t>(static_cast<std::int64_t>(point) - move);
        const std::uint32_t bits = static_cast<std::uint32_t>(key >> 32);
        std::memcpy(&edge_difference[point], &bits, sizeof bits);
        reach(static_cast<std::int32_t>(point));
    }
    return reached;
}

/// Post-order that visits the largest subtree first, so that few unfinished sums are alive at a time.
std::vector<std::int32_t> post_order(const std::vector<std::int32_t>& reached, const std::vector<std::int32_t>& parent,
                                     const std::vector<std::int32_t>& subtree_size) {
    const std::size_t count = reached.size();
    std::vector<std::int32_t> heavy(count, -1);
    for (const std::int32_t point : reached) {
        const std::int32_t above = parent[static_cast<std::size_t>(point)];
        if (above < 0) continue;
        std::int32_t& child = heavy[static_cast<std::size_t>(above)];
        if (child < 0 || subtree_size[static_cast<std::size_t>(point)] > subtree_size[static_cast<std::size_t>(child)]) {
            child = point;
        }
    }
    // First place of each subtree: the heavy child starts where its parent's subtree starts, the others follow in
    // the order in which the tree reached them.
    std::vector<std::int32_t> start(count, 0), next(count, 0), order(count);
    for (const std::int32_t point : reached) {
        const std::size_t here = static_cast<std::size_t>(point);
        const std::int32_t above = parent[here];
        if (above >= 0 && heavy[static_cast<std::size_t>(above)] == point) {
            start[here] = start[static_cast<std::size_t>(above)];
        } else if (above >= 0) {
            start[here] = next[static_cast<std::size_t>(above)];
            next[static_cast<std::size_t>(above)] += subtree_size[here];
        }
        const std::int32_t largest = heavy[here];
        next[here] = start[here] + (largest < 0 ? 0 : subtree_size[static_cast<std::size_t>(largest)]);
        order[static_cast<std::size_t>(start[here] + subtree_size[here] - 1)] = point;
    }
    return order;
}

Tree grown_tree(const ImageOfTree& image, const PatchDifferences& differences, int spacing) {
    const double deviation = image.deviation;
    if (!(deviation > 0)) throw std::invalid_argument("an image is constant (standard deviation 0)");
    const Size3 control = control_size(image.voxels.size, spacing);
    const std::size_t count = static_cast<std::size_t>(control.count());
    Tree tree;
    tree.parent.assign(count, -1);
    tree.weight.assign(count, 0.0f);
    const std::vector<std::int32_t> reached = grow_tree(differences, control, tree.parent, tree.weight);
    const double patch = static_cast<double>(spacing) * spacing * spacing;
    for (float& weight : tree.weight) {
        weight = static_cast<float>(std::exp(-static_cast<double>(weight) / patch / (2 * deviation)));
    }
    tree.weight[static_cast<std::size_t>(reached.front())] = 1.0f;
    tree.subtree_size.assign(count, 1);
    for (auto point = reached.rbegin(); point + 1 != reached.rend(); ++point) {
        const std::size_t above = static_cast<std::size_t>(tree.parent[static_cast<std::size_t>(*point)]);
        tree.subtree_size[above] += tree.subtree_size[static_cast<std::size_t>(*point)];
    }
    tree.order = post_order(reached, tree.parent, tree.subtree_size);
    return tree;
}

}  // namespace

double standard_deviation(const Grid3<float>& image) {
    double mean = 0, square = 0;
    for (const float value : image.values) mean += static_cast<double>(value);
    mean /= static_cast<double>(image.values.size());
    for (const float value : image.values) {
        const double deviation = static_cast<double>(value) - mean;
        square += deviation * deviation;
    }
    return std::sqrt(square / static_cast<double>(image.values.size()));
}

Tree spanning_tree(const Grid3<float>& image, int spacing, ThreadPool& pool) {
    return grown_tree({image, standard_deviation(image)}, patch_differences(image, spacing, pool), spacing);
}

std::array<Tree, 2> spanning_trees(const ImageOfTree& first, const ImageOfTree& second, int spacing, ThreadPool& pool) {
    const std::array<const ImageOfTree*, 2> images = {&first, &second};
    std::array<PatchDifferences, 2> differences;
    for (std::size_t n = 0; n < 2; ++n) differences[n] = patch_differences(images[n]->voxels, spacing, pool);
    std::array<Tree, 2> trees;
    pool.run(2, [&](std::int64_t n) {
        const std::size_t side = static_cast<std::size_t>(n);
        trees[side] = grown_tree(*images[side], differences[side], spacing);
    });
    return trees;
}

}  // namespace deeds
