// What:          what reading and writing of NIfTI-1 files share.
// Source:        NIfTI-1.1 data format, nifti1.h of the NIfTI Data Format Working Group.
// Complexity:    constant.
// Thread safety: no shared state.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>

namespace deeds {

inline constexpr std::int64_t header_bytes = 348;
inline constexpr std::int64_t data_offset = 352;
inline constexpr std::int16_t vector_intent = 1007;  // here of displacements in mm, LPS
inline constexpr std::int64_t chunk_bytes = 1 << 20;

struct GzipCloser {
    void operator()(gzFile_s* file) const { gzclose(file); }
};
using GzipHandle = std::unique_ptr<gzFile_s, GzipCloser>;

inline bool ends_with(const std::string& text, const std::string& ending) {
    return text.size() >= ending.size() && text.compare(text.size() - ending.size(), ending.size(), ending) == 0;
}

inline bool machine_is_little_endian() {
    const std::uint16_t one = 1;
    unsigned char first = 0;
    std::memcpy(&first, &one, 1);
    return first == 1;
}

}  // namespace deeds
