// Options of every command: published and long spellings, defaults, and what is refused with which words.
#include <sstream>
#include <string>
#include <vector>

#include "check.hpp"
#include "command_line.hpp"

using namespace deeds;

namespace {

CommandOptions parsed(const std::string& line) {
    std::istringstream words(line);
    std::vector<std::string> arguments;
    for (std::string word; words >> word;) arguments.push_back(word);
    return parse_command_line(arguments);
}

void accepted() {
    const auto linear = std::get<LinearOptions>(parsed("linear -F f.nii -M m.nii -O o -l 3 -G 5x4x3 -L 3x2x2 -Q 2x2x2 -R 1"));
    CHECK(linear.pair.fixed == "f.nii" && linear.pair.moving == "m.nii" && linear.pair.output_stem == "o");
    CHECK((linear.levels.grid_spacing == std::vector<int>{5, 4, 3}) && linear.rigid);
    CHECK((std::get<LinearOptions>(parsed("linear -F f -M m -O o")).levels.quantization == std::vector<int>{4, 3, 2, 1}));
    const auto deformable = std::get<RegisterOptions>(
        parsed("register --fixed=f --moving m --output o --rigid --alpha 0.5 --nan-to -1024 --background=0 --threads 2 --quiet -S s.nii"));
    CHECK(deformable.linear_first && deformable.rigid && deformable.pair.general.quiet);
    CHECK_NEAR(deformable.alpha, 0.5, 0);
    CHECK_NEAR(deformable.pair.general.nan_to.value(), -1024, 0);
    CHECK_NEAR(deformable.pair.background, 0, 0);
    CHECK(deformable.levels.grid_spacing.size() == 5 && deformable.pair.moving_labels == "s.nii");
    const auto four = std::get<RegisterOptions>(parsed("register -F f -M m -O o -A a -G 6x5x4x3 -L 6x5x4x3 -Q 3x2x2x1 -a 1.6"));
    CHECK(four.levels.search_radius.size() == 4 && four.affine == "a" && !four.linear_first);
    const auto apply = std::get<ApplyOptions>(parsed("apply -F f -M m -O o -A a -D d.nii.gz --labels --background 0 -G 3"));
    CHECK(apply.labels && apply.transform.grid_spacing == 3 && apply.background.value() == 0);
    const auto points = std::get<PointsOptions>(parsed("points -O o --input a.csv --output b.csv --direction moving-to-fixed --axes lps"));
    CHECK(points.to_fixed && points.lps);
    CHECK(std::get<FieldOptions>(parsed("field -O o --inverse i.nii")).inverse == "i.nii");
    const auto descend = std::get<DescendOptions>(parsed("descend -O o -F f -M m -D d.nii --smooth 3.5x0x0 --window 9x6x2.5 --steps 3x4x1"));
    CHECK((descend.smooth_mm == std::vector<double>{3.5, 0, 0}) && (descend.window_mm == std::vector<double>{9, 6, 2.5}));
    CHECK(descend.stem == "o" && descend.displacements == "d.nii" && descend.steps.size() == 3 && descend.control_step == 2);
    for (const char* line : {"--help", "--version", "linear --help", "register -h", "apply --help", "points --help", "field --help",
                             "descend --help"})
        CHECK(!std::get<HelpRequest>(parsed(line)).text.empty());
}

void refused() {
    const std::string pair = "register -F f -M m -O o ";
    const struct {
        std::string line;
        std::string message;
    } cases[] = {
        {"", "command: is missing"},
        {"warp", "\"warp\": is not a command"},
        {"register -F f -M m", "--output (-O): is missing"},
        {"register -M m -O o", "--fixed (-F): is missing"},
        {pair + "--grid 3", "\"--grid\": is not an option of deeds register"},
        {pair + "-Foo f", "\"-Foo\": is not an option"},
        {pair + "stray", "\"stray\": is not an option"},
        {pair + "-G", "-G: needs a value (AxBxC)"},
        {pair + "-F again", "-F: is given twice"},
        {pair + "-G 5x4x3 -L 5x4x3 -Q 1", "--quantization: 1 (1 levels) and --grid-spacing 5x4x3 (3 levels) differ"},
        {pair + "-G 5x4x3", "--search-radius: 8x7x6x5x4 (5 levels) and --grid-spacing 5x4x3 (3 levels) differ"},
        {pair + "-G 0x0x0", "-G: 0x0x0 has an entry that is not in 1 to 1000"},
        {pair + "-G -3", "-G: -3 has an entry"},
        {pair + "-G 5x4x", "-G: \"5x4x\" is not a list"},
        {pair + "-G 5,4", "-G: \"5,4\" is not a list"},
        {pair + "-G 99999999999", "-G: \"99999999999\" is not a list"},
        {pair + "-G 1x1x1x1x1x1x1x1x1x1x1", "has 11 entries"},
        {pair + "-l 4", "--levels: 4 and --grid-spacing 8x7x6x5x4 (5 levels) differ"},
        {pair + "-a abc", "-a: \"abc\" is not a number"},
        {pair + "-a 0", "-a: 0 is not greater than 0"},
        {pair + "-a -1", "-a: -1 is not greater than 0"},
        {pair + "-a nan", "-a: \"nan\" is not a number"},
        {pair + "-a inf", "-a: \"inf\" is not a number"},
        {pair + "-a 1e99", "-a: \"1e99\" is not a finite number"},
        {pair + "-a 1.6mm", "-a: \"1.6mm\" is not a number"},
        {pair + "-R 2", "-R: 2 is not in 0 to 1"},
        {pair + "--threads 0", "--threads: 0 is not in 1 to 1024"},
        {pair + "--threads two", "--threads: \"two\" is not a whole number"},
        {pair + "--spacing 0", "--spacing: 0 is not greater than 0"},
        {pair + "--quiet=yes", "--quiet: takes no value"},
        {pair + "--as-stored --spacing 2", "--as-stored: cannot be combined with --spacing"},
        {pair + "-A a --linear", "--affine: cannot be combined with --linear"},
        {pair + "-A a --rigid", "--affine: cannot be combined with --rigid"},
        {pair + "--linear-grid-spacing 4", "--linear-grid-spacing: needs --linear"},
        {pair + "--fixed=", "--fixed: is given twice"},
        {"linear --fixed= -M m -O o", "--fixed: is empty"},
        {"linear -F f -M m -O o -a 1", "\"-a\": is not an option of deeds linear"},
        {"apply -M m -D d", "--field (-O): is missing"},
        {"apply -M m -O o", "--output (-D): is missing"},
        {"points -O o --input a --output b --axes ijk", "--axes: \"ijk\" is neither"},
        {"points -O o --input a --output b --direction back", "--direction: \"back\" is neither"},
        {"field -O o", "--displacements (-D): is missing"},
    };
    for (const auto& each : cases) CHECK_REFUSED(parsed(each.line), each.message);
}

}  // namespace

int main() {
    accepted();
    refused();
    return failed_checks == 0 ? 0 : 1;
}
