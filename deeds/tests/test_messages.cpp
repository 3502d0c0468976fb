// What:          messages against brute force over all pairs of labels, and the labels of whole small trees.
// Source:        the definitions in kernels.hpp and messages.hpp.
// Complexity:    seconds.
// Thread safety: one test at a time.
#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "check.hpp"
#include "messages.hpp"
#include "phantom.hpp"

namespace {

using namespace deeds;

/// Pairwise cost of a parent's and a child's label; delta as base(parent) - base(child) by axis.
double pairwise(int parent, int child, int length, const float delta[3]) {
    double sum = 0;
    for (int axis = 0; axis < 3; ++axis, parent /= length, child /= length) {
        const double distance = parent % length - child % length + static_cast<double>(delta[axis]);
        sum += distance * distance;
    }
    return sum;
}

void min_plus_equals_brute_force() {
    std::mt19937 random(5);
    std::uniform_real_distribution<float> cost(0.0f, 40.0f), shift(-2.5f, 2.5f);
    for (const InstructionSet set : supported_sets()) {
        select_instruction_set(set);
        for (const int length : {3, 5, 7, 9, 11, 13, 15, 19}) {
            const LabelShape shape = label_shape(length);
            const float delta[3] = {shift(random), shift(random), shift(random)};
            std::vector<float> belief(static_cast<std::size_t>(shape.floats()), -1e9f), scratch(belief.size());
            std::vector<double> values;
            for (int row = 0; row < shape.rows(); ++row) {
                for (int x = 0; x < length; ++x) {
                    const float value = cost(random);
                    belief[static_cast<std::size_t>(row * shape.padded + x)] = value;
                    values.push_back(static_cast<double>(value));
                }
            }
            kernels().min_plus(belief.data(), scratch.data(), shape, delta);
            double worst = 0;
            const int labels = static_cast<int>(values.size());
            for (int parent = 0; parent < labels; parent += 1 + labels / 400) {
                double least = std::numeric_limits<double>::max();
                for (int child = 0; child < labels; ++child) {
                    least = std::min(least, values[static_cast<std::size_t>(child)] +
                                                pairwise(parent, child, length, delta));
                }
                const int at = parent / length * shape.padded + parent % length;
                const double message = static_cast<double>(belief[static_cast<std::size_t>(at)]);
                worst = std::max(worst, std::fabs(message - least) / std::max(least, 1.0));
            }
            CHECK(worst <= 1e-4);
            std::printf("%-8s length %2d: largest relative error %.1e\n", kernels().name, length, worst);
        }
    }
}

constexpr Size3 kControl{4, 4, 3};

struct SmallTree {
    Tree tree;
    std::vector<std::uint16_t> sums;
    std::array<std::vector<float>, 3> base;
};

/// A random tree over a control grid: the spanning tree of a random image.
SmallTree small_tree(const SearchLevel& level, unsigned seed) {
    SmallTree small;
    const Size3 image{kControl.x * level.spacing, kControl.y * level.spacing, kControl.z * level.spacing};
    ThreadPool pool(1);
    small.tree = spanning_tree(Phantom(seed).image(image), level.spacing, pool);
    std::mt19937 random(seed);
    std::uniform_int_distribution<int> sum(0, 2000);
    std::uniform_real_distribution<float> base(-1.0f, 1.0f);
    const std::size_t nodes = small.tree.order.size();
    small.sums.resize(nodes * static_cast<std::size_t>(level.labels()) + kSumsSlack, 0);
    for (auto& value : small.sums) value = static_cast<std::uint16_t>(sum(random));
    for (auto& axis : small.base) {
        axis.resize(nodes);
        for (float& value : axis) value = base(random);
    }
    return small;
}

/// Labels by dynamic programming in float64 over all pairs; subtrees in which no node is compared send no message.
std::vector<std::int32_t> brute_force_labels(const SmallTree& small, const SearchLevel& level, double scale,
                                             std::vector<bool> compared) {
    const int labels = static_cast<int>(level.labels()), length = level.length();
    const std::size_t nodes = small.tree.order.size();
    std::vector<std::vector<double>> belief(nodes, std::vector<double>(static_cast<std::size_t>(labels), 0.0));
    const auto delta = [&](std::size_t node, std::size_t parent, float out[3]) {
        for (std::size_t axis = 0; axis < 3; ++axis) out[axis] = small.base[axis][parent] - small.base[axis][node];
    };
    float d[3];
    for (const std::int32_t point : small.tree.order) {
        const std::size_t node = static_cast<std::size_t>(point);
        for (std::size_t l = 0; l < static_cast<std::size_t>(labels); ++l) {
            belief[node][l] += scale * small.sums[node * static_cast<std::size_t>(labels) + l];
            belief[node][l] *= static_cast<double>(small.tree.weight[node]);
        }
        if (small.tree.parent[node] < 0) continue;
        if (!compared[node]) continue;
        const std::size_t parent = static_cast<std::size_t>(small.tree.parent[node]);
        compared[parent] = true;
        delta(node, parent, d);
        for (int p = 0; p < labels; ++p) {
            double least = std::numeric_limits<double>::max();
            for (int l = 0; l < labels; ++l) {
                least = std::min(least, belief[node][static_cast<std::size_t>(l)] + pairwise(p, l, length, d));
            }
            belief[parent][static_cast<std::size_t>(p)] += least;
        }
    }
    std::vector<std::int32_t> chosen(nodes, 0);
    for (auto at = small.tree.order.rbegin(); at != small.tree.order.rend(); ++at) {
        const std::size_t node = static_cast<std::size_t>(*at);
        const std::int32_t parent = small.tree.parent[node];
        double least = std::numeric_limits<double>::max();
        if (parent >= 0) delta(node, static_cast<std::size_t>(parent), d);
        for (int l = 0; l < labels; ++l) {
            const double value =
                belief[node][static_cast<std::size_t>(l)] +
                (parent < 0 ? 0.0 : pairwise(chosen[static_cast<std::size_t>(parent)], l, length, d));
            if (value < least) {
                least = value;
                chosen[node] = l;
            }
        }
    }
    return chosen;
}

void labels_equal_brute_force() {
    constexpr float kScale = 0.01f;
    std::int64_t nodes = 0, equal = 0;
    for (const SearchLevel& level : {SearchLevel{4, 1, 1}, SearchLevel{4, 2, 2}, SearchLevel{3, 3, 1}}) {
        for (unsigned seed = 1; seed <= 4; ++seed) {
            const SmallTree small = small_tree(level, seed);
            const std::vector<std::int32_t> expected = brute_force_labels(
                small, level, static_cast<double>(kScale), std::vector<bool>(small.tree.order.size(), true));
            const ControlPoints points(whole_region(kControl));
            std::vector<std::int32_t> first;
            for (const InstructionSet set : supported_sets()) {
                select_instruction_set(set);
                for (const int threads : {1, 2, 3}) {
                    ThreadPool pool(threads);
                    std::vector<std::uint16_t> sums = small.sums;
                    const auto labels = best_labels(small.tree, level, kScale, small.base, points, pool, sums);
                    if (first.empty()) first = labels;
                    CHECK(labels == first);
                }
            }
            for (std::size_t n = 0; n < first.size(); ++n) equal += first[n] == expected[n];
            nodes += static_cast<std::int64_t>(first.size());
        }
    }
    std::printf("labels: %lld of %lld as by brute force\n", static_cast<long long>(equal), static_cast<long long>(nodes));
    CHECK(static_cast<double>(equal) >= 0.999 * static_cast<double>(nodes));
}

/// Points that are not compared cost nothing and follow their neighbours.
void points_that_are_not_compared_cost_nothing() {
    constexpr float kScale = 0.01f;
    const SearchLevel level{4, 2, 1};
    std::int64_t nodes = 0, equal = 0;
    for (unsigned seed = 1; seed <= 6; ++seed) {
        SmallTree small = small_tree(level, seed);
        Region compared(kControl, {});
        for (std::int64_t c = 0; c < kControl.z; ++c) {
            for (std::int64_t b = 0; b < kControl.y; ++b) {
                if ((b + c + seed) % 3 != 0) compared.row(b, c) = {b % 2, 2 + c % 2};
            }
        }
        const ControlPoints points(compared);
        const std::size_t labels = static_cast<std::size_t>(level.labels());
        std::vector<std::uint16_t> compact(static_cast<std::size_t>(points.count) * labels + kSumsSlack, 0);
        std::vector<bool> is_compared;
        for (std::size_t node = 0; node < small.tree.order.size(); ++node) {
            const std::int64_t at = static_cast<std::int64_t>(node);
            const std::int64_t a = at % kControl.x, b = at / kControl.x % kControl.y, c = at / kControl.x / kControl.y;
            std::uint16_t* sums = small.sums.data() + node * labels;
            is_compared.push_back(points.contains(a, b, c));
            if (is_compared.back()) {
                std::copy(sums, sums + labels, compact.data() + static_cast<std::size_t>(points.slot(a, b, c)) * labels);
            } else {
                std::fill(sums, sums + labels, std::uint16_t{0});
            }
        }
        const std::vector<std::int32_t> expected =
            brute_force_labels(small, level, static_cast<double>(kScale), is_compared);
        std::vector<std::int32_t> first;
        for (const InstructionSet set : supported_sets()) {
            select_instruction_set(set);
            for (const int threads : {1, 3}) {
                ThreadPool pool(threads);
                std::vector<std::uint16_t> sums = compact;
                const auto chosen = best_labels(small.tree, level, kScale, small.base, points, pool, sums);
                if (first.empty()) first = chosen;
                CHECK(chosen == first);
            }
        }
        for (std::size_t n = 0; n < first.size(); ++n) equal += first[n] == expected[n];
        nodes += static_cast<std::int64_t>(first.size());
    }
    std::printf("not all compared: %lld of %lld labels as by brute force\n", static_cast<long long>(equal),
                static_cast<long long>(nodes));
    CHECK(static_cast<double>(equal) >= 0.999 * static_cast<double>(nodes));
}

void every_subtree_is_one_part_of_the_order() {
    const Tree tree = small_tree({3, 1, 1}, 9).tree;
    std::vector<std::size_t> place(tree.order.size());
    for (std::size_t at = 0; at < tree.order.size(); ++at) place[static_cast<std::size_t>(tree.order[at])] = at;
    CHECK(tree.parent[static_cast<std::size_t>(tree.order.back())] == -1);
    for (std::size_t node = 0; node < place.size(); ++node) {
        if (tree.parent[node] < 0) continue;
        const std::size_t parent = static_cast<std::size_t>(tree.parent[node]);
        CHECK(place[node] < place[parent]);
        CHECK(place[node] + 1 >= place[parent] + 1 + static_cast<std::size_t>(tree.subtree_size[node]) -
                                     static_cast<std::size_t>(tree.subtree_size[parent]));
        CHECK(tree.weight[node] > 0 && tree.weight[node] <= 1);
    }
}

}  // namespace

int main() {
    min_plus_equals_brute_force();
    labels_equal_brute_force();
    points_that_are_not_compared_cost_nothing();
    every_subtree_is_one_part_of_the_order();
    std::printf(failed_checks == 0 ? "messages: passed\n" : "messages: %d checks failed\n", failed_checks);
    return failed_checks == 0 ? 0 : 1;
}
