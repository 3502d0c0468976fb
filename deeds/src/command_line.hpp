// What:          the options of every command as plain values, and the strict parser that fills them.
// Source:        this project; short spellings as published with the method (-F -M -O -G -L -Q -a -l -A -S -R -D).
// Complexity:    linear in the arguments.
// Thread safety: pure functions and plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace deeds {

/// What every command understands.
struct GeneralOptions {
    bool quiet = false;                 ///< neither progress nor summary
    int threads = 1;                    ///< at least 1
    double memory_limit_mib = 0;        ///< 0: the memory of the machine
    std::optional<double> nan_to;       ///< replaces NaN and infinite voxels; without it they are refused
    std::optional<std::int64_t> volume; ///< index (from 0) into the fourth dimension; without it only one volume is accepted
};

/// One entry a level, coarse to fine; the three lists have the same length, at least 1, and entries of at least 1.
struct LevelLists {
    std::vector<int> grid_spacing;
    std::vector<int> search_radius;
    std::vector<int> quantization;
};

/// The two images, and how they come to lie on one grid.
struct PairOptions {
    std::string fixed;                 ///< -F
    std::string moving;                ///< -M
    std::string output_stem;           ///< -O: every output is named <stem>_...
    std::string moving_labels;         ///< -S, may be empty: carried along as <stem>_deformed_seg.nii.gz
    double spacing_mm = 0;             ///< isotropic registration grid; 0: the grid of the fixed image
    bool resample = false;             ///< accept images of different size without --spacing
    bool as_stored = false;            ///< ignore orientation and position: voxel (i,j,k) to voxel (i,j,k), as published
    bool align_centres = false;        ///< begin with the centres of the images on one another instead of world coordinates
    double background = -1024;         ///< intensity outside the images
    double intensity_offset = 0;       ///< added to both images before they are registered
    GeneralOptions general;
};

struct LinearOptions {
    PairOptions pair;
    LevelLists levels;                 ///< default 7x6x5x4, 5x4x3x2, 4x3x2x1
    bool rigid = false;                ///< rotation and translation only
};

struct RegisterOptions {
    PairOptions pair;
    LevelLists levels;                 ///< default 8x7x6x5x4, 8x7x6x5x4, 5x4x3x2x1
    double alpha = 1.6;                ///< weight of smoothness, > 0
    std::string affine;                ///< -A, may be empty: <stem>_matrix.txt of an earlier call
    bool linear_first = false;         ///< --linear or --rigid: estimate the affine in the same call (never together with -A)
    bool rigid = false;
    LevelLists linear_levels;          ///< as LinearOptions::levels
    bool without_image = false;        ///< the field alone: carrying and packing the moving image takes a fifth of the time
};

/// What names a finished registration on disk.
struct TransformOptions {
    std::string stem;                  ///< -O, may be empty when `affine` is given: affine mapping alone
    std::string affine;                ///< -A, may be empty
    std::string fixed;                 ///< -F, may be empty when the sidecar is there
    std::string registration_image;    ///< image whose grid the field belongs to; only for fields without a sidecar
    int grid_spacing = 0;              ///< -G, finest entry; only for fields without a sidecar
    GeneralOptions general;
};

struct ApplyOptions {
    TransformOptions transform;
    std::string moving;                ///< -M
    std::string output;                ///< -D
    bool labels = false;               ///< nearest neighbour, int16 or int32; otherwise linear, float32
    std::optional<double> background;  ///< outside the moving image; without it the nearest voxel inside
};

struct PointsOptions {
    TransformOptions transform;
    std::string input;                 ///< CSV with columns x_mm, y_mm, z_mm
    std::string output;
    bool to_fixed = false;             ///< moving to fixed (iterative inverse); otherwise fixed to moving
    bool lps = false;                  ///< coordinates are LPS; otherwise RAS
};

struct FieldOptions {
    TransformOptions transform;
    std::string displacements;         ///< output, may be empty
    std::string inverse;               ///< output, may be empty: on the moving image's grid
    std::string jacobian;              ///< output, may be empty
    std::string moving;                ///< -M, may be empty when the sidecar is there; grid of the inverse
};

struct DescendOptions {
    std::string stem;                  ///< --field: the registration to go on from, with its sidecar
    std::string fixed;                 ///< -F: on a grid whose voxels fill the cells round the control points
    std::string moving;                ///< -M: any grid
    std::string displacements;         ///< -D: output, on the control points
    std::string region;                ///< may be empty: control points round which the images are compared
    std::string evidence_stem;         ///< may be empty: <stem>_hold.nii, <stem>_step.nii, <stem>_agreement.nii
    int control_step = 2;              ///< voxels between control points
    std::vector<double> smooth_mm = {3, 0};    ///< one entry a pass, as of the next two
    std::vector<double> window_mm = {10, 6};   ///< > 0
    std::vector<int> steps = {3, 4};
    double contrast_mm = 6;            ///< > 0
    double noise = 20;                 ///< > 0
    double stiffness = 0.05;           ///< > 0
    double start_smooth_mm = 4;        ///< >= 0
    double largest_step_mm = 4;        ///< > 0
    double rough_window_mm = 0;        ///< >= 0
    double wall_mm = 0.4;              ///< > 0
    GeneralOptions general;
};

struct InvertOptions {
    std::string field;                 ///< displacement field in mm, LPS, as run_field and run_descend write it
    std::string output;                ///< -D: its inverse on the same grid
    double tolerance_mm = 0.001;       ///< > 0: how far off the way there and back may end
    int steps = 100;                   ///< of one place, at most
    GeneralOptions general;
};

struct HelpRequest {
    std::string text;
};

using CommandOptions = std::variant<HelpRequest, LinearOptions, RegisterOptions, ApplyOptions, PointsOptions, FieldOptions,
                                    DescendOptions, InvertOptions>;

/// Options of the command in arguments[0]. `arguments` leaves out the name of the program.
/// Throws OptionError with one line that names option and value.
CommandOptions parse_command_line(const std::vector<std::string>& arguments);

/// Version of the program, as in `deeds --version`.
const char* program_version();

// The commands. Each throws UserError and then leaves no output behind.
void run_linear(const LinearOptions& options);      // commands_registration.cpp
void run_register(const RegisterOptions& options);  // commands_registration.cpp
void run_apply(const ApplyOptions& options);
void run_points(const PointsOptions& options);
void run_field(const FieldOptions& options);
void run_descend(const DescendOptions& options);    // commands_descent.cpp
void run_invert(const InvertOptions& options);      // commands_inverse.cpp

}  // namespace deeds
