// In which blocks a program keeps weights that come in some.
#include "frontend/driver/StoredForms.h"

#include "runtime/program/StoredWeights.h"
#include "runtime/program/Weights.h"

#include "absl/strings/str_cat.h"

namespace kiln {

static StoredForms formsOf(const Safetensors &weights) {
  StoredForms forms;
  for (const TensorView &tensor : weights.tensors())
    if (auto form = blockFormOf(tensor.name, [&](const std::string &name) { return weights.find(name); }))
      forms[tensor.name] = *form;
  return forms;
}

absl::StatusOr<StoredForms> storedForms(const ModelOptions &options) {
  if (!namesFile(options.weightsAs))
    return options.weightsAs.empty() && options.weightSet ? formsOf(options.weightSet->tensors) : StoredForms();
  std::string why;
  std::shared_ptr<WeightSet> file = openWeights(options.weightsAs, why);
  if (!file)
    return absl::InvalidArgumentError(absl::StrCat("--weights-as: ", why));
  StoredForms forms = formsOf(file->tensors);
  if (forms.empty())
    return absl::InvalidArgumentError(absl::StrCat("--weights-as ", options.weightsAs,
                                                   ": none of its matrices is in blocks, as `kiln import --lora` "
                                                   "writes those of a quantised model"));
  return forms;
}

} // namespace kiln
