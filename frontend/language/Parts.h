// Arithmetic on all weights of a part of the model at once, where a recipe says so: average = 0.9 * average + 0.1 *
// net.
#pragma once

#include "frontend/language/Elaborate.h"

namespace kiln::language {

/// Whether the function being built assigns parameters: a recipe's `begin`, `after` and `end`.
bool assignsParts(const Entry *entry);
/// A part of the model, or what arithmetic on parts gives.
bool isPart(const Value &value);

/// The parameters of a part by their paths, as a dict of tensors; in a recipe's blocks the persistent states as well,
/// unless they are not wanted.
Value partTensors(Elaborator &e, const Value &part, Range range, bool parametersAlone = false);
/// Whether arithmetic is with all tensors of parts: in a recipe's blocks, and where one is a dict of tensors already.
bool isOfParts(const Entry *entry, llvm::ArrayRef<Value> values);

/// `op` on two parts with the same parameters, or on a part and a number.
Value partsBinary(Elaborator &e, std::string_view op, const Value &left, const Value &right, Range range,
                  Range leftRange, Range rightRange);
/// A function of numbers, of each tensor of the parts among its arguments.
Value partsCall(Elaborator &e, const Builtin &builtin, const Arguments &arguments, Range range);
bool appliesToParts(const Entry *entry, const Builtin &builtin, const Arguments &arguments);

/// New values for a parameter, a part or a list of parts. False where `target` is none of these.
bool assignPart(Elaborator &e, const Expr &target, const Value &place, const Value &value, Range valueRange);

/// The part with other tensors in the place of its parameters: `values` are theirs by their paths.
Value partWith(Elaborator &e, const Value &part, const Value &values, Range range);

/// copy(part): another one like it, with parameters of its own that begin as the part's.
Value copyPart(Elaborator &e, const Value &value, bool trainable);

} // namespace kiln::language
