// Points of many numbers as points of two.
#pragma once

#include "frontend/plot/Numbers.h"

namespace kiln::plot {

struct Plane {
  std::vector<double> x, y;
  double shareX = 0, shareY = 0; // of the variance
};

/// Principal components: the two directions of the largest variance. The largest part of each is positive.
Plane principal(const Array &points);

/// The points [N, 2] of a t-SNE, which models/tsne computes: `kiln` compiles it and runs it. Throws Error.
Plane tsne(const Array &points, double perplexity, int64_t steps, int64_t seed, const std::string &kiln);

} // namespace kiln::plot
