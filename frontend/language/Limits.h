// The language's limits, as docs/language.md states them under "Limits". Each is asked while the text is read or
// elaborated, so that no later stage is the first to refuse a model.
#pragma once

#include <cstdint>

namespace kiln::language {

constexpr int maxBlocks = 100;      // nested in each other; an elif stands in the one before
constexpr int maxExpressions = 150; // nested in one statement
constexpr size_t maxLoops = 8;      // of a comprehension
constexpr int maxCalls = 100;       // of functions, and of modules that make modules
constexpr int maxEvaluations = 2000;
constexpr int64_t maxSteps = 20'000'000;
constexpr int64_t maxRank = 16; // what a manifest and a safetensors file hold
constexpr int maxScans = 3;     // KILN_MAX_LOOPS
constexpr int64_t maxExtent = 1ll << 40;

} // namespace kiln::language
