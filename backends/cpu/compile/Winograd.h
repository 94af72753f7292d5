// 3 by 3 convolutions of stride 1 by fewer products (Winograd 1980; Lavin and Gray 2016): how they are cut.
//
// A tile of R by R outputs needs (R + 2)² products of numbers that depend on the image alone with others that depend on
// the filter alone, in place of 9 R²: 2.25 times fewer for R = 2, 4 times for R = 4.
//
//   output tile = Aᵀ [sum over channels of (G filter Gᵀ) ∘ (Bᵀ image tile B)] A
//
// The sum is (R + 2)² products of matrices: rows are output channels, columns tiles, K channels. Only under
// --math fast: rounding errors are larger (docs/performance.md), and what one element of a tile is (an infinity)
// reaches all of them.
#pragma once

#include "backends/cpu/compile/ContractModel.h"

namespace kiln::cpu {

/// The transforms for tiles of `outputs` outputs along an axis: matrices as rows.
struct WinogradMatrices {
  using Matrix = llvm::SmallVector<llvm::SmallVector<double, 6>, 6>;
  Matrix image, filter, output; // Bᵀ, G, Aᵀ
};
const WinogradMatrices &winogradMatrices(int64_t outputs);

struct WinogradExtents {
  int64_t batch = 1, outputs = 1, channels = 1; // at their bounds
  int64_t pixels = 1;                           // of an image's result
  bool filterLasts = false;                     // its transform is made once
};

/// Of the image in tiles (Contraction::Window): tiles, planes of a channel, their places, their rows' length, rows that
/// a vector of tiles touches.
struct WinogradTiles {
  int64_t count = 1, planes = 1, places = 1, row = 1, rowsOfVector = 1;
};

struct WinogradCut {
  int64_t outputs = 0;            // R; 0: the definition's sums take no longer
  int64_t lanes = 1, vectors = 1; // of a panel of tiles,
  int64_t rows = 1;               // and of a sliver of output channels
  int64_t panelsOfTask = 1;       // that stay in the second level while slivers stream past them
  int64_t sliversOfTask = 1;
  int64_t places() const { return (outputs + 2) * (outputs + 2); } // products of matrices
};

/// `tiles`: of tiles of 2, and of 4 outputs.
WinogradCut chooseWinograd(const Machine &machine, const WinogradExtents &extents,
                           llvm::function_ref<WinogradTiles(int64_t outputs)> tiles);

} // namespace kiln::cpu
