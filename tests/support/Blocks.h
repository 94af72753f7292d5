// The ```kiln blocks of a document.
#pragma once

#include <fstream>
#include <regex>
#include <string>
#include <vector>

namespace kiln::test {

/// One model of a block, with the block's text.
struct Block {
  std::string text, model, place;
};

inline std::vector<Block> blocksOf(const std::string &path) {
  std::ifstream stream(path);
  std::vector<Block> blocks;
  std::string line, text;
  bool inside = false;
  int number = 0, begin = 0;
  while (std::getline(stream, line)) {
    ++number;
    if (!inside && line == "```kiln") {
      inside = true;
      text.clear();
      begin = number;
    } else if (inside && line == "```") {
      inside = false;
      std::regex header("(^|\n)model +([A-Za-z0-9_]+)");
      for (std::sregex_iterator it(text.begin(), text.end(), header), end; it != end; ++it)
        blocks.push_back({text, (*it)[2], path + ":" + std::to_string(begin)});
    } else if (inside) {
      text += line + "\n";
    }
  }
  return blocks;
}

} // namespace kiln::test
