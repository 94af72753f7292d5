// Weights in the types that a program stores them in.
#pragma once

#include "runtime/program/StoredError.h"
#include "runtime/program/Weights.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace kiln {

/// The weights of a file, as views into it. Null, with the reason in `why`, where it is none.
std::shared_ptr<WeightSet> openWeights(const std::string &path, std::string &why);

/// What a program stores: of each parameter the type, by its name.
struct StoredType {
  kiln_dtype dtype = KILN_F32;
  std::vector<int64_t> shape;
};
using StoredTypes = std::map<std::string, StoredType>;
StoredTypes storedTypes(const std::vector<TensorRequest> &requests);

/// Of matrices, by their names, how much an error is felt of each of the numbers that lie along their blocks: halves of
/// bytes are chosen by it. As a program observes it that is built with --observe: the sum of the squares of what is
/// multiplied with them. Throws Error where the file has none, or has numbers that are none.
using Importance = std::map<std::string, std::vector<double>>;
Importance readImportance(const std::string &path);

/// Tensors whose type is narrower become of that type, rounded to nearest (to infinity beyond its range); matrices that
/// are stored in blocks (BlockForm) become blocks and scales. A byte is its element over the scale, which is its
/// block's largest magnitude over 127; of halves of bytes scale and minimum are chosen for a small error. The others
/// stay the views that they are, those in blocks already too. Throws Error: which tensor cannot be stored so, and why.
Safetensors storeAs(const StoredTypes &types, Safetensors weights, std::vector<StoredError> *errors = nullptr,
                    const Importance &importance = {});

/// Whether there are such matrices of blocks among the weights.
bool makesBlocks(const StoredTypes &types, const Safetensors &weights);

/// The names, dtypes and shapes that storeAs would leave; their bytes mean nothing.
Safetensors typesAs(const StoredTypes &types, const Safetensors &weights);

/// Why a set's tensors, stored so, are not the weights of the program; empty where they are. What the program does not
/// need goes.
std::string storedMisfit(const Manifest &manifest, WeightSet &weights);
/// The set's tensors as the program stores them, by the importance that is in a file, where it is named. Not empty:
/// which cannot be stored so, and why.
std::string storeSet(const Manifest &manifest, WeightSet &weights, const std::string &importance,
                     std::vector<StoredError> &errors);

} // namespace kiln
