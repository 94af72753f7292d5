#include "runtime/program/Processor.h"

#include "runtime/support/Error.h"

#include <cstdio>
#include <set>

namespace kiln {

/// LLVM writes "avx512bf16", "sse4.2" and "amx-tile"; the kernel "avx512_bf16", "sse4_2" and "amx_tile".
static std::string plain(std::string_view name) {
  std::string text;
  for (char c : name)
    if (c != '_' && c != '.' && c != '-' && c != '+')
      text += c;
  return text;
}

std::vector<std::string> missingFeatures(const std::vector<std::string> &features, const std::string &flags) {
  std::set<std::string> present;
  for (size_t at = 0; at < flags.size();) {
    size_t end = std::min(flags.find_first_of(" \t\n", at), flags.size());
    if (end > at)
      present.insert(plain(std::string_view(flags).substr(at, end - at)));
    at = end + 1;
  }
  std::vector<std::string> missing;
  for (const std::string &feature : features) {
    std::string name = plain(feature);
    if (name == "sse3")
      name = "pni";
    else if (name == "bmi")
      name = "bmi1";
    // Only what changes generated code; LLVM also lists features that the kernel does not announce.
    bool counts = false;
    for (const char *prefix : {"sse", "ssse", "pni", "avx", "amx", "fma", "bmi", "f16c", "movbe", "popcnt"})
      counts |= name.starts_with(prefix);
    if (feature.starts_with("-") || !counts || name == "sse" || name == "sse4a" || name == "fma4")
      continue;
    if (!present.count(name))
      missing.push_back(feature.starts_with("+") ? feature.substr(1) : feature);
  }
  return missing;
}

void checkProcessor(const std::string &triple, const std::string &cpu, const std::vector<std::string> &features) {
#if defined(__x86_64__)
  if (!triple.empty() && !triple.starts_with("x86_64"))
    fail("this program was built for %s, not for this machine", triple.c_str());
  std::FILE *file = std::fopen("/proc/cpuinfo", "re");
  if (!file)
    return;
  std::string flags;
  char line[8192];
  while (flags.empty() && std::fgets(line, sizeof(line), file)) {
    std::string_view text(line);
    if (text.starts_with("flags"))
      flags = text.substr(text.find(':') + 1);
  }
  std::fclose(file);
  if (flags.empty())
    return;
  std::vector<std::string> missing = missingFeatures(features, flags);
  if (missing.empty())
    return;
  std::string list;
  for (const std::string &name : missing)
    list += (list.empty() ? "" : ", ") + name;
  fail("this program was built for %s and needs instructions that this processor lacks: %s; build it here, or with "
       "--target-cpu x86-64-v3",
       cpu.empty() ? "another processor" : cpu.c_str(), list.c_str());
#endif
}

} // namespace kiln
