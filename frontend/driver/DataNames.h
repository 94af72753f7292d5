// What --data calls a recipe's data. No MLIR here.
#pragma once

#include <string>

namespace kiln {

/// What a name says of a source: it, or one of its parts ("data", "data.validation", "data.test"), of one recipe where
/// that stands in front ("finetune.data"); empty where it is another's. `recipe`: empty for one without a name.
inline std::string dataPart(std::string name, const std::string &recipe, const std::string &source) {
  if (std::string own = recipe + "."; !recipe.empty() && name.starts_with(own + source))
    name = name.substr(own.size());
  bool is = name == source || name == source + ".validation" || name == source + ".test";
  return is ? name : "";
}

} // namespace kiln
