#include "runtime/program/Weights.h"

#include "runtime/program/WeightFiles.h"
#include "runtime/support/Error.h"

namespace kiln {

std::span<const std::string_view> tensorsOfTraining() {
  static constexpr std::string_view prefixes[] = {"optimizer.", sessionPrefix};
  return prefixes;
}

static TensorRequest requestFor(const std::string &name, const TypeSpec &type) {
  TensorRequest request{name, type.dtype, {}, nullptr};
  for (const Dim &dim : type.shape)
    request.shape.push_back(dim.constant().value_or(0));
  return request;
}

std::string manifestMisfit(const std::string &text) {
  try {
    Manifest::parse(text);
    return "";
  } catch (const std::exception &error) {
    return error.what();
  }
}

std::string weightsMisfit(const Manifest &manifest, const std::string &path) {
  try {
    std::vector<TensorRequest> requests;
    for (const ParameterSpec &parameter : manifest.parameters)
      requests.push_back(requestFor(parameter.name, parameter.type));
    for (const StateSpec &state : manifest.states)
      if (state.kind == "persistent")
        requests.push_back(requestFor(state.name, state.type));
    WeightChoice choice;
    choice.files.push_back({path, ""});
    checkWeightFiles(choice, requests);
    return "";
  } catch (const Error &error) {
    return error.what();
  }
}

} // namespace kiln
