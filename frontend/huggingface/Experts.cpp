// Experts that stand in one stack, as the matrices that a model's text has. Their elements are put together when they
// are read, one matrix at a time.
#include "frontend/huggingface/Experts.h"

#include "runtime/support/Error.h"

#include <cstring>
#include <deque>

namespace kiln::huggingface {

namespace {

/// Of a stack [experts, …, columns] the columns `first`, `first` + `step`, … of one expert, as rows.
struct ExpertPart final : TensorSource {
  TensorView stack;
  int64_t expert = 0, first = 0, step = 1;

  int64_t columns() const { return stack.shape.back(); }
  int64_t depth() const { return stack.shape.size() == 3 ? stack.shape[1] : 1; }
  void make(const TensorView &, uint8_t *to) const override {
    size_t size = dtypeSize(stack.dtype);
    const uint8_t *from = stack.data + static_cast<size_t>(expert * depth() * columns()) * size;
    for (int64_t column = first; column < columns(); column += step)
      for (int64_t k = 0; k < depth(); ++k, to += size)
        std::memcpy(to, from + static_cast<size_t>(k * columns() + column) * size, size);
  }
};

struct Made {
  Safetensors files;
  std::deque<ExpertPart> parts;
};

/// Which stack the tensor is: "gate_up_proj", "down_proj_bias"; empty: none.
std::string stackOf(const std::string &name) {
  size_t dot = name.rfind('.');
  std::string end = dot == std::string::npos ? "" : name.substr(dot + 1), front = name.substr(0, dot);
  bool known = end == "gate_up_proj" || end == "down_proj" || end == "gate_up_proj_bias" || end == "down_proj_bias";
  return known && front.ends_with(".experts") ? end : "";
}

} // namespace

Safetensors apartExperts(const Settings &settings, Safetensors files, bool &apart) {
  const Json *type = settings.config().find("model_type");
  if (!type || !type->isString() || type->string() != "gpt_oss")
    return files;
  auto made = std::make_shared<Made>();
  made->files = std::move(files);
  std::vector<TensorView> views;
  for (const TensorView &tensor : made->files.tensors()) {
    std::string stack = stackOf(tensor.name);
    if (stack.empty()) {
      views.push_back(tensor);
      continue;
    }
    bool isBias = stack.ends_with("_bias"), both = stack.starts_with("gate_up");
    if (tensor.shape.size() != (isBias ? 2 : 3) || tensor.bytes == 0 || (both && tensor.shape.back() % 2))
      fail("%s: '%s': expected a stack %s, found %s", settings.what().c_str(), tensor.name.c_str(),
           isBias ? "[experts, columns]" : "[experts, inputs, columns]",
           describeType(tensor.dtype, tensor.shape).c_str());
    std::string front = tensor.name.substr(0, tensor.name.size() - stack.size());
    for (int64_t expert = 0; expert < tensor.shape[0]; ++expert) {
      auto add = [&](const std::string &name, int64_t first, int64_t step) {
        ExpertPart &part = made->parts.emplace_back();
        part.stack = tensor;
        part.expert = expert, part.first = first, part.step = step;
        std::vector<int64_t> shape = {part.columns() / step};
        if (!isBias)
          shape.push_back(part.depth());
        views.push_back({front + std::to_string(expert) + "." + name + (isBias ? ".bias" : ".weight"), tensor.dtype,
                         shape, nullptr, tensor.bytes / static_cast<size_t>(tensor.shape[0] * step), &part});
      };
      if (both)
        add("gate_proj", 0, 2), add("up_proj", 1, 2);
      else
        add("down_proj", 0, 1);
    }
    apart = true;
  }
  return Safetensors::of(std::move(views), made->files.what(), made);
}

} // namespace kiln::huggingface
