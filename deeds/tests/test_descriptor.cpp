// What:          descriptor words against a float64 evaluation of their definition, the same bits on every path.
// Source:        Heinrich et al., MICCAI 2013; border rules of descriptor.cpp.
// Complexity:    seconds.
// Thread safety: one test at a time.
#include <algorithm>
#include <cmath>

#include "check.hpp"
#include "descriptor.hpp"
#include "phantom.hpp"

namespace {

using namespace deeds;
using WordGrid = Grid3<std::uint64_t>;

constexpr int kOffsets[6][3] = {{1, 1, 0}, {-1, 1, 0}, {0, -1, 1}, {-1, 0, 1}, {0, 1, 1}, {1, 0, 1}};
constexpr int kShifts[12][3] = {{0, -1, 0}, {-1, 0, 0}, {0, -1, 0}, {1, 0, 0},  {0, 0, -1}, {0, 1, 0},
                                {0, 0, -1}, {1, 0, 0},  {0, 0, -1}, {0, -1, 0}, {0, 0, -1}, {-1, 0, 0}};

bool inside(Size3 size, std::int64_t x, std::int64_t y, std::int64_t z) {
    return x >= 0 && y >= 0 && z >= 0 && x < size.x && y < size.y && z < size.z;
}

Grid3<double> patch_sums(const Grid3<float>& image, const int offset[3], int step) {
    const Size3 size = image.size;
    Grid3<double> squares(size), sums(size);
    for (std::int64_t z = 0; z < size.z; ++z) {
        for (std::int64_t y = 0; y < size.y; ++y) {
            for (std::int64_t x = 0; x < size.x; ++x) {
                const std::int64_t nx = x + offset[0] * step, ny = y + offset[1] * step, nz = z + offset[2] * step;
                if (!inside(size, nx, ny, nz)) continue;
                const double difference =
                    static_cast<double>(image.at(x, y, z)) - static_cast<double>(image.at(nx, ny, nz));
                squares.at(x, y, z) = difference * difference;
            }
        }
    }
    for (std::int64_t z = 0; z < size.z; ++z) {
        for (std::int64_t y = 0; y < size.y; ++y) {
            for (std::int64_t x = 0; x < size.x; ++x) {
                for (std::int64_t dz = -step; dz <= step; ++dz) {
                    for (std::int64_t dy = -step; dy <= step; ++dy) {
                        for (std::int64_t dx = -step; dx <= step; ++dx) {
                            if (inside(size, x + dx, y + dy, z + dz)) {
                                sums.at(x, y, z) += squares.at(x + dx, y + dy, z + dz);
                            }
                        }
                    }
                }
            }
        }
    }
    return sums;
}

WordGrid oracle(const Grid3<float>& image, int step) {
    const Size3 size = image.size;
    std::vector<Grid3<double>> sums;
    for (const auto& offset : kOffsets) sums.push_back(patch_sums(image, offset, step));
    WordGrid words(size);
    for (std::int64_t z = 0; z < size.z; ++z) {
        for (std::int64_t y = 0; y < size.y; ++y) {
            for (std::int64_t x = 0; x < size.x; ++x) {
                double value[12], mean = 0;
                for (std::size_t c = 0; c < 12; ++c) {
                    const std::int64_t sx = x + kShifts[c][0] * step, sy = y + kShifts[c][1] * step,
                                       sz = z + kShifts[c][2] * step;
                    value[c] = inside(size, sx, sy, sz) ? sums[c / 2].at(sx, sy, sz) : sums[c / 2].at(x, y, z);
                }
                const double least = *std::min_element(value, value + 12);
                for (double& v : value) {
                    v -= least;
                    mean += v / 12;
                }
                for (std::size_t c = 0; c < 12; ++c) {
                    for (int b = 0; b < 5; ++b) {
                        if (value[c] / std::max(mean, 1e-6) < -std::log((b + 1.5) / 6)) {
                            words.at(x, y, z) |= std::uint64_t{1} << (5 * static_cast<int>(c) + b);
                        }
                    }
                }
            }
        }
    }
    return words;
}

void words_equal_the_definition() {
    const Grid3<float> image = Phantom(3).image({37, 29, 23});
    for (const int step : {1, 2, 3}) {
        const WordGrid expected = oracle(image, step);
        Words first;
        for (const InstructionSet set : supported_sets()) {
            select_instruction_set(set);
            for (const int threads : {1, 2}) {
                ThreadPool pool(threads);
                Words words;
                compute_descriptor(image, step, whole_region(image.size), pool, words);
                std::int64_t equal = 0;
                for (std::size_t v = 0; v < words.values.size(); ++v) equal += words.values[v] == expected.values[v];
                const double share = static_cast<double>(equal) / static_cast<double>(words.values.size());
                CHECK(share >= 0.999);
                if (first.values.empty()) first = words;
                CHECK(words.values == first.values);
                if (threads == 1) std::printf("%-8s step %d: %.5f of the words equal\n", kernels().name, step, share);
            }
        }
    }
}

void words_of_a_region_equal_those_of_the_whole_image() {
    const Grid3<float> image = Phantom(4).image({37, 29, 23});
    Region region(image.size, {});
    for (std::int64_t z = 5; z < 20; ++z) {
        for (std::int64_t y = z % 4; y < 26; ++y) region.row(y, z) = {(y + z) % 13, 37 - (2 * y) % 11};
    }
    for (const int step : {1, 2, 3}) {
        for (const int threads : {1, 2}) {
            ThreadPool pool(threads);
            Words whole, part;
            compute_descriptor(image, step, whole_region(image.size), pool, whole);
            // What lies beyond the reach of the region must not matter.
            Grid3<float> seen = image;
            const Region reached = grown(region, descriptor_reach(step));
            for (std::int64_t z = 0; z < image.size.z; ++z) {
                for (std::int64_t y = 0; y < image.size.y; ++y) {
                    for (std::int64_t x = 0; x < image.size.x; ++x) {
                        const Span row = reached.row(y, z);
                        if (x < row.first || x >= row.end) seen.at(x, y, z) = 1e6f;
                    }
                }
            }
            compute_descriptor(seen, step, region, pool, part);
            CHECK(part.values.size() == static_cast<std::size_t>(region.count()));
            std::int64_t differences = 0;
            for (std::int64_t z = 0; z < image.size.z; ++z) {
                for (std::int64_t y = 0; y < image.size.y; ++y) {
                    const Span row = region.row(y, z);
                    for (std::int64_t x = row.first; x < row.end; ++x) {
                        differences += part.row(y, z)[x - row.first] != whole.row(y, z)[x];
                    }
                }
            }
            CHECK(differences == 0);
        }
    }
}

void steps_follow_the_quantization() {
    const int expected[] = {1, 2, 2, 3, 3};
    for (int q = 1; q <= 5; ++q) CHECK(descriptor_step(q) == expected[q - 1]);
}

}  // namespace

int main() {
    words_equal_the_definition();
    words_of_a_region_equal_those_of_the_whole_image();
    steps_follow_the_quantization();
    std::printf(failed_checks == 0 ? "descriptor: passed\n" : "descriptor: %d checks failed\n", failed_checks);
    return failed_checks == 0 ? 0 : 1;
}
