// A compiled program, linked as a shared library into this process, behind plain types: the runtime throws, and what
// includes MLIR must not.
#pragma once

#include "backends/api/kiln_backend.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace kiln::test {

/// Values as the interpreter holds them; which of the two vectors counts follows from the dtype.
struct PlainTensor {
  std::string name;
  kiln_dtype dtype = KILN_F32;
  std::vector<int64_t> shape;
  std::vector<double> floats;
  std::vector<int64_t> integers;
};

class Loaded {
public:
  /// `library`: a path for dlopen that defines kiln_cpu_artifact. Null, with the reason, where that fails.
  static std::unique_ptr<Loaded> open(const std::string &library, std::string manifest,
                                      const std::vector<uint8_t> &constants, unsigned threads, std::string &error);
  /// The same for a backend whose artifact is bytes, with nothing to link.
  static std::unique_ptr<Loaded> openBytes(const char *backend, kiln_backend_fn function, std::vector<uint8_t> artifact,
                                           std::string manifest, const std::vector<uint8_t> &constants,
                                           unsigned threads, std::string &error);
  ~Loaded();

  /// Sets the arguments (parameters, states and inputs by name), runs the entry, and gives the loss (where there is
  /// one), the outputs, the gradients. False, with the reason, on any error.
  bool run(const std::string &entry, const std::vector<PlainTensor> &arguments, uint32_t seed, int64_t step,
           std::vector<PlainTensor> &results, std::string &error);
  /// Runs every entry once on made-up inputs at the bounds, from initial parameters. Gives each one's error, empty
  /// where it ran.
  std::vector<std::pair<std::string, std::string>> runAll();
  /// Parameters and states as they are.
  std::vector<PlainTensor> memory();

private:
  struct State;
  explicit Loaded(std::unique_ptr<State> state);
  static std::unique_ptr<Loaded> start(std::unique_ptr<State> state, std::string manifest,
                                       const std::vector<uint8_t> &constants, unsigned threads, std::string &error);
  std::unique_ptr<State> state_;
};

} // namespace kiln::test
