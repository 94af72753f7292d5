// The command as it was typed, so that a message can end in one that works.
#pragma once

#include <string>
#include <vector>

namespace kiln {

/// To be called first of all.
void rememberCommand(int argc, const char *const *argv);
/// The command with these options in the place of what it has of --bound and --dim, as a shell reads it.
std::string commandWith(const std::vector<std::string> &options);
/// As a shell reads it: in quotes where it has more than letters, digits and what is no sign of the shell's.
std::string shellQuoted(const std::string &word);

} // namespace kiln
