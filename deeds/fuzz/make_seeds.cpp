// Writes seed inputs for the fuzz targets: make_seeds FOLDER makes FOLDER/nifti, FOLDER/vectors and FOLDER/command_line.
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "seeds.hpp"

int main(int count, char** arguments) {
    if (count != 2) return 2;
    const std::filesystem::path folder = arguments[1];
    const auto write = [&](const char* target, const std::vector<std::string>& seeds) {
        std::filesystem::create_directories(folder / target);
        for (std::size_t n = 0; n < seeds.size(); ++n)
            std::ofstream(folder / target / ("seed_" + std::to_string(n)), std::ios::binary) << seeds[n];
    };
    write("nifti", nifti_seeds());
    write("vectors", vectors_seeds());
    write("command_line", command_line_seeds());
    return 0;
}
