// A family's text gives each of its projections a line of its own: NAME = Linear(…).
#include "frontend/huggingface/Adapters.h"

#include "runtime/program/BlockForm.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <set>
#include <sstream>

namespace kiln::huggingface {

/// PEFT's, of the families that are here (peft.utils.constants).
static constexpr std::string_view projections[] = {
    "q_proj", "v_proj",   "query",           "value",   "q_lin",  "v_lin",      "q",          "v",
    "c_attn", "qkv_proj", "query_key_value", "in_proj", "x_proj", "query_proj", "value_proj", "Wqkv"};

/// The name that a line gives a layer to, where it is one of the projections; else empty.
static std::string projectionOf(const std::string &line) {
  size_t begin = line.find_first_not_of(' '), end = line.find(' ', begin), equals = line.find("= ");
  if (begin == 0 || end == std::string::npos || equals == std::string::npos || !line.ends_with(')'))
    return "";
  std::string name = line.substr(begin, end - begin);
  std::string_view layer = std::string_view(line).substr(equals + 2);
  bool is = std::find(std::begin(projections), std::end(projections), name) != std::end(projections) &&
            line.find_first_not_of(' ', end) == equals &&
            (layer.starts_with("Linear(") || layer.starts_with("Conv1D("));
  return is ? name : "";
}

void addAdapters(Imported &imported, int64_t rank) {
  std::istringstream lines(imported.text);
  std::string text;
  std::set<std::string> names;
  for (std::string line; std::getline(lines, line);) {
    if (std::string name = projectionOf(line); !name.empty()) {
      names.insert(name);
      size_t at = line.find("= ") + 2;
      line = line.substr(0, at) + format("LoRA(%s, %lld, alpha=%lld)", line.substr(at).c_str(),
                                         static_cast<long long>(rank), static_cast<long long>(2 * rank));
    }
    text += line + "\n";
  }
  if (names.empty())
    fail("--lora: %s has no projections of queries and values that an adapter is known for", imported.model.c_str());
  imported.text = std::move(text);
  std::vector<TensorView> tensors = imported.tensors.tensors();
  for (const std::string &name : names)
    for (const char *part : {"weight", "bias"}) {
      std::string ending = "." + name + "." + part;
      if (std::any_of(tensors.begin(), tensors.end(),
                      [&](const TensorView &tensor) { return tensor.name.ends_with(ending); }))
        imported.renames.push_back("*" + ending + "=*." + name + ".base_layer." + part);
    }
}

bool nameInBlocks(Imported &imported) {
  const Safetensors &tensors = imported.tensors;
  bool any = std::any_of(tensors.tensors().begin(), tensors.tensors().end(), [&](const TensorView &tensor) {
    return blockFormOf(tensor.name, [&](const std::string &name) { return tensors.find(name); }).has_value();
  });
  if (!any)
    return false;
  std::vector<Safetensors> one;
  one.push_back(std::move(imported.tensors));
  imported.tensors = Safetensors::join(std::move(one), [&](size_t, const std::string &name) {
    for (const std::string &rule : imported.renames) { // "*.q_proj.weight=*.q_proj.base_layer.weight"
      size_t equals = rule.find('=');
      std::string from = rule.substr(1, equals - 1), to = rule.substr(equals + 2);
      size_t at = name.rfind(from);
      // A matrix's scales have its name before their own.
      if (at != std::string::npos && (at + from.size() == name.size() || name[at + from.size()] == '.'))
        return name.substr(0, at) + to + name.substr(at + from.size());
    }
    return name;
  });
  imported.renames.clear();
  return true;
}

} // namespace kiln::huggingface
