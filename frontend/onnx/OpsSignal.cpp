// Resizing, and the spectra of signals.
#include "frontend/onnx/Ops.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace kiln::onnx {

static void expectOneOf(const char *what, const std::string &value, std::initializer_list<const char *> known) {
  if (std::none_of(known.begin(), known.end(), [&](const char *one) { return value == one; }))
    refuse("its " + std::string(what) + " is '" + value + "', which is not there");
}

/// Sizes that keep the ratio of the sides: all axes by the smallest or the largest of the factors that are asked for,
/// which it gives.
static double keepRatio(const std::string &policy, const Value &x, const std::vector<int64_t> &axes,
                        std::vector<Dim> &sizes) {
  double factor = policy == "not_larger" ? HUGE_VAL : 0;
  std::vector<double> extents;
  for (size_t i = 0; i < axes.size(); ++i) {
    std::optional<int64_t> extent = x.shape[axes[i]].constant(), size = sizes[i].constant();
    if (!extent || !size || *extent < 1)
      refuse("it keeps the ratio of sides that are not known");
    extents.push_back(static_cast<double>(*extent));
    double own = static_cast<double>(*size) / extents.back();
    factor = policy == "not_larger" ? std::min(factor, own) : std::max(factor, own);
  }
  for (size_t i = 0; i < axes.size(); ++i)
    sizes[i] = Dim(static_cast<int64_t>(std::floor(factor * extents[i] + 0.5)));
  return factor;
}

/// One axis by a filter that is stretched where it shrinks (antialias), has another coefficient, or counts nothing
/// outside.
static std::string filtered(const std::string &x, int64_t axis, const Dim &extent, const Dim &size, double scale,
                            const std::string &step, const std::string &place, const std::string &mode, double cubic,
                            bool antialias, bool exclude) {
  double stretch = 1;
  if (antialias) {
    if (scale == 0) {
      if (!extent.constant() || !size.constant() || *extent.constant() < 1)
        refuse("it has antialias, and the sizes of an axis are not known");
      scale = static_cast<double>(*size.constant()) / static_cast<double>(*extent.constant());
    }
    stretch = std::max(1.0, 1 / scale);
  }
  auto first = static_cast<int64_t>(std::floor((mode == "cubic" ? -2 : -1) * stretch)) + 1;
  if (first < -1024)
    refuse("it shrinks an axis by more than 512");
  std::string distance = step.empty() ? "f32(" + dimText(extent) + ") / f32(" + dimText(size) + ")" : step;
  return "filtered(" + x + ", " + std::to_string(axis) + ", " + dimText(size) + ", " + distance + ", " +
         (step.empty() ? "False" : "True") + ", \"" + place + "\", \"" + mode + "\", " + std::to_string(first) + ", " +
         std::to_string(2 - first) + (stretch == 1 ? "" : keyword("stretch", numberText(stretch, KILN_F64))) +
         (cubic == -0.75 ? "" : keyword("a", numberText(cubic))) + (exclude ? ", alone=True)" : ")");
}

/// So much of an open dimension, rounded down, where the factor is a fraction exactly, as 1.5 is.
static std::optional<Dim> partOf(const Dim &extent, double factor) {
  constexpr int64_t kParts = 1024;
  double parts = factor * kParts;
  if (parts != std::floor(parts) || parts < 1 || parts > 1e9)
    return std::nullopt;
  int64_t common = std::gcd(static_cast<int64_t>(parts), kParts);
  return (extent * Dim(static_cast<int64_t>(parts) / common)).floordiv(kParts / common);
}

