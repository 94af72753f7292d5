// Experts that stand in one stack, as the matrices that a model's text has.
#pragma once

#include "frontend/huggingface/Settings.h"
#include "runtime/files/Safetensors.h"

namespace kiln::huggingface {

/// gpt-oss: of each expert i a part of NAME.experts.gate_up_proj (whose columns are a gate's and what it lets through,
/// in turn), down_proj and their biases becomes NAME.experts.i.gate_proj.weight, up_proj.bias, …; others stay. `apart`:
/// were there any? Throws Error: a stack of another shape.
Safetensors apartExperts(const Settings &settings, Safetensors files, bool &apart);

} // namespace kiln::huggingface
