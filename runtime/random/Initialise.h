// How parameters and states begin.
#pragma once

#include "backends/api/kiln_backend.h"

#include <cstdint>
#include <span>
#include <string>

namespace kiln {

class Json;
class ThreadPool;

/// Fills a tensor by its `init` ({"kind": "normal", "mean": 0, "std": 1}); a pure function of (seed, name, shape,
/// init). An empty or absent init is zeros. Kinds, as torch.nn.init: zeros, ones, constant (value), eye,
/// uniform (low, high), normal (mean, std), truncated_normal (mean, std, low, high), xavier_uniform, xavier_normal
/// (gain), kaiming_uniform, kaiming_normal (a, mode "fan_in"|"fan_out", nonlinearity or gain), orthogonal (gain), and
/// default (Linear's and Conv's: uniform within 1/sqrt(fan_in), or within 1/sqrt(fan) where `fan` is given). Beside any
/// of them `zero_row` names a row along axis 0 that is zeros, and `of`
/// the name that stands in for the tensor's own. `zeroed`: the memory is zeros already (what is to be zeros is then not
/// touched).
void initialise(const std::string &name, const Json *init, uint32_t seed, kiln_dtype dtype,
                std::span<const int64_t> shape, void *data, ThreadPool &pool, bool zeroed = false);

} // namespace kiln
