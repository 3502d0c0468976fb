// What:          see affine_fit.hpp.
// Source:        see affine_fit.hpp.
// Complexity:    see affine_fit.hpp.
// Thread safety: pure.
#include "affine_fit.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

namespace deeds {
namespace {

constexpr int kRounds = 15;
constexpr std::size_t kLeastMatches = 4;

using Point = std::array<double, 3>;

struct Centres {
    Point fixed{}, moving{};
};

Centres centres_of(const std::vector<PointMatch>& matches) {
    Centres centres;
    for (const PointMatch& match : matches) {
        for (std::size_t a = 0; a < 3; ++a) {
            centres.fixed[a] += match.fixed[a] / static_cast<double>(matches.size());
            centres.moving[a] += match.moving[a] / static_cast<double>(matches.size());
        }
    }
    return centres;
}

AffineVox about_centres(const double linear[3][3], const Centres& centres) {
    AffineVox out;
    for (std::size_t r = 0; r < 3; ++r) {
        out.m[r][3] = centres.moving[r];
        for (std::size_t c = 0; c < 3; ++c) {
            out.m[r][c] = linear[r][c];
            out.m[r][3] -= linear[r][c] * centres.fixed[c];
        }
    }
    return out;
}

/// Sums of products of centred coordinates: moving x fixed and fixed x fixed.
struct Moments {
    double cross[3][3] = {}, own[3][3] = {};
};

Moments moments_of(const std::vector<PointMatch>& matches, const Centres& centres) {
    Moments moments;
    for (const PointMatch& match : matches) {
        for (std::size_t c = 0; c < 3; ++c) {
            const double fixed = match.fixed[c] - centres.fixed[c];
            for (std::size_t r = 0; r < 3; ++r) {
                moments.cross[r][c] += (match.moving[r] - centres.moving[r]) * fixed;
                moments.own[r][c] += (match.fixed[r] - centres.fixed[r]) * fixed;
            }
        }
    }
    return moments;
}

AffineVox fit_affine(const std::vector<PointMatch>& matches) {
    const Centres centres = centres_of(matches);
    const Moments moments = moments_of(matches, centres);
    AffineVox own;
    double scale = 1;
    for (int r = 0; r < 3; ++r) {
        std::copy(moments.own[r], moments.own[r] + 3, own.m[r]);
        scale *= moments.own[r][r];
    }
    const auto& m = own.m;
    const double determinant = m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) -
                               m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0]) +
                               m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0]);
    // The determinant of a full-rank covariance is of the order of the product of its variances.
    if (!(determinant > 1e-9 * scale)) throw std::invalid_argument("linear fit is singular: all control points that match lie in a plane");
    const AffineVox solve = inverse(own);
    double linear[3][3] = {};
    for (int r = 0; r < 3; ++r) {
        for (int c = 0; c < 3; ++c) {
            for (int s = 0; s < 3; ++s) linear[r][c] += moments.cross[r][s] * solve.m[s][c];
        }
    }
    return about_centres(linear, centres);
}

/// Eigenvector of the largest eigenvalue of a symmetric matrix, by Jacobi rotations.
std::array<double, 4> largest_eigenvector(double a[4][4]) {
    constexpr int kSweeps = 50;
    double v[4][4] = {{1, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 1, 0}, {0, 0, 0, 1}};
    for (int sweep = 0; sweep < kSweeps; ++sweep) {
        for (int p = 0; p < 3; ++p) {
            for (int q = p + 1; q < 4; ++q) {
                if (a[p][q] == 0) continue;
                const double theta = (a[q][q] - a[p][p]) / (2 * a[p][q]);
                const double t = (theta >= 0 ? 1.0 : -1.0) / (std::abs(theta) + std::sqrt(theta * theta + 1));
                const double c = 1 / std::sqrt(t * t + 1), s = t * c;
                for (int k = 0; k < 4; ++k) {
                    const double kp = a[k][p], kq = a[k][q];
                    a[k][p] = c * kp - s * kq;
                    a[k][q] = s * kp + c * kq;
                }
                for (int k = 0; k < 4; ++k) {
                    const double pk = a[p][k], qk = a[q][k];
                    a[p][k] = c * pk - s * qk;
                    a[q][k] = s * pk + c * qk;
                    const double vp = v[k][p], vq = v[k][q];
                    v[k][p] = c * vp - s * vq;
                    v[k][q] = s * vp + c * vq;
                }
            }
        }
    }
    int best = 0;
    for (int k = 1; k < 4; ++k) best = a[k][k] > a[best][best] ? k : best;
    return {v[0][best], v[1][best], v[2][best], v[3][best]};
}

