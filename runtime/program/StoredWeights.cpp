// Rounding of what goes into a program.

#include "runtime/program/StoredWeights.h"

#include "runtime/support/Error.h"

namespace kiln {

std::shared_ptr<WeightSet> openWeights(const std::string &path, std::string &why) {
  try {
    Safetensors file = Safetensors::open(path);
    std::map<std::string, std::string> metadata = file.metadata();
    return std::make_shared<WeightSet>(WeightSet{std::move(file), std::move(metadata)});
  } catch (const Error &error) {
    why = error.what();
    return nullptr;
  }
}

std::string storeAsDeclared(const Manifest &manifest, WeightSet &weights) {
  std::map<std::string, kiln_dtype> stored;
  for (const ParameterSpec &parameter : manifest.parameters)
    stored[parameter.name] = parameter.type.dtype;
  struct Owned {
    Safetensors source; ///< whose bytes the tensors that stay are
    std::vector<std::unique_ptr<uint8_t[]>> rounded;
  };
  std::string what = weights.tensors.what();
  auto owned = std::make_shared<Owned>(Owned{std::move(weights.tensors), {}});
  std::vector<TensorView> tensors = owned->source.tensors();
  std::string why;
  for (TensorView &tensor : tensors) {
    auto found = stored.find(tensor.name);
    if (found == stored.end() || dtypeSize(found->second) >= dtypeSize(tensor.dtype))
      continue;
    int64_t count = countElements(tensor.shape).value_or(0);
    size_t bytes = static_cast<size_t>(count) * dtypeSize(found->second);
    auto memory = std::make_unique<uint8_t[]>(bytes);
    if (!convertElements(tensor.dtype, tensor.data, found->second, memory.get(), count, why))
      return tensor.name + ": " + why;
    tensor.dtype = found->second;
    tensor.data = memory.get();
    tensor.bytes = bytes;
    owned->rounded.push_back(std::move(memory));
  }
  weights.tensors = Safetensors::of(std::move(tensors), what, owned);
  return {};
}

} // namespace kiln
