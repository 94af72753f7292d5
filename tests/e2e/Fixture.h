// A parity case of tests/fixtures: PyTorch's weights, batches and figures. See make_fixtures.py for the format.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace kiln::test {

struct Values {
  std::vector<int64_t> shape;
  std::vector<double> data;
};

/// Every tensor of a safetensors file, widened to double.
std::map<std::string, Values> readTensors(const std::string &path);

struct Fixture {
  std::string name, folder, source, model;
  std::string data;                                          ///< the folder of the batches; another case's at times
  std::string given;                                         ///< the file of what `function` takes
  std::vector<std::string> fields;                           ///< of the batches
  std::vector<std::string> inputs;                           ///< of these, those that `function` takes
  std::string function;                                      ///< whose outputs are compared
  std::vector<std::pair<std::string, std::string>> settings; ///< for --set
  std::map<std::string, std::string> leftOut;                ///< tensor, and why it is not compared
  std::map<std::string, Values> expected;

  static Fixture open(const std::string &name);

  /// At each step 3e-6, or ten times the largest distance so far of PyTorch's float32 losses (of all its runs) from its
  /// float64 ones.
  std::vector<double> lossTolerances() const;
};

double norm(const Values &values);
/// ‖a − b‖; infinite where the shapes differ, NaN where a number is none.
double distance(const Values &a, const Values &b);

/// All that is wrong with `gradients` beside the expected ones, a line each: |Δ| ≤ 1e-5 · max(norm, 1e-4 · norm of
/// all).
std::string compareGradients(const Fixture &fixture, const std::map<std::string, Values> &gradients);

/// All that is wrong with the weights after the last step, a line each: ‖Δ‖ ≤ 1e-5 · ‖w‖, or ten times as far as
/// PyTorch's own float32 runs stray. (Cases that have no `final.NAME` compare nothing.)
std::string compareFinal(const Fixture &fixture, const std::map<std::string, Values> &weights);

/// All that is wrong with the losses, a line for each step outside its tolerance, or `least` where that is more.
std::string compareLosses(const Fixture &fixture, const std::vector<double> &losses, double least = 0);

/// Empty, or a line that says how far `found` is from `expected` (allowed: `tolerance` · its norm).
std::string compareValues(const std::string &what, const Values &expected, const Values &found, double tolerance);

} // namespace kiln::test
