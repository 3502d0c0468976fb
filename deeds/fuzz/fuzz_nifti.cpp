// Fuzz target: any bytes are either an image or refused with an exception.
#include <cstddef>
#include <cstdint>

#include "byte_source.hpp"
#include "nifti.hpp"
#include "pair_geometry.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 1) return 0;
    deeds::ReadOptions options;
    options.memory_limit = 1 << 24;
    if ((data[0] & 1) != 0) options.volume = data[0] >> 1;
    if ((data[0] & 2) != 0) options.nan_to = 0.5;
    try {
        const deeds::Image image = deeds::read_image_from(bytes_of(data + 1, size - 1), static_cast<std::int64_t>(size - 1), "input.nii", options);
        const deeds::PreparedPair pair = deeds::prepare_pair(image, image, {});
        if (pair.fixed.values != pair.moving.values) __builtin_trap();
    } catch (const deeds::UserError&) {
    }
    return 0;
}
