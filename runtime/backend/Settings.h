// What a user may set of backends (--backend-option), and what was set.
#pragma once

#include "runtime/backend/Negotiate.h"

#include <string>
#include <utility>
#include <vector>

namespace kiln {

/// One that was set, in order and checked: its value as a backend gets it.
struct Setting {
  std::string name, value;
  uint32_t sides; ///< KILN_OPTION_COMPILE, KILN_OPTION_RUN
};

/// The settings of one side of a backend, as the interface has them.
class SettingList {
public:
  SettingList() = default;
  SettingList(const std::vector<Setting> &settings, uint32_t side);
  SettingList(SettingList &&) = default; // what the rows point to stays where it is
  SettingList &operator=(SettingList &&) = default;
  /// Into a kiln_target or a kiln_host, which this outlives.
  template <typename Holder> void giveTo(Holder &holder) const {
    holder.settings = rows_.data();
    holder.setting_count = rows_.size();
  }

private:
  std::vector<std::pair<std::string, std::string>> texts_; // never changed: the rows point into it
  std::vector<kiln_setting> rows_;
};

/// Why a plugin's list of options cannot be one; empty where it can.
std::string wrongOptions(const BackendTables &tables);

/// A line for each option of these sides: "tile=16, from 1 to 64, when built: rows of a tile".
std::vector<std::string> describeOptions(const BackendTables &tables, uint32_t sides);

/// What texts "[BACKEND.]NAME=VALUE" set of each of these backends, which are at work together. A name without a
/// backend is that of the only one that has it. False with a sentence: which option there is not, and which there are;
/// what a value has to be; an option that is set twice, or of several backends.
bool readSettings(const std::vector<std::string> &texts, const std::vector<const BackendTables *> &backends,
                  std::vector<std::vector<Setting>> &settings, std::string &error);

/// Whether a text names an option that this backend has.
bool hasOption(const BackendTables &backend, const std::string &text);

/// "mine.tile=8"
std::string settingText(const std::string &backend, const Setting &setting);

/// A program is asked to set what was settled when it was built; `built`: what it was built with. A sentence for the
/// first such option that was not set to the same then; else empty.
std::string settledBefore(const std::string &backend, const std::vector<Setting> &asked,
                          const std::vector<std::pair<std::string, std::string>> &built);

/// What a backend of a program gets at its start: what was set then, and what it was built with of options of both
/// sides.
std::vector<Setting> settingsAtStart(const BackendTables &tables, const std::vector<Setting> &asked,
                                     const std::vector<std::pair<std::string, std::string>> &built);

} // namespace kiln
