// Ops over images and other spaces: grids, regions, columns, windows that move.
#include "frontend/onnx/Ops.h"

#include <algorithm>

namespace kiln::onnx {

static void gridSample(Call &call) {
  std::string mode = call.string("mode", "linear"), padding = call.string("padding_mode", "zeros");
  bool corners = call.integer("align_corners", 0) != 0;
  if (call.in(0).rank() < 3)
    refuse("it wants [N, C, space…]; found " + typeText(call.in(0).dtype, call.in(0).shape));
  const char *named = mode == "linear" || mode == "bilinear" ? ""
                      : mode == "nearest"                    ? ", mode=\"nearest\""
                      : mode == "cubic" || mode == "bicubic" ? ", mode=\"bicubic\""
                                                             : nullptr;
  if (!named)
    refuse("its mode is '" + mode + "', which is not there");
  call.set(0, "grid_sample(" + call.tensor(0) + ", " + call.tensor(1) + (corners ? ", align_corners=True" : "") +
                  named + (padding == "zeros" ? "" : keyword("padding", "\"" + padding + "\"")) + ")");
}

static void affineGrid(Call &call) {
  std::vector<Dim> size = call.dims(1, "its size");
  bool corners = call.integer("align_corners", 0) != 0;
  if (size.size() != 4 && size.size() != 5)
    refuse("it is not of two or three spatial axes");
  std::string out = (size.size() == 4 ? "affine_grid(" : "affine_grid_3d(") + call.tensor(0);
  for (size_t i = 2; i < size.size(); ++i)
    out += ", " + dimText(size[i]);
  call.set(0, out + (corners ? ", align_corners=True)" : ")"));
}

static std::vector<int64_t> sizesOf(const std::vector<int64_t> &numbers, const char *what) {
  if (numbers.empty() || numbers.size() > 3 ||
      std::any_of(numbers.begin(), numbers.end(), [](int64_t n) { return n < 1 || n > (1 << 20); }))
    refuse(std::string(what) + " is " + tupleText(numbers));
  return numbers;
}

static void col2im(Call &call) {
  Value x = call.in(0);
  std::vector<int64_t> size = sizesOf(call.constants(1, "its image_shape"), "its image_shape");
  std::vector<int64_t> window = sizesOf(call.constants(2, "its block_shape"), "its block_shape");
  size_t n = size.size();
  int64_t taps = 1;
  for (int64_t extent : window)
    taps *= extent;
  std::optional<int64_t> rows = x.rank() == 3 ? x.shape[1].constant() : std::nullopt;
  if (window.size() != n || !rows || *rows % taps != 0)
    refuse("it wants [N, C * " + std::to_string(taps) + ", L] for blocks of " + tupleText(window) + "; found " +
           typeText(x.dtype, x.shape));
  call.set(0, "col2im(" + call.tensor(0) + ", " + tupleText(size) + ", " + tupleText(window) + ", " +
                  tupleText(perAxis(call, "strides", n)) + ", " + tupleText(perAxis(call, "pads", n, 0, 2)) + ", " +
                  tupleText(perAxis(call, "dilations", n)) + ")");
}

static void deformConv(Call &call) {
  Value x = call.in(0), w = call.in(1);
  if (x.rank() != 4 || w.rank() != 4)
    refuse("it is not of two spatial axes");
  std::vector<int64_t> pads = perAxis(call, "pads", 2, 0, 2), stride = perAxis(call, "strides", 2),
                       dilation = perAxis(call, "dilations", 2);
  perAxis(call, "kernel_shape", 2); // the filter's, which has it too
  std::string out = "deform_conv(" + call.tensor(0) + ", " + call.tensor(1) + ", " + call.tensor(2);
  if (call.has(4))
    out += ", " + call.tensor(4);
  out += option("stride", stride, 1) + option("padding", {pads[0], pads[1]}, 0) + option("dilation", dilation, 1);
  for (auto [attribute, name] : {std::pair("group", "groups"), std::pair("offset_group", "parts")})
    if (int64_t number = call.integer(attribute, 1); number != 1)
      out += keyword(name, std::to_string(number));
  call.set(0, out + ")" + (call.has(3) ? " + " + alongAxis(call.tensor(3), 1, 4) : ""));
}

static void roiAlign(Call &call) {
  int64_t h = call.integer("output_height", 1), w = call.integer("output_width", 1),
          ratio = call.integer("sampling_ratio", 0);
  double scale = call.number("spatial_scale", 1);
  std::string mode = call.string("mode", "avg"),
              place =
                  call.string("coordinate_transformation_mode", call.opset < 16 ? "output_half_pixel" : "half_pixel");
  if (ratio == 0)
    refuse("its sampling_ratio is 0: data decide how many samples a bin has");
  if (ratio < 0 || ratio > 64 || h < 1 || w < 1 || h > (1 << 16) || w > (1 << 16))
    refuse("it has bins of " + std::to_string(ratio) + " samples, " + std::to_string(h) + " by " + std::to_string(w));
  if ((mode != "avg" && mode != "max") || (place != "half_pixel" && place != "output_half_pixel"))
    refuse("its mode is '" + mode + "', its coordinate_transformation_mode '" + place + "'");
  call.set(0, "roi_align(" + call.tensor(0) + ", " + call.tensor(1) + ", " + call.tensor(2) + ", " + std::to_string(h) +
                  ", " + std::to_string(w) + ", " + std::to_string(ratio) +
                  (scale == 1 ? "" : keyword("scale", numberText(scale))) +
                  (place == "half_pixel" ? "" : ", half_pixel=False") + (mode == "max" ? ", largest=True)" : ")"));
}

static void maxUnpool(Call &call) {
  Value x = call.in(0);
  size_t n = x.rank() < 3 ? 0 : static_cast<size_t>(x.rank() - 2);
  std::vector<int64_t> size = sizesOf(call.integers("kernel_shape"), "its kernel_shape"),
                       stride = perAxis(call, "strides", size.size()), pads = perAxis(call, "pads", size.size(), 0, 2);
  if (size.size() != n)
    refuse("it has windows of " + std::to_string(size.size()) + " axes for " + typeText(x.dtype, x.shape));
  std::vector<Dim> inferred = {x.shape[0], x.shape[1]};
  for (size_t i = 0; i < n; ++i)
    inferred.push_back((x.shape[2 + i] - Dim(1)) * Dim(stride[i]) + Dim(size[i] - pads[i] - pads[n + i]));
  std::vector<Dim> shape = call.has(2) ? call.dims(2, "its output_shape") : inferred;
  if (shape.size() != inferred.size())
    refuse("its output_shape has " + std::to_string(shape.size()) + " axes");
  call.set(0, "max_unpool(" + call.tensor(0) + ", " + call.tensor(1) + ", [" + dimsText(inferred) + "], [" +
                  dimsText(shape) + "])");
}

std::vector<Op> spaceOps() {
  return {
      {"GridSample", 16, "grid_sample(x, grid)", gridSample},
      {"GridSample", 1, "grid_sample(x, grid)", gridSample, "", "com.microsoft"},
      {"AffineGrid", 20, "affine_grid(theta, h, w)", affineGrid},
      {"Col2Im", 18, "col2im(x, size, window, stride, padding, dilation)", col2im},
      {"DeformConv", 19, "deform_conv(x, w, offset, mask)", deformConv, "other than two spatial axes"},
      {"RoiAlign", 10, "roi_align(x, regions, batch, h, w, ratio)", roiAlign, "a sampling_ratio of 0"},
      {"MaxUnpool", 9, "max_unpool(x, places, inferred, shape)", maxUnpool},
  };
}

} // namespace kiln::onnx
