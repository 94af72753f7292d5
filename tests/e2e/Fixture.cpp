#include "tests/e2e/Fixture.h"

#include "runtime/files/Safetensors.h"
#include "tests/e2e/Command.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <sstream>

namespace kiln::test {

std::map<std::string, Values> readTensors(const std::string &path) {
  std::map<std::string, Values> result;
  Safetensors file = Safetensors::open(path);
  for (const TensorView &tensor : file.tensors()) {
    Values &values = result[std::string(tensor.name)];
    values.shape.assign(tensor.shape.begin(), tensor.shape.end());
    int64_t count = 1;
    for (int64_t extent : values.shape)
      count *= extent;
    values.data.resize(count);
    for (int64_t i = 0; i < count; ++i)
      values.data[i] = loadNumber(tensor.dtype, tensor.data, i);
  }
  return result;
}

Fixture Fixture::open(const std::string &name) {
  Fixture fixture;
  fixture.name = name;
  fixture.folder = sourceFolder() + "/tests/fixtures/" + name;
  std::ifstream file(fixture.folder + "/case.json");
  nlohmann::json text = nlohmann::json::parse(file);
  fixture.source = sourceFolder() + "/" + text["source"].get<std::string>();
  fixture.model = text["model"];
  for (const auto &[key, value] : text["set"].items())
    fixture.settings.emplace_back(key, value.is_string() ? value.get<std::string>() : value.dump());
  fixture.data = sourceFolder() + "/tests/fixtures/" + text.value("data", name);
  fixture.given = text.contains("given") ? fixture.folder + "/" + text["given"].get<std::string>()
                                         : fixture.data + "/inputs.safetensors";
  fixture.function = text.value("function", "forward");
  for (const auto &[field, values] : readTensors(fixture.data + "/inputs.safetensors"))
    fixture.fields.push_back(field);
  if (text.contains("inputs"))
    fixture.inputs = text["inputs"];
  else
    std::copy_if(fixture.fields.begin(), fixture.fields.end(), std::back_inserter(fixture.inputs),
                 [](const std::string &field) { return field != "label" && field != "next"; });
  fixture.leftOut = text["left_out"];
  fixture.expected = readTensors(fixture.folder + "/expected.safetensors");
  return fixture;
}

std::vector<double> Fixture::lossTolerances() const {
  const std::vector<double> &single = expected.at("loss.f32").data, &wide = expected.at("loss.f64").data;
  std::vector<double> result;
  double gap = 0;
  for (size_t step = 0; step < wide.size(); ++step) {
    for (size_t i = step; i < single.size(); i += wide.size())
      gap = std::max(gap, std::abs(single[i] / wide[step] - 1));
    result.push_back(std::max(3e-6, 10 * gap));
  }
  return result;
}

double norm(const Values &values) {
  double sum = 0;
  for (double value : values.data)
    sum += value * value;
  return std::sqrt(sum);
}

double distance(const Values &a, const Values &b) {
  if (a.shape != b.shape)
    return std::numeric_limits<double>::infinity();
  double sum = 0;
  for (size_t i = 0; i < a.data.size(); ++i)
    sum += (a.data[i] - b.data[i]) * (a.data[i] - b.data[i]);
  return std::sqrt(sum);
}

std::string compareValues(const std::string &what, const Values &expected, const Values &found, double tolerance) {
  double away = distance(expected, found), allowed = tolerance * norm(expected);
  if (away <= allowed)
    return "";
  std::ostringstream line;
  if (expected.shape != found.shape)
    line << what << ": shapes differ\n";
  else
    line << what << ": " << away << " away, allowed " << allowed << "\n";
  return line.str();
}

std::string compareGradients(const Fixture &fixture, const std::map<std::string, Values> &gradients) {
  double all = 0;
  for (const auto &[name, values] : fixture.expected)
    if (name.starts_with("gradient."))
      all += norm(values) * norm(values);
  all = std::sqrt(all);
  std::ostringstream wrong;
  for (const auto &[key, values] : fixture.expected) {
    if (!key.starts_with("gradient."))
      continue;
    std::string name = key.substr(9);
    auto found = gradients.find(name);
    if (found == gradients.end()) {
      wrong << name << ": no gradient\n";
      continue;
    }
    double away = distance(values, found->second), allowed = 1e-5 * std::max(norm(values), 1e-4 * all);
    // Where float32 cannot tell any better, PyTorch's own cannot either: ten times as far as it strays.
    if (auto own = fixture.expected.find("distance." + name); own != fixture.expected.end())
      allowed = std::max(allowed, 10 * own->second.data.at(0));
    if (!(away <= allowed))
      wrong << name << ": " << away << " away, allowed " << allowed << ", norm " << norm(values) << "\n";
  }
  for (const auto &[name, values] : gradients)
    if (!fixture.expected.contains("gradient." + name) && !fixture.leftOut.contains(name))
      wrong << name << ": a gradient that PyTorch does not have\n";
  return wrong.str();
}

std::string compareFinal(const Fixture &fixture, const std::map<std::string, Values> &weights) {
  std::ostringstream wrong;
  for (const auto &[key, values] : fixture.expected) {
    if (!key.starts_with("final."))
      continue;
    std::string name = key.substr(6);
    auto found = weights.find(name);
    if (found == weights.end()) {
      wrong << name << ": no such weight\n";
      continue;
    }
    double own = fixture.expected.at("strayed." + name).data.at(0), away = distance(values, found->second);
    if (double allowed = std::max(1e-5 * norm(values), 10 * own); !(away <= allowed))
      wrong << name << ": " << away << " away after the last step, allowed " << allowed << "\n";
  }
  return wrong.str();
}

std::string compareLosses(const Fixture &fixture, const std::vector<double> &losses, double least) {
  const std::vector<double> &wide = fixture.expected.at("loss.f64").data;
  std::vector<double> tolerances = fixture.lossTolerances();
  std::ostringstream wrong;
  if (losses.size() > wide.size())
    wrong << losses.size() << " losses, expected " << wide.size() << "\n";
  wrong.precision(9);
  for (size_t i = 0; i < std::min(losses.size(), wide.size()); ++i)
    if (tolerances[i] = std::max(tolerances[i], least); !(std::abs(losses[i] / wide[i] - 1) <= tolerances[i]))
      wrong << "step " << i << ": loss " << losses[i] << ", PyTorch " << wide[i] << ", relative "
            << std::abs(losses[i] / wide[i] - 1) << " above " << tolerances[i] << "\n";
  return wrong.str();
}

} // namespace kiln::test
