// Forms of kernels for devices that work in workgroups.
//
// One function for each form, for kernels of its shape. True: the builder holds the kernel; false: it cannot be printed
// so, and what the builder holds is of no use. All but the last take indices of 32 bits: Graph::fits32.
#pragma once

#include "Workgroup.h"

namespace kiln::sdk {

class ContractionBuilder;
/// dot_general and convolution with what stands above and below. others: adds the backend's own variants, behind that
/// for processors and before that for all devices (Contraction.h).
bool buildContraction(Builder &builder, const std::function<void(ContractionBuilder &product)> &others = {});
/// Reductions of any axes that do not depend on one another: partial results by chunk, then these together.
bool buildColumns(Builder &builder);
/// Reductions of the trailing axes with what stands around them: a row for each workgroup, or each invocation.
bool buildRows(Builder &builder);
/// scatter alone.
bool buildScatter(Builder &builder);
/// attention and attention_grad with transposes around them.
bool buildAttention(Builder &builder);
/// An item an element, phase after phase: everything whose ops the emitter can print, in indices of any width. A reason
/// for the user, and the op's number or KILN_NONE, where that is not so.
bool buildElements(Builder &builder, std::string &reason, uint32_t &op);
/// The form for the kernel's shape; the last one for those that have none, or whose indices need 64 bits. False with a
/// reason for the user where that does not do.
bool buildKernel(Builder &builder, std::string &reason, uint32_t &op,
                 const std::function<void(ContractionBuilder &product)> &others = {});

} // namespace kiln::sdk
