// A backend for tests, in C++: kernels by name, run one launch after another.
#pragma once

#include "backends/api/kiln_backend.h"
#include "runtime/program/Image.h"

#include <string>

namespace kiln::testing {

/// Linear regression: y = x w + b by stochastic gradient descent, with dynamic rows in eval and forward.
/// Its data source "data" is csv unless `reader` says otherwise.
std::string lineManifest(const std::string &dataPath);

/// A model that draws sequences: five tokens, of which 0 ends; logits chainTable(h, token) with a state h in 0 to 6,
/// which a token v takes to (3 h + v + 1) mod 7. The cache holds 6 tokens.
std::string chainManifest();
float chainTable(int32_t h, int32_t v);

/// An image whose manifest is `manifest` (which must outlive it) and whose backend is the fake.
kiln_program_image fakeImage(const std::string &manifest);

/// The fake's functions, for a test that changes them for a while.
kiln_run_api &fakeRunSide();

/// Programs loaded from now on find a device with memory of its own.
void keepApart(bool on);

} // namespace kiln::testing
