// Weights in the types that a program stores them in.
#pragma once

#include "runtime/program/Weights.h"

#include <memory>

namespace kiln {

/// The weights of a file, as views into it. Null, with the reason in `why`, where it is none.
std::shared_ptr<WeightSet> openWeights(const std::string &path, std::string &why);

/// Tensors of parameters whose type is narrower become of that type, rounded to nearest (to infinity beyond its range);
/// the others stay the views that they are. Not empty: which tensor is no float where one is asked for.
std::string storeAsDeclared(const Manifest &manifest, WeightSet &weights);

} // namespace kiln
