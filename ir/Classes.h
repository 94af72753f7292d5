// What ops are beyond their names: their class, their cost, and the dtypes of their elements.
#pragma once

#include "ir/Kiln.h"

#include "backends/api/kiln_backend.h"

namespace kiln {

/// What an op does to elements, as its definition says (ir/KilnBase.td).
enum class OpClass {
#define KILN_CLASS(name) name,
#include "ir/Ops.inc"
};

/// What an element costs beside reading and writing it, in rising order.
enum class OpCost {
#define KILN_COST(name) name,
#include "ir/Ops.inc"
};

/// Ops of other dialects: Structure, Free.
OpClass opClassOf(mlir::Operation *op);
OpCost opCostOf(mlir::Operation *op);

inline bool isElementwise(mlir::Operation *op) { return opClassOf(op) == OpClass::Elementwise; }
/// Moves elements without computing: transpose, pad, gather, ...
inline bool isLayout(mlir::Operation *op) { return opClassOf(op) == OpClass::Layout; }
/// A layout op of one tensor alone, by constants: reshape, transpose, broadcast, slice, reverse.
inline bool isReindexing(mlir::Operation *op) { return isLayout(op) && op->getNumOperands() == 1; }
/// What makes f32 of numbers that are stored in blocks.
inline bool widensBlocks(mlir::Operation *op) { return llvm::isa<DequantizeOp, DecodeOp>(op); }
/// Made of nothing that is stored: constant, iota, extent, and what costs a generator's rounds, random_bits.
inline bool isSource(mlir::Operation *op) { return opClassOf(op) == OpClass::Source; }
/// Attention's gradients, of any kind.
inline bool isAttentionGrad(mlir::Operation *op) { return op->hasTrait<AttendsGrad>(); }
/// Composites of which a group may be made: attention of any kind, or its gradients.
inline bool isAttention(mlir::Operation *op) { return op->hasTrait<Attends>() || isAttentionGrad(op); }
/// scan, if, while.
inline bool isControl(mlir::Operation *op) { return opClassOf(op) == OpClass::Control; }
/// Dear enough that doing it twice costs more than storing it: exp, tanh, div, pow, ...
inline bool isDear(mlir::Operation *op) { return opCostOf(op) >= OpCost::Division; }

/// As the op reference, backends and kernels have it: "softmax", and a custom op's own name.
llvm::StringRef nameOf(mlir::Operation *op);
/// A composite or custom op that a backend takes whole (`kiln.whole`): it is not decomposed, is a group of its own, and
/// reads what is stored.
bool isWhole(mlir::Operation *op);
void keepWhole(mlir::Operation *op);

/// The dtype that an element type of the dialect is; none for any other type.
std::optional<kiln_dtype> dtypeOf(mlir::Type element);
/// Bytes of one element in memory, of a tensor or an element type of the dialect: a bool takes one.
int64_t elementBytes(mlir::Type type);
/// Little-endian elements, row-major; one element for a splat. A bool takes a byte.
mlir::FailureOr<std::string> elementData(mlir::ElementsAttr elements);

} // namespace kiln
