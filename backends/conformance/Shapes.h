// Shapes that break things: nothing, one, primes, beyond vector widths and workgroups.
#pragma once

#include "backends/conformance/Case.h"

#include <functional>

namespace kiln::conformance {

/// The first is not empty and large enough for all pairs of special values, where the rank allows it.
const std::vector<std::vector<int64_t>> &edgeShapes(size_t rank);

/// Dimensions of a value of the rank, and a launch for each edge shape (one where extents are constant).
Dims dimsOf(Kernel &kernel, size_t rank, bool dynamic, std::vector<Launch> &launches);

/// An extent that follows from the shape that dimsOf gave: an argument of the launches too where they are.
kiln_extent derived(Kernel &kernel, size_t rank, bool dynamic, std::vector<Launch> &launches,
                    const std::function<int64_t(const std::vector<int64_t> &)> &f);

/// Launches at extents at and beside the widths of vectors (of 4, 8 and 16 lanes), and the smallest: each on each axis,
/// with others beside it; and one axis of 1 among wide ones. More in the full tier.
void addEdgeExtents(std::vector<Launch> &launches, size_t rank);
/// The same where one of the `count` extents, that of this number, has one value.
void addEdgeExtentsWith(std::vector<Launch> &launches, size_t count, size_t number, int64_t value);

/// With the first launch, and some of the others, repeated in place.
void addInPlace(Case &made);

std::string variantOf(size_t rank, bool dynamic);

} // namespace kiln::conformance
