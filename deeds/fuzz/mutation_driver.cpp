// Stands in for libFuzzer where there is none: a fixed number of mutations of the seeds with a fixed random sequence.
// Usage: program nifti|vectors|command_line ROUNDS
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "seeds.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

std::string mutated(std::string bytes, std::mt19937& random, const std::vector<std::string>& seeds) {
    const auto below = [&](std::size_t limit) { return limit == 0 ? 0 : random() % limit; };
    const std::size_t changes = 1 + below(6);
    for (std::size_t change = 0; change < changes && !bytes.empty(); ++change) {
        const std::size_t at = below(2) == 0 ? below(bytes.size()) : below(std::min<std::size_t>(bytes.size(), 352));
        switch (below(7)) {
            case 0: bytes[at] = static_cast<char>(random() & 0xff); break;
            case 1: bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(8))); break;
            case 2: bytes[at] = below(2) == 0 ? '\x7f' : '\xff'; break;
            case 3: bytes.resize(at); break;
            case 4: bytes.insert(at, 1 + below(8), static_cast<char>(random() & 0xff)); break;
            case 5: bytes.erase(at, 1 + below(8)); break;
            default: {
                const std::string& other = seeds[below(seeds.size())];
                const std::size_t from = below(other.size());
                bytes.replace(at, std::min<std::size_t>(8, bytes.size() - at), other.substr(from, 8));
            }
        }
    }
    return bytes;
}

}  // namespace

int main(int count, char** arguments) {
    if (count != 3) return 2;
    const std::string target = arguments[1];
    const std::vector<std::string> seeds = target == "nifti" ? nifti_seeds() : target == "vectors" ? vectors_seeds() : command_line_seeds();
    const long rounds = std::strtol(arguments[2], nullptr, 10);
    std::mt19937 random(20131201);
    for (long round = 0; round < rounds; ++round) {
        const std::string input = mutated(seeds[random() % seeds.size()], random, seeds);
        LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(input.data()), input.size());
    }
    return 0;
}
