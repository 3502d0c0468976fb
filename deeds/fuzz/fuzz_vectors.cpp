// Fuzz target: any bytes are either a field of vectors, which has an inverse on its grid, or refused with an exception.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "byte_source.hpp"
#include "errors.hpp"
#include "field_inverse.hpp"
#include "nifti.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 1) return 0;
    deeds::ReadOptions options;
    options.memory_limit = 1 << 20;
    options.bytes_of_voxel = deeds::bytes_of_inverted_place;
    if ((data[0] & 2) != 0) options.nan_to = 0.5;
    deeds::InversionSettings settings;
    settings.largest_steps = 20;
    settings.threads = 1 + (data[0] & 1);
    try {
        deeds::VectorImage field = deeds::read_vectors_from(bytes_of(data + 1, size - 1), static_cast<std::int64_t>(size - 1), "input.nii", options);
        const deeds::Geometry grid = field.geometry;
        const deeds::FieldInverse found = deeds::inverse_of_lps(std::move(field.parts), grid, settings);
        for (const auto& part : found.shift)
            if (part.size != grid.size) __builtin_trap();
        if (found.unreached < 0 || found.unreached > grid.size.count() || !(found.largest_mm >= 0)) __builtin_trap();
        if ((found.unreached == 0) != (found.largest_mm <= settings.tolerance_mm * (1 + 1e-6))) __builtin_trap();
    } catch (const deeds::UserError&) {
    }
    return 0;
}