static void resize(Call &call) {
  Value x = call.in(0);
  bool old = call.node.type == "Upsample" || call.opset < 11;
  std::string mode = call.string("mode", "nearest"),
              place = call.string("coordinate_transformation_mode", old ? "asymmetric" : "half_pixel");
  std::string nearest = call.string("nearest_mode", old ? "floor" : "round_prefer_floor"),
              policy = call.string("keep_aspect_ratio_policy", "stretch");
  double cubic = call.number("cubic_coeff_a", -0.75), outside = call.number("extrapolation_value", 0);
  bool exclude = call.integer("exclude_outside", 0) != 0, antialias = call.integer("antialias", 0) != 0;
  std::vector<int64_t> axes = call.integers("axes");
  if (axes.empty())
    for (int64_t i = 0; i < x.rank(); ++i)
      axes.push_back(i);
  expectOneOf("mode", mode, {"nearest", "linear", "cubic"});
  expectOneOf("nearest_mode", nearest, {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"});
  expectOneOf("coordinate_transformation_mode", place,
              {"half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric",
               "tf_crop_and_resize"});
  expectOneOf("keep_aspect_ratio_policy", policy, {"stretch", "not_larger", "not_smaller"});
  bool crops = place == "tf_crop_and_resize";
  std::vector<double> part = crops ? call.floats(1, "its roi") : std::vector<double>();
  if (crops && (antialias || exclude || (mode == "cubic" && cubic != -0.75) || part.size() != 2 * axes.size()))
    refuse("it crops by " + std::to_string(part.size()) +
           " numbers, or with antialias, exclude_outside or a "
           "cubic_coeff_a of its own");
  size_t scaleInput = old ? 1 : 2, sizeInput = 3;
  std::vector<double> scales;
  if (call.node.type == "Upsample" && call.hasAttribute("scales"))
    scales = call.numbers("scales");
  else if (call.has(scaleInput) && product(call.in(scaleInput).shape) != Dim(0))
    scales = call.floats(scaleInput, "its scales");
  std::vector<Dim> sizes = scales.empty() ? call.dims(sizeInput, "its sizes") : std::vector<Dim>();
  if ((scales.empty() ? sizes.size() : scales.size()) != axes.size())
    refuse("it has scales or sizes for other than its " + std::to_string(axes.size()) + " axes");
  for (int64_t &axis : axes)
    axis = call.axis(axis, x.rank());
  double factor = policy != "stretch" && scales.empty() ? keepRatio(policy, x, axes, sizes) : 0;
  std::string out = call.tensor(0);
  for (size_t i = 0; i < axes.size(); ++i) {
    int64_t axis = axes[i];
    Dim extent = x.shape[axis], size = scales.empty() ? sizes[i] : Dim(0);
    std::string step = factor > 0 ? numberText(1 / factor, KILN_F64) : "";
    if (!scales.empty()) {
      if (scales[i] == 1)
        continue;
      double whole = std::nearbyint(scales[i]);
      if (scales[i] == whole && whole >= 1)
        size = extent * Dim(static_cast<int64_t>(whole));
      else if (double back = std::nearbyint(1 / scales[i]); scales[i] > 0 && 1 / back == scales[i])
        size = extent.floordiv(static_cast<int64_t>(back));
      else if (std::optional<Dim> part = partOf(extent, scales[i]); part && !extent.constant())
        size = *part;
      else if (extent.constant())
        size = Dim(static_cast<int64_t>(std::floor(static_cast<double>(*extent.constant()) * scales[i])));
      else
        refuse("it scales the open dimension " + dimText(extent) + " by the fraction " + numberText(scales[i]));
      step = numberText(1 / scales[i], KILN_F64);
    }
    if (size == extent && scales.empty() && !crops)
      continue;
    if (crops) {
      out = "cropped(" + out + ", " + std::to_string(axis) + ", " + dimText(size) + ", " + numberText(part[i]) + ", " +
            numberText(part[axes.size() + i]) + keyword("mode", "\"" + mode + "\"") +
            (mode == "nearest" ? keyword("rounding", "\"" + nearest + "\"") : "") +
            (outside == 0 ? "" : keyword("outside", numberText(outside))) + ")";
      continue;
    }
    if (mode != "nearest" && (antialias || exclude || (mode == "cubic" && cubic != -0.75))) {
      out = filtered(out, axis, extent, size, scales.empty() ? factor : scales[i], step, place, mode, cubic, antialias,
                     exclude);
      continue;
    }
    out = "resized(" + out + ", " + std::to_string(axis) + ", " + dimText(size) +
          (step.empty() ? "" : keyword("step", step)) +
          (mode == "nearest" ? keyword("rounding", "\"" + nearest + "\"") : keyword("mode", "\"" + mode + "\"")) +
          (place == "half_pixel" ? "" : keyword("place", "\"" + place + "\"")) + ")";
  }
  out == call.tensor(0) ? call.alias(0, x) : call.set(0, out);
}

static void stft(Call &call) {
  Value x = call.in(0);
  bool onesided = call.integer("onesided", 1) != 0;
  int64_t step = call.constants(1, "its step").at(0);
  std::optional<int64_t> length;
  if (call.has(3))
    length = call.constants(3, "its length").at(0);
  else if (call.has(2) && call.in(2).rank() == 1)
    length = call.in(2).shape[0].constant();
  if (!length || *length < 1 || step < 1)
    refuse("the length of its frames is not known");
  if (x.rank() == 3 && x.shape[2] != Dim(1))
    refuse("its signal is complex");
  std::string signal = x.rank() == 3 ? "squeeze(" + call.tensor(0) + ", 2)" : call.tensor(0);
  call.set(0, "onnx_stft(" + signal + ", " + std::to_string(*length) + ", " + std::to_string(step) +
                  (call.has(2) ? ", " + call.tensor(2) : "") + (onesided ? ")" : ", onesided=False)"));
}

static void dft(Call &call) {
  Value x = call.in(0);
  bool inverse = call.integer("inverse", 0) != 0, onesided = call.integer("onesided", 0) != 0;
  int64_t axis = call.opset < 20 ? call.integer("axis", 1) : call.has(2) ? call.constants(2, "its axis").at(0) : -2;
  axis = call.axis(axis, x.rank());
  std::optional<int64_t> length = call.has(1) ? call.constants(1, "its length").at(0) : x.shape[axis].constant();
  if (!length || *length < 1 || axis + 1 == x.rank())
    refuse("the length of its axis is not known, or its axis is the last one");
  if (inverse && onesided) { // of half a spectrum
    int64_t count = call.has(1) ? *length : 2 * (*length - 1);
    return call.set(0, "irfft(" + call.tensor(0) + ", " + std::to_string(count) + ", " + std::to_string(axis) +
                           ")[..., None]");
  }
  call.set(0, "onnx_dft(" + call.tensor(0) + ", " + std::to_string(axis) + ", " + std::to_string(*length) +
                  (inverse ? ", inverse=True" : "") + (onesided ? ", onesided=True)" : ")"));
}

std::vector<Op> signalOps() {
  return {
      {"Resize", 10, "resized(x, axis, size)", resize,
       "a fraction such as 0.7 of an open dimension; tf_crop_and_resize with antialias, exclude_outside or other cubic "
       "coefficients"},
      {"Upsample", 7, "resized(x, axis, size)", resize},
      {"DFT", 17, "onnx_dft(x, axis, length)", dft},
      {"STFT", 17, "onnx_stft(x, length, step, window)", stft, "complex signals"},
  };
}

} // namespace kiln::onnx
