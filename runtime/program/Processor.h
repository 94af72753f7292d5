// Does this machine's processor have what the program was compiled for?
#pragma once

#include <string>
#include <vector>

namespace kiln {

/// Throws Error naming the instructions that are missing.
void checkProcessor(const std::string &triple, const std::string &cpu, const std::vector<std::string> &features);

/// The features that are missing, given the flags of /proc/cpuinfo; LLVM's names in, LLVM's names out.
std::vector<std::string> missingFeatures(const std::vector<std::string> &features, const std::string &flags);

} // namespace kiln
