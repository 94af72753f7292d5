// The command that was typed, and its words as a shell reads them.
#include "frontend/cli/CommandLine.h"

#include <algorithm>
#include <cctype>
#include <string_view>

namespace kiln {

static std::vector<std::string> &words() {
  static std::vector<std::string> all;
  return all;
}

void rememberCommand(int argc, const char *const *argv) { words().assign(argv, argv + argc); }

std::string shellQuoted(const std::string &word) {
  auto isPlain = [](unsigned char c) {
    return std::isalnum(c) || c >= 0x80 ||
           std::string_view("_-./=:,+@%").find(static_cast<char>(c)) != std::string::npos;
  };
  if (!word.empty() && std::all_of(word.begin(), word.end(), isPlain))
    return word;
  std::string out = "'";
  for (char c : word)
    out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::string commandWith(const std::vector<std::string> &options) {
  std::string out = "kiln";
  for (size_t i = 1; i < words().size(); ++i) {
    const std::string &word = words()[i];
    bool isOne = word == "--bound" || word == "--dim";
    if (isOne)
      ++i; // and what it is given
    else if (!word.starts_with("--bound=") && !word.starts_with("--dim="))
      out += " " + shellQuoted(word);
  }
  for (const std::string &option : options)
    out += " " + shellQuoted(option);
  return out;
}

} // namespace kiln
