// What the kiln command line says, once parsed.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace kiln {

struct ModelOptions {
  std::string file;  ///< the model's .kiln text
  std::string model; ///< --model; empty: the file's only one
  std::vector<std::pair<std::string, std::string>> set;
  std::map<std::string, int64_t> bounds;
  std::vector<std::string> entries; ///< --entry; empty: all
  std::string backend = "cpu";
  std::string targetCpu = "native";
  std::string triple;
  std::string targetDevice; ///< a device profile of the backend; empty: portable
  std::string math;         ///< "strict" (also where empty) or "fast"
  std::string weights;
  std::string saveStages;
  bool timePasses = false;
  bool redZones = false;      ///< memory between all buffers that nobody may write, looked at after each launch
  bool everyModel = false;    ///< kiln check of a file with several models, none of them named: all, and no module
  bool symbolicBatch = false; ///< keep the batch of the loss open (kiln check runs it with a small one)
  uint32_t jobs = 0;          ///< 0: as many as there are cores
};

} // namespace kiln
