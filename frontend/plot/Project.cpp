// The directions of largest variance, by multiplying with the covariance again and again.
#include "frontend/plot/Project.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <cmath>

namespace kiln::plot {

namespace {

using Vector = std::vector<double>;

double dot(const Vector &a, const Vector &b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i)
    sum += a[i] * b[i];
  return sum;
}

/// Makes a vector orthogonal to those before it, and one long; its length before.
double orthogonalise(Vector &one, const std::vector<Vector> &before, size_t count) {
  for (int twice = 0; twice < 2; ++twice)
    for (size_t k = 0; k < count; ++k) {
      double along = dot(one, before[k]);
      for (size_t i = 0; i < one.size(); ++i)
        one[i] -= along * before[k][i];
    }
  double length = std::sqrt(dot(one, one));
  for (double &value : one)
    value = length > 0 ? value / length : 0;
  return length;
}

/// Xᵀ(X v) of centred rows.
Vector covariance(const Vector &rows, size_t width, const Vector &v, Vector &scores) {
  Vector out(width);
  for (size_t row = 0; row < scores.size(); ++row) {
    const double *x = &rows[row * width];
    double score = 0;
    for (size_t i = 0; i < width; ++i)
      score += x[i] * v[i];
    scores[row] = score;
    for (size_t i = 0; i < width; ++i)
      out[i] += score * x[i];
  }
  return out;
}

} // namespace

Plane principal(const Array &points) {
  auto count = static_cast<size_t>(points.rows()), width = static_cast<size_t>(points.width());
  if (count < 3 || width < 2)
    fail("%s: %zu points of %zu numbers; two components take at least 3 points of 2 numbers", points.what.c_str(),
         count, width);
  Vector rows = points.values;
  double all = 0;
  for (size_t i = 0; i < width; ++i) {
    double mean = 0;
    for (size_t row = 0; row < count; ++row)
      mean += rows[row * width + i] / static_cast<double>(count);
    for (size_t row = 0; row < count; ++row) {
      rows[row * width + i] -= mean;
      all += rows[row * width + i] * rows[row * width + i];
    }
  }
  if (all == 0)
    fail("%s: all points are one; there is no direction to draw them along", points.what.c_str());
  constexpr size_t size = 2;
  std::vector<Vector> basis(size, Vector(width));
  uint64_t word = 1;
  for (size_t k = 0; k < size; ++k) {
    for (double &value : basis[k]) {
      word = word * 6364136223846793005U + 1442695040888963407U;
      value = static_cast<double>(word >> 40) / (1 << 24) - 0.5;
    }
    orthogonalise(basis[k], basis, k);
  }
  Vector scores(count), lengths(size);
  for (int turn = 0; turn < 500; ++turn) {
    double moved = 0;
    for (size_t k = 0; k < size; ++k) {
      Vector next = covariance(rows, width, basis[k], scores);
      double length = orthogonalise(next, basis, k);
      moved = std::max(moved, 1 - std::abs(dot(next, basis[k])));
      lengths[k] = length;
      if (length > 0)
        basis[k] = next;
    }
    if (moved < 1e-13)
      break;
  }
  if (lengths[1] > lengths[0]) {
    std::swap(lengths[0], lengths[1]);
    std::swap(basis[0], basis[1]);
  }
  Plane plane;
  plane.shareX = lengths[0] / all;
  plane.shareY = lengths[1] / all;
  for (size_t k = 0; k < size; ++k) {
    double largest = *std::max_element(basis[k].begin(), basis[k].end(),
                                       [](double a, double b) { return std::abs(a) < std::abs(b); });
    covariance(rows, width, basis[k], scores);
    for (double score : scores)
      (k ? plane.y : plane.x).push_back(largest < 0 ? -score : score);
  }
  return plane;
}

} // namespace kiln::plot
