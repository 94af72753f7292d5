// Standard modules through the reference interpreter. Expected numbers are PyTorch's.
#include "tests/frontend/language/Interpreted.h"

namespace {

using kiln::HostTensor;
using kiln::testing::expectNear;
using kiln::testing::floats;
using kiln::testing::integers;
using kiln::testing::run;

const HostTensor image = floats({2, 2, 3}, {1, -2, 3, 0.5, 4, -1, 2, 0, -3, 1, -1, 2});
const HostTensor scale = floats({2}, {2, -1}), shift = floats({2}, {0.5, 1});
const HostTensor mean = floats({2}, {0.1, 0.2}), variance = floats({2}, {1.5, 0.5});

/// A model of one module, called on x.
std::string calling(const std::string &module, const std::string &type) {
  return "model M():\n    part = " + module + "\n    def forward(x: " + type + "):\n        return part(x)\n";
}

TEST(Modules, BatchNorm1dTakesSequencesToo) {
  std::string text = calling("BatchNorm1d(2)", "f32[2, 2, L <= 4]");
  std::vector<HostTensor> results = run(text, {image, scale, shift, mean, variance});
  expectNear(results[0], {2, 2, 3},
             {1.9696889, -2.9292743, 5.2356644, 0.5757402, -4.3739576, 2.6970391, 3.6026766, 0.3367012, -4.5622621,
              -0.1313595, 2.6970391, -1.5455588});
  results = run(text, {image, scale, shift, mean, variance}, "forward.training");
  ASSERT_EQ(results.size(), 3u);
  expectNear(results[0], {2, 2, 3},
             {1.2881095, -1.5490847, 3.1795723, 1.2391821, -0.7699471, 2.1002374, 2.2338409, 0.3423781, -2.4948161,
              0.9521636, 2.1002374, 0.3781267});
  expectNear(results[1], {2}, {0.1066667, 0.2716666});
  expectNear(results[2], {2}, {1.8866665, 0.8141666});
}

TEST(Modules, BatchNormOfRows) {
  std::vector<HostTensor> results =
      run(calling("BatchNorm1d(2)", "f32[B <= 4, 2]"), {floats({2, 2}, {1, 0.5, 2, 1}), scale, shift, mean, variance},
          "forward.training");
  ASSERT_EQ(results.size(), 3u);
  expectNear(results[0], {2, 2}, {-1.4999599, 1.99992, 2.4999599, 8e-05});
  expectNear(results[1], {2}, {0.24, 0.255});
  expectNear(results[2], {2}, {1.4, 0.4625});
}

TEST(Modules, BatchNorm3d) {
  HostTensor x = floats({2, 2, 1, 2, 2},
                        {0.0, 1.6829419, 1.8185948, 0.28224, -1.513605, -1.9178486, -0.558831, 1.3139732, 1.9787165,
                         0.824237, -1.0880423, -1.9999804, -1.0731459, 0.8403341, 1.9812148, 1.3005757});
  std::vector<HostTensor> results =
      run(calling("BatchNorm3d(2)", "f32[2, 2, 1, 2, 2]"), {x, scale, shift, mean, variance}, "forward.training");
  ASSERT_EQ(results.size(), 3u);
  expectNear(results[0], {2, 2, 1, 2, 2},
             {-0.1504198, 2.3524902, 2.5542362, 0.269334, 2.122133, 2.4128768, 1.4354317, 0.0884562, 2.7923729,
              1.0754044, -1.7685813, -3.1248367, 1.805342, 0.4291113, -0.3914434, 0.0980921});
  expectNear(results[1], {2}, {0.1337338, 0.1846583});
  expectNear(results[2], {2}, {1.5566794, 0.6709302});
}

TEST(Modules, PReLUHasASlopeForEachChannel) {
  for (const char *type : {"f32[2, 2, 3]", "f32[B <= 2, 2, L <= 3]"}) {
    std::vector<HostTensor> results = run(calling("PReLU(2)", type), {image, floats({2}, {0.25, -0.5})});
    expectNear(results[0], {2, 2, 3}, {1.0, -0.5, 3.0, 0.5, 4.0, 0.5, 2.0, 0.0, -0.75, 1.0, 0.5, 2.0});
  }
  std::vector<HostTensor> one = run(calling("PReLU()", "f32[3]"), {floats({3}, {1, -2, 3}), floats({1}, {0.25})});
  expectNear(one[0], {3}, {1, -0.5, 3});
}

TEST(Modules, GroupNormOfAnyRank) {
  std::vector<HostTensor> rows =
      run(calling("GroupNorm(2, 4)", "f32[B <= 2, 4]"),
          {floats({2, 4}, {1, 2, 3, 5, -1, 0, 4, 2}), floats({4}, {1, 2, 3, 4}), floats({4}, {0, 1, 0, 1})});
  expectNear(rows[0], {2, 4}, {-0.99998, 2.9999599, -2.999985, 4.99998, -0.99998, 2.9999599, 2.9999847, -2.99998});
  std::vector<HostTensor> sequences = run(calling("GroupNorm(1, 2)", "f32[B <= 2, 2, L <= 3]"), {image, scale, shift});
  expectNear(sequences[0], {2, 2, 3},
             {0.5797452, -2.2910795, 2.4936285, 1.1993629, -0.4752849, 1.9170691, 2.5695829, 0.3118562, -3.0747337,
              0.5296403, 1.6585037, -0.0347914});
}

TEST(Modules, InstanceNorm1d) {
  std::vector<HostTensor> results =
      run(calling("InstanceNorm1d(2, affine=True)", "f32[2, 2, L <= 3]"), {image, scale, shift});
  expectNear(results[0], {2, 2, 3},
             {0.8244424, -2.0955396, 2.7710972, 1.3182225, -0.352446, 2.0342233, 2.7710972, 0.8244424, -2.0955396,
              0.7327396, 2.3363018, -0.0690415});
}

TEST(Modules, NormsOverSeveralAxes) {
  HostTensor weight = floats({2, 3}, {1, 2, 3, -1, 0.5, 2}), bias = floats({2, 3}, {0, 1, 0, 1, 0, 1});
  std::vector<HostTensor> results = run(calling("LayerNorm([2, 3])", "f32[B <= 2, 2, 3]"), {image, weight, bias});
  expectNear(results[0], {2, 2, 3},
             {0.0398726, -1.7910793, 2.9904425, 1.1993628, 0.7376425, -0.8341379, 1.0347915, 0.8118562, -5.3621011,
              0.5296403, -0.3292518, 3.0695829});
  results = run(calling("RMSNorm((2, 3), 1e-5)", "f32[B <= 2, 2, 3]"), {image, weight});
  expectNear(results[0], {2, 2, 3},
             {0.4381776, -1.7527105, 3.9435987, -0.2190888, 0.8763552, -0.8763552, 1.1239012, 0.0, -5.0575552,
              -0.5619506, -0.2809753, 2.2478025});
}

TEST(Modules, ThePaddingOfAnEmbeddingIsRead) {
  for (const char *padding : {"0", "2", "-1", "-3"}) {
    std::vector<HostTensor> results = run(calling(std::string("Embedding(3, 2, padding=") + padding + ")", "i32[4]"),
                                          {integers({4}, {0, 2, 1, 2}), floats({3, 2}, {1, 2, 3, 4, 5, 6})});
    expectNear(results[0], {4, 2}, {1, 2, 5, 6, 3, 4, 5, 6});
  }
}

TEST(Modules, ThePaddingOfAnEmbeddingBeginsAsZeros) {
  mlir::MLIRContext context;
  kiln::Diagnostics diagnostics;
  auto module =
      kiln::loadModelText(context, calling("Embedding(3, 2, padding=-1)", "i32[4]"), "m.kiln", {}, diagnostics);
  ASSERT_TRUE(module) << diagnostics.render();
  auto parameters = (*module)->getAttrOfType<mlir::ArrayAttr>("kiln.parameters");
  auto init = llvm::cast<mlir::DictionaryAttr>(parameters[0]).getAs<mlir::DictionaryAttr>("init");
  EXPECT_EQ(init.getAs<mlir::StringAttr>("kind").str(), "normal");
  EXPECT_EQ(init.getAs<mlir::FloatAttr>("zero_row").getValueAsDouble(), 2.0);
}

TEST(Modules, RectangularKernels) {
  HostTensor x = floats({1, 1, 4, 6}, {1.0,       0.5403023, -0.4161468, -0.9899925, -0.6536436, 0.2836622,
                                       0.9601703, 0.7539023, -0.1455,    -0.9111302, -0.8390715, 0.0044257,
                                       0.843854,  0.9074468, 0.1367372,  -0.7596879, -0.9576595, -0.2751634,
                                       0.6603167, 0.9887046, 0.4080821,  -0.5477293, -0.9999608, -0.532833});
  std::vector<HostTensor> results = run(calling("Conv2d(1, 1, (2, 3))", "f32[1, 1, 4, 6]"),
                                        {x, floats({1, 1, 2, 3}, {0, 0.1, 0.2, 0.3, 0.4, 0.5}), floats({1}, {0.5})});
  expectNear(results[0], {1, 1, 3, 4},
             {0.9876629, -0.0272076, -0.5573659, -0.1153868, 1.2307937, 0.2503089, -0.5006111, -0.3315739, 1.41571,
              0.5477157, -0.3641482, -0.4815183});
}

TEST(Modules, APartInInferenceModeKeepsToItsStatistics) {
  const std::string text = "model M():\n"
                           "    still  = inference(Sequential(BatchNorm1d(2, affine=False), Dropout(0.9)))\n"
                           "    moving = BatchNorm1d(2, affine=False)\n"
                           "    def forward(x: f32[2, 2]):\n"
                           "        return still(x), moving(x)\n"
                           "    def both(x: f32[2, 2]):\n"
                           "        return still(x)\n";
  std::vector<HostTensor> results =
      run(text, {floats({2, 2}, {1, 0.5, 2, 1}), mean, variance, mean, variance}, "forward.training");
  ASSERT_EQ(results.size(), 4u); // of the states only those of `moving` change
  expectNear(results[0], {2, 2}, {0.7348445, 0.4242598, 1.5513384, 1.1313595});
  expectNear(results[1], {2, 2}, {-0.99998, -0.99992, 0.99998, 0.99992});
  expectNear(results[2], {2}, {0.24, 0.255});
  mlir::MLIRContext context;
  kiln::Diagnostics diagnostics;
  auto module = kiln::loadModelText(context, text, "m.kiln", {}, diagnostics);
  ASSERT_TRUE(module) << diagnostics.render();
  EXPECT_FALSE(module->lookupSymbol<mlir::func::FuncOp>("both.training")); // it has one mode
}

TEST(Modules, ABufferIsComputedAndNotKept) {
  const std::string text = "module Table(n, scale=None):\n"
                           "    rows = buffer(cumprod(1.0 + iota(n).to(f32), 0))\n"
                           "    if scale is None:\n"
                           "        half = buffer(0.5)\n"
                           "    else:\n"
                           "        half = None\n"
                           "    def forward(x: f32[n]) -> f32[n]:\n"
                           "        return x * rows if half is None else x * rows * half\n\n"
                           "model M():\n"
                           "    a = Table(4)\n"
                           "    b = [Table(4, scale=1)]\n"
                           "    def forward(x: f32[4]):\n"
                           "        return a(x), b[0](x), a.rows\n";
  std::vector<HostTensor> results = run(text, {floats({4}, {1, 2, 3, -1})});
  ASSERT_EQ(results.size(), 3u);
  expectNear(results[0], {4}, {0.5, 2, 9, -12});
  expectNear(results[1], {4}, {1, 4, 18, -24});
  expectNear(results[2], {4}, {1, 2, 6, 24});
  mlir::MLIRContext context;
  kiln::Diagnostics diagnostics;
  auto module = kiln::loadModelText(context, text, "m.kiln", {}, diagnostics);
  ASSERT_TRUE(module) << diagnostics.render();
  for (const char *list : {"kiln.parameters", "kiln.states"})
    EXPECT_EQ((*module)->getAttrOfType<mlir::ArrayAttr>(list).size(), 0u);
}

/// A batch that the program calls with random draws: what augmentation does to it in training, and that it does nothing
/// otherwise.
TEST(Modules, AugmentationKeepsToTheImage) {
  const std::string text = "model M():\n"
                           "    def forward(x: f32[2, 1, 3, 4], t: i32[2]):\n"
                           "        a, b = mixup(x, t, 3, alpha=0.4)\n"
                           "        return random_flip(x, 0.99), random_shift(x, 1), random_rotate(x, 0), a, b\n";
  std::vector<double> pixels;
  for (int i = 1; i <= 24; ++i)
    pixels.push_back(i);
  std::vector<HostTensor> arguments = {floats({2, 1, 3, 4}, pixels), integers({2}, {2, 0})};
  std::vector<HostTensor> still = run(text, arguments);
  for (int i = 0; i < 4; ++i)
    expectNear(still[i], {2, 1, 3, 4}, pixels);
  expectNear(still[4], {2, 3}, {0, 0, 1, 1, 0, 0});
  arguments.push_back(integers({}, {7})); // the seed and the step
  arguments.push_back(integers({}, {3}));
  std::vector<HostTensor> moved = run(text, arguments, "forward.training");
  ASSERT_EQ(moved.size(), 5u);
  expectNear(moved[2], {2, 1, 3, 4}, pixels);
  for (int image = 0; image < 2; ++image) {
    auto at = [&](int result, int row, int column) { return moved[result].floats[image * 12 + row * 4 + column]; };
    auto own = [&](int row, int column) {
      return row < 0 || row > 2 || column < 0 || column > 3 ? 0.0 : pixels[image * 12 + row * 4 + column];
    };
    for (int column = 0; column < 4; ++column)
      EXPECT_EQ(at(0, 1, column), own(1, 3 - column));
    int found = 0;
    for (int down = -1; down <= 1; ++down)
      for (int right = -1; right <= 1; ++right) {
        bool same = true;
        for (int i = 0; i < 12; ++i)
          same &= at(1, i / 4, i % 4) == own(i / 4 + down, i % 4 + right);
        found += same;
      }
    EXPECT_EQ(found, 1);
  }
  double share = moved[4].floats[2]; // of the first image in the first place
  EXPECT_GE(share, 0.0);
  EXPECT_LE(share, 1.0);
  EXPECT_NEAR(moved[4].floats[0], 1 - share, 1e-6);
  EXPECT_NEAR(moved[3].floats[0], share * 1 + (1 - share) * 13, 1e-4);
}

/// What has to hold of a dimension that the caller leaves open is asked of the program's inputs.
TEST(Bounds, AreAskedOfTheInputs) {
  struct Asked {
    const char *text, *attribute, *wanted;
  };
  for (const Asked &one : {
           Asked{"def forward(x: f32[B <= 8, T <= 5]):\n        return max(x[:, 1:], axis=1)\n", "kiln.least", "T = 2"},
           Asked{"def forward(x: f32[B <= 8, T <= 5]):\n        assert T > 2, \"long\"\n        return x\n",
                 "kiln.least", "T = 3"},
           Asked{"def forward(x: f32[B <= 8, 2, H <= 9]):\n        return max(max_pool(x, 3), axis=2)\n",
                 "kiln.nonempty", "floordiv(H, 3)"},
           Asked{"def forward(x: f32[B <= 8, 2, H <= 9], w: f32[4, 2, 3]):\n        return conv(x, w)\n", "kiln.least",
                 "H = 3"},
           Asked{"n = BatchNorm1d(3)\n    def forward(x: f32[B <= 8, 3]):\n        return n(x)\n", "kiln.least",
                 "B = 2"},
       }) {
    mlir::MLIRContext context;
    kiln::Diagnostics diagnostics;
    auto module = kiln::loadModelText(context, std::string("model M():\n    ") + one.text, "m.kiln", {}, diagnostics);
    ASSERT_TRUE(module) << one.text << diagnostics.render();
    auto function = module->lookupSymbol<mlir::func::FuncOp>("forward.training");
    if (!function)
      function = module->lookupSymbol<mlir::func::FuncOp>("forward");
    std::string found;
    llvm::raw_string_ostream stream(found);
    if (mlir::Attribute attribute = function->getAttr(one.attribute))
      attribute.print(stream);
    EXPECT_NE(found.find(one.wanted), std::string::npos) << one.text << found;
  }
}

TEST(Modules, EmbeddingBagIsAMeanASumOrTheLargest) {
  const HostTensor table = floats({3, 2}, {1, -2, 3, 0.5, 5, 4}), ids = integers({2, 3}, {0, 2, 2, 1, 0, 1});
  expectNear(run(calling("EmbeddingBag(3, 2)", "i32[B <= 4, 3]"), {ids, table})[0], {2, 2},
             {3.6666667, 2, 2.3333333, -0.3333333});
  expectNear(run(calling("EmbeddingBag(3, 2, mode=\"sum\")", "i32[B <= 4, 3]"), {ids, table})[0], {2, 2},
             {11, 6, 7, -1});
  expectNear(run(calling("EmbeddingBag(3, 2, mode=\"max\")", "i32[B <= 4, 3]"), {ids, table})[0], {2, 2},
             {5, 4, 3, 0.5});
  expectNear(run("model M():\n    part = EmbeddingBag(3, 2)\n    def forward(x: i32[2, 3]):\n"
                 "        return part(x, mask=x == 1)\n",
                 {ids, table})[0],
             {2, 2}, {0, 0, 3, 0.5});
}

TEST(Modules, AlphaDropoutKeepsOrLowers) {
  std::vector<HostTensor> results =
      run("model M():\n    part = AlphaDropout(0.4)\n    def forward(x: f32[100]):\n"
          "        y = part(x)\n"
          "        low = (y < -0.7).to(i32)\n"
          "        return y, sum(low), sum((y > 0.6).to(i32))\n",
          {floats({100}, std::vector<double>(100, 0.0)), integers({}, {7}), integers({}, {0})}, "forward.training");
  // PyTorch's a = ((1 - p) (1 + p α'²))^-½, b = -a α' p, of α' = -1.7580993: of a 0 there is b, or a α' + b.
  ASSERT_GE(results.size(), 3u);
  double a = 1 / std::sqrt(0.6 * (1 + 0.4 * 1.7580993408473766 * 1.7580993408473766)), b = a * 1.7580993408473766 * 0.4;
  for (double y : results[0].floats)
    EXPECT_LT(std::min(std::abs(y - b), std::abs(y - (b - a * 1.7580993408473766))), 1e-6) << y;
  EXPECT_EQ(results[1].integers[0] + results[2].integers[0], 100);
  EXPECT_NEAR(static_cast<double>(results[1].integers[0]), 40, 20);
}

TEST(Modules, AHardGumbelSoftmaxIsOneClass) {
  std::vector<double> logits;
  for (int i = 0; i < 200; ++i)
    logits.insert(logits.end(), {std::log(0.6), std::log(0.3), std::log(0.1)});
  std::vector<HostTensor> results =
      run("model M():\n    def forward(x: f32[200, 3]):\n        y = gumbel_softmax(x, tau=0.5, hard=True)\n"
          "        return sum(y, axis=1), max(y, axis=1), mean(y, axis=0)\n",
          {floats({200, 3}, logits), integers({}, {7}), integers({}, {0})});
  ASSERT_GE(results.size(), 3u);
  expectNear(results[0], {200}, std::vector<double>(200, 1));
  expectNear(results[1], {200}, std::vector<double>(200, 1));
  for (size_t i = 0; i < 3; ++i)
    EXPECT_NEAR(static_cast<double>(results[2].floats[i]), (std::array{0.6, 0.3, 0.1})[i], 0.12) << i;
}

} // namespace
