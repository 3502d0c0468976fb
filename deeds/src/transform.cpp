// What:          see transform.hpp.
// Source:        see transform.hpp.
// Complexity:    see transform.hpp.
// Thread safety: see transform.hpp.
#include "transform.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace deeds {
namespace {

struct Position {
    std::int64_t low, high;
    double share;  ///< of the higher neighbour
};

Position control_position(double voxel, std::int64_t control, std::int64_t image) {
    const double at = std::clamp(voxel * static_cast<double>(control) / static_cast<double>(image), 0.0,
                                 static_cast<double>(control - 1));
    const std::int64_t low = static_cast<std::int64_t>(at);
    return {low, std::min(low + 1, control - 1), at - static_cast<double>(low)};
}

}  // namespace

bool is_identity(const AffineVox& affine) {
    const AffineVox identity;
    return std::equal(&affine.m[0][0], &affine.m[0][0] + 12, &identity.m[0][0]);
}

Displacement displacement_at(const ControlField& field, double i, double j, double k) {
    const Size3 control = field.control;
    const Position x = control_position(i, control.x, field.image.x);
    const Position y = control_position(j, control.y, field.image.y);
    const Position z = control_position(k, control.z, field.image.z);
    const auto sample = [&](const std::vector<float>& values) {
        const auto row = [&](std::int64_t b, std::int64_t c) {
            const float* at = values.data() + (c * control.y + b) * control.x;
            const double low = static_cast<double>(at[x.low]), high = static_cast<double>(at[x.high]);
            return low + x.share * (high - low);
        };
        const auto slice = [&](std::int64_t c) {
            const double low = row(y.low, c), high = row(y.high, c);
            return low + y.share * (high - low);
        };
        const double low = slice(z.low), high = slice(z.high);
        return low + z.share * (high - low);
    };
    return {sample(field.di), sample(field.dj), sample(field.dk)};
}

AffineVox inverse(const AffineVox& t) {
    const auto& m = t.m;
    const double minor[3] = {m[1][1] * m[2][2] - m[1][2] * m[2][1], m[1][2] * m[2][0] - m[1][0] * m[2][2],
                             m[1][0] * m[2][1] - m[1][1] * m[2][0]};
    const double determinant = m[0][0] * minor[0] + m[0][1] * minor[1] + m[0][2] * minor[2];
    if (!std::isfinite(determinant) || determinant == 0) throw std::invalid_argument("an affine map has no inverse");
    AffineVox out;
    for (int r = 0; r < 3; ++r) {
        for (int c = 0; c < 3; ++c) {
            const int r1 = (c + 1) % 3, r2 = (c + 2) % 3, c1 = (r + 1) % 3, c2 = (r + 2) % 3;
            out.m[r][c] = (m[r1][c1] * m[r2][c2] - m[r1][c2] * m[r2][c1]) / determinant;
        }
    }
    for (auto& row : out.m) row[3] = -(row[0] * m[0][3] + row[1] * m[1][3] + row[2] * m[2][3]);
    return out;
}

AffineVox composed(const AffineVox& outer, const AffineVox& inner) {
    AffineVox out;
    for (int r = 0; r < 3; ++r) {
        for (int c = 0; c < 4; ++c) {
            out.m[r][c] = c == 3 ? outer.m[r][3] : 0.0;
            for (int s = 0; s < 3; ++s) out.m[r][c] += outer.m[r][s] * inner.m[s][c];
        }
    }
    return out;
}

}  // namespace deeds
