#include "runtime/program/Weights.h"

#include "runtime/backend/Embedded.h"
#include "runtime/program/WeightFiles.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cstring>

namespace kiln {

std::span<const std::string_view> tensorsOfTraining() {
  static constexpr std::string_view prefixes[] = {"optimizer.", sessionPrefix};
  return prefixes;
}

// Behind the program: the weights, a mark, their size.
static std::string_view weightsBehind(const MappedFile &file, const kiln_program_image &image) {
  constexpr std::string_view mark = KILN_WEIGHTS_MARK;
  std::string_view text = file.text();
  uint64_t size = 0;
  size_t end = text.size() - std::min(text.size(), mark.size() + sizeof size);
  std::string_view trailer = text.substr(end);
  if (trailer.starts_with(mark) && trailer.size() == mark.size() + sizeof size)
    std::memcpy(&size, trailer.data() + mark.size(), sizeof size);
  if (size == 0 || size != image.weight_bytes || size > end)
    fail("the program's own weights are no longer behind it: its file was cut, stripped or added to; copy or build it "
         "again");
  return text.substr(end - size, size);
}

OwnWeights::OwnWeights(const kiln_program_image &image)
    : file_(ownFile()), tensors_(Safetensors::parse(weightsBehind(file_, image), "the program's own weights")) {}

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

std::vector<TensorRequest> requestsOf(const Manifest &manifest) {
  std::vector<TensorRequest> requests;
  for (const ParameterSpec &parameter : manifest.parameters)
    requests.push_back(requestFor(parameter.name, parameter.type));
  for (const StateSpec &state : manifest.states)
    if (state.kind == "persistent")
      requests.push_back(requestFor(state.name, state.type));
  return requests;
}

std::string weightsMisfit(const Manifest &manifest, const std::string &path) {
  try {
    WeightChoice choice;
    choice.files.push_back({path, ""});
    checkWeightFiles(choice, requestsOf(manifest));
    return "";
  } catch (const Error &error) {
    return error.what();
  }
}

std::string weightsMisfit(const Manifest &manifest, WeightSet &weights) {
  try {
    std::vector<TensorRequest> requests = requestsOf(manifest);
    weights.tensors = withoutSpare(std::move(weights.tensors), requests);
    checkTensors(weights.tensors, requests, /*exact=*/true);
    return "";
  } catch (const Error &error) {
    return error.what();
  }
}

} // namespace kiln
