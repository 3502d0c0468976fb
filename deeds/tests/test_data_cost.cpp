// What:          integer data costs equal a plain loop on every instruction set and for any number of threads.
// Source:        the definition in data_cost.hpp.
// Complexity:    seconds.
// Thread safety: one test at a time.
#include <algorithm>
#include <cstdint>
#include <random>

#include "check.hpp"
#include "data_cost.hpp"
#include "phantom.hpp"

namespace {

using namespace deeds;
using WordGrid = Grid3<std::uint64_t>;

WordGrid random_words(Size3 size, unsigned seed) {
    std::mt19937_64 random(seed);
    WordGrid words(size);
    for (auto& word : words.values) word = random() >> 4;  // sixty bits, as descriptors have
    return words;
}

std::uint64_t clamped(const WordGrid& words, std::int64_t x, std::int64_t y, std::int64_t z) {
    return words.at(std::clamp<std::int64_t>(x, 0, words.size.x - 1), std::clamp<std::int64_t>(y, 0, words.size.y - 1),
                    std::clamp<std::int64_t>(z, 0, words.size.z - 1));
}

int set_bits(std::uint64_t word) {
    int count = 0;
    for (; word != 0; word &= word - 1) ++count;
    return count;
}

int plain_sum(const WordGrid& fixed, const WordGrid& moving, const SearchLevel& level, const std::int64_t point[3],
              const std::int64_t displacement[3]) {
    int sum = 0;
    for (int z = 0; z < level.spacing; z += level.sample_step()) {
        for (int y = 0; y < level.spacing; y += level.sample_step()) {
            if ((y + z) / level.sample_step() % 2 != 0) continue;  // rows are taken as on a chequerboard
            for (int x = 0; x < level.spacing; ++x) {
                const std::int64_t p[3] = {point[0] * level.spacing + x, point[1] * level.spacing + y,
                                           point[2] * level.spacing + z};
                sum += set_bits(fixed.at(p[0], p[1], p[2]) ^ clamped(moving, p[0] + displacement[0],
                                                                      p[1] + displacement[1], p[2] + displacement[2]));
            }
        }
    }
    return sum;
}

std::int64_t count_differences(const WordGrid& fixed, const WordGrid& moving, const SearchLevel& level, const DataCost& cost) {
    const Size3 control = control_size(fixed.size, level.spacing);
    std::int64_t differences = 0;
    std::size_t at = 0;
    for (std::int64_t c = 0; c < control.z; ++c) {
        for (std::int64_t b = 0; b < control.y; ++b) {
            for (std::int64_t a = 0; a < control.x; ++a) {
                for (std::int64_t label = 0; label < level.labels(); ++label, ++at) {
                    const int length = level.length();
                    const std::int64_t point[3] = {a, b, c};
                    const std::int64_t step[3] = {label % length, label / length % length, label / length / length};
                    std::int64_t displacement[3];
                    for (int axis = 0; axis < 3; ++axis) {
                        displacement[axis] = (step[axis] - level.radius) * level.quantization;
                    }
                    if (cost.sums[at] != plain_sum(fixed, moving, level, point, displacement)) ++differences;
                }
            }
        }
    }
    return differences;
}

void sums_equal_a_plain_loop() {
    const Size3 size{35, 17, 16};
    const WordGrid fixed = random_words(size, 1), moving = random_words(size, 2);
    const SearchLevel levels[] = {{5, 5, 2}, {4, 4, 2}, {3, 3, 1}, {7, 2, 4}, {6, 1, 3}, {2, 1, 3},
                                  {8, 9, 5}, {2, 1, 2}, {16, 1, 1}, {5, 6, 1}, {6, 7, 1}, {7, 8, 1},
                                  {3, 3, 1}, {7, 5, 4}, {6, 4, 3}, {5, 3, 2}, {4, 2, 1}, {8, 3, 3}, {6, 3, 2}, {4, 3, 1}};
    for (const InstructionSet set : supported_sets()) {
        select_instruction_set(set);
        for (const SearchLevel& level : levels) {
            ThreadPool one(1), two(2);
            DataCost cost, shared;
            const ControlPoints points(whole_region(control_size(size, level.spacing)));
            compute_data_cost(whole_words(fixed), whole_words(moving), level, points, one, cost);
            compute_data_cost(whole_words(fixed), whole_words(moving), level, points, two, shared);
            const std::int64_t differences = count_differences(fixed, moving, level, cost);
            CHECK(differences == 0);
            CHECK(shared.sums == cost.sums);
            std::printf("%-8s spacing %2d radius %d quantization %d: %lld sums differ\n", kernels().name, level.spacing,
                        level.radius, level.quantization, static_cast<long long>(differences));
        }
    }
}

void largest_sums_fit() {
    const Size3 size{32, 32, 32};
    const WordGrid zeros(size), ones(size, (std::uint64_t{1} << 60) - 1);
    for (const InstructionSet set : supported_sets()) {
        select_instruction_set(set);
        ThreadPool pool(1);
        DataCost cost;
        const SearchLevel level{16, 1, 1};
        compute_data_cost(whole_words(zeros), whole_words(ones), level,
                          ControlPoints(whole_region(control_size(size, level.spacing))), pool, cost);
        CHECK(cost.sums[0] == 60 * level.samples());
    }
}

/// A region with rows of every kind: none, inner parts, up to either border.
Region ragged_region(Size3 size) {
    Region region(size, {});
    for (std::int64_t z = 1; z < size.z; ++z) {
        for (std::int64_t y = 0; y < size.y; ++y) {
            if ((y + z) % 7 != 3) region.row(y, z) = {(3 * y + z) % 9, size.x - (y + 2 * z) % 5};
        }
    }
    return region;
}

/// The grid with uniform words outside the region.
WordGrid uniform_outside(WordGrid grid, const Region& region) {
    for (std::int64_t z = 0; z < grid.size.z; ++z) {
        for (std::int64_t y = 0; y < grid.size.y; ++y) {
            for (std::int64_t x = 0; x < grid.size.x; ++x) {
                const Span row = region.row(y, z);
                if (x < row.first || x >= row.end) grid.at(x, y, z) = kUniformWord;
            }
        }
    }
    return grid;
}

Words words_of_region(const WordGrid& grid, const Region& region) {
    Words words;
    words.resize(region);
    for (std::int64_t z = 0; z < grid.size.z; ++z) {
        for (std::int64_t y = 0; y < grid.size.y; ++y) {
            const Span row = region.row(y, z);
            for (std::int64_t x = row.first; x < row.end; ++x) words.row(y, z)[x - row.first] = grid.at(x, y, z);
        }
    }
    return words;
}

void sums_of_a_region_equal_those_of_uniform_surroundings() {
    const Size3 size{35, 17, 16};
    const WordGrid fixed = random_words(size, 3), moving = random_words(size, 4);
    const Region region = ragged_region(size);
    ThreadPool pool(2);
    for (const SearchLevel& level : {SearchLevel{5, 5, 2}, SearchLevel{3, 3, 1}, SearchLevel{4, 2, 3}}) {
        const ControlPoints points(control_region(region, level.spacing));
        DataCost cost;
        compute_data_cost(words_of_region(fixed, region), words_of_region(moving, region), level, points, pool, cost);
        const WordGrid seen_fixed = uniform_outside(fixed, region), seen_moving = uniform_outside(moving, region);
        const int middle = static_cast<int>(level.labels()) / 2, length = level.length();
        std::int64_t compared = 0, differences = 0;
        for (std::int64_t c = 0; c < points.region.size.z; ++c) {
            for (std::int64_t b = 0; b < points.region.size.y; ++b) {
                for (std::int64_t a = 0; a < points.region.size.x; ++a) {
                    if (!points.contains(a, b, c)) continue;
                    ++compared;
                    const std::int64_t point[3] = {a, b, c};
                    for (const int label : {0, middle, middle + length, static_cast<int>(level.labels()) - 1}) {
                        const std::int64_t steps[3] = {label % length, label / length % length, label / length / length};
                        std::int64_t displacement[3];
                        for (int axis = 0; axis < 3; ++axis) {
                            displacement[axis] = (steps[axis] - level.radius) * level.quantization;
                        }
                        const std::size_t at = static_cast<std::size_t>(points.slot(a, b, c) * level.labels() + label);
                        differences += cost.sums[at] != plain_sum(seen_fixed, seen_moving, level, point, displacement);
                    }
                }
            }
        }
        CHECK(compared == points.count && compared > 0);
        CHECK(differences == 0);
    }
}

}  // namespace

int main() {
    sums_equal_a_plain_loop();
    largest_sums_fit();
    sums_of_a_region_equal_those_of_uniform_surroundings();
    std::printf(failed_checks == 0 ? "data cost: passed\n" : "data cost: %d checks failed\n", failed_checks);
    return failed_checks == 0 ? 0 : 1;
}
