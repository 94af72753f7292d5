// Weights in the types that a program stores them in.
#pragma once

#include "runtime/program/Weights.h"

#include <memory>

namespace kiln {

/// The weights of a file, as views into it. Null, with the reason in `why`, where it is none.
std::shared_ptr<WeightSet> openWeights(const std::string &path, std::string &why);

/// Tensors of parameters whose type is narrower become of that type, rounded to nearest (to infinity beyond its range);
/// those of parameters in blocks (i8[N, K / 32, 32] beside NAME.scales, f32[N, K / 32]) become bytes and scales: a
/// block's scale is its largest magnitude over 127, and a byte its element over that, rounded. The others stay
/// the views that they are. Not empty: which tensor cannot be stored so, and why.
std::string storeAsDeclared(const Manifest &manifest, WeightSet &weights);

} // namespace kiln
