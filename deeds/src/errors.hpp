// What:          the exceptions a user can cause; main prints them as one line and exits with status 2.
// Source:        this project.
// Complexity:    constant.
// Thread safety: values; throw and catch in any thread.
#pragma once

#include <stdexcept>
#include <string>

namespace deeds {

/// Something the user can put right. The message is one line that names the file or option and its value.
class UserError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// A file that cannot be read, written or understood; the message begins with its name.
class FileError : public UserError {
  public:
    FileError(const std::string& path, const std::string& problem) : UserError(path + ": " + problem) {}
};

/// An option that is unknown, missing or out of range; the message begins with its name.
class OptionError : public UserError {
  public:
    OptionError(const std::string& option, const std::string& problem) : UserError(option + ": " + problem) {}
};

/// A setting that the registration cannot work with; commands turn it into the error of an option.
class SettingError : public std::invalid_argument {
  public:
    SettingError(const std::string& setting, const std::string& problem)
        : std::invalid_argument(setting + ": " + problem), setting_(setting), problem_(problem) {}

    const std::string& setting() const { return setting_; }  ///< spelled like the option, without its dashes
    const std::string& problem() const { return problem_; }

  private:
    std::string setting_, problem_;
};

}  // namespace deeds
