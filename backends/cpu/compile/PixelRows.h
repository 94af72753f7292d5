// Convolutions with pixels as rows: how they are cut.
//
// A product's register tile takes elements of its rows one by one, and columns in whole vectors. With output channels
// as rows an image's pixels are the columns: rows of 7, 14 or 28 pixels leave vectors half empty, windows reach beyond
// them, and every second pixel is gathered. With pixels as rows none of this matters: an element under a window is
// read wherever it lies in a padded copy of the image, and output channels, of which layers have multiples of a vector,
// fill the columns.
//
// Registers. A tile of R pixels by V vectors takes R*V sums, V vectors of the filter and one pixel's element: with V =
// 2 R = (registers - 3) / 2 at most, 14 of 32 registers. Rows of pixels are cut into equal pieces, or several of a
// short row's taken together, so that a piece is a tile's rows.
//
// Tasks. A piece's sums stay in the first level until all of K is among them: a task has as many pieces as that holds,
// of one panel of output channels. They are turned then, and each channel's pixels finished side by side. A K block is
// of whole channels, and as long as a product's.
//
// The filter is packed in panels of a tile's columns, turned: once, where it lasts; else by each launch, in a phase of
// its own, or K block by K block by the task that has all pixels of a panel.
#pragma once

#include "backends/cpu/compile/ContractModel.h"

namespace kiln::cpu {

struct PixelExtents {
  int64_t batch = 1, outputs = 1, channels = 1, taps = 1; // at their bounds
  /// Of the image: planes of a channel, places that are copied of one, lengths of its rows; a matrix is cut into
  /// pieces.
  int64_t planes = 1, places = 1, row = 1;
  int64_t tapsOfRow = 1;      // of those of the window that are read from one row of the copy
  int64_t step = 1, seen = 1; // places from a pixel to its neighbour; positions of the image for a pixel
  bool matrix = false;
  bool filterLasts = false; // it is packed once
  bool turned = false;      // its channels are exchanged: a few elements of each lie side by side
  bool inOneRow = false;    // all pixels follow each other, with no gaps between rows or images
  /// Pixels: `images` of `height` rows of `width` each, of which the next begins `pitch` places further.
  int64_t images = 1, height = 1, width = 1, pitch = 1;
  int64_t pixels() const { return images * height * width; }
};

struct PixelCut {
  int64_t rows = 0;               // R; 0: another form takes no longer
  int64_t lanes = 1, vectors = 1; // V
  /// Lines of `length` units of `unit` pixels, in pieces of `step` units: parts of rows of pixels, or several of these.
  int64_t lines = 1, length = 1, step = 1, unit = 1;
  int64_t inRow = 1, pitch = 0;              // of a piece: pixels of a row, places from one to the next
  int64_t piecesOfTask = 1, unitOfTasks = 1; // at most; what pieces are dealt out to tasks in
  int64_t channelsOfBlock = 1;
  bool packsBlocks = false; // of a filter that does not last, in the tasks: each panel is one task's
  int64_t columns() const { return lanes * vectors; }
  int64_t piecesOfLine() const { return ceilDivide(length, step); }
  int64_t pieces() const { return lines * piecesOfLine(); }
  int64_t rest() const { return (length - (piecesOfLine() - 1) * step) * unit; } // pixels of a line's last piece
};

/// `cycles`: what the product takes otherwise, by its model.
PixelCut choosePixelRows(const Machine &machine, const PixelExtents &extents, double cycles);

} // namespace kiln::cpu