AffineVox fit_rigid(const std::vector<PointMatch>& matches) {
    const Centres centres = centres_of(matches);
    const Moments moments = moments_of(matches, centres);
    const auto s = [&](int fixed, int moving) { return moments.cross[moving][fixed]; };
    double n[4][4] = {
        {s(0, 0) + s(1, 1) + s(2, 2), s(1, 2) - s(2, 1), s(2, 0) - s(0, 2), s(0, 1) - s(1, 0)},
        {s(1, 2) - s(2, 1), s(0, 0) - s(1, 1) - s(2, 2), s(0, 1) + s(1, 0), s(2, 0) + s(0, 2)},
        {s(2, 0) - s(0, 2), s(0, 1) + s(1, 0), s(1, 1) - s(0, 0) - s(2, 2), s(1, 2) + s(2, 1)},
        {s(0, 1) - s(1, 0), s(2, 0) + s(0, 2), s(1, 2) + s(2, 1), s(2, 2) - s(0, 0) - s(1, 1)}};
    const auto [w, x, y, z] = largest_eigenvector(n);
    const double rotation[3][3] = {
        {w * w + x * x - y * y - z * z, 2 * (x * y - w * z), 2 * (x * z + w * y)},
        {2 * (x * y + w * z), w * w - x * x + y * y - z * z, 2 * (y * z - w * x)},
        {2 * (x * z - w * y), 2 * (y * z + w * x), w * w - x * x - y * y + z * z}};
    return about_centres(rotation, centres);
}

double squared_residual(const AffineVox& map, const PointMatch& match) {
    double sum = 0;
    for (std::size_t r = 0; r < 3; ++r) {
        double at = map.m[r][3];
        for (std::size_t c = 0; c < 3; ++c) at += map.m[r][c] * match.fixed[c];
        sum += (at - match.moving[r]) * (at - match.moving[r]);
    }
    return sum;
}

}  // namespace

AffineVox fit_trimmed(const std::vector<PointMatch>& matches, bool rigid) {
    if (matches.size() < kLeastMatches) {
        throw std::invalid_argument("linear fit has only " + std::to_string(matches.size()) +
                                    " valid control points, " + std::to_string(kLeastMatches) +
                                    " are needed; is --background right?");
    }
    const auto fit = [rigid](const std::vector<PointMatch>& kept) { return rigid ? fit_rigid(kept) : fit_affine(kept); };
    AffineVox map = fit(matches);
    std::vector<double> residuals(matches.size());
    for (int round = 0; round < kRounds; ++round) {
        std::transform(matches.begin(), matches.end(), residuals.begin(),
                       [&](const PointMatch& match) { return squared_residual(map, match); });
        std::vector<double> sorted = residuals;
        const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2);
        std::nth_element(sorted.begin(), middle, sorted.end());
        std::vector<PointMatch> kept;
        for (std::size_t m = 0; m < matches.size(); ++m) {
            if (residuals[m] <= *middle) kept.push_back(matches[m]);
        }
        if (kept.size() < kLeastMatches) break;
        map = fit(kept);
    }
    return map;
}

}  // namespace deeds
