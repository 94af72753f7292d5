// What a file of weights has to hold for a program.
#pragma once

#include "runtime/files/Safetensors.h"
#include "runtime/program/Manifest.h"

#include <span>
#include <string>
#include <string_view>

namespace kiln {

/// What a session state's name begins with in a checkpoint.
inline constexpr std::string_view sessionPrefix = "session.";

/// A checkpoint holds the optimizer's and the session's states beside the weights; only those are passed over.
std::span<const std::string_view> tensorsOfTraining();

/// Why no program starts with this manifest; empty where one does.
std::string manifestMisfit(const std::string &text);

/// Why the file's tensors are not the weights of the program: names, shapes, dtypes, or the file is none. Empty where
/// they are.
std::string weightsMisfit(const Manifest &manifest, const std::string &path);

} // namespace kiln
