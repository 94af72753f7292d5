// The kiln dialect: attributes, types' helpers and ops.
#pragma once

#include "ir/Traits.h"
#include "runtime/support/Dim.h"

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/TensorEncoding.h"
#include "mlir/Interfaces/ControlFlowInterfaces.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "ir/KilnDialect.h.inc"
#include "ir/KilnEnums.h.inc"
#define GET_ATTRDEF_CLASSES
#include "ir/KilnAttrs.h.inc"
#include "ir/KilnInterfaces.h.inc"
#define GET_OP_CLASSES
#include "ir/KilnOps.h.inc"

namespace kiln {

/// The tensor type with these dimensions: symbolic ones live in the
/// `#kiln.dims` encoding, and a type whose dimensions are all constant has
/// none. Every tensor type of the dialect is made here.
mlir::RankedTensorType tensorType(llvm::ArrayRef<Dim> dims, mlir::Type element);

/// The dimensions of a tensor type made by tensorType.
llvm::SmallVector<Dim> dimsOf(mlir::Type type);
inline llvm::SmallVector<Dim> dimsOf(mlir::Value value) { return dimsOf(value.getType()); }

/// The same dimensions with another element type.
mlir::RankedTensorType withElement(mlir::Type type, mlir::Type element);

/// bf16 and f16, which are computed in f32 where several ops follow each other.
inline bool isNarrowFloat(mlir::Type element) { return element.isBF16() || element.isF16(); }
/// Whether a number is one of an integer element type's. (A splat of one that is not would wrap.)
bool holdsInteger(mlir::Type element, int64_t value);

} // namespace kiln
